"""Whole-state swaps: the shares after which a network continues as the source and as the base."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import WHOLE_STATE_OUTCOMES
from symscope.analysis.summary import pooled_whole_state, site_depth
from symscope.figures.chart import chart_of
from symscope.figures.panels import in_panels, panel_names, panel_width, seeds_text, with_task_panels
from symscope.figures.theme import BROWN, GREEN, SHARES, WIDTH, themed

_STYLES = {"source": (GREEN, "circle"), "base": (BROWN, "diamond")}
_NUMBERS_WIDTH = 40  # px for the value at the right end of each line


def whole_state(whole_state_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Points with intervals from the table of whole-state swaps: a row for each network and site, a point an outcome.

    Sites are in the order of a forward pass. Several networks of several tasks have a panel for each task. `width` is
    in px.
    """
    frame, constant = _rows(whole_state_table)
    panels, names = panel_names(frame), _names(frame)
    labels = min(170, 24 + 6 * max(map(len, names)))  # px for the names on the left
    columns, inner = panel_width(width, len(panels), least=200, margin=labels, gap=24)
    several = whole_state_table.get_column("seed").n_unique() > 1
    return themed(
        in_panels(_points(frame, names, inner, width), panels, columns),
        title="Whole-state swap",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(whole_state_table)}. Share of swaps of the whole "
        "state, within one phase, after which the network continues as the source or as the base. Line: 95% interval"
        + ("; small mark: one seed." if several else "."),
        description="Share of whole-state swaps by site and outcome. " + _description(frame),
        width=width,
    )


def _rows(table: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Pooled rows and rows of each seed, with `panel`, `kind_of`, `name`; and the text of shared values."""
    pooled = pooled_whole_state(table).with_columns(kind=pl.lit("pooled"), seed=pl.lit(None, dtype=pl.Int64))
    single = table.with_columns(kind=pl.lit("seed"), seeds=pl.lit(1, dtype=pl.UInt32))
    frame, constant = with_task_panels(pl.concat([pooled, single.select(pooled.columns)]))
    algorithms = table.group_by("task").agg(pl.col("algorithm").n_unique()).get_column("algorithm").to_list()
    if table.get_column("algorithm").n_unique() == 1:
        constant = ", ".join(text for text in (constant, str(table.get_column("algorithm")[0])) if text)
    elif max(algorithms) > 1:  # otherwise the algorithm follows from the task
        frame = frame.with_columns(panel=pl.concat_str("panel", "algorithm", separator=" ").str.strip_chars())
    network = pl.when(pl.col("kind_of") == "").then(pl.lit("at")).otherwise(pl.col("kind_of"))
    return frame.with_columns(name=pl.concat_str(network, "site", separator=" ")), constant


def _names(frame: pl.DataFrame) -> list[str]:
    """The rows of every panel: networks in order of appearance, each with its sites in the order of a forward pass."""
    order = frame.with_row_index("position").with_columns(
        first=pl.col("position").min().over("kind_of"), depth=site_depth()
    )
    return order.sort("first", "depth", "position").get_column("name").unique(maintain_order=True).to_list()


def _points(frame: pl.DataFrame, names: list[str], inner: int, width: int) -> ChartType:
    rows = frame.select(
        "panel",
        "name",
        "network",
        "d",
        "algorithm",
        "site",
        pl.col("outcome").replace(WHOLE_STATE_OUTCOMES),
        "kind",
        "seed",
        *(pl.col(column).round(4) for column in ("share", "low", "high")),
        "n",
    )
    outcomes = [label for name, label in WHOLE_STATE_OUTCOMES.items() if name in frame.get_column("outcome")]
    styles = [_STYLES[name] for name in WHOLE_STATE_OUTCOMES if name in frame.get_column("outcome")]
    numbers = frame.get_column("panel").n_unique() == 1  # several panels have no space for them
    length = inner - _NUMBERS_WIDTH if numbers else inner
    legend = alt.Legend(title=None, orient="top", direction="vertical", labelLimit=width, symbolOpacity=1)
    color = alt.Color("outcome:N", scale=alt.Scale(domain=outcomes, range=[c for c, _ in styles]), legend=legend)
    shape = alt.Shape("outcome:N", scale=alt.Scale(domain=outcomes, range=[s for _, s in styles]), legend=legend)
    lines = alt.Axis(domain=False, ticks=False, labelLimit=170)
    base = chart_of(rows).encode(
        x=alt.X(
            "share:Q",
            title="share of swaps",
            scale=alt.Scale(domain=[0, 1], range=[0, length]),
            axis=alt.Axis(grid=True, values=SHARES, format=".2~f", labelFlush=False),
        ),
        y=alt.Y("name:N", sort=names, title=None, axis=lines, scale=alt.Scale(paddingInner=0.3, paddingOuter=0.15)),
        yOffset=alt.YOffset("outcome:N", sort=outcomes),
        color=color,
    )
    pooled, seeds = base.transform_filter("datum.kind == 'pooled'"), base.transform_filter("datum.kind == 'seed'")
    return alt.layer(
        pooled.mark_rule(strokeWidth=2.5, opacity=0.6).encode(x="low:Q", x2="high:Q"),
        seeds.mark_tick(thickness=1.5, size=7, opacity=0.8).encode(tooltip=[alt.Tooltip("seed:Q"), *_tooltip()]),
        pooled.mark_point(filled=True, size=46, opacity=1).encode(shape=shape, tooltip=_tooltip()),
        *([_numbers(pooled, inner)] if numbers else []),
    ).properties(width=inner, height=alt.Step(11 if numbers else 8, **{"for": "offset"}))


def _numbers(pooled: alt.Chart, inner: int) -> alt.Chart:
    text = pooled.mark_text(align="right", fontSize=10.5, baseline="middle")
    return text.encode(x=alt.value(inner - 2), text=alt.Text("share:Q", format=".3f"), color=alt.Undefined)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("network:N"),
        alt.Tooltip("d:Q"),
        alt.Tooltip("site:N"),
        alt.Tooltip("algorithm:N"),
        alt.Tooltip("outcome:N", title="outcome"),
        alt.Tooltip("share:Q", title="share of swaps", format=".3f"),
        alt.Tooltip("low:Q", title="95% from", format=".3f"),
        alt.Tooltip("high:Q", title="95% to", format=".3f"),
        alt.Tooltip("n:Q", title="swaps", format=","),
    ]


def _description(frame: pl.DataFrame) -> str:
    pooled = frame.filter(pl.col("kind") == "pooled").select("name", "panel", "outcome", "share")
    return (
        "; ".join(f"{name}{panel and f' ({panel})'}, {o}: {share:.3f}" for name, panel, o, share in pooled.rows()) + "."
    )
