"""Strength values: how often one contribution to the attention sum moves `EOS` by exactly one step."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.panels import in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import CYAN, SHARES, WIDTH, themed

_PANEL_COLUMNS = ("task", "network", "d")
_LABELS_WIDTH = 130


def strength(strength_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Bars from the table of strength values by token and change, with a dot a seed and a panel a kind of network.

    `width` is in px.
    """
    frame, constant = with_panels(strength_table, _PANEL_COLUMNS)
    frame = frame.with_columns(name=pl.concat_str(pl.lit("one "), "token", pl.lit(" token "), "change"))
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=150, margin=_LABELS_WIDTH)
    names = frame.get_column("name").unique(maintain_order=True).to_list()
    means = frame.group_by("panel", "name", maintain_order=True).agg(pl.col("exact").mean())
    return themed(
        in_panels(_bars(frame, names, inner), panels, columns),
        title="Strength values",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(frame)}. Share of trials in which EOS moved by "
        "exactly the one step that +1 for a demo token and -1 for a response predict. Bar: mean over seeds; dot and "
        "line: one seed with its 95% interval over trials.",
        description="Bar chart of the share of trials in which one contribution to the attention sum moved EOS by "
        "exactly one step. "
        + "; ".join(f"{name}{panel and f' ({panel})'}: {share:.3f}" for panel, name, share in means.iter_rows())
        + ".",
        width=width,
    )


def _bars(frame: pl.DataFrame, names: list[str], inner: int) -> ChartType:
    columns = ["panel", "name", "change", "seed", "exact", "low", "high", "moved", "ended", "n"]
    base = chart_of(frame.select(columns)).encode(
        x=alt.X("exact:Q", scale=alt.Scale(domain=[0, 1]), title="share of trials", axis=_axis()),
        y=alt.Y("name:N", sort=names, title=None, scale=alt.Scale(paddingInner=0.3), axis=alt.Axis(labelLimit=190)),
    )
    bars = base.mark_bar(cornerRadiusEnd=2, opacity=0.85, color=CYAN).encode(x=alt.X("mean(exact):Q", stack=None))
    tooltip = [
        alt.Tooltip("name:N", title="change"),
        alt.Tooltip("seed:Q"),
        alt.Tooltip("exact:Q", title="exactly one step", format=".3f"),
        alt.Tooltip("moved:Q", title="mean shift", format="+.3f"),
        alt.Tooltip("ended:Q", title="with EOS", format=".1%"),
        alt.Tooltip("n:Q", title="trials", format=","),
    ]
    offset = base.encode(yOffset=alt.YOffset("seed:N", scale=alt.Scale(paddingOuter=0.3)))
    rules = offset.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    dots = offset.mark_circle().encode(tooltip=tooltip)
    return alt.layer(bars, rules, dots).properties(width=inner, height=30 * len(names))


def _axis() -> alt.Axis:
    return alt.Axis(grid=True, values=SHARES, format=".2~f", labelFlush=False)
