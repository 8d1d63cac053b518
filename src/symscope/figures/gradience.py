"""IIA by the count in the base and the count in the source."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.summary import pooled_gradience
from symscope.figures.panels import in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import SHARES, WIDTH, finished, inline_data

_PANEL_COLUMNS = ("variable", "task", "network", "d", "algorithm", "site", "function", "k")


def gradience(gradience_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Heat map from the table of gradience, pooled over seeds, one panel for each alignment.

    A pair of counts that no intervention had stays empty, with a dot in it. `width` is in px.
    """
    frame, constant = with_panels(pooled_gradience(gradience_table), _PANEL_COLUMNS)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=270)
    inner = min(inner, 420)
    lowest = frame.sort("iia", "n").row(0, named=True)
    share = frame.select((pl.col("iia") * pl.col("n")).sum() / pl.col("n").sum()).item()
    return finished(
        in_panels(_cells(frame, inner), panels, columns),
        title="IIA by base count and source count",
        subtitle=f"{constant}; {seeds_text(gradience_table)} pooled. Counts at the two cuts, before the swap. "
        "A cell with a dot had no intervention.",
        description=f"Heat map of interchange intervention accuracy by base count and source count. Over all cells: "
        f"{share:.3f}; lowest: {lowest['iia']:.3f} at base {lowest['base_value']}, source {lowest['source_value']} "
        f"({lowest['n']} interventions).",
        width=width,
    )


def _cells(frame: pl.DataFrame, inner: int) -> ChartType:
    shown = _with_empty_cells(frame)
    values = sorted({*shown.get_column("base_value"), *shown.get_column("source_value")})
    every = 5 if len(values) > 12 else 1
    labels = alt.Axis(
        labelExpr=f"datum.value % {every} == 0 ? datum.label : ''", labelAngle=0, ticks=False, domain=False
    )
    x = alt.X("source_value:O", title="count in the source", scale=alt.Scale(domain=values, padding=0.06), axis=labels)
    y = alt.Y(
        "base_value:O",
        title="count in the base",
        scale=alt.Scale(domain=values[::-1], padding=0.06),
        axis=labels,
    )
    base = alt.Chart(inline_data(shown)).encode(x=x, y=y)
    bar = alt.Legend(title="IIA", orient="top", gradientLength=180, gradientThickness=10, values=SHARES, format=".2~f")
    filled = (
        base.transform_filter("isValid(datum.iia)")
        .mark_rect()
        .encode(
            color=alt.Color("iia:Q", scale=alt.Scale(domain=[0, 1]), legend=bar),
            tooltip=[
                alt.Tooltip("base_value:O", title="base count"),
                alt.Tooltip("source_value:O", title="source count"),
                alt.Tooltip("iia:Q", title="IIA", format=".3f"),
                alt.Tooltip("n:Q", title="interventions", format=","),
            ],
        )
    )
    empty = base.transform_filter("!isValid(datum.iia)")
    return alt.layer(empty.mark_rect(), empty.mark_text(text="·", fontSize=10), filled).properties(
        width=inner, height=inner
    )


def _with_empty_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Every pair of counts in every panel; iia and n are null where there was no intervention."""
    values = pl.concat([frame.get_column("base_value"), frame.get_column("source_value")]).unique().sort()
    grid = (
        frame.select("panel")
        .unique(maintain_order=True)
        .join(pl.DataFrame({"base_value": values}), how="cross")
        .join(pl.DataFrame({"source_value": values}), how="cross")
    )
    known = frame.select("panel", "base_value", "source_value", "iia", "n")
    return grid.join(known, on=["panel", "base_value", "source_value"], how="left")
