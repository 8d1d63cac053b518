"""Theory: IIA against divergence for each alignment function after a linear change of basis."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures._iia_by_size import function_colours
from symscope.figures.chart import chart_of
from symscope.figures.panels import block_title, in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import SHARES, WIDTH, share_axis, themed, top_legend

_AXES = {"off_span_share": "By off-span share", "dormant_share": "By dormant share"}
_TITLES = {"off_span_share": "off-span share", "dormant_share": "dormant share"}
_SHAPES = ("circle", "square", "triangle-up", "diamond")


def theory(theory_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Scatter plots from the table of theory: IIA against off-span share and against dormant share.

    One panel for each number of spare dimensions, one point for each variable and seed. `width` is in px.
    """
    spare = theory_table.select(pl.concat_str("spare", pl.lit(" spare dimensions")).alias("panel"))
    frame, constant = with_panels(theory_table.drop("spare"), ("network", "change_of_basis"))
    frame = frame.with_columns(spare.get_column("panel"), series=_series(theory_table))
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=190)
    blocks = []
    for axis, title in _AXES.items():
        chart = _points(frame, axis, inner, width)
        blocks.append(in_panels(chart, panels, columns).properties(title=block_title(title)))
    means = frame.group_by("series", "panel", maintain_order=True).agg(
        pl.col("iia", "off_span_share", "dormant_share").mean()
    )
    return themed(
        alt.vconcat(*blocks, spacing=28),
        title="IIA and divergence after a basis change",
        subtitle=f"{constant}, {seeds_text(theory_table)}. The network holds the variables, "
        "in a state space multiplied by a random invertible matrix. Point: one search with random initialisation; best "
        "at the upper left. Off-span share: share of the rewritten states' norm outside the span of natural states. "
        "Dormant share: share of the effect that is lost when only that span is written (unknown without an effect). "
        "Natural-span: the projector stays within that span.",
        description="Scatter plots of interchange intervention accuracy against the divergence of rewritten states. "
        + "; ".join(
            f"{series}, {panel}: IIA {iia:.3f}, off-span share {off_span:.3f}"
            + ("" if dormant is None else f", dormant share {dormant:.3f}")
            for series, panel, iia, off_span, dormant in means.iter_rows()
        )
        + ".",
        width=width,
    )


def _series(frame: pl.DataFrame) -> pl.Series:
    plain = pl.when(pl.col("coordinates") == "state").then(pl.col("function"))
    return frame.select(plain.otherwise(pl.concat_str("function", "coordinates", separator=", "))).to_series()


def _points(frame: pl.DataFrame, axis: str, inner: int, width: int) -> ChartType:
    colours = function_colours(frame)
    names = list(colours)
    legend = top_legend(width, per_row=190)
    columns = ["panel", "series", "variable", "seed", "k", "iia", "low", "high", *_AXES, "n"]
    base = chart_of(frame.select(columns).drop_nulls(axis))
    return (
        base.mark_point(size=70, strokeWidth=2, filled=False)
        .encode(
            x=alt.X(f"{axis}:Q", title=_TITLES[axis], scale=alt.Scale(domain=[-0.03, 1.03], nice=False), axis=_axis()),
            y=share_axis("iia:Q", "IIA"),
            color=alt.Color("series:N", scale=alt.Scale(domain=names, range=list(colours.values())), legend=legend),
            shape=alt.Shape(
                "series:N", scale=alt.Scale(domain=names, range=list(_SHAPES[: len(names)])), legend=legend
            ),
            tooltip=[
                alt.Tooltip("series:N", title="function"),
                alt.Tooltip("variable:N"),
                alt.Tooltip("seed:Q"),
                alt.Tooltip("iia:Q", title="IIA", format=".3f"),
                alt.Tooltip("low:Q", title="95% from", format=".3f"),
                alt.Tooltip("high:Q", title="95% to", format=".3f"),
                alt.Tooltip("off_span_share:Q", title="off span", format=".3f"),
                alt.Tooltip("dormant_share:Q", title="dormant", format=".3f"),
            ],
        )
        .properties(width=inner, height=190)
    )


def _axis() -> alt.Axis:
    return alt.Axis(grid=True, values=SHARES, format=".2~f", labelFlush=False)
