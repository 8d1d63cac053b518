"""The state space: natural states of a network in their principal components, by count, quantity and phase."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.aligned_states import axes, pair, shown
from symscope.figures.panels import MANY, with_panels
from symscope.figures.theme import WIDTH, finished, inline_data

_KIND = ("task", "network", "d")


def state_space(state_space_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Two scatter plots for each kind of network from the table of natural states: coloured by count, and by phase.

    Of each task, architecture and size the lowest seed is shown, and at most `MANY` of these, in their order. Thin
    lines join the positions of some sequences. `width` is in px.
    """
    kinds = state_space_table.select(_KIND).unique(maintain_order=True)
    table = state_space_table.join(kinds.head(MANY), on=_KIND, maintain_order="left")
    table = table.filter(pl.col("seed") == pl.col("seed").min().over(_KIND))
    frame, constant = with_panels(table, (*_KIND, "site", "seed"))
    side = min(300, (width - 140) // 2) if width > 480 else width - 90
    rows, told = [], []
    for (panel,), part in frame.group_by("panel", maintain_order=True):
        plots = pair(alt.Chart(inline_data(shown(part))), axes(part), side, str(panel))
        row = alt.hconcat(*plots, spacing=24) if width > 480 else alt.vconcat(*plots, spacing=16)
        rows.append(row.resolve_scale(color="independent", shape="independent"))
        told.append(f"{panel or constant}: three components hold {part.get_column('variance')[0]:.0%} of the variance")
    left_out = len(kinds) - MANY
    return finished(
        alt.vconcat(*rows, spacing=24).resolve_scale(color="independent", shape="independent"),
        title="States in their principal components",
        subtitle=f"{constant + '. ' if constant else ''}Point: the state after one token; line: the way of one "
        "sequence, from its first token to its last. Axes: leading principal components of these states. "
        + "; ".join(told)
        + "."
        + (f" {left_out} more kinds of network are in the table." if left_out > 0 else ""),
        description="Scatter plots of network states in principal components, coloured by count and by phase. "
        + "; ".join(told)
        + ".",
        width=width,
    )
