"""Single interventions as token strips: the worked example of the first screen, and failing interventions."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from symscope.analysis.answers import of_chosen_alignments
from symscope.analysis.summary import ALIGNMENT, algorithm_label

MOST_STATIC = 4
"""Failing interventions that are on the page without a script and in print; the script draws those that are chosen."""

MOST_BYTES = 1_000_000
"""Largest packed table inside the page, which must open on a phone; a larger one is in the folder only."""


@dataclass(frozen=True)
class Token:
    """One token of a strip; `kind` is `read`, `stop` (the last one read), `given`, `right`, `wrong` or `cut`."""

    text: str
    kind: str


@dataclass(frozen=True)
class Strip:
    """One row of tokens with its label."""

    label: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Intervention:
    """One intervention for readers: heading, and strips of base, source, predicted and produced continuation."""

    heading: str
    strips: tuple[Strip, ...]


def intervention(row: dict[str, Any], *, several_seeds: bool) -> Intervention:
    """A row of the tables `examples` and `failures` as strips."""
    lists = {name: json.loads(row[name]) for name in ("base", "source", "predicted", "determined", "produced")}
    lists["unswapped"] = json.loads(row["unswapped"])
    determined = lists["determined"]

    def read(name: str) -> tuple[Token, ...]:
        tokens = lists[name]
        return tuple(Token(text, "stop" if i == len(tokens) - 1 else "read") for i, text in enumerate(tokens))

    def continued(name: str) -> tuple[Token, ...]:
        return tuple(
            Token(text, _kind(text, i, lists["predicted"], determined, compared=name == "produced"))
            for i, text in enumerate(lists[name])
        )

    strips = [
        Strip(_with_values("base", row["base_values"]), read("base")),
        Strip(_with_values("source", row["source_values"]), read("source")),
        Strip("predicted", continued("predicted")),
        Strip("produced", continued("produced")),
        Strip("without the swap", continued("unswapped")),
    ]
    seed = f", seed {row['seed']}" if several_seeds else ""
    return Intervention(f"{row['variable']}{seed}", tuple(strip for strip in strips if strip.tokens))


def _kind(text: str, at: int, predicted: Sequence[str], determined: Sequence[int], *, compared: bool) -> str:
    if text == "…":
        return "cut"
    if at < len(determined) and not determined[at]:
        return "given"
    return "wrong" if compared and (at >= len(predicted) or predicted[at] != text) else "right"


def _with_values(name: str, values: str) -> str:
    return f"{name}: {values.replace(' = ', ' ')}" if values else name


@dataclass(frozen=True)
class Failures:
    """The failing interventions of a page.

    Attributes:
        summary: for each question a sentence on how many interventions fail.
        first: the first failing interventions of the first question.
        packed: columns of the rows that the page can draw, as JSON (gzip, base64).
        stated: how many of the failing interventions these are.
    """

    summary: tuple[str, ...]
    first: tuple[Intervention, ...]
    packed: str
    stated: str


_DRAWN = ("base_value", "source_value", "error", "base", "source", "predicted", "determined", "produced", "unswapped")
_DRAWN += ("base_values", "source_values")


def page_failures(failures: pl.DataFrame, scores: pl.DataFrame) -> Failures | None:
    """The failing interventions of the alignments that `scores` reports; `None` where there are none."""
    rows = of_chosen_alignments(failures, scores)
    if rows.is_empty():
        return None
    several = rows.get_column("seed").n_unique() > 1
    first = [intervention(row, several_seeds=several) for row in _few(rows).iter_rows(named=True)]
    drawn, packed = _fitting(rows)
    total = rows.unique([*ALIGNMENT, "seed"]).get_column("failing").sum()
    return Failures(
        summary=tuple(_summary(rows)),
        first=tuple(first),
        packed=packed,
        stated=f"{drawn.height:,} of {total:,} failing test interventions",
    )


def _few(rows: pl.DataFrame) -> pl.DataFrame:
    """Some failing interventions of the first question with different values."""
    question = rows.select(ALIGNMENT).head(1)
    same = rows.join(question, on=ALIGNMENT, how="semi", maintain_order="left")
    different = same.unique(["base_value", "source_value"], keep="first", maintain_order=True)
    return different.head(MOST_STATIC)


def _fitting(rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The first rows of each alignment and network, as many as fit into `MOST_BYTES`, and their packed columns."""
    network = [*ALIGNMENT, "seed"]
    most = rows.group_by(network).len().get_column("len").max()
    assert isinstance(most, int)
    while True:
        kept = rows.group_by(network, maintain_order=True).head(most)
        packed = pack(_columns(kept))
        if len(packed) <= MOST_BYTES or most == 1:
            return kept, packed
        most = max(1, most // 2)


def _columns(rows: pl.DataFrame) -> dict[str, Any]:
    """Columns for the script of the page; a text that recurs is stored once."""
    named = rows.select(
        *_DRAWN,
        question=pl.concat_str("task", "network", "d", algorithm_label(), "variable", separator="\u001f"),
        variable="variable",
        seed=pl.col("seed").cast(pl.String),
    )
    columns: dict[str, Any] = {}
    for name in named.columns:
        texts = named.get_column(name)
        levels = texts.unique(maintain_order=True).to_list()
        index = {text: i for i, text in enumerate(levels)}
        columns[name] = {"levels": levels, "rows": [index[text] for text in texts.to_list()]}
    return columns


def pack(content: object) -> str:
    """JSON, gzip, base64; the same content gives the same text."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _summary(rows: pl.DataFrame) -> list[str]:
    networks = rows.unique([*ALIGNMENT, "seed"], keep="first", maintain_order=True)
    counts = networks.group_by(ALIGNMENT, maintain_order=True).agg(pl.col("failing").sum(), pl.col("n").sum())
    kinds = counts.select("task", "network", "d").n_unique()
    texts = []
    for row in counts.iter_rows(named=True):
        where = f" ({row['task']}, {row['network']}, d\u00a0=\u00a0{row['d']})" if kinds > 1 else ""
        share = row["failing"] / row["n"]
        texts.append(
            f"{row['variable']}{where}: {row['failing']:,} of {row['n']:,} test interventions fail ({share:.1%})"
        )
    return texts


def example_of(examples: pl.DataFrame | None, alignment: dict[str, object]) -> Intervention | None:
    """The worked example of an alignment, that of its lowest seed; `None` where there is none."""
    if examples is None:
        return None
    same = pl.all_horizontal(pl.col(column) == value for column, value in alignment.items())
    rows = examples.filter(same).sort("seed")
    return None if rows.is_empty() else intervention(rows.row(0, named=True), several_seeds=False)
