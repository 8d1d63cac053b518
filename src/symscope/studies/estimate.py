"""How long will a study take? From what has ended, or from shortened jobs that are timed.

Jobs that differ only in their seed take about as long as each other; that is all that is assumed. A training or a
search may stop before its cap, and how soon is not known beforehand: what is timed is told as "at most".
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from symscope.errors import SymscopeError
from symscope.runner import Job, Plan, Store, local, open_store, run
from symscope.runner.canonical import canonical_json

Kind = str
"""What jobs have in common that take as long as each other: stage and arguments, the seed left out."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of one job of a kind; `at_most` where it was timed by a shortened job up to its cap."""

    seconds: float
    at_most: bool


def kind_of(job: Job) -> Kind:
    """The kind of a job."""
    return canonical_json({"stage": job.stage, **{k: v for k, v in job.arguments.items() if k != "seed"}})


def from_results(plan: Plan, store: Store, whole: Iterable[str]) -> dict[Kind, Estimate]:
    """Medians over what has ended: `whole` are the names of jobs whose results are there."""
    seconds: dict[Kind, list[float]] = {}
    for name in whole:
        manifest = store.manifest(plan.location(name))
        if not manifest.resumed:  # of a resumed job only the last stretch is known
            seconds.setdefault(kind_of(plan[name]), []).append(manifest.seconds)
    return {kind: Estimate(statistics.median(values), at_most=False) for kind, values in seconds.items()}


def by_measuring(plan: Plan, wanted: Iterable[str], threads: int, tell: Callable[[str], None]) -> dict[Kind, Estimate]:
    """Times shortened jobs, one of each kind among the `wanted` names, in a folder that is thrown away.

    Each is run at two lengths; the difference tells the time of an update or step, the rest is what comes with any
    length (drawing interventions, say). Training is shortened to some validations, a search to some steps.

    Args:
        plan: all jobs.
        wanted: names of the jobs whose time is asked for.
        threads: threads of each job.
        tell: is told which job is timed.
    """
    first: dict[Kind, Job] = {}
    for name in wanted:
        first.setdefault(kind_of(plan[name]), plan[name])
    estimates = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, job in first.items():
            tell(f"timing {job.name} ...")
            estimates[kind] = _time(plan, job, Path(folder), threads)
    return estimates


def _time(plan: Plan, job: Job, folder: Path, threads: int) -> Estimate:
    store = open_store(folder, study="timing")
    lengths = [length for length in (_lengthened(job, times) for times in (1, 3)) if length is not None]
    if not lengths:  # a stage that knows no length is run as it is
        return Estimate(_seconds(plan, job, store, threads), at_most=False)
    (short, one), (long, three) = lengths
    if one == three:  # its cap is as short as that
        return Estimate(_seconds(plan, short, store, threads), at_most=False)
    at_one, at_three = (_seconds(plan, cut, store, threads) for cut in (short, long))
    each = max(0.0, at_three - at_one) / (three - one)
    return Estimate(max(0.0, at_one - each * one) + each * _cap(job), at_most=True)


def _seconds(plan: Plan, job: Job, store: Store, threads: int) -> float:
    """Runs a job, and before it what it needs, as short as can be."""
    needs = [_lengthened(plan[need], 1) for need in job.needs]
    shortened = [need[0] for need in needs if need is not None]
    small = Plan([*shortened, replace(job, group="")], result_version=plan.result_version)
    outcome = run(small, store, local(1, threads))
    if not outcome.ok:
        raise SymscopeError(f"{job.name} failed when it was timed:\n" + "\n".join(outcome.failed.values()))
    return store.manifest(small.location(job.name)).seconds


# What is long in a stage, and in which of its arguments the length is told.
_LENGTHS: Mapping[str, tuple[str, str]] = {
    "training": ("epochs", "validate_every"),
    "search": ("steps", "validate_every"),
}


def _lengthened(job: Job, times: int) -> tuple[Job, int] | None:
    """The job cut to so many validations, and its length then; None where nothing in it has a length."""
    for section, (length, unit) in _LENGTHS.items():
        options: Mapping[str, Any] | None = job.arguments.get(section)
        if options is not None:
            short = min(options[length], times * options[unit])
            cut = {**options, length: short}
            if "keep_every" in cut:
                cut["keep_every"] = 0
            if "patience" in cut:  # nothing may end it sooner
                cut["patience"] = 10**6
            return replace(job, arguments={**job.arguments, section: cut}), short
    return None


def _cap(job: Job) -> int:
    return next(job.arguments[section][length] for section, (length, _) in _LENGTHS.items() if section in job.arguments)
