"""Development: IIA and trial accuracy over training."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.lines import CHOSEN, HEIGHT, in_order
from symscope.figures.panels import in_panels, panel_names, panel_width, search_text, seeds_text, with_panels
from symscope.figures.theme import GREY, WIDTH, count_axis, share_axis, themed, top_legend

_PANEL_COLUMNS = ("task", "network", "d", "algorithm", "protocol", "site", "function", "k")
TRIAL_ACCURACY = "trial accuracy"


def development(
    development_table: pl.DataFrame, *, scores: pl.DataFrame | None = None, width: int = WIDTH
) -> ChartType:
    """Lines from the table of development: the IIA of each variable and the trial accuracy, by epoch.

    One panel for each size, one line for each seed, because trainings end at different epochs. A click on an entry of
    the legend fades the others. The caption compares the searches with those of the table `scores`. `width` is in px.
    """
    frame, constant = with_panels(development_table, _PANEL_COLUMNS)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=210)
    variables = frame.get_column("variable").unique(maintain_order=True).to_list()
    rows = pl.concat([_iias(frame), _accuracies(frame)])
    chart = _lines(rows, {**in_order(variables), TRIAL_ACCURACY: GREY}, inner, width)
    last = frame.filter(pl.col("epoch") == pl.col("epoch").max().over("panel", "seed"))
    spoken = last.group_by("panel", "variable", maintain_order=True).agg(pl.col("iia").mean())
    first = frame.filter(pl.col("epoch") == 0).group_by("panel", "variable").agg(start=pl.col("iia").mean())
    spoken = spoken.join(first, on=["panel", "variable"], how="left", maintain_order="left")
    return themed(
        in_panels(chart, panels, columns).add_params(CHOSEN),
        title="IIA over training",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}, one line each. Each checkpoint "
        "has a search and test interventions of its own; epoch 0 is the untrained network. Dashed: share of correct "
        f"trials of the checkpoint, over all quantities.{_search_text(development_table, scores)}",
        description="Line chart of interchange intervention accuracy and trial accuracy over epochs. "
        + "; ".join(
            f"{variable}{panel and f' ({panel})'}: from {'unknown' if start is None else f'{start:.3f}'} to {iia:.3f}"
            for panel, variable, iia, start in spoken.iter_rows()
        )
        + ".",
        width=width,
    )


def _search_text(table: pl.DataFrame, scores: pl.DataFrame | None) -> str:
    """Length of the searches, and whether those of the answer are longer."""
    text = search_text(table)
    here = table.get_column("total_steps").drop_nulls().max()
    if scores is None or not isinstance(here, int):
        return text
    steps = scores.filter(pl.col("control") == "none").get_column("total_steps").drop_nulls().max()
    if not isinstance(steps, int) or steps <= here:
        return text
    return (
        f"{text} These searches are shorter than those of the answer (up to {steps:,} steps), so that the last IIA may "
        "be lower than the IIA of the answer."
    )


def _iias(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("panel", "seed", "epoch", "low", "high", "n", series="variable", share="iia")


def _accuracies(frame: pl.DataFrame) -> pl.DataFrame:
    checkpoints = frame.unique(["panel", "seed", "epoch"], maintain_order=True)
    none = pl.lit(None, dtype=pl.Float64)
    return checkpoints.select(
        "panel", "seed", "epoch", none.alias("low"), none.alias("high"), pl.col("trials").alias("n"),
        pl.lit(TRIAL_ACCURACY).alias("series"), pl.col("trial_accuracy").alias("share"),
    )  # fmt: skip


def _lines(rows: pl.DataFrame, colours: dict[str, str], inner: int, width: int) -> ChartType:
    dashes = [[5, 3] if name == TRIAL_ACCURACY else [1, 0] for name in colours]
    legend = top_legend(width, symbolType="stroke", symbolStrokeWidth=3)
    base = chart_of(rows).encode(
        x=alt.X("epoch:Q", title="epochs of training", axis=count_axis()),
        y=share_axis("share:Q", "IIA; trial accuracy"),
        color=alt.Color("series:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=legend),
        strokeDash=alt.StrokeDash("series:N", scale=alt.Scale(domain=list(colours), range=dashes), legend=legend),
        detail="seed:N",
        opacity=alt.condition(CHOSEN, alt.value(0.95), alt.value(0.1)),
    )
    tooltip = [
        alt.Tooltip("series:N", title="curve"),
        alt.Tooltip("seed:Q"),
        alt.Tooltip("epoch:Q", format=","),
        alt.Tooltip("share:Q", title="share", format=".3f"),
        alt.Tooltip("low:Q", title="95% from", format=".3f"),
        alt.Tooltip("high:Q", title="95% to", format=".3f"),
        alt.Tooltip("n:Q", title="interventions or trials", format=","),
    ]
    points = base.mark_point(filled=True, size=30).encode(tooltip=tooltip, strokeDash=alt.Undefined)
    return alt.layer(base.mark_line(strokeWidth=1.6, color=alt.Undefined), points).properties(
        width=inner, height=HEIGHT
    )
