"""Attention maps of every layer and head, by the positions of query and key counted from the trigger."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.panels import MANY, in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import WIDTH, themed

_KIND = ("task", "network", "d")
_LARGEST = 230


def attention(attention_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Heat maps from the table of attention, one for each layer and head of a kind of network, averaged over seeds.

    At most `MANY` kinds of network, in their order. `width` is in px.
    """
    kinds = attention_table.select(_KIND).unique(maintain_order=True)
    table = attention_table.join(kinds.head(MANY), on=_KIND, maintain_order="left")
    where = [*_KIND, "quantity", "layer", "head"]
    mean = table.group_by(*where, "query", "key", maintain_order=True).agg(pl.col("weight").mean(), pl.col("n").sum())
    named = mean.with_columns(
        layer=pl.concat_str(pl.lit("layer "), "layer"), head=pl.concat_str(pl.lit("head "), "head")
    )
    named = named if named.get_column("head").n_unique() > 1 else named.drop("head")
    frame, constant = with_panels(named, [c for c in ("task", "network", "d", "layer", "head") if c in named.columns])
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=170)
    inner = min(inner, _LARGEST)
    left_out = len(kinds) - MANY
    after = mean.filter(pl.col("query") > 0)
    demo = after.filter(pl.col("key") < 0).group_by(where, maintain_order=True).agg(pl.col("weight").sum())
    queries = after.group_by(where, maintain_order=True).agg(pl.col("query").n_unique())
    to_demo = demo.join(queries, on=where, maintain_order="left")
    return themed(
        in_panels(_map(frame, inner), panels, columns),
        title="Attention, counted from the trigger",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(attention_table)} averaged, sequences of "
        f"{' or '.join(map(str, mean.get_column('quantity').unique().sort()))} demo tokens. Row: position of the "
        "query; column: position of the key. 0 is the trigger, negative positions are the demo phase, positive ones "
        "the responses. The weights of a row sum to 1."
        + (f" {left_out} more kinds of network are in the table." if left_out > 0 else ""),
        description="Heat maps of attention weights by query and key. Share of the attention in the resp phase "
        "that goes to the demo phase: "
        + "; ".join(
            f"{row['network']} on {row['task']}, layer {row['layer']}, head {row['head']}: "
            f"{row['weight'] / row['query']:.2f}"
            for row in to_demo.iter_rows(named=True)
        )
        + ".",
        width=width,
    )


def _map(frame: pl.DataFrame, inner: int) -> ChartType:
    cells = frame.select("panel", "query", "key", pl.col("weight").round(4), "n")
    queries = sorted(cells.get_column("query").unique().to_list())
    every = max(1, len(queries) // 8)
    labels = alt.Axis(
        labelExpr=f"datum.value % {every} == 0 ? datum.label : ''", labelAngle=0, ticks=False, domain=False
    )
    bar = alt.Legend(title="weight", orient="top", gradientLength=160, gradientThickness=10, format=".2~f")
    scale = alt.Scale(domain=queries, padding=0.04)
    return (
        chart_of(cells)
        .mark_rect()
        .encode(
            x=alt.X("key:O", title="key", scale=scale, axis=labels),
            y=alt.Y("query:O", title="query", scale=scale, axis=labels),
            color=alt.Color("weight:Q", scale=alt.Scale(domainMin=0), legend=bar),
            tooltip=[
                alt.Tooltip("query:O", title="query"),
                alt.Tooltip("key:O", title="key"),
                alt.Tooltip("weight:Q", format=".3f"),
                alt.Tooltip("n:Q", title="sequences", format=","),
            ],
        )
        .properties(width=inner, height=inner)
    )
