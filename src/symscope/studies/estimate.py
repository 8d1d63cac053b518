"""How long will a study take? From what has ended, or from shortened jobs that are timed.

Jobs that differ only in their seed, or in the moment of training that they look at, take about as long as each other;
that is all that is assumed. A training or a
search may stop before its cap, and how soon is not known beforehand: what is timed is told as "at most".
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symscope.errors import SymscopeError
from symscope.runner import Event, Job, Plan, Store, local, open_store, run
from symscope.runner.jobs import canonical_json

Kind = str
"""What jobs have in common that take as long as each other: stage and arguments, but for seed and moment."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of one job of a kind; `at_most` where it was timed by a shortened job up to its cap."""

    seconds: float
    at_most: bool


def kind_of(job: Job) -> Kind:
    """The kind of a job."""
    alike = {name: value for name, value in job.arguments.items() if name not in ("seed", "moment")}
    return canonical_json({"stage": job.stage, **alike})


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
    length (drawing interventions, say). Jobs of a group are timed together.

    Args:
        plan: all jobs.
        wanted: names of the jobs whose time is asked for.
        threads: threads of each job.
        tell: is told which job is timed.

    Raises:
        SymscopeError: a shortened job failed.
    """
    units: dict[tuple[Kind, ...], list[Job]] = {}
    for unit in _units(plan, wanted):
        units.setdefault(tuple(map(kind_of, unit)), unit)
    cut: dict[str, Job] = {}
    for job in itertools.islice(plan, 1):  # what is slow only the first time in a process is no part of any time
        (first,) = _cut([job], 0)
        cut[WARM_UP] = replace(first, name=WARM_UP, arguments={**first.arguments, "seed": 2**62})
    for unit in units.values():
        for need in unit[0].needs:
            cut |= {job.name: job for job in _cut([plan[need]], 0)}
        for which in range(len(LENGTHS)):
            cut |= {job.name: job for job in _cut(unit, which)}
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder, study="timing")
        small = Plan(cut.values(), result_version=plan.result_version)

        def show(event: Event) -> None:
            if event.kind == "started":
                tell(f"timing {event.job} ...")

        outcome = run(small, store, local(1, threads), on_event=show)
        if not outcome.ok:
            raise SymscopeError("a job failed when it was timed:\n" + "\n".join(outcome.failed.values()))
        seconds = {job.name: store.manifest(small.location(job.name)).seconds for job in small}
    return {kind_of(job): estimate for unit in units.values() for job, estimate in _estimates(unit, seconds)}


WARM_UP = "warm up"
LENGTHS = (1, 3)
"""Shortened jobs have these many validations or bouts of steps."""

_SECTIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], int]]] = {
    "training": ("epochs", lambda options: options["validate_every"]),
    "search": ("steps", lambda options: min(20, options["validate_every"])),
}
"""What is long in a stage: the section of its arguments, where the length is told, and a short length."""


def _units(plan: Plan, wanted: Iterable[str]) -> list[list[Job]]:
    """The jobs, those of a group together."""
    units: dict[str, list[Job]] = {}
    for name in wanted:
        units.setdefault(name, []).append(plan[name])
    return list(units.values())


def _length(job: Job, which: int) -> tuple[str, str, int] | None:
    """Section, name and value of the length of a job when it is cut; None where it has none, or is as short anyway."""
    for section, (length, short) in _SECTIONS.items():
        options = job.arguments.get(section)
        if options is not None and LENGTHS[-1] * short(options) < options[length]:
            return section, length, LENGTHS[which] * short(options)
    return None


def _cut(unit: Sequence[Job], which: int) -> list[Job]:
    """Jobs cut to a length, which read what is cut to the shortest; jobs that have no length are as they were."""
    found = []
    for job in unit:
        cut, arguments = _length(job, which), dict(job.arguments)
        if cut is not None:
            section, length, value = cut
            options = {**arguments[section], length: value}
            options |= {"checkpoint_every": 0} if "checkpoint_every" in options else {}
            options |= {"patience": 10**6} if "patience" in options else {}  # nothing may end it sooner
            arguments[section] = options
        needs = tuple(_name(need, 0) for need in job.needs)
        found.append(Job(_name(job.name, which if cut else 0), job.stage, arguments, needs))
    return found


def _name(name: str, which: int) -> str:
    return f"{name}, shortened" if which == 0 else f"{name}, less shortened"


def _estimates(unit: Sequence[Job], seconds: Mapping[str, float]) -> Iterator[tuple[Job, Estimate]]:
    """The time of each job: its share of what the unit took."""
    cuts = [_length(unit[0], which) for which in range(len(LENGTHS))]
    short, long = (
        sum(seconds[_name(job.name, which if cuts[which] else 0)] for job in unit) for which in range(len(LENGTHS))
    )
    if cuts[0] is None or cuts[1] is None:
        total = short
    else:
        section, length, one = cuts[0]
        each = max(0.0, long - short) / (cuts[1][2] - one)
        total = max(0.0, short - each * one) + each * unit[0].arguments[section][length]
    for job in unit:
        yield job, Estimate(total / len(unit), at_most=cuts[0] is not None)
