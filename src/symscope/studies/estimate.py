"""Estimates of the time and the memory of a study.

Time comes from finished jobs, or from shortened jobs that are timed. Jobs that differ only in their seed or in their
checkpoint are assumed to take the same time. A training or a search may stop before its maximum length, so a time from
a shortened job is an upper bound.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from symscope.errors import SymscopeError
from symscope.runner import Event, Job, Plan, Store, local, open_store, run
from symscope.runner.jobs import canonical_json
from symscope.studies.choices import TaskChoice
from symscope.studies.declaration import Study

Kind = str
"""What jobs of equal duration have in common: the stage and all arguments but seed and checkpoint."""

_LEFT_OUT = ("seed", "checkpoint", "partner_seed")

WARM_UP = "warm up"
LENGTHS = (1, 3)
"""The lengths of shortened jobs: numbers of validations, or of the shortest runs of steps."""

_SECTIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], int]]] = {
    "training": ("epochs", lambda options: options["validate_every"]),
    "search": ("steps", lambda options: min(20, options["validate_every"])),
}
"""Sections of the arguments that set the length of a job: the name of the length, and a short length."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of a job of one kind; `at_most` where it was timed by a shortened job up to its maximum length."""

    seconds: float
    at_most: bool


def kind_of(job: Job) -> Kind:
    """The kind of a job."""
    common = {name: value for name, value in job.arguments.items() if name not in _LEFT_OUT}
    return canonical_json({"stage": job.stage, **common})


def from_results(plan: Plan, store: Store, finished: Iterable[str]) -> dict[Kind, Estimate]:
    """Medians over finished jobs: `finished` are the names of jobs whose results are stored."""
    seconds: dict[Kind, list[float]] = {}
    for name in finished:
        manifest = store.manifest(plan.location(name))
        if not manifest.resumed:  # the duration of a resumed job is that of its last run only
            seconds.setdefault(kind_of(plan[name]), []).append(manifest.seconds)
    return {kind: Estimate(statistics.median(values), at_most=False) for kind, values in seconds.items()}


def by_measuring(plan: Plan, names: Iterable[str], threads: int, log: Callable[[str], None]) -> dict[Kind, Estimate]:
    """Times shortened jobs, one of each kind among the `names`, in a temporary folder.

    Each job is run at two lengths. The difference gives the time of an update or step; the rest is a constant (for
    drawing interventions, say).

    Args:
        plan: all jobs.
        names: the jobs whose time is estimated.
        threads: threads of each job.
        log: is called with the name of each job that is timed.

    Raises:
        SymscopeError: a shortened job failed.
    """
    timed: dict[Kind, Job] = {}
    for name in names:
        timed.setdefault(kind_of(plan[name]), plan[name])
    shortened: dict[str, Job] = {}
    for job in itertools.islice(plan, 1):  # the first job of a process pays for imports, so it is not timed
        first = _shortened(job, 0)
        shortened[WARM_UP] = replace(first, name=WARM_UP, arguments={**first.arguments, "seed": 2**62})
    for job in timed.values():
        for cut in (*(_shortened(plan[need], 0) for need in job.needs), *(_shortened(job, n) for n in (0, 1))):
            shortened[cut.name] = cut
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder, study="timing")
        small = Plan(shortened.values(), result_version=plan.result_version)

        def show(event: Event) -> None:
            if event.kind == "started":
                log(f"timing {event.job} ...")

        outcome = run(small, store, local(1, threads), on_event=show)
        if not outcome.ok:
            raise SymscopeError("a job failed when it was timed:\n" + "\n".join(outcome.failed.values()))
        seconds = {job.name: store.manifest(small.location(job.name)).seconds for job in small}
    return {kind: _estimate(job, seconds) for kind, job in timed.items()}


def _length(job: Job, which: int) -> tuple[str, str, int] | None:
    """Section, name and value of the length of a shortened job; None for a job that has none, or is short anyway."""
    for section, (length, short) in _SECTIONS.items():
        options = job.arguments.get(section)
        if options is not None and LENGTHS[-1] * short(options) < options[length]:
            return section, length, LENGTHS[which] * short(options)
    return None


def _shortened(job: Job, which: int) -> Job:
    """A job of a shorter length, which needs jobs of the shortest length; a job without a length is unchanged."""
    cut, arguments = _length(job, which), dict(job.arguments)
    if cut is not None:
        section, length, value = cut
        options = {**arguments[section], length: value}
        options |= {name: 0 for name in ("checkpoint_every", "min_epochs") if name in options}
        options |= {"patience": 10**6} if "patience" in options else {}  # nothing ends it sooner
        arguments[section] = options
    needs = tuple(_name(need, 0) for need in job.needs)
    return Job(_name(job.name, which if cut else 0), job.stage, arguments, needs)


def _name(name: str, which: int) -> str:
    return f"{name}, shortened" if which == 0 else f"{name}, less shortened"


def _estimate(job: Job, seconds: Mapping[str, float]) -> Estimate:
    cuts = [_length(job, which) for which in range(len(LENGTHS))]
    if cuts[0] is None or cuts[1] is None:
        return Estimate(seconds[_name(job.name, 0)], at_most=False)
    section, length, shortest = cuts[0]
    short, long = (seconds[_name(job.name, which)] for which in range(len(LENGTHS)))
    per_unit = max(0.0, long - short) / (cuts[1][2] - shortest)
    rest = max(0.0, short - per_unit * shortest)
    return Estimate(rest + per_unit * job.arguments[section][length], at_most=True)


PROCESS_BYTES = 550 * 10**6
"""Memory of a worker process before it has any data."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a study takes, roughly: in memory for each job at a time, and on disk for all weights."""

    job: int
    disk: int


def memory_of(study: Study) -> MemoryEstimate:
    """The memory of a study, by arithmetic.

    Training holds weights, gradients and two moments of Adam, and the activations of a batch. A search holds the states
    of all interventions (in a transformer also keys and values of all earlier positions), and the activations of its
    batches.
    """
    job, disk = PROCESS_BYTES, 0
    kept = 3 + (study.training.epochs // study.training.checkpoint_every if study.training.checkpoint_every else 0)
    for choice in study.tasks:
        task = choice.make()
        tokens = 2 * task.quantities[-1] + 3  # of a sequence with as many responses as demo tokens
        for network in study.networks:
            for d in network.sizes:
                shape = network.shape(d, len(task.vocabulary))
                attends = "embedding" in shape.sites
                layers = len(shape.sites) - 1 if attends else 1
                disk += 4 * shape.parameters * kept * len(study.seeds)
                training = 16 * shape.parameters + 4 * study.training.batch * tokens * d * 16 * layers
                context = d * (1 + 3 * tokens * layers) if attends else d  # keys, values, and what fed tokens attend to
                search = 4 * shape.parameters + _search_bytes(
                    study, choice, d, context, tokens * layers * (12 if attends else 4)
                )
                job = max(job, PROCESS_BYTES + training, PROCESS_BYTES + search)
    return MemoryEstimate(job, disk)


def _search_bytes(study: Study, task: TaskChoice, d: int, context: int, activations: int) -> int:
    """Bytes of the largest search in one network.

    Args:
        study: the study.
        task: the task of the network.
        d: state size.
        context: numbers that one stopped run stores.
        activations: vectors of width d that one continuation computes.
    """
    drawn = study.interventions.train + study.interventions.validation + study.interventions.test

    def search(variables: int, fits: int) -> int:
        cached, maps = 2 * variables * drawn * (context + d), fits * d * d * 4
        return 4 * (cached + maps + fits * study.search.batch * activations * d)

    searches = [0]
    for grid in study.alignments:
        if grid.includes(task):
            fits = len(grid.variables) * len(grid.k) * study.search.restarts * 2  # the control doubles them
            searches.append(search(len(grid.variables), fits))
    for grid in study.comparisons:
        if grid.includes(task):  # states of two networks; of each two sets of labels, and an untrained network
            variables = len(grid.variables)
            searches.append(search(2 * 3 * variables, 2 * variables * len(grid.k) * study.search.restarts * 2))
    return max(searches)
