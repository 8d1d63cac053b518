"""The tables of the page: diagnostics of each alignment, every score, and the data to save from the page."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from symscope.analysis.schemas import ALL_VARIABLES, HIGH_IIAS, SCORES, TABLES
from symscope.figures.panels import fact

MOST_ROWS = 300
"""Largest number of rows on the page; the download has all."""

_WHERE = ("task", "network", "d", "seed", "algorithm", "variable", "site", "function", "k", "protocol")
_SCORE = (*_WHERE, "control", "iia", "low", "high", "n")
_DIAGNOSTICS = {
    "iia": ("IIA", ".3f"),
    "informative_iia": ("informative", ".3f"),
    "cause_iia": ("cause", ".3f"),
    "isolation_iia": ("isolation", ".3f"),
    "held_out_iia": ("held-out values", ".3f"),
    "complement_iia": ("complement", ".3f"),
    "probe": ("probe", ".3f"),
    "length_error": ("length error", ".2f"),
    "selectivity": ("selectivity", "+.3f"),
    "nearest_control": ("best null control", ""),
    "off_span_share": ("off span", ".0%"),
    "dormant_share": ("dormant", ".0%"),
    "mahalanobis": ("Mahalanobis", ".2f"),
    "nearest": ("nearest natural", ".2f"),
    "earth_mover": ("earth mover", ".3f"),
    "earth_mover_natural": ("natural earth mover", ".3f"),
}
_INTERVALS = {
    "iia": ("low", "high"),
    "informative_iia": ("informative_low", "informative_high"),
    "cause_iia": ("cause_low", "cause_high"),
    "isolation_iia": ("isolation_low", "isolation_high"),
    "held_out_iia": ("held_out_low", "held_out_high"),
    "complement_iia": ("complement_low", "complement_high"),
    "selectivity": ("selectivity_low", "selectivity_high"),
}


@dataclass(frozen=True)
class Cell:
    """One value of a table: text, tooltip, whether it is a number, and whether it misses a target."""

    text: str
    tooltip: str = ""
    number: bool = True
    missed: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table of the page: label, caption, columns (name, meaning, whether they hold numbers), rows."""

    label: str
    caption: str
    columns: tuple[tuple[str, str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]


def score_table(scores: pl.DataFrame) -> PageTable | None:
    """Every score of alignments and controls without diagnostics; `None` where there are none."""
    if scores.is_empty():
        return None
    columns, constant = _varying(scores, [name for name in _SCORE if name not in ("control", "iia", "low", "high")])
    kept = [name for name in _SCORE if name in columns or name in ("control", "iia", "low", "high")]
    caption = _caption("score", scores.height, constant)
    return _as_it_is("Table of all scores", caption, scores.select(kept), _MEANINGS, ".4f")


def diagnostics_table(scores: pl.DataFrame) -> PageTable | None:
    """The diagnostics of each alignment; `None` where none was measured."""
    alignments = scores.filter((pl.col("control") == "none") & (pl.col("variable") != ALL_VARIABLES))
    measured = [name for name in _DIAGNOSTICS if alignments.get_column(name).null_count() < alignments.height]
    if set(measured) <= {"iia"}:
        return None
    where, constant = _varying(alignments, _WHERE)
    texts = ((name, _MEANINGS[name], alignments.schema[name].is_numeric()) for name in where)
    numbers = ((_DIAGNOSTICS[name][0], _MEANINGS[name], alignments.schema[name].is_numeric()) for name in measured)
    return PageTable(
        label="Table of the diagnostics of each alignment",
        caption=_caption("alignment", alignments.height, constant),
        columns=(*texts, *numbers),
        rows=tuple(
            (
                *(Cell(_text(row[name]), number=isinstance(row[name], int)) for name in where),
                *(_measured(row, name) for name in measured),
            )
            for row in alignments.head(MOST_ROWS).iter_rows(named=True)
        ),
    )


def high_iia_table(rows: pl.DataFrame) -> PageTable | None:
    """The alignments with a high IIA, each with the class of the states that it writes; `None` where there are none."""
    if rows.is_empty():
        return None
    where, constant = _varying(rows, [name for name in _WHERE if name != "seed"])
    names = [*where, *(name for name in HIGH_IIAS.dtypes if name not in _WHERE)]
    meanings = {column.name: column.meaning for column in HIGH_IIAS.columns}
    caption = _caption("alignment", rows.height, constant)
    return _as_it_is("Table of the alignments with a high IIA", caption, rows.select(names), meanings, ".3f")


def _as_it_is(
    label: str, caption: str, frame: pl.DataFrame, meanings: Mapping[str, str], number_format: str
) -> PageTable:
    """The first rows of a frame as a table of the page."""
    return PageTable(
        label=label,
        caption=caption,
        columns=tuple((name, meanings[name], kind.is_numeric()) for name, kind in frame.schema.items()),
        rows=tuple(
            tuple(Cell(_text(value, number_format), number=isinstance(value, int | float)) for value in row)
            for row in frame.head(MOST_ROWS).iter_rows()
        ),
    )


_MEANINGS = {column.name: column.meaning for column in SCORES.columns}


def _varying(frame: pl.DataFrame, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns whose values differ, and the values of further columns, which all rows share, in words."""
    same = [name for name in names if frame.height > 1 and frame.get_column(name).n_unique() == 1]
    value = {name: frame.get_column(name)[0] for name in same}
    constant = [f"{name} = {value[name]:,}" if name == "n" else fact(name, value[name]) for name in same]
    return [name for name in names if name not in same], list(dict.fromkeys(constant))  # a table names two columns


def _caption(row: str, count: int, constant: Sequence[str]) -> str:
    text = f"{count:,} {row}{'s' * (count != 1)}" + (f", first {MOST_ROWS} listed" if count > MOST_ROWS else "")
    return f"{text}. In all of them: {', '.join(constant)}." if constant else f"{text}."


def _measured(row: dict[str, Any], name: str) -> Cell:
    value, form = row[name], _DIAGNOSTICS[name][1]
    if value is None:
        return Cell("–", "not measured", number=bool(form))
    ends = [row[end] for end in _INTERVALS.get(name, ())]
    tooltip = f"95% interval {ends[0]:.4f} to {ends[1]:.4f}" if ends and None not in ends else ""
    return Cell(_text(value, form), tooltip, number=bool(form))


def _text(value: object, form: str = "g") -> str:
    return "–" if value is None else format(value, form) if isinstance(value, float) else str(value)


MOST_BYTES = 1_000_000
"""Largest packed table inside the page, which must open on a phone; a larger one is in the folder only."""


MOST_PACKED_ROWS = 100_000
"""Larger tables are not packed, because even their packed text is too large."""


@dataclass(frozen=True)
class Download:
    """A table to save from the page: name, rows, meaning of a row, CSV (gzip, base64; empty if too large)."""

    name: str
    rows: int
    row: str
    packed: str


def table_downloads(tables: Mapping[str, pl.DataFrame]) -> list[Download]:
    """Every table with its data, in their order."""
    return [Download(name, frame.height, TABLES[name].row, _packed(frame)) for name, frame in tables.items()]


def _packed(frame: pl.DataFrame) -> str:
    if frame.height > MOST_PACKED_ROWS:
        return ""
    packed = gzip.compress(frame.write_csv().encode(), 6, mtime=0)  # the same tables give the same page
    return base64.b64encode(packed).decode() if len(packed) <= MOST_BYTES else ""
