"""Comparisons of networks: matrices of transfer and of similarity by kinds of network, and curves over dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.summary import both_orders, pooled_scores
from symscope.figures.chart import chart_of
from symscope.figures.lines import CHOSEN, in_order, share_lines, size_scale
from symscope.figures.panels import (
    fact,
    in_panels,
    panel_names,
    panel_width,
    search_text,
    seeds_text,
    with_panels,
    with_task_panels,
)
from symscope.figures.theme import SHARES, WIDTH, themed

ITSELF = "itself"
_MEASURES = {"cka": "CKA", "rsa": "RSA"}
"""Measures that have a matrix; the table has all."""
_ROW = 34  # px for each kind of network


def comparison(
    comparison_table: pl.DataFrame, *, similarity: pl.DataFrame | None = None, width: int = WIDTH
) -> ChartType:
    """Matrices of kinds of network: model alignment search for each variable, and CKA and RSA where they are given.

    A cell is the mean over pairs of networks of two kinds that differ in their seed. Of several k and functions of a
    variable, the one with the best mean validation IIA is shown. `width` is in px.
    """
    transfers = _best(comparison_table)
    parts = [_transfer_cells(transfers)]
    if similarity is not None:
        parts.append(_similarity_cells(similarity))
    cells = pl.concat(parts)
    frame = _with_means(cells)
    kinds = frame.get_column("kind").unique(maintain_order=True).to_list()
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=200, margin=110, gap=60)
    searched = transfers.select("variable", "k", "function").unique(maintain_order=True).rows()
    settings = "; ".join(f"{variable}: {fact('k', k)}, {function}" for variable, k, function in searched)
    return themed(
        _matrices(frame, kinds, panels, columns, inner),
        title="Do networks compute with the same variables?",
        subtitle="MAS (model alignment search): IIA when values of a variable are taken from the network of a column "
        f"and written into that of a row; {ITSELF}: taken from the same network. CKA and RSA: similarity of their "
        "states, without an intervention. Means over pairs of networks; two of one kind differ in their seed. "
        f"{seeds_text(cells).capitalize()}. {settings}.",
        description="Matrices of kinds of network. " + _spoken(frame),
        width=width,
    )


def _best(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of the function and k of each variable that are best on validation, mean over pairs."""
    search = ["algorithm", "variable", "function", "k"]
    means = table.group_by(search, maintain_order=True).agg(pl.col("validation_iia").mean())
    best = means.sort("validation_iia", descending=True, maintain_order=True).unique(search[:2], maintain_order=True)
    return table.join(best, on=search, how="semi", maintain_order="left")


def _labelled(table: pl.DataFrame) -> pl.DataFrame:
    """The table with `kind` and `partner`, the names of both kinds; with their size where a kind has several."""
    partners = table.select("task", "seed", network="partner_network", d="partner_d")
    both = pl.concat([table.select(partners.columns), partners])
    labels, _ = with_task_panels(both.with_columns(task=pl.lit("")))
    sizes = both.group_by("network").agg(pl.col("d").n_unique() > 1).get_column("d").any()
    names = labels.get_column("kind_of") if sizes else both.get_column("network")
    return table.with_columns(kind=names[: len(table)], partner=names[len(table) :])


def _transfer_cells(transfers: pl.DataFrame) -> pl.DataFrame:
    within = pl.col("direction") == "within"
    return _labelled(transfers).select(
        "task",
        "seed",
        "kind",
        measure=pl.concat_str(pl.lit("MAS, "), "variable"),
        partner=pl.when(within).then(pl.lit(ITSELF)).otherwise("partner"),
        value="iia",
        n="n",
    )


def _similarity_cells(similarity: pl.DataFrame) -> pl.DataFrame:
    """Both orders of each pair, since these measures are symmetric."""
    rows = similarity.filter(pl.col("measure").is_in(list(_MEASURES)))
    labelled = _labelled(both_orders(rows))
    measure = pl.col("measure").replace(_MEASURES)
    cells = labelled.select("task", "seed", "kind", "partner", measure=measure, value="value", n="n_rows")
    order = pl.col("measure").replace_strict(
        {name: i for i, name in enumerate(_MEASURES.values())}, return_dtype=pl.Int64
    )
    return cells.sort(order, maintain_order=True).select("task", "seed", "kind", "measure", "partner", "value", "n")


def _with_means(cells: pl.DataFrame) -> pl.DataFrame:
    """One row a cell: its mean and range over pairs, with `panel`."""
    keys = ["task", "measure", "kind", "partner"]
    means = cells.group_by(keys, maintain_order=True).agg(
        pl.col("value").mean(),
        low=pl.col("value").min(),
        high=pl.col("value").max(),
        pairs=pl.len(),
    )
    tasks = {task: number for number, task in enumerate(means.get_column("task").unique(maintain_order=True))}
    ordered = means.sort(pl.col("task").replace_strict(tasks, return_dtype=pl.Int64), maintain_order=True)
    frame, _ = with_panels(ordered, ("task", "measure"))
    return frame


def _matrices(frame: pl.DataFrame, kinds: Sequence[str], panels: Sequence[str], columns: int, inner: int) -> ChartType:
    rounded = frame.with_columns(pl.col("value", "low", "high").round(4), text=pl.col("value").round(2))
    axis = {"ticks": False, "domain": False, "labelLimit": 150}
    bar = alt.Legend(
        title="IIA, CKA or RSA", orient="top", gradientLength=160, gradientThickness=10, values=SHARES, format=".2~f"
    )
    base = chart_of(rounded).encode(
        x=alt.X("partner:N", title="from", sort=[ITSELF, *kinds], axis=alt.Axis(labelAngle=-30, **axis)),
        y=alt.Y("kind:N", title="into", sort=list(kinds), axis=alt.Axis(**axis)),
    )
    cell = base.mark_rect().encode(
        color=alt.Color("value:Q", scale=alt.Scale(domain=[0, 1], clamp=True), legend=bar),
        tooltip=[
            alt.Tooltip("panel:N", title="measure"),
            alt.Tooltip("kind:N", title="into"),
            alt.Tooltip("partner:N", title="from"),
            alt.Tooltip("value:Q", title="mean", format=".3f"),
            alt.Tooltip("low:Q", title="lowest pair", format=".3f"),
            alt.Tooltip("high:Q", title="highest pair", format=".3f"),
            alt.Tooltip("pairs:Q", title="values"),
        ],
    )
    text = alt.Text("text:Q", format=".2f")
    # A number must be readable on every colour of the ramp: white on a dark outline.
    outline = base.mark_text(fontSize=12, stroke="#1b1f24", strokeWidth=2.5).encode(text=text)
    number = base.mark_text(fontSize=12, color="#ffffff").encode(text=text)
    chart = alt.layer(cell, outline, number).properties(width=inner, height=_ROW * len(kinds))
    drawn = in_panels(chart, panels, columns)
    return drawn if len(panels) <= 1 else drawn.resolve_scale(x="independent")


def _spoken(frame: pl.DataFrame) -> str:
    def parts() -> Iterator[str]:
        for row in frame.iter_rows(named=True):
            yield f"{row['task']}, {row['measure']}, into {row['kind']} from {row['partner']}: {row['value']:.2f}"

    return "; ".join(parts()) + "."


def dimensions(dimensions_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Lines over k from the table of dimensions: one colour a kind of network, one panel a task. `width` is in px."""
    labelled, constant = with_task_panels(dimensions_table)
    pooled = pooled_scores(_as_scores(labelled))
    named = labelled.select("task", "network", "d", "panel", series="kind_of").unique(maintain_order=True)
    keys = ["task", "network", "d"]
    shuffled = labelled.group_by([*keys, "k"], maintain_order=True).agg(iia=pl.col("shuffled_labels_iia").mean())
    rows = [
        pooled.with_columns(kind=pl.lit("pooled"), seed=pl.lit(None, dtype=pl.Int64)),
        labelled.with_columns(kind=pl.lit("seed")),
        shuffled.drop_nulls("iia")
        .with_columns(kind=pl.lit("null"), low=pl.col("iia"), high=pl.col("iia"))
        .with_columns(seed=pl.lit(None, dtype=pl.Int64), n=pl.lit(None, dtype=pl.Int64)),
    ]
    columns_of_rows = [*keys, "k", "kind", "seed", "iia", "low", "high", "n"]
    frame = pl.concat([part.select(columns_of_rows) for part in rows]).join(named, on=keys, maintain_order="left")
    frame = frame.with_columns(
        control=pl.when(pl.col("kind") == "null").then(pl.lit("shuffled labels")),
        series=pl.when(pl.col("series") == "").then("network").otherwise("series"),
    )
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    scale, axis = size_scale(frame.get_column("k").unique().to_list())
    x = alt.X("k:Q", title="dimensions that are swapped, k", scale=scale, axis=axis)
    colours = in_order(frame.get_column("series").unique(maintain_order=True).to_list())
    lines = share_lines(frame, x, colours, inner=inner, width=width, tooltip=[alt.Tooltip("k:Q")])
    (variables,) = dimensions_table.get_column("variable").unique(maintain_order=True)[:1]
    searches = dimensions_table.with_columns(restarts=pl.lit(None, dtype=pl.Int64))
    spoken = frame.filter(pl.col("kind") == "pooled").select("series", "panel", "k", "iia")
    return themed(
        in_panels(lines, panels, columns).add_params(CHOSEN),
        title="How many dimensions carry the behaviour?",
        subtitle=f"{constant + ', ' if constant else ''}{seeds_text(dimensions_table)}. IIA when all variables "
        f"({variables}) are swapped together in k dimensions. Line: mean over seeds, with its 95% interval; small "
        f"point: one seed; dashed: shuffled labels.{search_text(searches)}",
        description="Line chart of interchange intervention accuracy by the number of swapped dimensions. "
        + "; ".join(f"{name}{panel and f' ({panel})'}, k {k}: {iia:.3f}" for name, panel, k, iia in spoken.rows())
        + ".",
        width=width,
    )


def _as_scores(table: pl.DataFrame) -> pl.DataFrame:
    """The rows as alignments of the table of scores."""
    names = ["task", "network", "d", "seed", "algorithm", "variable", "site", "function", "k"]
    return table.select(*names, "iia", "low", "high", "n", "validation_iia", control=pl.lit("none"))
