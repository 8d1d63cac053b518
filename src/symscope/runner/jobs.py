"""A job is a named call of a stage function; a plan is a graph of jobs, each with the key of its result.

A job's key is made of everything that determines its result: the stage, its arguments, the keys of the results that
it reads, and the version of the code's results. Equal keys mean equal results, so a result is looked up by its key
and never by its name: a job may be renamed, and keeps its result.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from symscope.errors import ConfigurationError, UnknownNameError
from symscope.runner.canonical import canonical_json, json_faults

KEY_FORMAT = 1
"""Raise this when the way of making keys changes: every result is then another one."""

KEY_LENGTH = 20
"""Hexadecimal digits of a key: 80 bits, so that even a million jobs do not meet by chance."""

_STAGE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_MOST_CYCLES_TOLD = 5


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a stage function.

    Args:
        name: readable, and unique within its plan, such as `train/multi-object-gru-d48-seed0`.
        stage: import path of the stage function, `package.module:function`.
        arguments: everything that determines the result (beside the needs), as JSON values.
        needs: names of the jobs whose results the stage reads, in the order in which it gets them.
        group: jobs of one group, of the same stage and needs, are executed in one call of the stage as far as they
            are not done; each still has a result of its own. It is no part of the key.
    """

    name: str
    stage: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job ready to be executed anywhere: only JSON values, and locations instead of names.

    A location is a result's address within any store, `<function of the stage>/<key>`.
    """

    name: str
    stage: str
    arguments: Mapping[str, Any]
    location: str
    needs: Mapping[str, str]
    result_version: str
    group: str = ""


class Plan:
    """A checked graph of jobs, in an order in which they can run, each with the location of its result."""

    def __init__(self, jobs: Iterable[Job], *, result_version: str) -> None:
        """Checks the graph and makes all keys.

        Args:
            jobs: in any order; the plan keeps the given order as far as the needs allow.
            result_version: version of the code's results; raising it makes every result another one.

        Raises:
            ConfigurationError: with all faults of the graph together: names that are empty or used twice, stages
                that are no import path, arguments that are not JSON, unknown needs, cycles, two jobs of one key.
        """
        declared = list(jobs)
        faults = _faults_of_jobs(declared)
        order, cycle_faults = _topological_order(declared)
        faults += cycle_faults
        if faults:
            raise ConfigurationError("plan of jobs", faults)
        self.result_version = result_version
        self._jobs = {job.name: job for job in order}
        self._locations: dict[str, str] = {}
        for job in order:
            self._locations[job.name] = self._make_location(job)
        same_work = _faults_of_locations(self._locations)
        if same_work:
            raise ConfigurationError("plan of jobs", same_work)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """The jobs, each after all that it needs."""
        return iter(self._jobs.values())

    def __contains__(self, name: object) -> bool:
        return name in self._jobs

    def __getitem__(self, name: str) -> Job:
        """The job of that name; raises UnknownNameError."""
        if name not in self._jobs:
            raise UnknownNameError("job", name, self._jobs)
        return self._jobs[name]

    def location(self, name: str) -> str:
        """Where the job's result lies in any store: `<function of the stage>/<key>`."""
        return self._locations[self[name].name]

    def key(self, name: str) -> str:
        """The key of the job's result."""
        return self.location(name).rpartition("/")[2]

    def ticket(self, name: str) -> Ticket:
        """The job as it is handed to whoever executes it."""
        job = self[name]
        needs = {need: self._locations[need] for need in job.needs}
        return Ticket(
            job.name, job.stage, dict(job.arguments), self._locations[name], needs, self.result_version, job.group
        )

    def _make_location(self, job: Job) -> str:
        determines = {
            "format": KEY_FORMAT,
            "result_version": self.result_version,
            "stage": job.stage,
            "arguments": job.arguments,
            "needs": [self._locations[need] for need in job.needs],
        }
        key = hashlib.sha256(canonical_json(determines).encode()).hexdigest()[:KEY_LENGTH]
        return f"{job.stage.rpartition(':')[2]}/{key}"


def _faults_of_jobs(jobs: list[Job]) -> list[str]:
    faults = []
    counts = Counter(job.name for job in jobs)
    faults += [f"the name {name!r} is used by {count} jobs" for name, count in counts.items() if count > 1]
    for job in jobs:
        if not job.name.strip() or not job.name.isprintable():
            faults.append(f"a job's name must be readable text, got {job.name!r}")
        if not _STAGE.fullmatch(job.stage) or job.stage.startswith("__main__:"):
            faults.append(
                f"{job.name}: stage {job.stage!r} is no import path: write 'package.module:function' of a function in"
                " a module that other processes can import"
            )
        faults += [f"{job.name}: {fault}" for fault in json_faults(job.arguments, "arguments")]
        faults += [f"{job.name}: needs {need!r}, which is not in the plan" for need in job.needs if need not in counts]
        twice = [need for need, count in Counter(job.needs).items() if count > 1]
        faults += [f"{job.name}: needs {need!r} more than once" for need in twice]
    return faults + _faults_of_groups(jobs)


def _faults_of_groups(jobs: list[Job]) -> list[str]:
    first: dict[str, Job] = {}
    return [
        f"{job.name} is in group {job.group!r} with {first[job.group].name}, which has another stage or other needs"
        for job in jobs
        if job.group and (job.stage, job.needs) != ((one := first.setdefault(job.group, job)).stage, one.needs)
    ]


def _faults_of_locations(locations: Mapping[str, str]) -> list[str]:
    names: dict[str, list[str]] = {}
    for name, location in locations.items():
        names.setdefault(location, []).append(name)
    return [
        f"jobs {' and '.join(map(repr, same))} would do the same work: same stage, arguments and needs"
        for same in names.values()
        if len(same) > 1
    ]


def _topological_order(jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """The jobs, each after its needs and otherwise as declared; and a fault for each cycle."""
    by_name = {job.name: job for job in jobs}
    place = {name: index for index, name in enumerate(by_name)}
    unmet = {job.name: {need for need in job.needs if need in by_name} for job in by_name.values()}
    dependents: dict[str, list[str]] = {name: [] for name in by_name}
    for name, needs in unmet.items():
        for need in needs:
            dependents[need].append(name)
    missing = {name: len(needs) for name, needs in unmet.items()}
    ready = [(place[name], name) for name, count in missing.items() if not count]
    heapq.heapify(ready)
    order: list[Job] = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(by_name[name])
        for dependent in dependents[name]:
            missing[dependent] -= 1
            if not missing[dependent]:
                heapq.heappush(ready, (place[dependent], dependent))
    return order, _faults_of_cycles({name: unmet[name] for name, count in missing.items() if count})


def _faults_of_cycles(graph: dict[str, set[str]]) -> list[str]:
    faults: list[str] = []
    while len(faults) < _MOST_CYCLES_TOLD:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            # graphlib lists a cycle from need to dependent; it reads better the other way round.
            faults.append(f"a cycle of needs: {' needs '.join(repr(name) for name in reversed(cycle))}")
            graph = {name: needs for name, needs in graph.items() if name not in cycle}
        else:
            break
    return faults
