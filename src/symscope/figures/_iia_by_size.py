"""IIA by size: of the subspace (for each control and for each alignment function), and of the state."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import ALL_VARIABLES
from symscope.analysis.summary import pooled_scores
from symscope.figures.chart import chart_of
from symscope.figures.lines import CHOSEN, alignments_and_null, in_order, share_lines, size_scale
from symscope.figures.panels import in_panels, panel_names, panel_width, search_text, seeds_text, with_panels
from symscope.figures.series import series_label, series_scale
from symscope.figures.theme import CATEGORIES, GREEN, WIDTH, share_axis, themed, top_legend

_BY_K = ("variable", "task", "network", "d", "algorithm", "protocol", "site", "function")
_BY_FUNCTION = ("variable", "task", "network", "d", "algorithm", "protocol", "site")
_BY_SIZE = ("task", "network", "algorithm", "protocol", "site", "function")
_FUNCTIONS = ("orthogonal", "linear", "oblique", "reversible")


def iia_by_k(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Lines from the table of scores over the subspace size k, one panel a variable, one line a control.

    A point is a seed, a rule an interval, the dashed line the whole-state swap (the ceiling). `width` is in px.
    """
    pooled = pooled_scores(scores).with_columns(kind=pl.lit("pooled"), seed=pl.lit(None, dtype=pl.Int64))
    single = scores.with_columns(kind=pl.lit("seed"), seeds=pl.lit(1, dtype=pl.UInt32))
    shared = [*_BY_K, "k", "control", "kind", "seed", "iia", "low", "high", "n"]
    frame = pl.concat([pooled.select(shared), single.select(shared)])
    parts = frame.filter(pl.col("variable") != ALL_VARIABLES)
    where = ["task", "network", "d", "algorithm", "protocol", "site"]
    ceiling = frame.filter((pl.col("variable") == ALL_VARIABLES) & (pl.col("control") == "none"))
    ceiling = ceiling.filter(pl.col("kind") == "pooled")
    alignments = parts.select(_BY_K).unique(maintain_order=True)
    ceiling = alignments.join(ceiling.drop("variable", "function"), on=where).with_columns(kind=pl.lit("ceiling"))
    rows, constant = with_panels(pl.concat([parts, ceiling.select(shared)]), _BY_K)
    panels = panel_names(rows)
    columns, inner = panel_width(width, len(panels), least=250)
    chart = _lines_by_k(rows.with_columns(series_label()), sorted(parts.get_column("k").unique()), inner, width)
    best = pooled.filter((pl.col("control") == "none") & (pl.col("variable") != ALL_VARIABLES))
    spoken = "; ".join(f"{v}, k {k}: {iia:.3f}" for v, k, iia in best.select("variable", "k", "iia").iter_rows())
    return themed(
        in_panels(chart, panels, columns),
        title="IIA by subspace size",
        subtitle=f"{constant}, {seeds_text(scores)}. Line: IIA, with its 95% interval; point: one seed; dashed: "
        f"whole-state swap.{search_text(scores)}",
        description=f"Line chart of interchange intervention accuracy by subspace size. Alignment: {spoken}.",
        width=width,
    )


def _lines_by_k(frame: pl.DataFrame, sizes: list[int], inner: int, width: int) -> ChartType:
    scale = series_scale(frame.filter(pl.col("kind") != "ceiling").get_column("series"))
    columns = ["panel", "series", "kind", "k", "seed", "iia", "low", "high", "n"]
    base = chart_of(frame.select(columns))
    axis = alt.Axis(values=sizes, format="d", labelOverlap=True, labelFlush=False)
    # Sizes double in the paper, so that a logarithmic axis spaces them evenly.
    x = alt.X("k:Q", title="subspace size k (dimensions)", scale=alt.Scale(type="log", base=2), axis=axis)
    y = share_axis("iia:Q", "IIA (share of interventions)")
    color = alt.Color(
        "series:N", scale=scale, legend=top_legend(width, symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3)
    )
    tooltip = [
        alt.Tooltip("series:N", title="score of"),
        alt.Tooltip("k:Q"),
        alt.Tooltip("iia:Q", title="IIA", format=".4f"),
        alt.Tooltip("low:Q", title="95% from", format=".4f"),
        alt.Tooltip("high:Q", title="95% to", format=".4f"),
        alt.Tooltip("n:Q", title="interventions", format=","),
    ]
    pooled = base.transform_filter("datum.kind == 'pooled'").encode(x=x, y=y, color=color)
    seeds = base.transform_filter("datum.kind == 'seed'").encode(x=x, y=y, color=color)
    ceiling = base.transform_filter("datum.kind == 'ceiling'")
    return alt.layer(
        ceiling.mark_rule(strokeDash=[5, 4], color=GREEN, strokeWidth=1.5).encode(
            y=y, tooltip=[alt.Tooltip("iia:Q", title="whole-state IIA", format=".4f")]
        ),
        pooled.mark_line(strokeWidth=2),
        pooled.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q"),
        pooled.mark_point(filled=True, size=260, opacity=0).encode(tooltip=tooltip),  # a large target for the pointer
        seeds.mark_point(filled=True, size=24, opacity=0.9).encode(tooltip=[alt.Tooltip("seed:Q"), *tooltip]),
    ).properties(width=inner, height=240)


def iia_by_function(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Lines from the table of scores over the subspace size k, one colour a function, one panel a variable.

    `iia_by_k` has all controls of each function. `width` is in px.
    """
    frame = alignments_and_null(scores).with_columns(series="function")
    frame, constant = with_panels(frame, _BY_FUNCTION)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    scale, axis = size_scale(frame.get_column("k").unique().to_list())
    x = alt.X("k:Q", title="subspace size k (dimensions)", scale=scale, axis=axis)
    tooltip = [alt.Tooltip("k:Q"), alt.Tooltip("panel:N", title="panel")]
    lines = share_lines(frame, x, function_colours(frame), inner=inner, width=width, tooltip=tooltip)
    spoken = frame.filter(pl.col("kind") == "pooled").select("series", "panel", "k", "iia")
    return themed(
        in_panels(lines, panels, columns).add_params(CHOSEN),
        title="Alignment functions by subspace size",
        subtitle=f"{constant}, {seeds_text(scores)}. Orthogonal: OAF; linear: LAF; oblique: any linear projector. "
        "Line: IIA, with its 95% interval; small point: one seed; dashed: the best null control of the function."
        f"{search_text(scores)}",
        description="Line chart of interchange intervention accuracy by alignment function and subspace size. "
        + "; ".join(f"{name}, {panel + ', ' if panel else ''}k {k}: {iia:.3f}" for name, panel, k, iia in spoken.rows())
        + ".",
        width=width,
    )


def function_colours(frame: pl.DataFrame, column: str = "series") -> dict[str, str]:
    """A colour for each function; functions of the package have the same order in every figure."""
    names = frame.get_column(column).unique(maintain_order=True).to_list()
    names.sort(key=lambda name: _FUNCTIONS.index(name) if name in _FUNCTIONS else len(_FUNCTIONS))
    return {name: CATEGORIES[i % len(CATEGORIES)] for i, name in enumerate(names)}


def iia_by_size(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Lines from the table of scores over the state size d, one line a variable, one panel an architecture and task.

    Expects one alignment for each variable and size; `draw_figures` chooses it. `width` is in px.
    """
    frame, constant = with_panels(alignments_and_null(scores).with_columns(series="variable"), _BY_SIZE)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    colours = in_order(frame.get_column("variable").unique(maintain_order=True).to_list())
    scale, axis = size_scale(frame.get_column("d").unique().to_list())
    x = alt.X("d:Q", title="state size d", scale=scale, axis=axis)
    tooltip = [alt.Tooltip("d:Q"), alt.Tooltip("k:Q"), alt.Tooltip("panel:N", title="network")]
    lines = share_lines(frame, x, colours, inner=inner, width=width, tooltip=tooltip)
    spoken = frame.filter(pl.col("kind") == "pooled").select("series", "d", "iia")
    return themed(
        in_panels(lines, panels, columns).add_params(CHOSEN),
        title="IIA by state size",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(scores)}. Line: IIA, with its "
        f"95% interval; small point: one seed; dashed: the best null control of each variable.{search_text(scores)}",
        description="Line chart of interchange intervention accuracy by state size. "
        + "; ".join(f"{variable}, d {d}: {iia:.3f}" for variable, d, iia in spoken.iter_rows())
        + ".",
        width=width,
    )
