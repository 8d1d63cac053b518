"""Loss and trial accuracy over training."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.panels import (
    are_many,
    block_title,
    in_panels,
    panel_names,
    panel_width,
    seeds_text,
    with_panels,
    with_task_panels,
)
from symscope.figures.theme import CATEGORIES, WIDTH, count_axis, share_axis, themed, top_legend

_KINDS = {"trained_accuracy": "trained", "held_out_accuracy": "held out"}
_DASHES = alt.Scale(domain=list(_KINDS.values()), range=[[1, 0], [4, 3]])
_POINTS_AN_OCTAVE = 12  # the resolution of a panel


def training(training_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Two line charts for each network from the table of training: loss, and trial accuracy.

    Accuracy is on trained quantities (solid) and on held-out quantities (dashed). A click on a seed in the legend fades
    the others. Many networks of one task share a panel, with a colour for each. `width` is in px.
    """
    if are_many(training_table):
        return _many(training_table, width)
    frame, constant = with_panels(training_table, ("task", "network", "d"))
    stacked = width <= 480
    inner = width - 80 if stacked else (width - 150) // 2
    chosen = alt.selection_point(fields=["seed"], bind="legend", name="seed")
    rows = []
    for (panel,), part in frame.group_by("panel", maintain_order=True):
        plots = [_loss(part, inner, width, chosen), _accuracy(part, inner, width, chosen)]
        if not rows:
            plots[0] = plots[0].add_params(chosen)  # one selection for all plots
        row = alt.vconcat(*plots, spacing=16) if stacked else alt.hconcat(*plots, spacing=28)
        rows.append(row.properties(title=block_title(str(panel))) if panel else row)
    return themed(
        alt.vconcat(*rows, spacing=24),
        title="Training",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}. Trial accuracy is measured on new "
        "sequences; held-out quantities are absent from training.",
        description=_description(training_table),
        width=width,
    )


def _description(table: pl.DataFrame) -> str:
    updates = table.group_by("task", "network", "d", "seed").agg(pl.col("update").max()).get_column("update")
    return (
        f"Line charts of training loss and trial accuracy over updates; {len(updates)} networks, "
        f"{updates.min():,} to {updates.max():,} updates."
    )


def _many(table: pl.DataFrame, width: int) -> ChartType:
    """Two blocks of panels, trial accuracy and loss, with a panel for each task and a colour for each network."""
    frame, constant = with_task_panels(table)
    if frame.get_column("kind_of").n_unique() > len(CATEGORIES):  # more series than colours: a panel for each
        frame, constant = with_panels(table, ("task", "network", "d"))
        frame = frame.with_columns(kind_of=pl.lit("network"))
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=190)
    names = frame.get_column("kind_of").unique(maintain_order=True).to_list()
    chosen = alt.selection_point(fields=["kind_of"], bind="legend", name="network")
    colours = alt.Scale(domain=names, range=[CATEGORIES[i % len(CATEGORIES)] for i in range(len(names))])
    legend = top_legend(width, per_row=130, symbolType="stroke", symbolStrokeWidth=3) if len(names) > 1 else None
    color = alt.Color("kind_of:N", scale=colours, legend=legend)
    thinned = _thinned(frame)
    blocks = []
    for title, chart in (
        ("Trial accuracy", _accuracy_of_many(thinned, color, chosen)),
        ("Training loss (nats per token)", _loss_of_many(thinned, color, chosen)),
    ):
        drawn = in_panels(chart.properties(width=inner, height=110), panels, columns)
        blocks.append(drawn.properties(title=block_title(title)))
    blocks[0] = blocks[0].add_params(chosen)  # one selection for all panels
    return themed(
        alt.vconcat(*blocks, spacing=32),
        title="Training",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}. Trial accuracy is measured on new "
        "sequences of trained (solid) and held-out quantities (dashed). A line ends where training ended. "
        f"The axis of updates is logarithmic, with at most {_POINTS_AN_OCTAVE} measurements in each doubling.",
        description=_description(table),
        width=width,
    )


def _thinned(frame: pl.DataFrame) -> pl.DataFrame:
    """The first row of each step on a logarithmic scale of updates, and the last row, for each network."""
    network = ("task", "network", "d", "seed")
    frame = frame.filter(pl.col("update") > 0).sort("update", maintain_order=True)
    step = (pl.col("update").log(2) * _POINTS_AN_OCTAVE).floor()
    keep = pl.struct(*network, step).is_first_distinct() | (pl.col("update") == pl.col("update").max().over(network))
    return frame.filter(keep).with_columns(pl.col(pl.Float64).round_sig_figs(4))


def _log_x(frame: pl.DataFrame) -> alt.X:
    updates = frame.get_column("update").sort().to_list()
    axis = alt.Axis(format="~s", labelOverlap=True, tickCount=4)
    return alt.X(
        "update:Q",
        title="updates",
        scale=alt.Scale(type="log", domain=[updates[0], updates[-1]], nice=False),
        axis=axis,
    )


def _accuracy_of_many(frame: pl.DataFrame, color: alt.Color, chosen: alt.Parameter) -> alt.Chart:
    where = ["panel", "kind_of", "d", "seed", "update"]
    curves = (
        frame.select(*where, *_KINDS)
        .unpivot(index=where, on=list(_KINDS), variable_name="kind", value_name="accuracy")
        .with_columns(pl.col("kind").replace(_KINDS))
        .drop_nulls("accuracy")
    )
    return _lines_of_many(curves, color, chosen).encode(
        x=_log_x(frame),
        y=share_axis("accuracy:Q", None, format="%"),
        strokeDash=alt.StrokeDash("kind:N", scale=_DASHES, legend=None),
        tooltip=[
            *_where_of_many(),
            alt.Tooltip("kind:N", title="quantities"),
            alt.Tooltip("accuracy:Q", title="trial accuracy", format=".2%"),
        ],
    )


def _loss_of_many(frame: pl.DataFrame, color: alt.Color, chosen: alt.Parameter) -> alt.Chart:
    curves = frame.select("panel", "kind_of", "d", "seed", "update", "loss", "seconds").drop_nulls("loss")
    return _lines_of_many(curves, color, chosen).encode(
        x=_log_x(frame),
        y=alt.Y("loss:Q", title=None, axis=alt.Axis(tickCount=4)),
        tooltip=[
            *_where_of_many(),
            alt.Tooltip("loss:Q", format=".4f"),
            alt.Tooltip("seconds:Q", format=",.1f"),
        ],
    )


def _lines_of_many(curves: pl.DataFrame, color: alt.Color, chosen: alt.Parameter) -> alt.Chart:
    return (
        chart_of(curves)
        .mark_line(strokeWidth=1.6)
        .encode(color=color, detail="seed:N", opacity=alt.condition(chosen, alt.value(0.9), alt.value(0.12)))
    )


def _where_of_many() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("kind_of:N", title="network"),
        alt.Tooltip("d:Q"),
        alt.Tooltip("seed:Q"),
        alt.Tooltip("update:Q", format=","),
    ]


def _seed_color(part: pl.DataFrame, width: int) -> alt.Color:
    seeds = sorted(part.get_column("seed").unique().to_list())
    colours = [CATEGORIES[i % len(CATEGORIES)] for i in range(len(seeds))]
    legend = top_legend(width // 2 if width > 480 else width, title="seed", per_row=48, symbolType="stroke")
    return alt.Color("seed:N", scale=alt.Scale(domain=seeds, range=colours), legend=legend)


def _x() -> alt.X:
    return alt.X("update:Q", title="updates", axis=count_axis())


def _loss(part: pl.DataFrame, inner: int, width: int, chosen: alt.Parameter) -> alt.Chart:
    curves = part.select("panel", "seed", "update", "epoch", "loss", "learning_rate", "seconds").drop_nulls("loss")
    return (
        chart_of(curves)
        .mark_line(strokeWidth=1.6)
        .encode(
            x=_x(),
            y=alt.Y("loss:Q", title="training loss (nats per token)", axis=alt.Axis(tickCount=5)),
            color=_seed_color(part, width),
            opacity=alt.condition(chosen, alt.value(1), alt.value(0.15)),
            tooltip=[
                alt.Tooltip("seed:Q"),
                alt.Tooltip("update:Q", format=","),
                alt.Tooltip("epoch:Q", format=","),
                alt.Tooltip("loss:Q", format=".4f"),
                alt.Tooltip("learning_rate:Q", title="learning rate", format=".2e"),
                alt.Tooltip("seconds:Q", title="seconds", format=",.1f"),
            ],
        )
        .properties(width=inner, height=200)
    )


def _accuracy(part: pl.DataFrame, inner: int, width: int, chosen: alt.Parameter) -> alt.Chart:
    curves = (
        part.select("panel", "seed", "update", *_KINDS)
        .unpivot(index=["panel", "seed", "update"], on=list(_KINDS), variable_name="kind", value_name="accuracy")
        .with_columns(pl.col("kind").replace(_KINDS))
        .drop_nulls("accuracy")
    )
    return (
        chart_of(curves)
        .mark_line(strokeWidth=1.6)
        .encode(
            x=_x(),
            y=share_axis("accuracy:Q", "trial accuracy", format="%"),
            color=_seed_color(part, width),
            strokeDash=alt.StrokeDash("kind:N", scale=_DASHES, legend=alt.Legend(title="quantities", orient="top")),
            opacity=alt.condition(chosen, alt.value(1), alt.value(0.15)),
            tooltip=[
                alt.Tooltip("seed:Q"),
                alt.Tooltip("kind:N", title="quantities"),
                alt.Tooltip("update:Q", format=","),
                alt.Tooltip("accuracy:Q", title="trial accuracy", format=".2%"),
            ],
        )
        .properties(width=inner, height=200)
    )
