"""The frontier: IIA against the distance of rewritten states from natural ones."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.lines import CHOSEN, HEIGHT, in_order
from symscope.figures.panels import in_panels, panel_names, panel_width, search_text, seeds_text, with_panels
from symscope.figures.theme import GREY, WIDTH, themed, top_legend

_PANEL_COLUMNS = ("task", "network", "d", "algorithm", "protocol", "site", "function", "k")


def frontier(frontier_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """One line for each variable and seed, through the searches with rising weight of the counterfactual-latent loss.

    The horizontal axis is the Mahalanobis distance within the natural span, in which natural states have 1. Each point
    is labelled with its weight. `width` is in px.
    """
    frame, constant = with_panels(frontier_table, _PANEL_COLUMNS)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=210)
    variables = frame.get_column("variable").unique(maintain_order=True).to_list()
    chart = _lines(frame.with_columns(series="variable"), in_order(variables), inner, width)
    return themed(
        in_panels(chart, panels, columns).add_params(CHOSEN),
        title="IIA and the distance from natural states",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}, one line each. Numbers, at the first "
        "seed: weight of the counterfactual-latent loss, which keeps rewritten states near natural ones; natural "
        f"states have a distance of 1 (dashed).{search_text(frame)}",
        description=f"Lines of interchange intervention accuracy over Mahalanobis distance. {_spoken(frame)}.",
        width=width,
    )


def _lines(rows: pl.DataFrame, colours: dict[str, str], inner: int, width: int) -> ChartType:
    legend = top_legend(width, symbolType="stroke", symbolStrokeWidth=3)
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    names = ["panel", "series", "seed", "latent_weight", "mahalanobis", "iia", "low", "high", "far_out_share"]
    rows = rows.sort("latent_weight", maintain_order=True).select(*names, "within_class_distance")
    plain = chart_of(rows)
    logarithmic = alt.Scale(type="log", nice=False)
    base = plain.encode(
        x=alt.X("mahalanobis:Q", title="Mahalanobis distance (natural states: 1)", scale=logarithmic),
        y=alt.Y("iia:Q", title="IIA (share of interventions)", scale=alt.Scale(zero=False)),
        color=alt.Color("series:N", scale=scale, legend=legend if len(colours) > 1 else None),
        detail="seed:N",
        opacity=alt.condition(CHOSEN, alt.value(0.95), alt.value(0.1)),
    )
    tooltip = [
        alt.Tooltip("series:N", title="variable"),
        alt.Tooltip("seed:Q"),
        alt.Tooltip("latent_weight:Q", title="weight of the latent loss"),
        alt.Tooltip("iia:Q", title="IIA", format=".3f"),
        alt.Tooltip("low:Q", title="95% from", format=".3f"),
        alt.Tooltip("high:Q", title="95% to", format=".3f"),
        alt.Tooltip("mahalanobis:Q", title="Mahalanobis distance", format=".2f"),
        alt.Tooltip("far_out_share:Q", title="far out", format=".0%"),
        alt.Tooltip("within_class_distance:Q", title="within-class distance", format=".1f"),
    ]
    natural = plain.mark_rule(strokeDash=[4, 3], color=GREY).encode(x=alt.datum(1))
    line = base.mark_line(strokeWidth=1.6, color=alt.Undefined).encode(order="latent_weight:Q")
    points = base.mark_point(filled=True, size=36).encode(tooltip=tooltip)
    labelled = base.transform_filter(alt.FieldEqualPredicate(field="seed", equal=min(rows.get_column("seed"))))
    weights = labelled.mark_text(dx=6, dy=-7, align="left", fontSize=10).encode(text=alt.Text("latent_weight:Q"))
    return alt.layer(natural, line, points, weights).properties(width=inner, height=HEIGHT)


def _spoken(frame: pl.DataFrame) -> str:
    """The two ends of each curve, means over seeds."""
    means = frame.group_by("panel", "variable", "latent_weight", maintain_order=True).agg(
        pl.col("iia", "mahalanobis").mean()
    )
    parts = []
    for (panel, variable), rows in means.sort("latent_weight", maintain_order=True).group_by(
        "panel", "variable", maintain_order=True
    ):
        ends = [
            f"{row['iia']:.3f} at {row['mahalanobis']:.2f}"
            for row in (rows.row(0, named=True), rows.row(-1, named=True))
        ]
        parts.append(f"{variable}{panel and f' ({panel})'}: {' to '.join(ends)}")
    return "; ".join(parts)
