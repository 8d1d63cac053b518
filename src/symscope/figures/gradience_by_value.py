"""Gradience along one axis: IIA by the difference between base and source, and by their mean, for each state size."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.gradience import AXES, gradience_along
from symscope.figures.lines import CHOSEN, in_order, share_lines
from symscope.figures.panels import block_title, fact, in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import WIDTH, finished

_PANEL_COLUMNS = ("task", "network", "algorithm", "site", "function", "variable")


def gradience_by_value(gradience: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Two blocks of line charts from the table of gradience, one line a state size, one panel a variable.

    `width` is in px.
    """
    frame, constant = with_panels(gradience_along(gradience), _PANEL_COLUMNS)
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
        x = alt.X("at:Q", title=title, axis=alt.Axis(format="d", tickCount=6))
        lines = share_lines(rows, x, colours, inner=inner, width=width, tooltip=[alt.Tooltip("at:Q", title=axis)])
        drawn = in_panels(lines, panels, columns)
        blocks.append(drawn.properties(title=block_title(f"By {axis}")))
    blocks[0] = blocks[0].add_params(CHOSEN)
    pooled = frame.filter((pl.col("kind") == "pooled") & (pl.col("axis") == "difference"))
    ends = pooled.group_by("series", "panel", maintain_order=True).agg(
        first=pl.col("iia").sort_by("at").first(), last=pl.col("iia").sort_by("at").last(), far=pl.col("at").max()
    )
    return finished(
        alt.vconcat(*blocks, spacing=28),
        title="IIA by difference and by quantity",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(gradience)}. Line: share of right interventions, "
        "with its 95% interval over seeds and interventions; small point: one seed.",
        description="Line charts of interchange intervention accuracy by the difference between the values in base and "
        "source, and by their mean. "
        + "; ".join(
            f"{series}{panel and f' ({panel})'}: {first:.3f} at difference 0, {last:.3f} at {far}"
            for series, panel, first, last, far in ends.iter_rows()
        )
        + ".",
        width=width,
    )
