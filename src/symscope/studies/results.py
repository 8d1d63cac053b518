"""From the store of a study to what its report shows."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from symscope.analysis import TABLES
from symscope.analysis.claims import claims
from symscope.errors import UnknownNameError
from symscope.report import ReportInputs
from symscope.runner import Manifest, Outcome, Plan, Store, existing_store
from symscope.runner.query import list_results, read_rows
from symscope.studies.common import part_file, read_parts
from symscope.studies.declaration import Study

VERSIONS_SHOWN = ("symscope", "torch", "numpy", "polars")


def collect(study: Study, plan: Plan, store: Store, outcome: Outcome, command: str) -> ReportInputs:
    """All tables of a study, with what a reader must know of the runs behind them.

    Args:
        study: the study.
        plan: its jobs.
        store: where their results are.
        outcome: how the run ended; jobs that failed are left out and noted.
        command: how to run the study again.

    Raises:
        InvalidArgumentError: no job has left a table.
    """
    there = [job.name for job in plan if job.name in {*outcome.done, *outcome.cached}]
    manifests = {name: store.manifest(plan.location(name)) for name in there}
    folders = [store.fetch(plan.location(name)) for name in there]
    shown = {name: _chosen(folders) if name == "aligned_states" else folders for name in TABLES}
    tables = {name: table for name in TABLES if (table := read_parts(name, shown[name])) is not None}
    told = claims(tables)
    if told.get_column("value").count():  # what the paper claims is no matter of every study
        tables["claims"] = told
    notes = [
        _unsolved(name, manifest) for name, manifest in manifests.items() if not manifest.facts.get("solved", True)
    ]
    notes += [f"The job {name} failed; its results are missing." for name in outcome.failed]
    return ReportInputs(study.title, tables, command=command, notes=tuple(notes), facts=_facts(study, manifests))


def _chosen(folders: Sequence[Path]) -> list[Path]:
    """Of the searches for one variable in one network, the one that is best on validation: its states are shown."""
    best: dict[tuple[object, ...], tuple[float, Path]] = {}
    for folder in folders:
        scores = read_parts("scores", [folder])
        if scores is None or (row := scores.row(0, named=True))["validation_iia"] is None:
            continue
        question = tuple(row[name] for name in ("task", "network", "d", "seed", "algorithm", "variable"))
        if question not in best or row["validation_iia"] > best[question][0]:
            best[question] = row["validation_iia"], folder
    return [folder for _, folder in best.values()]


def query(address: Path | str, table: str | None = None) -> pl.DataFrame:
    """All results of a store in one table.

    Args:
        address: the folder of a study, or the URL of its store.
        table: one of `symscope.analysis.TABLES`, `scores` for example: its rows over all whole results, each with the
            `location` of its result. None: one row a result, with what is known of it.

    Raises:
        StoreError: there is no store.
        UnknownNameError: there is no such table.
    """
    store = existing_store(address)
    if table is None:
        return list_results(store)
    if table not in TABLES:
        raise UnknownNameError("table", table, TABLES)
    return read_rows(store, part_file(table))


def _unsolved(name: str, manifest: Manifest) -> str:
    return (
        f"The network of {name} did not reach the wanted trial accuracy within {manifest.facts['updates']} updates; "
        "what was found in it is shown all the same."
    )


def _facts(study: Study, manifests: Mapping[str, Manifest]) -> Mapping[str, Mapping[str, str]]:
    any_manifest = next(iter(manifests.values()))
    where = sorted({f"{m.facts['device']}, {m.facts['threads']} threads a job" for m in manifests.values()})
    declared = {"name": study.name, "seeds": ", ".join(map(str, study.seeds))}
    if study.networks:
        declared["tasks"] = ", ".join(task.name for task in study.tasks)
        declared["networks"] = "; ".join(
            f"{network.label}, d = {', '.join(map(str, network.sizes))}" for network in study.networks
        )
        declared["training"] = _listed(vars(study.training))
    if study.calibration:
        declared["calibration"] = _listed(study.calibration.model_dump(mode="json"))
    if study.alignments or study.calibration:
        declared["search"] = _listed(vars(study.search))
        declared["interventions"] = _listed(study.interventions.model_dump())
    return {
        "Study": declared,
        "Where": {"device": "; ".join(where), "machine": f"{platform.system()} {platform.machine()}"},
        "Versions": {"python": any_manifest.python}
        | {name: any_manifest.packages[name] for name in VERSIONS_SHOWN if name in any_manifest.packages},
        "Duration": {name: f"{manifest.seconds:.0f} s" for name, manifest in manifests.items()},
    }


def _listed(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
