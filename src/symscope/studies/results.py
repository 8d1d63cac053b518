"""From the store of a study to the contents of its report."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from symscope.analysis import TABLES
from symscope.analysis.answers import of_chosen_alignments
from symscope.analysis.claims import claims
from symscope.errors import UnknownNameError
from symscope.report import ReportInputs
from symscope.runner import Manifest, Outcome, Plan, Store, existing_store
from symscope.runner.query import list_results, read_rows
from symscope.runner.store import STORE_FILE
from symscope.studies.declaration import Study
from symscope.studies.subject import part_file, read_parts

REPORTED_PACKAGES = ("symscope", "torch", "numpy", "polars")


def collect(study: Study, plan: Plan, store: Store, outcome: Outcome, command: str) -> ReportInputs:
    """All tables of a study, with the facts about its runs that a report needs.

    Args:
        study: the study.
        plan: its jobs.
        store: the store of their results.
        outcome: how the run ended; failed jobs are left out and noted.
        command: the command that runs the study again.

    Raises:
        InvalidArgumentError: no job has stored a table.
    """
    finished = {*outcome.done, *outcome.cached}
    names = [job.name for job in plan if job.name in finished]
    manifests = {name: store.manifest(plan.location(name)) for name in names}
    folders = [store.fetch(plan.location(name)) for name in names]
    tables = {name: table for name in TABLES if (table := read_parts(name, folders)) is not None}
    if "aligned_states" in tables:
        tables["aligned_states"] = _of_best_alignments(folders)
    for name in ("failures", "examples"):
        if name in tables and "scores" in tables:
            tables[name] = of_chosen_alignments(tables[name], tables["scores"])
    decided = claims(tables)
    if decided.get_column("value").count():  # not every study measures what the paper claims
        tables["claims"] = decided
    notes = [
        f"In the job {name}, {note}."
        for name, manifest in manifests.items()
        for note in manifest.facts.get("notes", ())
    ]
    notes += _unsolved(manifests)
    notes += [f"The job {name} failed; its results are missing." for name in outcome.failed]
    return ReportInputs(study.title, tables, command=command, notes=tuple(notes), facts=_facts(study, manifests))


def _of_best_alignments(folders: Sequence[Path]) -> pl.DataFrame:
    """The aligned states of the alignment of each variable in each network that is best on validation."""
    variable = ["task", "network", "d", "seed", "algorithm", "protocol", "variable"]
    alignment = [*variable, "function", "k"]
    best: dict[tuple[object, ...], tuple[float, int, pl.DataFrame]] = {}
    states: dict[int, pl.DataFrame] = {}
    for number, folder in enumerate(folders):
        table, scores = read_parts("aligned_states", [folder]), read_parts("scores", [folder])
        if table is None or scores is None:
            continue
        states[number] = table
        for row in scores.filter(pl.col("validation_iia").is_not_null()).iter_rows(named=True):
            key, iia = tuple(row[name] for name in variable), row["validation_iia"]
            if key not in best or iia > best[key][0]:
                best[key] = iia, number, pl.DataFrame([{name: row[name] for name in alignment}])
    parts = [states[number].join(chosen, on=alignment, how="semi") for _, number, chosen in best.values()]
    return pl.concat(parts) if parts else pl.concat(states.values()).clear()


def query(address: Path | str, table: str | None = None) -> pl.DataFrame:
    """All results of a store in one table.

    Args:
        address: the folder of a study, the URL of its store, or the folder of a collection, whose rows have the
            name of their study in the column `study`.
        table: one of `symscope.analysis.TABLES`, such as `scores`: its rows from all complete results, each with the
            `location` of its result. None: one row for each result, with its manifest.

    Raises:
        StoreError: there is no store.
        UnknownNameError: there is no such table.
    """
    if parts := _parts(address):
        frames = [query(part, table).with_columns(study=pl.lit(part.name)) for part in parts]
        return pl.concat([frame for frame in frames if len(frame)] or frames[:1], how="diagonal_relaxed")
    store = existing_store(address)
    if table is None:
        return list_results(store)
    if table not in TABLES:
        raise UnknownNameError("table", table, TABLES)
    rows = read_rows(store, part_file(table))
    with_default = {column.name: column.default for column in TABLES[table].columns if column.default is not None}
    missing = [pl.lit(value).alias(name) for name, value in with_default.items() if name not in rows.columns]
    filled = [pl.col(name).fill_null(value) for name, value in with_default.items() if name in rows.columns]
    return rows.with_columns(*missing, *filled) if len(rows) else rows


def _parts(address: Path | str) -> list[Path]:
    """The folders of the studies of a collection; none for any other address."""
    folder = Path(address)
    if "://" in str(address) or not folder.is_dir() or (folder / STORE_FILE).exists():
        return []
    return sorted(entry for entry in folder.iterdir() if (entry / STORE_FILE).is_file())


def _unsolved(manifests: Mapping[str, Manifest]) -> list[str]:
    """A warning for each reason why networks did not solve their task."""
    networks: dict[str, list[str]] = {}
    for name, manifest in manifests.items():
        facts = manifest.facts
        if not facts.get("solved", True):
            reason = (
                f"the target trial accuracy was not reached within {facts['updates']} updates"
                if "updates" in facts
                else f"trial accuracy {facts['trial_accuracy']:.3f}, below the target {facts['target_accuracy']:g}"
            )
            networks.setdefault(reason, []).append(name)
    return [
        f"Networks that did not solve their task: {', '.join(names)} ({reason}). Tables and figures include them."
        for reason, names in networks.items()
    ]


def _facts(study: Study, manifests: Mapping[str, Manifest]) -> Mapping[str, Mapping[str, str]]:
    any_manifest = next(iter(manifests.values()))
    where = sorted({f"{m.facts['device']}, {m.facts['threads']} threads a job" for m in manifests.values()})
    declared = {"name": study.name, "seeds": ", ".join(map(str, study.seeds))}
    if study.networks:
        declared["tasks"] = ", ".join(task.name for task in study.tasks)
        declared["networks"] = "; ".join(
            f"{network.label}, d = {', '.join(map(str, network.sizes))}" for network in study.networks
        )
        declared["training"] = _listed(study.training.model_dump())
    if study.calibration:
        declared["calibration"] = _listed(study.calibration.model_dump(mode="json"))
    if study.alignments:
        chosen = [grid.model_dump(mode="json", exclude_unset=True) for grid in study.alignments]
        declared["alignments"] = "; ".join(_listed(each) for each in chosen)
    if study.alignments or study.calibration:
        declared["search"] = _listed(study.search.model_dump())
        declared["interventions"] = _listed(study.interventions.model_dump())
    return {
        "Study": declared,
        "Where": {"device": "; ".join(where), "machine": f"{platform.system()} {platform.machine()}"},
        "Versions": {"python": any_manifest.python}
        | {name: any_manifest.packages[name] for name in REPORTED_PACKAGES if name in any_manifest.packages},
        "Duration": {name: f"{manifest.seconds:.0f} s" for name, manifest in manifests.items()},
    }


def _listed(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
