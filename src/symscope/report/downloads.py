"""Data that a reader can save from the page alone: tables as CSV, packed into the file."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from symscope.analysis.schemas import TABLES

MOST_BYTES = 1_000_000
"""A packed table larger than this stays beside the page: the page must open on a phone."""


@dataclass(frozen=True)
class Download:
    """A table of the study: its name, its number of rows, what a row is, its CSV (gzip, base64; empty if too large)."""

    name: str
    rows: int
    row: str
    packed: str


def table_downloads(tables: Mapping[str, pl.DataFrame]) -> list[Download]:
    """Every table with its data, in their order."""
    return [Download(name, frame.height, TABLES[name].row, _packed(frame)) for name, frame in tables.items()]


def _packed(frame: pl.DataFrame) -> str:
    packed = gzip.compress(frame.write_csv().encode(), 9, mtime=0)  # the same page from the same tables
    return base64.b64encode(packed).decode() if len(packed) <= MOST_BYTES else ""
