"""IIA by subspace size, for each variable and control."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import ALL_VARIABLES
from symscope.analysis.summary import pooled_scores
from symscope.figures.iia_bars import series_label, series_scale
from symscope.figures.panels import in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import GREEN, WIDTH, finished, inline_data, share_axis, top_legend

_PANEL_COLUMNS = ("variable", "task", "network", "d", "algorithm", "site", "function")


def iia_by_k(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Lines from the table of scores over the subspace size k, one panel a variable, one line a control.

    Each seed is a point, the interval over all interventions a rule, the whole-state swap (the ceiling) a
    dashed line. `width` is in px.
    """
    pooled = pooled_scores(scores).with_columns(kind=pl.lit("pooled"), seed=pl.lit(None, dtype=pl.Int64))
    single = scores.with_columns(kind=pl.lit("seed"), seeds=pl.lit(1, dtype=pl.UInt32))
    shared = [*_PANEL_COLUMNS, "k", "control", "kind", "seed", "iia", "low", "high", "n"]
    frame = pl.concat([pooled.select(shared), single.select(shared)])
    parts = frame.filter(pl.col("variable") != ALL_VARIABLES)
    where = ["task", "network", "d", "algorithm", "site"]
    ceiling = frame.filter((pl.col("variable") == ALL_VARIABLES) & (pl.col("control") == "none"))
    ceiling = ceiling.filter(pl.col("kind") == "pooled")
    alignments = parts.select(_PANEL_COLUMNS).unique(maintain_order=True)
    ceiling = alignments.join(ceiling.drop("variable", "function"), on=where).with_columns(kind=pl.lit("ceiling"))
    shown, constant = with_panels(pl.concat([parts, ceiling.select(shared)]), _PANEL_COLUMNS)
    panels = panel_names(shown)
    columns, inner = panel_width(width, len(panels), least=250)
    chart = _lines(shown.with_columns(series_label()), sorted(parts.get_column("k").unique()), inner, width)
    best = pooled.filter((pl.col("control") == "none") & (pl.col("variable") != ALL_VARIABLES))
    spoken = "; ".join(f"{v}, k {k}: {iia:.3f}" for v, k, iia in best.select("variable", "k", "iia").iter_rows())
    return finished(
        in_panels(chart, panels, columns),
        title="IIA by subspace size",
        subtitle=f"{constant}, {seeds_text(scores)}. Line: share of right interventions, with its 95% interval; "
        "point: one seed; dashed: whole-state swap.",
        description=f"Line chart of interchange intervention accuracy by subspace size. Found alignment: {spoken}.",
        width=width,
    )


def _lines(frame: pl.DataFrame, sizes: list[int], inner: int, width: int) -> ChartType:
    scale = series_scale(frame.filter(pl.col("kind") != "ceiling").get_column("series"))
    columns = ["panel", "series", "kind", "k", "seed", "iia", "low", "high", "n"]
    base = alt.Chart(inline_data(frame.select(columns)))
    axis = alt.Axis(values=sizes, format="d", labelOverlap=True, labelFlush=False)
    # Sizes double in the paper, so a logarithmic axis spaces them evenly.
    x = alt.X("k:Q", title="subspace size k (dimensions)", scale=alt.Scale(type="log", base=2), axis=axis)
    y = share_axis("iia:Q", "IIA (share of interventions)")
    color = alt.Color(
        "series:N", scale=scale, legend=top_legend(width, symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3)
    )
    tooltip = [
        alt.Tooltip("series:N", title="what"),
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
        pooled.mark_point(filled=True, size=260, opacity=0).encode(tooltip=tooltip),  # a target that a pointer hits
        seeds.mark_point(filled=True, size=24, opacity=0.9).encode(tooltip=[alt.Tooltip("seed:Q"), *tooltip]),
    ).properties(width=inner, height=240)
