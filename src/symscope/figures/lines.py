"""Lines of shares along an axis, with intervals and seeds; several figures use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import ALL_VARIABLES, CONTROLS, NULL_CONTROLS
from symscope.analysis.summary import ALIGNMENT, pooled_scores
from symscope.figures.chart import chart_of
from symscope.figures.theme import CATEGORIES, share_axis, top_legend

HEIGHT = 230

CHOSEN = alt.selection_point(fields=["series"], bind="legend", name="series")
"""Selection of a series by a click in the legend, which fades the others; it is added to one chart of a figure."""


def share_lines(
    frame: pl.DataFrame,
    x: alt.X,
    colours: Mapping[str, str],
    *,
    inner: int,
    width: int,
    tooltip: Sequence[alt.Tooltip] = (),
    title: str = "IIA (share of interventions)",
) -> ChartType:
    """One line for each series: pooled rows with their intervals, seeds as points, null controls dashed.

    Args:
        frame: columns panel, series, kind (`pooled`, `seed` or `null`), seed, iia, low, high, n, control where there
            are null rows, and those of x and tooltip.
        x: horizontal axis.
        colours: colour of each series, in the order of the legend.
        inner: width of the panel in px.
        width: width of the figure in px.
        tooltip: further entries of the tooltip.
        title: title of the vertical axis.
    """
    legend = top_legend(width, symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3)
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    base = chart_of(frame).encode(
        x=x,
        y=share_axis("iia:Q", title),
        color=alt.Color("series:N", scale=scale, legend=legend if len(colours) > 1 else None),
        opacity=alt.condition(CHOSEN, alt.value(1), alt.value(0.12)),
    )
    entries = [
        alt.Tooltip("series:N"),
        *tooltip,
        alt.Tooltip("iia:Q", title=title.partition(" (")[0], format=".4f"),
        alt.Tooltip("low:Q", title="95% from", format=".4f"),
        alt.Tooltip("high:Q", title="95% to", format=".4f"),
        alt.Tooltip("n:Q", title="trials", format=","),
    ]
    null = base.transform_filter("datum.kind == 'null'")
    pooled, seeds = base.transform_filter("datum.kind == 'pooled'"), base.transform_filter("datum.kind == 'seed'")
    controls = [
        null.mark_line(strokeWidth=1.2, strokeDash=[4, 3], color=alt.Undefined),
        null.mark_point(size=24, strokeWidth=1.2).encode(tooltip=[alt.Tooltip("control:N"), *entries]),
    ]
    # Vega warns of a layer without rows, so it is left out.
    return alt.layer(
        *(controls if "null" in frame.get_column("kind") else []),
        pooled.mark_line(strokeWidth=2, color=alt.Undefined),
        pooled.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q"),
        pooled.mark_point(filled=True, size=44).encode(tooltip=entries),
        seeds.mark_point(filled=True, size=18).encode(tooltip=[alt.Tooltip("seed:Q"), *entries]),
    ).properties(width=inner, height=HEIGHT)


def alignments_and_null(scores: pl.DataFrame) -> pl.DataFrame:
    """The alignments of the table of scores, pooled and of each seed, with the best null control of each.

    Columns: those of `ALIGNMENT`, control (its label), kind, seed, iia, low, high, n, as `share_lines` expects them.
    """
    parts = scores.filter(pl.col("variable") != ALL_VARIABLES)
    pooled = pooled_scores(parts).with_columns(seed=pl.lit(None, dtype=pl.Int64))
    null = pooled.filter(pl.col("control").is_in(NULL_CONTROLS)).sort("iia", descending=True, maintain_order=True)
    rows = [
        pooled.filter(pl.col("control") == "none").with_columns(kind=pl.lit("pooled")),
        parts.filter(pl.col("control") == "none").with_columns(kind=pl.lit("seed")),
        null.unique(ALIGNMENT, keep="first", maintain_order=True).with_columns(kind=pl.lit("null")),
    ]
    columns = [*ALIGNMENT, pl.col("control").replace(CONTROLS), "kind", "seed", "iia", "low", "high", "n"]
    return pl.concat([part.select(columns) for part in rows])


def in_order(names: Sequence[str]) -> dict[str, str]:
    """A colour of `CATEGORIES` for each name, in order."""
    return {name: CATEGORIES[i % len(CATEGORIES)] for i, name in enumerate(names)}


def size_scale(sizes: Sequence[int]) -> tuple[alt.Scale, alt.Axis]:
    """A logarithmic axis with a tick at every size, because sizes double in the paper."""
    return alt.Scale(type="log", base=2), alt.Axis(
        values=sorted(sizes), format="d", labelOverlap=True, labelFlush=False
    )
