"""Whole-state swaps as a heat map: site × position, a panel for each variable."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.panels import MANY, in_panels, panel_names, panel_width, with_panels
from symscope.figures.theme import SHARES, VERMILLION, WIDTH, themed

_ROW = 15  # px for each site
_LARGEST = 260
_PANEL_COLUMNS = ("task", "network", "d", "seed", "variable")


def locations(locations_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """A heat map from the table of locations or `Locations.table()`: a row a site, a column a position of the prompt.

    Trivial cells have a cross, the best cell a frame. At most `MANY` panels, in their order. `width` is in px.
    """
    named = [column for column in _PANEL_COLUMNS if column in locations_table.columns]
    frame, constant = with_panels(locations_table, named)
    panels = panel_names(frame)
    frame, left_out = frame.filter(pl.col("panel").is_in(panels[:MANY])), len(panels) - MANY
    panels = panels[:MANY]
    sites = frame.get_column("site").unique(maintain_order=True).to_list()
    columns, inner = panel_width(width, len(panels), least=150, margin=40 + 6 * max(map(len, sites)))
    alone = bool(frame.get_column("alone").all())
    return themed(
        in_panels(_map(frame, sites, min(inner, _LARGEST)), panels, columns),
        title="Whole-state swaps by site and position",
        subtitle=f"{constant + '. ' if constant else ''}Share of interventions "
        f"{'in which base and source differ in the variable alone ' if alone else ''}after which the network follows "
        "the counterfactual when the whole state is swapped. Cross: trivial, the state depends on one token alone, or "
        "the answer on the state alone. Frame: best. Positions are counted from the end of the prompt, -1."
        + (f" {left_out} more panels are in the table." if left_out > 0 else ""),
        description="Heat map of whole-state swaps by site and position. " + _description(frame),
        width=width,
    )


def _map(frame: pl.DataFrame, sites: list[str], inner: int) -> ChartType:
    cells = frame.select(
        "panel",
        "site",
        "position",
        *(pl.col(column).round(4) for column in ("iia", "low", "high", "input_share", "output_share")),
        "n",
        pl.col("trivial").fill_null(""),
        "best",
    )
    positions = cells.get_column("position").unique(maintain_order=True).to_list()
    bar = alt.Legend(title="IIA", orient="top", gradientLength=160, gradientThickness=10, values=SHARES, format=".2~f")
    axis: dict[str, Any] = {"ticks": False, "domain": False, "labelOverlap": True}
    base = chart_of(cells).encode(
        x=alt.X("position:O", title="position", sort=positions, axis=alt.Axis(labelAngle=0, **axis)),
        y=alt.Y("site:O", title=None, sort=sites[::-1], axis=alt.Axis(labelLimit=160, **axis)),
    )
    heat = base.mark_rect().encode(
        color=alt.Color("iia:Q", scale=alt.Scale(domain=[0, 1]), legend=bar),
        tooltip=[
            alt.Tooltip("site:N"),
            alt.Tooltip("position:N"),
            alt.Tooltip("iia:Q", title="IIA", format=".3f"),
            alt.Tooltip("low:Q", title="95% from", format=".3f"),
            alt.Tooltip("high:Q", title="95% to", format=".3f"),
            alt.Tooltip("n:Q", title="swaps", format=","),
            alt.Tooltip("input_share:Q", title="state from its token alone", format=".2f"),
            alt.Tooltip("output_share:Q", title="answer from the state alone", format=".2f"),
            alt.Tooltip("trivial:N"),
        ],
    )
    cross = base.transform_filter("datum.trivial != ''").mark_text(text="×", fontSize=12, color="#ffffff")
    frame_mark = base.transform_filter("datum.best").mark_rect(filled=False, stroke=VERMILLION, strokeWidth=2.5)
    # A cross must be readable on every colour of the ramp: white on a dark outline.
    outline = base.transform_filter("datum.trivial != ''").mark_text(
        text="×", fontSize=12, stroke="#1b1f24", strokeWidth=2.5
    )
    return alt.layer(heat, outline, cross, frame_mark).properties(width=inner, height=_ROW * len(sites))


def _description(frame: pl.DataFrame) -> str:
    best = frame.filter(pl.col("best"))
    texts = [
        f"{row['panel'] or row['variable']}: best {row['site']} at {row['position']}, {row['iia']:.3f}"
        for row in best.iter_rows(named=True)
    ]
    trivial = frame.filter(pl.col("trivial").is_not_null()).select("site", "position").n_unique()
    return f"{'; '.join(texts)}. {trivial} of {frame.select('site', 'position').n_unique()} cells are trivial."
