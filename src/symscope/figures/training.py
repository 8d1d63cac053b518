"""Loss and trial accuracy over training."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.panels import block_title, seeds_text, with_panels
from symscope.figures.theme import CATEGORIES, WIDTH, finished, inline_data, share_axis, top_legend


def training(training_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Two line charts for each network from the table of training: loss, and trial accuracy.

    Accuracy is that on trained quantities (solid) and held-out ones (dashed). One colour for each seed; a click on a
    seed in the legend keeps that one in full ink. `width` is in px.
    """
    frame, constant = with_panels(training_table, ("task", "network", "d"))
    stacked = width <= 480
    inner = width - 80 if stacked else (width - 150) // 2
    chosen = alt.selection_point(fields=["seed"], bind="legend", name="seed")
    rows = []
    for (panel,), part in frame.group_by("panel", maintain_order=True):
        plots = [_loss(part, inner, width, chosen), _accuracy(part, inner, width, chosen)]
        if not rows:
            plots[0] = plots[0].add_params(chosen)  # one selection rules all plots
        row = alt.vconcat(*plots, spacing=16) if stacked else alt.hconcat(*plots, spacing=28)
        rows.append(row.properties(title=block_title(str(panel))) if panel else row)
    last = training_table.sort("update").group_by("task", "network", "d", "seed", maintain_order=True).last()
    updates = last.get_column("update")
    return finished(
        alt.vconcat(*rows, spacing=24),
        title="Training",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}. Trial accuracy is measured on sequences "
        "drawn apart; held-out quantities are never trained.",
        description=f"Line charts of training loss and trial accuracy over updates; {len(last)} networks, "
        f"{updates.min():,} to {updates.max():,} updates.",
        width=width,
    )


def _seed_color(part: pl.DataFrame, width: int) -> alt.Color:
    seeds = sorted(part.get_column("seed").unique().to_list())
    colours = [CATEGORIES[i % len(CATEGORIES)] for i in range(len(seeds))]
    legend = top_legend(width // 2 if width > 480 else width, title="seed", per_row=48, symbolType="stroke")
    return alt.Color("seed:N", scale=alt.Scale(domain=seeds, range=colours), legend=legend)


def _x() -> alt.X:
    return alt.X("update:Q", title="updates", axis=alt.Axis(tickCount=5, format=",d"))


def _loss(part: pl.DataFrame, inner: int, width: int, chosen: alt.Parameter) -> alt.Chart:
    shown = part.select("seed", "update", "epoch", "loss", "learning_rate", "seconds").drop_nulls("loss")
    return (
        alt.Chart(inline_data(shown))
        .mark_line(strokeWidth=1.6)
        .encode(
            x=_x(),
            y=alt.Y("loss:Q", title="training loss (nats a token)", axis=alt.Axis(tickCount=5)),
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
    kinds = {"trained_accuracy": "trained", "held_out_accuracy": "held out"}
    shown = (
        part.select("seed", "update", *kinds)
        .unpivot(index=["seed", "update"], on=list(kinds), variable_name="kind", value_name="accuracy")
        .with_columns(pl.col("kind").replace(kinds))
        .drop_nulls("accuracy")
    )
    dashes = alt.Scale(domain=list(kinds.values()), range=[[1, 0], [4, 3]])
    return (
        alt.Chart(inline_data(shown))
        .mark_line(strokeWidth=1.6)
        .encode(
            x=_x(),
            y=share_axis("accuracy:Q", "trial accuracy", format="%"),
            color=_seed_color(part, width),
            strokeDash=alt.StrokeDash("kind:N", scale=dashes, legend=alt.Legend(title="quantities", orient="top")),
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
