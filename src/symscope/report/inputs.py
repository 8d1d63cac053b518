"""Inputs of a report: result tables and facts about the run, saved in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from symscope.analysis.schemas import TABLES
from symscope.analysis.tables import read_tables, replace_file, validate, write_table
from symscope.display import card
from symscope.errors import CheckpointError, InvalidArgumentError, StoreError

TABLES_FOLDER = "tables"
FACTS_FILE = "facts.json"

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class ReportInputs:
    """Contents of a report.

    `tables` holds tables of `analysis.TABLES` by name; at least one is needed. `command` runs the study again. `notes`
    are warnings to the reader (a seed that failed, a search that did not converge). `facts` are groups of named values
    about the run, such as `{"Versions": {"torch": "2.8.0"}, "Duration": {"training, seed 0": "25 s"}}`, in order.
    """

    title: str
    tables: Mapping[str, pl.DataFrame]
    command: str = ""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Mapping[str, Fact]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every table; raises `InvalidArgumentError` with all faults."""
        if not self.tables:
            raise InvalidArgumentError(f"a report needs at least one table, got none; known: {', '.join(TABLES)}")
        object.__setattr__(self, "tables", {name: validate(name, frame) for name, frame in self.tables.items()})

    def _repr_html_(self) -> str:
        facts = [f"{name}: {frame.height:,} rows, each {TABLES[name].row}" for name, frame in self.tables.items()]
        return card(self.title, self.command, facts=facts, warnings=self.notes)


def save_inputs(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Write `folder/tables/*.parquet`, `.csv` and `folder/facts.json` for `load_inputs`; returns their paths."""
    written = [
        path for name, frame in inputs.tables.items() for path in write_table(name, frame, folder / TABLES_FOLDER)
    ]
    content = {
        "title": inputs.title,
        "command": inputs.command,
        "notes": list(inputs.notes),
        "facts": {group: dict(values) for group, values in inputs.facts.items()},
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return [*written, replace_file(folder / FACTS_FILE, lambda path: path.write_text(text, encoding="utf-8"))]


def load_inputs(folder: Path) -> ReportInputs:
    """Inputs that `save_inputs` wrote to `folder`; `StoreError` when missing, `CheckpointError` when damaged."""
    path = folder / FACTS_FILE
    if not path.is_file():
        raise StoreError(f"{folder} holds no results: {FACTS_FILE} is missing; give the folder that a study wrote to")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ReportInputs(
            title=content["title"],
            tables=read_tables(folder / TABLES_FOLDER),
            command=content["command"],
            notes=tuple(content["notes"]),
            facts=content["facts"],
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}); run the study again to make it") from error
