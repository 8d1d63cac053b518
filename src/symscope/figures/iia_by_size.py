"""IIA by the size of the state, for each variable, against the best of its null controls."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.lines import CHOSEN, found_and_null, in_order, share_lines, size_scale
from symscope.figures.panels import in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import WIDTH, finished

_PANEL_COLUMNS = ("task", "network", "algorithm", "site", "function")


def iia_by_size(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Lines from the table of scores over the state size d, one line a variable, one panel an architecture and task.

    Of each variable one alignment a size is expected; the catalogue chooses it. `width` is in px.
    """
    frame, constant = with_panels(found_and_null(scores).with_columns(series="variable"), _PANEL_COLUMNS)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    colours = in_order(frame.get_column("variable").unique(maintain_order=True).to_list())
    scale, axis = size_scale(frame.get_column("d").unique().to_list())
    x = alt.X("d:Q", title="state size d", scale=scale, axis=axis)
    tooltip = [alt.Tooltip("d:Q"), alt.Tooltip("k:Q"), alt.Tooltip("panel:N", title="network")]
    lines = share_lines(frame, x, colours, inner=inner, width=width, tooltip=tooltip)
    spoken = frame.filter(pl.col("kind") == "pooled").select("series", "d", "iia")
    return finished(
        in_panels(lines, panels, columns).add_params(CHOSEN),
        title="IIA by state size",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(scores)}. Line: share of right interventions, with "
        "its 95% interval; small point: one seed; dashed: the best null control of each.",
        description="Line chart of interchange intervention accuracy by state size. "
        + "; ".join(f"{variable}, d {d}: {iia:.3f}" for variable, d, iia in spoken.iter_rows())
        + ".",
        width=width,
    )
