"""Claims: what is measured in each network, and the effect with its interval against the threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.theme import BROWN, CYAN, GREY, INDIGO, WIDTH, number_axis, themed

_LABELS_WIDTH = 250
_NARROW_LABELS_WIDTH = 150
_ROW = 30  # px
_LABEL_IN_TWO_LINES = "[split(datum.label, ' on ')[0], 'on ' + split(datum.label, ' on ')[1]]"
_SIDES = {"first side": CYAN, "second side": BROWN}


def claim(values: pl.DataFrame, *, claim_row: Mapping[str, Any], width: int = WIDTH) -> ChartType:
    """Dots from the table of values of one claim, a row a kind of network, and the effect below them.

    `claim_row` is the row of the table of claims; `width` is in px.
    """
    frame = values.with_columns(
        side=pl.when(pl.col("weight") < 0).then(pl.lit("second side")).otherwise(pl.lit("first side")),
        name=pl.col("kind"),
    )
    labels = _LABELS_WIDTH if width >= WIDTH else _NARROW_LABELS_WIDTH
    inner = width - labels - 24
    effect = ", ".join(
        f"{name} {claim_row[column]:.3f}"
        for name, column in (("from", "low"), ("to", "high"))
        if claim_row[column] is not None
    )
    means = frame.group_by("name", maintain_order=True).agg(pl.col("value").mean())
    return themed(
        alt.vconcat(_networks(frame, inner, labels), _effect(claim_row, inner, labels), spacing=18),
        title=claim_row["statement"].removesuffix("."),
        subtitle=f"{claim_row['verdict'].capitalize()}. Dot: one network; tick: mean of its kind. Below: the effect "
        f"with its 95% interval; dashed: the threshold. Measured: {claim_row['measure']}.",
        description=f"Dot plot of what the claim is decided by. Effect: {claim_row['value']:.3f}, {effect}. "
        + "; ".join(f"{name}: {value:.3f}" for name, value in means.iter_rows())
        + ".",
        width=width,
    )


def _networks(frame: pl.DataFrame, inner: int, labels: int) -> ChartType:
    sides = [side for side in _SIDES if side in frame.get_column("side")]
    scale = alt.Scale(domain=sides, range=[_SIDES[side] for side in sides])
    base = chart_of(frame.select("name", "side", "seed", "weight", "value", "error")).encode(
        x=alt.X(
            "value:Q",
            title="measured in a network",
            scale=alt.Scale(zero=False, nice=True),
            axis=number_axis(),
        ),
        y=alt.Y(
            "name:N",
            sort=frame.get_column("name").unique(maintain_order=True).to_list(),
            title=None,
            axis=alt.Axis(labelExpr=_LABEL_IN_TWO_LINES, labelLineHeight=13, labelOffset=-6.5, labelLimit=labels - 8),
        ),
        color=alt.Color("side:N", scale=scale, legend=None),
    )
    tooltip = [
        alt.Tooltip("name:N", title="kind"),
        alt.Tooltip("seed:Q"),
        alt.Tooltip("value:Q", format=".4f"),
        alt.Tooltip("error:Q", title="standard error", format=".4f"),
        alt.Tooltip("weight:Q", title="weight in the effect", format="+.3f"),
    ]
    dots = base.mark_circle(size=40).encode(tooltip=tooltip)
    ticks = base.mark_tick(thickness=2.5, size=16).encode(x=alt.X("mean(value):Q"))
    return alt.layer(dots, ticks).properties(width=inner, height=_ROW * max(1, frame.get_column("name").n_unique()))


def _effect(row: Mapping[str, Any], inner: int, labels: int) -> ChartType:
    row = {"name": "effect", **{name: row[name] for name in ("value", "low", "high", "threshold")}}
    base = chart_of(pl.DataFrame([row]))
    x = alt.X("value:Q", title="effect", scale=alt.Scale(zero=True, nice=True), axis=number_axis())
    y = alt.Y("name:N", title=None, axis=alt.Axis(labelLimit=labels - 8))
    tooltip = [alt.Tooltip(f"{name}:Q", format=".4f") for name in ("value", "low", "high", "threshold")]
    dots = base.mark_circle(size=90, color=INDIGO).encode(x=x, y=y, tooltip=tooltip)
    line = base.mark_rule(strokeWidth=2.5, color=INDIGO).encode(x="low:Q", x2="high:Q", y=y)
    threshold = base.mark_rule(strokeDash=[5, 4], color=GREY, strokeWidth=1.5).encode(x="threshold:Q")
    return alt.layer(threshold, line, dots).properties(width=inner, height=_ROW)
