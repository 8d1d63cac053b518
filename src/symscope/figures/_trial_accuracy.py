"""Trial accuracy by quantity, with marks for held-out and extrapolated quantities."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.summary import quantity_kinds, trial_accuracies
from symscope.figures.chart import chart_of
from symscope.figures.panels import (
    are_many,
    in_panels,
    panel_names,
    panel_width,
    seeds_text,
    with_panels,
    with_task_panels,
)
from symscope.figures.theme import (
    INDIGO,
    NARROW,
    OLIVE,
    ROSE,
    SHARES,
    WIDTH,
    share_axis,
    themed,
    top_legend,
)

KINDS = {"trained": (INDIGO, "circle"), "held out": (ROSE, "diamond"), "extrapolated": (OLIVE, "triangle-up")}
"""Colour and shape of each kind of quantity."""

_NAMES_WIDTH = 104  # px for the names of the networks on the left of a heat map
_CELL_HEIGHT = 17


def trial_accuracy(trial_accuracy_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Points from the table of trial accuracies, one for each seed, and a line through the mean over seeds.

    A band marks quantities that are absent from training. Lines of many networks would hide each other, so there each
    network is a row of a heat map, and each task a panel. `width` is in px.
    """
    if are_many(trial_accuracy_table):
        return _heat_map(trial_accuracy_table, width)
    frame, constant = with_panels(quantity_kinds(trial_accuracy_table), ("task", "network", "d"))
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=300)
    return themed(
        in_panels(_points(frame, inner, width), panels, columns),
        title="Trial accuracy by quantity",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}. A trial is correct when every determined "
        "token is predicted. Point: one seed; line: mean over seeds; band: quantity absent from training.",
        description="Trial accuracy by quantity. " + _description(trial_accuracy_table),
        width=width,
    )


def _points(frame: pl.DataFrame, inner: int, width: int) -> ChartType:
    present = [kind for kind in KINDS if kind in frame.get_column("kind").to_list()]
    points = frame.select(
        "panel", "seed", "quantity", "kind", accuracy="trial_accuracy", n="n", left=pl.col("quantity") - 0.5
    ).with_columns(right=pl.col("left") + 1)
    base = chart_of(points)
    lowest, highest = points.get_column("quantity").min(), points.get_column("quantity").max()
    span = alt.Scale(domain=[float(str(lowest)) - 0.5, float(str(highest)) + 0.5], nice=False)
    x = alt.X("quantity:Q", title="quantity (demo tokens)", scale=span, axis=alt.Axis(tickMinStep=1, tickCount=10))
    least = float(str(points.get_column("accuracy").min()))
    y = share_axis("accuracy:Q", "trial accuracy", format="%", least=least)
    colours = alt.Scale(domain=present, range=[KINDS[kind][0] for kind in present])
    shapes = alt.Scale(domain=present, range=[KINDS[kind][1] for kind in present])
    legend = top_legend(width, per_row=110, symbolOpacity=1)
    band = base.transform_filter("datum.kind != 'trained'").mark_rect()
    points = base.mark_point(filled=True, size=52, opacity=0.85).encode(
        x=x,
        y=y,
        color=alt.Color("kind:N", scale=colours, legend=legend),
        shape=alt.Shape("kind:N", scale=shapes, legend=legend),
        tooltip=[
            alt.Tooltip("quantity:Q"),
            alt.Tooltip("kind:N", title="kind of quantity"),
            alt.Tooltip("seed:Q"),
            alt.Tooltip("accuracy:Q", title="trial accuracy", format=".2%"),
            alt.Tooltip("n:Q", title="trials"),
        ],
    )
    return alt.layer(
        band.encode(x=alt.X("left:Q", scale=span), x2="right:Q", y=alt.value(0), y2=alt.value(200)),
        base.mark_line(strokeWidth=1.2).encode(x=x, y="mean(accuracy):Q"),
        points,
    ).properties(width=inner, height=200)


def _heat_map(table: pl.DataFrame, width: int) -> ChartType:
    """Heat map: a row for each network, a column for each quantity, a panel for each task, a strip for the kinds."""
    frame, constant = with_task_panels(quantity_kinds(table))
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=240, margin=_NAMES_WIDTH + 16)
    return themed(
        in_panels(_cells(frame, inner, width), panels, columns),
        title="Trial accuracy by quantity",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}. A trial is correct when every determined "
        "token is predicted. Colour: share of correct trials. Strip above a panel: kind of quantity.",
        description=f"Heat map of trial accuracy by quantity, {len(panels)} panels. {_description(table)}",
        width=width,
    )


def _cells(frame: pl.DataFrame, inner: int, width: int) -> ChartType:
    names = frame.get_column("kind_of").unique(maintain_order=True).to_list()
    present = [kind for kind in KINDS if kind in frame.get_column("kind").to_list()]
    cells = frame.group_by("panel", "kind_of", "network", "d", "quantity", "kind", maintain_order=True).agg(
        accuracy=((pl.col("trial_accuracy") * pl.col("n")).sum() / pl.col("n").sum()).round(4),
        seeds=pl.col("seed").n_unique(),
        n=pl.col("n").sum(),
    )
    cells = cells.with_columns(first=pl.struct("panel", "quantity").is_first_distinct())
    base = chart_of(cells)
    quantities = cells.get_column("quantity").unique().sort().to_list()
    labels = alt.Axis(
        labelExpr="datum.value % 5 == 0 ? datum.label : ''",
        labelAngle=0,
        ticks=False,
        domain=False,
        titleAnchor="start",
    )
    x = alt.X(
        "quantity:O", title="quantity (demo tokens)", scale=alt.Scale(domain=quantities, padding=0.05), axis=labels
    )
    names_axis = alt.Axis(domain=False, ticks=False, labelLimit=_NAMES_WIDTH)
    y = alt.Y("kind_of:N", sort=names, title=None, scale=alt.Scale(padding=0.08), axis=names_axis)
    ramp = alt.Legend(
        title="trial accuracy", orient="top", gradientLength=150, gradientThickness=10, values=SHARES, format="%"
    )
    cells = base.mark_rect().encode(
        x=x,
        y=y,
        color=alt.Color("accuracy:Q", scale=alt.Scale(domain=[0, 1]), legend=ramp),
        tooltip=[
            alt.Tooltip("network:N"),
            alt.Tooltip("d:Q"),
            alt.Tooltip("quantity:Q"),
            alt.Tooltip("kind:N", title="kind of quantity"),
            alt.Tooltip("accuracy:Q", title="trial accuracy", format=".2%"),
            alt.Tooltip("n:Q", title="trials"),
            alt.Tooltip("seeds:Q"),
        ],
    )
    colours = alt.Scale(domain=present, range=[KINDS[kind][0] for kind in present])
    # Next to the ramp on wide figures, otherwise below the panels.
    legend = alt.Legend(title=None, symbolType="square", orient="top" if width > NARROW else "bottom")
    kinds = (
        base.transform_filter("datum.first")
        .mark_rect(height=4)
        .encode(x=x, y=alt.value(-5), fill=alt.Fill("kind:N", scale=colours, legend=legend))
    )
    return alt.layer(cells, kinds).properties(width=inner, height=_CELL_HEIGHT * len(names))


def _description(table: pl.DataFrame) -> str:
    rows = (
        trial_accuracies(table)
        .group_by("kind", maintain_order=True)
        .agg((pl.col("trial_accuracy") * pl.col("n")).sum() / pl.col("n").sum(), pl.col("worst").min())
    )
    return (
        "; ".join(
            f"{kind}: {mean:.2%} of trials correct, {worst:.2%} at the worst quantity"
            for kind, mean, worst in rows.iter_rows()
        )
        + "."
    )
