"""Alignment functions against each other, by subspace size."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.lines import CHOSEN, found_and_null, share_lines, size_scale
from symscope.figures.panels import in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import CATEGORIES, WIDTH, finished

_PANEL_COLUMNS = ("variable", "task", "network", "d", "algorithm", "site")
OAF_FIRST = ("orthogonal", "linear", "oblique", "reversible")


def iia_by_function(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Lines from the table of scores over the subspace size k, one colour a function, one panel a variable.

    `iia_by_k` has each beside all of its controls. `width` is in px.
    """
    frame = found_and_null(scores).with_columns(series="function")
    frame, constant = with_panels(frame, _PANEL_COLUMNS)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    scale, axis = size_scale(frame.get_column("k").unique().to_list())
    x = alt.X("k:Q", title="subspace size k (dimensions)", scale=scale, axis=axis)
    tooltip = [alt.Tooltip("k:Q"), alt.Tooltip("panel:N", title="asked")]
    lines = share_lines(frame, x, function_colours(frame), inner=inner, width=width, tooltip=tooltip)
    spoken = frame.filter(pl.col("kind") == "pooled").select("series", "panel", "k", "iia")
    return finished(
        in_panels(lines, panels, columns).add_params(CHOSEN),
        title="Alignment functions by subspace size",
        subtitle=f"{constant}, {seeds_text(scores)}. Orthogonal: OAF; linear: LAF; oblique: any linear projector. "
        "Line: share of right interventions, with its 95% interval; small point: one seed; dashed: its best null "
        "control.",
        description="Line chart of interchange intervention accuracy by alignment function and subspace size. "
        + "; ".join(f"{name}, {panel + ', ' if panel else ''}k {k}: {iia:.3f}" for name, panel, k, iia in spoken.rows())
        + ".",
        width=width,
    )


def function_colours(frame: pl.DataFrame, column: str = "series") -> dict[str, str]:
    """A colour for each function, the same in every figure for the known ones; its options make it another."""
    names = frame.get_column(column).unique(maintain_order=True).to_list()
    names.sort(key=lambda name: OAF_FIRST.index(name) if name in OAF_FIRST else len(OAF_FIRST))
    return {name: CATEGORIES[i % len(CATEGORIES)] for i, name in enumerate(names)}
