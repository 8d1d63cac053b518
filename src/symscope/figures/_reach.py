"""Reach: the activations that depend on an activation of a transformer, and the updates that a state can have had."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.panels import in_panels, panel_width
from symscope.figures.theme import VERMILLION, WIDTH, themed

_CELL = 26  # px high
_FROM = ("from_layer", "from_position")


def reach(reach_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """A grid of layers and positions for each depth, from the table of reach.

    Number and colour of a cell: the largest number of updates of a state that is carried from token to token up to
    there. A click on a cell frames the cells that depend on it; at first the embedding at position 2 is selected.
    `width` is in px.
    """
    frame = reach_table.with_columns(panel=_panel("layers"))
    panels = frame.sort("layers").get_column("panel").unique(maintain_order=True).to_list()
    columns, inner = panel_width(width, len(panels), least=240)
    deepest = frame.group_by("panel", maintain_order=True).agg(pl.col("updates").max())
    positions = frame.get_column("position").max()
    return themed(
        in_panels(_grid(frame, inner), panels, columns),
        title="Reach of activations in a transformer",
        subtitle="Number: the most updates of a state that is carried from token to token. Each update needs a further "
        "layer, so a count that every token updates does not fit. Frame: activations that depend on the selected one "
        "(a click selects another). Confirmed by random changes of each activation of an untrained network.",
        description="Grids of layers by positions with the most updates a carried state can have had. "
        + "; ".join(f"{panel}: at most {updates} updates" for panel, updates in deepest.iter_rows())
        + f", with {positions} needed at the last position.",
        width=width,
    )


def _panel(column: str) -> pl.Expr:
    layers = pl.when(pl.col(column) == 1).then(pl.lit(" layer")).otherwise(pl.lit(" layers"))
    return pl.concat_str(column, layers)


def _grid(frame: pl.DataFrame, inner: int) -> ChartType:
    chosen = alt.selection_point(
        fields=[*_FROM], name="from", value=[{"from_layer": 0, "from_position": 2}], toggle=False, empty=False
    )
    names = "datum.value == 0 ? 'embedding' : 'layer ' + datum.value"
    itself = (pl.col("from_layer") == pl.col("layer")) & (pl.col("from_position") == pl.col("position"))
    cells = frame.filter(itself | pl.col("reaches")).drop("network", "layers")
    layers = sorted(frame.get_column("layer").unique().to_list(), reverse=True)
    x = alt.X("position:O", title="position", axis=alt.Axis(labelAngle=0, ticks=False, domain=False))
    y = alt.Y(
        "layer:O", sort=layers, title=None, axis=alt.Axis(labelExpr=names, ticks=False, domain=False),
        scale=alt.Scale(domain=layers, padding=0.06),
    )  # fmt: skip
    tooltip = [alt.Tooltip("layer:O"), alt.Tooltip("position:O"), alt.Tooltip("updates:Q", title="most updates")]
    every = chart_of(cells).encode(x=x, y=y)
    base = every.transform_filter("!datum.reaches")  # each activation once
    legend = alt.Legend(title="updates", orient="top", gradientLength=120, gradientThickness=10, tickMinStep=1)
    grid = base.mark_rect().encode(color=alt.Color("updates:Q", legend=legend), tooltip=tooltip).add_params(chosen)
    numbers = base.mark_text(fontSize=11, fontWeight=600, color="white", stroke="#00000055", strokeWidth=0.4)
    reached = (
        every.transform_filter("datum.reaches")
        .transform_filter(chosen)
        .mark_rect(fillOpacity=0, stroke=VERMILLION, strokeWidth=2.5)
        .encode(tooltip=[*tooltip[:2], alt.Tooltip("change:Q", title="measured change", format=".3f")])
    )
    height = _CELL * len(layers)
    return alt.layer(grid, numbers.encode(text="updates:Q"), reached).properties(width=inner, height=height)
