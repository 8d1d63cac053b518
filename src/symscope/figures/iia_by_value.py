"""IIA by the value that is put in: which values can be rewritten, and which cannot?"""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.gradience import values_put_in
from symscope.figures.lines import CHOSEN, in_order, share_lines
from symscope.figures.panels import fact, in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import WIDTH, finished

_PANEL_COLUMNS = ("task", "algorithm", "site", "function", "variable")


def iia_by_value(values: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Line charts from the table of values, one line a network and size, one panel a variable; `width` is in px."""
    frame, constant = with_panels(values_put_in(values), _PANEL_COLUMNS)
    frame = frame.sort("network", "d", maintain_order=True).with_columns(
        series=pl.struct("network", "d").map_elements(
            lambda row: f"{row['network']}, {fact('d', row['d'])}", return_dtype=pl.String
        )
    )
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    colours = in_order(frame.get_column("series").unique(maintain_order=True).to_list())
    rows = frame.select("panel", "series", "kind", "seed", "value", "iia", "low", "high", "n")
    axis = alt.X("value:Q", title="value put in", axis=alt.Axis(format="d", tickMinStep=1))
    lines = share_lines(rows, axis, colours, inner=inner, width=width, tooltip=[alt.Tooltip("value:Q")])
    constant = ", ".join(part for part in (constant, *(colours if len(colours) == 1 else ())) if part)
    pooled = frame.filter(pl.col("kind") == "pooled").sort("iia", maintain_order=True)
    worst = pooled.unique(["series", "panel"], keep="first", maintain_order=True)
    return finished(
        in_panels(lines, panels, columns).add_params(CHOSEN),
        title="IIA by the value put in",
        subtitle=f"{constant}, {seeds_text(values)}. Line: share of right test interventions, with its 95% interval "
        "over seeds and interventions; small point: one seed.",
        description="Line charts of interchange intervention accuracy by the value that is put in. Worst value: "
        + "; ".join(
            f"{series}{panel and f' ({panel})'}: {value} with {iia:.3f}"
            for series, panel, value, iia in worst.select("series", "panel", "value", "iia").iter_rows()
        )
        + ".",
        width=width,
    )
