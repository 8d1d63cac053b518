"""Gradience: IIA by the values of base and source, along their difference and mean, and by source value alone."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.gradience import AXES, gradience_along, iia_by_source_value
from symscope.analysis.summary import pooled_gradience
from symscope.figures.chart import chart_of
from symscope.figures.lines import CHOSEN, in_order, share_lines
from symscope.figures.panels import block_title, fact, in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import SHARES, WIDTH, count_axis, themed

_MAP = ("variable", "task", "network", "d", "algorithm", "protocol", "site", "function", "k")
_LINES = ("task", "network", "algorithm", "protocol", "site", "function", "variable")
_VALUES = ("task", "algorithm", "protocol", "site", "function", "variable")
_FULL = 20
"""Interventions from which on a cell has its full colour; an IIA of 0.9 then has an interval of about 0.7 to 0.97."""


def gradience(gradience_table: pl.DataFrame, *, search: str = "", width: int = WIDTH) -> ChartType:
    """Heat map from the table of gradience, pooled over seeds, one panel for each alignment.

    Cells of few interventions fade; a pair of counts without interventions has a dot. `search` is a sentence on the
    search, for the caption; `width` is in px.
    """
    frame, constant = with_panels(pooled_gradience(gradience_table), _MAP)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=270)
    inner = min(inner, 420)
    lowest = frame.sort("iia", "n").row(0, named=True)
    share = frame.select((pl.col("iia") * pl.col("n")).sum() / pl.col("n").sum()).item()
    return themed(
        in_panels(_cells(frame, inner), panels, columns),
        title="IIA by base count and source count",
        subtitle=f"{constant}; {seeds_text(gradience_table)} pooled. Counts where base and source are stopped, before "
        f"the swap. Cells of fewer than {_FULL} interventions fade; a cell with a dot has none.{search}",
        description=f"Heat map of interchange intervention accuracy by base count and source count. Over all cells: "
        f"{share:.3f}; lowest: {lowest['iia']:.3f} at base {lowest['base_value']}, source {lowest['source_value']} "
        f"({lowest['n']} interventions).",
        width=width,
    )


def _cells(frame: pl.DataFrame, inner: int) -> ChartType:
    cells = _with_empty_cells(frame)
    values = sorted({*cells.get_column("base_value"), *cells.get_column("source_value")})
    every = 5 if len(values) > 12 else 1
    labels = alt.Axis(
        labelExpr=f"datum.value % {every} == 0 ? datum.label : ''", labelAngle=0, ticks=False, domain=False
    )
    x = alt.X("source_value:O", title="count in the source", scale=alt.Scale(domain=values, padding=0.06), axis=labels)
    y = alt.Y(
        "base_value:O",
        title="count in the base",
        scale=alt.Scale(domain=values[::-1], padding=0.06),
        axis=labels,
    )
    base = chart_of(cells).encode(x=x, y=y)
    bar = alt.Legend(title="IIA", orient="top", gradientLength=180, gradientThickness=10, values=SHARES, format=".2~f")
    fade = alt.Scale(type="sqrt", domain=[0, _FULL], range=[0.1, 1], clamp=True)
    filled = (
        base.transform_filter("isValid(datum.iia)")
        .mark_rect()
        .encode(
            color=alt.Color("iia:Q", scale=alt.Scale(domain=[0, 1]), legend=bar),
            opacity=alt.Opacity("n:Q", scale=fade, legend=None),
            tooltip=[
                alt.Tooltip("base_value:O", title="base count"),
                alt.Tooltip("source_value:O", title="source count"),
                alt.Tooltip("iia:Q", title="IIA", format=".3f"),
                alt.Tooltip("n:Q", title="interventions", format=","),
            ],
        )
    )
    empty = base.transform_filter("!isValid(datum.iia)")
    return alt.layer(empty.mark_rect(), empty.mark_text(text="·", fontSize=10), filled).properties(
        width=inner, height=inner
    )


def _with_empty_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Every pair of counts in every panel; iia and n are null where there was no intervention."""
    values = pl.concat([frame.get_column("base_value"), frame.get_column("source_value")]).unique().sort()
    grid = (
        frame.select("panel")
        .unique(maintain_order=True)
        .join(pl.DataFrame({"base_value": values}), how="cross")
        .join(pl.DataFrame({"source_value": values}), how="cross")
    )
    known = frame.select("panel", "base_value", "source_value", "iia", "n")
    return grid.join(known, on=["panel", "base_value", "source_value"], how="left")


def gradience_by_value(gradience_table: pl.DataFrame, *, search: str = "", width: int = WIDTH) -> ChartType:
    """Two blocks of line charts from the table of gradience, one line a state size, one panel a variable.

    `search` is a sentence on the search, for the caption; `width` is in px.
    """
    frame, constant = with_panels(gradience_along(gradience_table), _LINES)
    frame = frame.sort("d", maintain_order=True)
    frame = frame.with_columns(series=pl.col("d").map_elements(lambda d: fact("d", d), return_dtype=pl.String))
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    colours = in_order(frame.get_column("series").unique(maintain_order=True).to_list())
    blocks = []
    for axis, title in AXES.items():
        rows = frame.filter(pl.col("axis") == axis).select(
            "panel", "series", "kind", "seed", "at", "iia", "low", "high", "n"
        )
        x = alt.X("at:Q", title=title, axis=count_axis())
        lines = share_lines(rows, x, colours, inner=inner, width=width, tooltip=[alt.Tooltip("at:Q", title=axis)])
        drawn = in_panels(lines, panels, columns)
        blocks.append(drawn.properties(title=block_title(f"By {axis}")))
    blocks[0] = blocks[0].add_params(CHOSEN)
    pooled = frame.filter((pl.col("kind") == "pooled") & (pl.col("axis") == "difference"))
    ends = pooled.group_by("series", "panel", maintain_order=True).agg(
        first=pl.col("iia").sort_by("at").first(), last=pl.col("iia").sort_by("at").last(), far=pl.col("at").max()
    )
    return themed(
        alt.vconcat(*blocks, spacing=28),
        title="IIA by difference and by quantity",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(gradience_table)}. Line: IIA, "
        f"with its 95% interval over seeds and interventions; small point: one seed.{search}",
        description="Line charts of interchange intervention accuracy by the difference between the values in base and "
        "source, and by their mean. "
        + "; ".join(
            f"{series}{panel and f' ({panel})'}: {first:.3f} at difference 0, {last:.3f} at {far}"
            for series, panel, first, last, far in ends.iter_rows()
        )
        + ".",
        width=width,
    )


def iia_by_value(values: pl.DataFrame, *, search: str = "", width: int = WIDTH) -> ChartType:
    """Line charts from the table of values, one line a network and size, one panel a variable.

    `search` is a sentence on the search, for the caption; `width` is in px.
    """
    frame, constant = with_panels(iia_by_source_value(values), _VALUES)
    frame = frame.sort("network", "d", maintain_order=True).with_columns(
        series=pl.struct("network", "d").map_elements(
            lambda row: f"{row['network']}, {fact('d', row['d'])}", return_dtype=pl.String
        )
    )
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    colours = in_order(frame.get_column("series").unique(maintain_order=True).to_list())
    rows = frame.select("panel", "series", "kind", "seed", "value", "iia", "low", "high", "n")
    axis = alt.X(
        "value:Q",
        title="source value",
        axis=alt.Axis(labelExpr="datum.value % 1 == 0 ? format(datum.value, 'd') : ''", ticks=False),
        scale=alt.Scale(zero=False, nice=False),
    )
    lines = share_lines(rows, axis, colours, inner=inner, width=width, tooltip=[alt.Tooltip("value:Q")])
    constant = ", ".join(part for part in (constant, *(colours if len(colours) == 1 else ())) if part)
    pooled = frame.filter(pl.col("kind") == "pooled").sort("iia", maintain_order=True)
    worst = pooled.unique(["series", "panel"], keep="first", maintain_order=True)
    return themed(
        # Variables differ in their values: two labels, or counts up to 20.
        in_panels(lines, panels, columns).resolve_scale(x="independent").add_params(CHOSEN),
        title="IIA by source value",
        subtitle=f"{constant}, {seeds_text(values)}. The source value is the value of the variable after the "
        "intervention; of a variable with labels, the number of the label. Line: IIA, with its 95% interval over "
        f"seeds and interventions; small point: one seed.{search}",
        description="Line charts of interchange intervention accuracy by source value. Worst value: "
        + "; ".join(
            f"{series}{panel and f' ({panel})'}: {value} with {iia:.3f}"
            for series, panel, value, iia in worst.select("series", "panel", "value", "iia").iter_rows()
        )
        + ".",
        width=width,
    )
