"""IIA by variable: the found alignment, its controls, and the whole state."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import ALL_VARIABLES, CONTROLS
from symscope.analysis.summary import pooled_scores
from symscope.figures.panels import block_title, panel_names, seeds_text, variable_label, with_panels
from symscope.figures.theme import (
    BLUE,
    GREEN,
    GREY,
    NARROW,
    OCHRE,
    ORANGE,
    PURPLE,
    SAGE,
    SHARES,
    STEEL,
    VERMILLION,
    WIDTH,
    finished,
    inline_data,
    top_legend,
)

WHOLE_LABEL = "whole-state swap"
SERIES_COLOURS = {
    CONTROLS["none"]: BLUE,
    WHOLE_LABEL: GREEN,
    CONTROLS["principal_components"]: PURPLE,
    CONTROLS["random_subspace"]: GREY,
    CONTROLS["untrained"]: VERMILLION,
    CONTROLS["shuffled_labels"]: OCHRE,
    CONTROLS["neurons"]: STEEL,
    CONTROLS["whole_state"]: SAGE,
}
_NETWORK = ("task", "network", "d", "algorithm", "site")
_ALIGNED = ("function", "k")
_LABELS_WIDTH = 150  # px for the names of the bars on the left
_SHORT_LABELS_WIDTH = 132
_LABEL_IN_TWO_LINES = (
    "[join(slice(split(datum.label, ', '), 0, 2), ', '), join(slice(split(datum.label, ', '), 2), ', ')]"
)
_NUMBERS_WIDTH = 48  # px for the value at the right end of each bar


def series_label() -> pl.Expr:
    """The name of a score's bar or line, from its columns `variable` and `control`."""
    whole = (pl.col("variable") == ALL_VARIABLES) & (pl.col("control") == "none")
    return pl.when(whole).then(pl.lit(WHOLE_LABEL)).otherwise(pl.col("control").replace(CONTROLS)).alias("series")


def series_scale(series: pl.Series) -> alt.Scale:
    """Colours of the series that occur, known ones in their own colour, in the house's order."""
    present = series.unique(maintain_order=True).to_list()
    known = [name for name in SERIES_COLOURS if name in present]
    unknown = [name for name in present if name not in SERIES_COLOURS]
    return alt.Scale(
        domain=[*known, *unknown], range=[*(SERIES_COLOURS[name] for name in known), *([ORANGE] * len(unknown))]
    )


def iia_bars(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Bars from the table of scores, with each seed as a dot and the interval over all interventions as a line.

    One block for each variable. In a block stands one bar for each control, and these for each network, size or
    subspace when there are several; the whole state stands beside every alignment of its network. `width` is in px.
    """
    frame, constant = _with_whole_state(scores)
    frame = frame.with_columns(series_label())
    several = len(panel_names(frame)) > 1
    inner = width - (_LABELS_WIDTH if several or width > NARROW else _SHORT_LABELS_WIDTH) - _NUMBERS_WIDTH
    colours = series_scale(frame.get_column("series"))
    legend = top_legend(width) if several else None
    # Not a facet: in one, every block would keep room for the bars of all others.
    color = alt.Color("series:N", scale=colours, legend=legend)
    names = frame.get_column("name").unique(maintain_order=True).to_list()
    blocks = [
        _bars(frame.filter(pl.col("name") == name), inner, color, several=several, last=name == names[-1])
        for name in names
    ]
    return finished(
        alt.vconcat(*blocks, spacing=16).resolve_scale(yOffset="independent"),
        title="IIA by variable, against its controls",
        subtitle=f"{constant}. Bar: interchange intervention accuracy (IIA), {seeds_text(scores)}; "
        "line: its 95% interval; dot: one seed.",
        description="Bar chart of interchange intervention accuracy. " + _spoken(frame),
        width=width,
    )


def _with_whole_state(scores: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Pooled rows and one row a seed, below each other, with `panel` and `name` (the block), and what is constant."""
    pooled = pooled_scores(scores).with_columns(kind=pl.lit("pooled"), seed=pl.lit(None, dtype=pl.Int64))
    single = scores.with_columns(kind=pl.lit("seed"), seeds=pl.lit(1, dtype=pl.UInt32))
    shared = [*_NETWORK, *_ALIGNED, "variable", "control", "kind", "seed", "iia", "low", "high", "seeds", "n"]
    frame = pl.concat([pooled.select(shared), single.select(shared)])
    frame = frame.with_columns(name=pl.col("variable").replace(ALL_VARIABLES, variable_label(ALL_VARIABLES)))
    whole = pl.col("variable") == ALL_VARIABLES
    parts, whole_rows = frame.filter(~whole), frame.filter(whole)
    if parts.is_empty():
        return with_panels(frame, _NETWORK)
    if _variables_differ(parts):
        # Each variable has a way of its own: that belongs to its name, and the whole state stands only once.
        ways_told, constant = with_panels(parts, _ALIGNED)
        names = pl.concat_str("name", pl.lit(", "), "panel")
        frame, where = with_panels(pl.concat([ways_told.with_columns(name=names).drop("panel"), whole_rows]), _NETWORK)
        return frame, ", ".join(text for text in (where, constant) if text)
    alignments = parts.select(*_NETWORK, *_ALIGNED).unique(maintain_order=True)
    repeated = alignments.join(whole_rows.drop(_ALIGNED), on=_NETWORK).select(parts.columns)
    return with_panels(pl.concat([parts, repeated]), (*_NETWORK, *_ALIGNED))


def _variables_differ(parts: pl.DataFrame) -> bool:
    """Is every variable of a network aligned in one way, and not all of them in the same?"""
    way = pl.struct(_ALIGNED).n_unique().alias("ways")
    of_variables = parts.group_by(*_NETWORK, "variable").agg(way).get_column("ways")
    of_networks = parts.group_by(*_NETWORK).agg(way).get_column("ways")
    return of_variables.to_list() == [1] * len(of_variables) and of_networks.to_list() != [1] * len(of_networks)


def _bars(frame: pl.DataFrame, inner: int, color: alt.Color, *, several: bool, last: bool) -> ChartType:
    """The block of one variable; `inner` is the length of a bar of IIA 1 in px, and the last block has the axis."""
    order = list(series_scale(frame.get_column("series")).domain)
    shown = frame.select("panel", "name", "series", "kind", "seed", "iia", "low", "high", "seeds", "n")
    base = alt.Chart(inline_data(shown))
    if several:
        lines = min(2, 1 + frame.get_column("panel")[0].count(", "))
        axis = alt.Axis(labelExpr=_LABEL_IN_TWO_LINES, labelLineHeight=13, labelOffset=-6.5 * (lines - 1))
        base = base.encode(
            y=alt.Y("panel:N", sort=panel_names(frame), title=None, axis=axis, scale=alt.Scale(paddingInner=0.25)),
            yOffset=alt.YOffset("series:N", sort=order),
        )
    else:
        padding = alt.Scale(paddingInner=0.28, paddingOuter=0.2)
        base = base.encode(y=alt.Y("series:N", sort=order, title=None, scale=padding))
    pooled, seeds = base.transform_filter("datum.kind == 'pooled'"), base.transform_filter("datum.kind == 'seed'")
    ticks = alt.Axis(grid=True, values=SHARES, format=".2~f", labels=last, ticks=last, domain=last, labelFlush=False)
    title = "IIA (share of interventions)" if last else None
    x = alt.X("iia:Q", scale=alt.Scale(domain=[0, 1]), title=title, axis=ticks)
    bars = pooled.mark_bar(cornerRadiusEnd=2).encode(
        x=x,
        color=color,
        tooltip=[*_tooltip(), alt.Tooltip("seeds:Q", title="seeds")],
    )
    # The interval above the middle of a bar and the seeds below it, so that neither hides the other.
    shift = 0 if several else 5
    rules = pooled.mark_rule(strokeWidth=2.5, yOffset=-shift).encode(x="low:Q", x2="high:Q")
    dots = seeds.mark_circle(yOffset=shift).encode(x="iia:Q", tooltip=[alt.Tooltip("seed:Q"), *_tooltip()])
    numbers = pooled.mark_text(align="right", fontSize=12).encode(
        x=alt.value(inner + _NUMBERS_WIDTH - 6), text=alt.Text("iia:Q", format=".3f")
    )
    bars_of_one = frame.group_by("panel").agg(pl.col("series").n_unique()).get_column("series").to_list()
    step = alt.Step(max(11, 28 // max(bars_of_one)), **{"for": "offset"}) if several else alt.Step(24)
    return alt.layer(bars, rules, dots, numbers).properties(
        width=inner, height=step, title=block_title(frame.get_column("name")[0])
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title="variable"),
        alt.Tooltip("series:N", title="what"),
        alt.Tooltip("panel:N", title="network"),
        alt.Tooltip("iia:Q", title="IIA", format=".4f"),
        alt.Tooltip("low:Q", title="95% from", format=".4f"),
        alt.Tooltip("high:Q", title="95% to", format=".4f"),
        alt.Tooltip("n:Q", title="interventions", format=","),
    ]


def _spoken(frame: pl.DataFrame) -> str:
    pooled = frame.filter(pl.col("kind") == "pooled").select("name", "panel", "series", "iia")
    texts = [f"{name}{panel and f' ({panel})'}, {series}: {iia:.3f}" for name, panel, series, iia in pooled.iter_rows()]
    return "; ".join(texts) + "."
