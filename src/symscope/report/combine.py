"""Several studies as the contents of one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from symscope.analysis.claims import claims
from symscope.analysis.schemas import TABLES
from symscope.analysis.summary import NETWORK
from symscope.errors import InvalidArgumentError
from symscope.report.inputs import Fact, ReportInputs

_KIND = ("task", "network")
_IN_PARTS = ("seeds", "tasks", "networks")
"""Facts of a study in which its parts differ."""


def combine_inputs(studies: Sequence[tuple[str, ReportInputs]]) -> ReportInputs:
    """The contents of one report on several studies.

    Rows of all studies are put together. Parts of one study, which differ in seeds, tasks or networks alone, count as
    one study with the name of the first part. Networks that several studies have under the same name on the same task
    get the name of their study in brackets, whatever their sizes, so that no effect of size is one of studies. Claims
    of the paper are decided again, on the rows of all studies.

    Args:
        studies: a short name of each study, and its contents.

    Raises:
        InvalidArgumentError: fewer than two studies, or two with one name.
    """
    names = [name for name, _ in studies]
    if len(studies) < 2 or len(set(names)) < len(names):
        raise InvalidArgumentError(f"a page of several studies needs two or more with different names, got {names}")
    labels = _labels(studies)
    renamed = _shared_networks(studies, labels)
    tables: dict[str, pl.DataFrame] = {}
    for table in (name for name in TABLES if name != "claims"):
        parts = [
            _named(inputs.tables[table], labels[name], renamed) for name, inputs in studies if table in inputs.tables
        ]
        if parts:
            tables[table] = pl.concat(parts)
    decided = claims(tables)
    if decided.get_column("value").count():
        tables["claims"] = decided
    facts: dict[str, dict[str, Fact]] = {
        f"{name}: {group}": dict(values) for name, inputs in studies for group, values in inputs.facts.items()
    }
    return ReportInputs(
        title="Which networks compute with which variables?",
        tables=tables,
        command="\n".join(inputs.command for _, inputs in studies if inputs.command),
        notes=tuple(f"{name}: {note}" for name, inputs in studies for note in inputs.notes),
        facts=facts,
    )


def _labels(studies: Sequence[tuple[str, ReportInputs]]) -> dict[str, str]:
    """The name of each study on the page, by its own name: for a part of a study, the name of the first part."""
    labels: dict[str, str] = {}
    first: list[tuple[dict[str, Fact], str, set[tuple[object, ...]]]] = []
    for name, inputs in studies:
        settings = {key: fact for key, fact in inputs.facts.get("Study", {}).items() if key not in _IN_PARTS}
        networks = _networks(inputs)
        for earlier, label, seen in first:
            if settings and settings == earlier and networks.isdisjoint(seen):
                labels[name] = label
                seen.update(networks)
                break
        else:
            labels[name] = name
            first.append((settings, name, networks))
    return labels


def _networks(inputs: ReportInputs) -> set[tuple[object, ...]]:
    """Task, name, size and seed of each network of a study."""
    frames = [frame for frame in inputs.tables.values() if set(NETWORK) <= set(frame.columns)]
    return {row for frame in frames for row in frame.select(NETWORK).unique().iter_rows()}


def _shared_networks(studies: Sequence[tuple[str, ReportInputs]], labels: Mapping[str, str]) -> set[str]:
    """Names of networks that two studies have in the same table and, where it has tasks, on the same task."""
    seen: dict[tuple[object, ...], str] = {}
    shared: set[str] = set()
    for name, inputs in studies:
        for table, frame in inputs.tables.items():
            if "network" not in frame.columns:
                continue
            columns = [column for column in _KIND if column in frame.columns]
            for row in frame.select(columns).unique().iter_rows(named=True):
                if seen.setdefault((table, *row.values()), labels[name]) != labels[name]:
                    shared.add(str(row["network"]))
    return shared


def _named(frame: pl.DataFrame, study: str, renamed: set[str]) -> pl.DataFrame:
    names = [pl.col(column) for column in ("network", "partner_network") if column in frame.columns]
    return frame.with_columns(
        pl.when(name.is_in(sorted(renamed))).then(name + f" ({study})").otherwise(name).name.keep() for name in names
    )
