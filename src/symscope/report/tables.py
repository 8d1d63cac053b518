"""The tables of the page: what stands beside every IIA, and every score with its controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from symscope.analysis.schemas import ALL_VARIABLES, SCORES
from symscope.figures.panels import fact

MOST_ROWS = 300
"""More than that nobody reads on a page; the download has all."""

_WHERE = ("task", "network", "d", "seed", "algorithm", "variable", "site", "function", "k")
_SCORE = (*_WHERE, "control", "iia", "low", "high", "n")
_EVIDENCE = {
    "iia": ("IIA", ".3f"),
    "informative_iia": ("where it matters", ".3f"),
    "cause_iia": ("cause", ".3f"),
    "isolation_iia": ("isolation", ".3f"),
    "selectivity": ("above controls", "+.3f"),
    "nearest_control": ("nearest control", ""),
    "off_span_share": ("off_span_share", ".0%"),
    "dormant_share": ("dormant_share", ".0%"),
    "mahalanobis": ("Mahalanobis", ".2f"),
    "nearest": ("nearest natural", ".2f"),
    "earth_mover": ("earth mover", ".3f"),
    "earth_mover_natural": ("of natural", ".3f"),
}
_INTERVALS = {
    "iia": ("low", "high"),
    "informative_iia": ("informative_low", "informative_high"),
    "cause_iia": ("cause_low", "cause_high"),
    "isolation_iia": ("isolation_low", "isolation_high"),
    "selectivity": ("selectivity_low", "selectivity_high"),
}


@dataclass(frozen=True)
class Cell:
    """One value of a table: its text, what a pointer is told about it, is it a number, does it miss what is wanted."""

    text: str
    tooltip: str = ""
    number: bool = True
    missed: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table of the page: its caption, its columns (name, meaning, is it one of numbers), its rows."""

    label: str
    caption: str
    columns: tuple[tuple[str, str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]


def score_table(scores: pl.DataFrame) -> PageTable | None:
    """Every score, of found alignments and controls, without what `evidence_table` has; `None` where there are none."""
    if scores.is_empty():
        return None
    columns, constant = _varying(scores, [name for name in _SCORE if name not in ("control", "iia", "low", "high")])
    shown = [name for name in _SCORE if name in columns or name in ("control", "iia", "low", "high")]
    return PageTable(
        label="Table of all scores",
        caption=_caption("score", scores.height, constant),
        columns=tuple((name, _MEANINGS[name], scores.schema[name].is_numeric()) for name in shown),
        rows=tuple(
            tuple(Cell(_text(value, ".4f"), number=isinstance(value, int | float)) for value in row)
            for row in scores.head(MOST_ROWS).select(shown).iter_rows()
        ),
    )


def evidence_table(scores: pl.DataFrame) -> PageTable | None:
    """What was measured beside the IIA of each found alignment; `None` where nothing was."""
    found = scores.filter((pl.col("control") == "none") & (pl.col("variable") != ALL_VARIABLES))
    measured = [name for name in _EVIDENCE if found.get_column(name).null_count() < found.height]
    if set(measured) <= {"iia"}:
        return None
    where, constant = _varying(found, _WHERE)
    texts = ((name, _MEANINGS[name], found.schema[name].is_numeric()) for name in where)
    numbers = ((_EVIDENCE[name][0], _MEANINGS[name], found.schema[name].is_numeric()) for name in measured)
    return PageTable(
        label="Table of the evidence beside each IIA",
        caption=_caption("found alignment", found.height, constant),
        columns=(*texts, *numbers),
        rows=tuple(
            (
                *(Cell(_text(row[name]), number=isinstance(row[name], int)) for name in where),
                *(_measured(row, name) for name in measured),
            )
            for row in found.head(MOST_ROWS).iter_rows(named=True)
        ),
    )


_MEANINGS = {column.name: column.meaning for column in SCORES.columns}


def _varying(frame: pl.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns whose values differ, and the others as facts that hold for every row."""
    same = [name for name in names if frame.height > 1 and frame.get_column(name).n_unique() == 1]
    value = {name: frame.get_column(name)[0] for name in same}
    constant = [f"{name} = {value[name]:,}" if name == "n" else fact(name, value[name]) for name in same]
    return [name for name in names if name not in same], constant


def _caption(row: str, count: int, constant: Sequence[str]) -> str:
    text = f"{count:,} {row}{'s' * (count != 1)}" + (f", the first {MOST_ROWS} shown" if count > MOST_ROWS else "")
    return f"{text}. In all of them: {', '.join(constant)}." if constant else f"{text}."


def _measured(row: dict[str, Any], name: str) -> Cell:
    value, form = row[name], _EVIDENCE[name][1]
    if value is None:
        return Cell("–", "not measured", number=bool(form))
    ends = [row[end] for end in _INTERVALS.get(name, ())]
    told = f"95% interval {ends[0]:.4f} to {ends[1]:.4f}" if ends and None not in ends else ""
    return Cell(_text(value, form), told, number=bool(form))


def _text(value: object, form: str = "g") -> str:
    return "–" if value is None else format(value, form) if isinstance(value, float) else str(value)
