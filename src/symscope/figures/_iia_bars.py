"""IIA by variable: the alignment, its controls, and the whole-state swap."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import ALL_VARIABLES
from symscope.analysis.summary import pooled_scores
from symscope.figures.chart import chart_of
from symscope.figures.panels import block_title, panel_names, search_text, seeds_text, variable_label, with_panels
from symscope.figures.series import series_label, series_scale
from symscope.figures.theme import NARROW, SHARES, WIDTH, themed, top_legend

_NETWORK = ("task", "network", "d", "algorithm", "protocol", "site")
_ALIGNED = ("function", "k")
_LABELS_WIDTH = 150  # px for the names of the bars on the left
_SHORT_LABELS_WIDTH = 148
_LABEL_IN_TWO_LINES = (
    "[join(slice(split(datum.label, ', '), 0, 2), ', '), join(slice(split(datum.label, ', '), 2), ', ')]"
)
_NUMBERS_WIDTH = 48  # px for the value at the right end of each bar


def iia_bars(scores: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Bars from the table of scores, with each seed as a dot and the interval as a line.

    Each variable has a block with a bar for the alignment and for each control; of several networks, sizes or
    subspaces each has such bars. The whole-state swap is repeated for every alignment of its network. `width` is in px.
    """
    frame, constant = _with_whole_state(scores)
    frame = frame.with_columns(series_label())
    several = len(panel_names(frame)) > 1
    labels = _LABELS_WIDTH if several or width > NARROW else _SHORT_LABELS_WIDTH
    colours = series_scale(frame.get_column("series"))
    legend = top_legend(width) if several else None
    # Not a facet: there every block would have the height of the largest block.
    color = alt.Color("series:N", scale=colours, legend=legend)
    names = frame.get_column("name").unique(maintain_order=True).to_list()
    blocks = [
        _bars(frame.filter(pl.col("name") == name), width, labels, color, several=several, last=name == names[-1])
        for name in names
    ]
    return themed(
        alt.vconcat(*blocks, spacing=16).resolve_scale(yOffset="independent"),
        title="IIA by variable, against its controls",
        subtitle=f"{constant}. Bar: interchange intervention accuracy (IIA), {seeds_text(scores)}; "
        f"line: its 95% interval; dot: one seed.{search_text(scores.filter(pl.col('control') == 'none'))}",
        description="Bar chart of interchange intervention accuracy. " + _description(frame),
        width=width,
    )


def _with_whole_state(scores: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Pooled rows and one row a seed, with `panel` and `name` (the block), and the text of what is constant."""
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
        # Each variable has its function and k, so these go into its name, and the whole state is drawn once.
        aligned, constant = with_panels(parts, _ALIGNED)
        names = pl.concat_str("name", pl.lit(", "), "panel")
        frame, where = with_panels(pl.concat([aligned.with_columns(name=names).drop("panel"), whole_rows]), _NETWORK)
        return frame, ", ".join(text for text in (where, constant) if text)
    alignments = parts.select(*_NETWORK, *_ALIGNED).unique(maintain_order=True)
    repeated = alignments.join(whole_rows.drop(_ALIGNED), on=_NETWORK).select(parts.columns)
    return with_panels(pl.concat([parts, repeated]), (*_NETWORK, *_ALIGNED))


def _variables_differ(parts: pl.DataFrame) -> bool:
    """Whether every variable of a network has one function and k, and these differ between variables."""
    number = pl.struct(_ALIGNED).n_unique().alias("number")
    of_variables = parts.group_by(*_NETWORK, "variable").agg(number).get_column("number")
    of_networks = parts.group_by(*_NETWORK).agg(number).get_column("number")
    return of_variables.to_list() == [1] * len(of_variables) and of_networks.to_list() != [1] * len(of_networks)


def _bars(frame: pl.DataFrame, width: int, labels: int, color: alt.Color, *, several: bool, last: bool) -> ChartType:
    """The block of one variable; `labels` is the width of its labels in px, and the last block has the axis.

    The view includes the numbers on the right, because marks beyond the view may be cut.
    """
    order = list(series_scale(frame.get_column("series")).domain)
    inner, length = width - labels, width - labels - _NUMBERS_WIDTH
    columns = ["panel", "name", "series", "kind", "seed", "iia", "low", "high", "seeds", "n"]
    base = chart_of(frame.select(columns))
    if several:
        lines = min(2, 1 + frame.get_column("panel")[0].count(", "))
        axis = alt.Axis(
            labelExpr=_LABEL_IN_TWO_LINES, labelLineHeight=13, labelOffset=-6.5 * (lines - 1), labelLimit=labels - 8
        )
        base = base.encode(
            y=alt.Y("panel:N", sort=panel_names(frame), title=None, axis=axis, scale=alt.Scale(paddingInner=0.25)),
            yOffset=alt.YOffset("series:N", sort=order),
        )
    else:
        padding = alt.Scale(paddingInner=0.28, paddingOuter=0.2)
        axis = alt.Axis(labelLimit=labels - 8)
        base = base.encode(y=alt.Y("series:N", sort=order, title=None, axis=axis, scale=padding))
    pooled, seeds = base.transform_filter("datum.kind == 'pooled'"), base.transform_filter("datum.kind == 'seed'")
    ticks = alt.Axis(grid=True, values=SHARES, format=".2~f", labels=last, ticks=last, domain=last, labelFlush=False)
    title = "IIA (share of interventions)" if last else None
    x = alt.X("iia:Q", scale=alt.Scale(domain=[0, 1], range=[0, length]), title=title, axis=ticks)
    bars = pooled.mark_bar(cornerRadiusEnd=2).encode(
        x=x,
        color=color,
        tooltip=[*_tooltip(), alt.Tooltip("seeds:Q", title="seeds")],
    )
    rules = pooled.mark_rule(strokeWidth=2.5).encode(x="low:Q", x2="high:Q")
    dots = seeds.mark_circle().encode(x="iia:Q", tooltip=[alt.Tooltip("seed:Q"), *_tooltip()])
    numbers = pooled.mark_text(align="right", fontSize=12).encode(
        x=alt.value(inner - 4), text=alt.Text("iia:Q", format=".3f")
    )
    most = max(frame.group_by("panel").agg(pl.col("series").n_unique()).get_column("series").to_list())
    step = alt.Step(max(11, 28 // most), **{"for": "offset"}) if several else alt.Step(24)
    return alt.layer(bars, rules, dots, numbers).properties(
        width=inner, height=step, title=block_title(frame.get_column("name")[0])
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title="variable"),
        alt.Tooltip("series:N", title="score of"),
        alt.Tooltip("panel:N", title="network"),
        alt.Tooltip("iia:Q", title="IIA", format=".4f"),
        alt.Tooltip("low:Q", title="95% from", format=".4f"),
        alt.Tooltip("high:Q", title="95% to", format=".4f"),
        alt.Tooltip("n:Q", title="interventions", format=","),
    ]


def _description(frame: pl.DataFrame) -> str:
    pooled = frame.filter(pl.col("kind") == "pooled").select("name", "panel", "series", "iia")
    texts = [f"{name}{panel and f' ({panel})'}, {series}: {iia:.3f}" for name, panel, series, iia in pooled.iter_rows()]
    return "; ".join(texts) + "."
