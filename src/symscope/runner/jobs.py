"""Jobs (named calls of stage functions) and plans (graphs of jobs, each with the key of its result).

The key of a job is a hash of everything that determines its result: the stage, its arguments, the keys of the results
that it reads, and the version of the code's results. Equal keys mean equal results. Results are looked up by key and
not by name, so a renamed job keeps its result.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from symscope.errors import ConfigurationError, UnknownNameError

KEY_FORMAT = 1
"""Version of the way in which keys are made. Increasing it invalidates all stored results."""

KEY_LENGTH = 20
"""Hexadecimal digits of a key: 80 bits make a collision among a million jobs improbable."""

_STAGE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_MAX_CYCLES = 5


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a stage function.

    Args:
        name: readable, and unique within its plan, such as `train/multi-object-gru-d48-seed0`.
        stage: import path of the stage function, `package.module:function`.
        arguments: everything that determines the result, apart from the needs, as JSON values.
        needs: names of the jobs whose results the stage reads, in the order in which the stage receives them.
    """

    name: str
    stage: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as any process can execute it: only JSON values, and locations instead of names.

    A location is the address of a result within any store, `<function of the stage>/<key>`.
    """

    name: str
    stage: str
    arguments: Mapping[str, Any]
    location: str
    needs: Mapping[str, str]
    result_version: str


class Plan:
    """A valid graph of jobs in execution order, with the location of each result."""

    def __init__(self, jobs: Iterable[Job], *, result_version: str) -> None:
        """Checks the graph and computes all keys.

        Args:
            jobs: in any order; the plan keeps this order as far as the needs allow.
            result_version: version of the code's results; a different version gives different keys.

        Raises:
            ConfigurationError: lists all faults of the graph: empty or repeated names, stages that are not import
                paths, arguments that are not JSON, unknown needs, cycles, two jobs with the same key.
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
        repeated_keys = _faults_of_locations(self._locations)
        if repeated_keys:
            raise ConfigurationError("plan of jobs", repeated_keys)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """The jobs, each after all jobs that it needs."""
        return iter(self._jobs.values())

    def __contains__(self, name: object) -> bool:
        return name in self._jobs

    def __getitem__(self, name: str) -> Job:
        """The job of that name; raises UnknownNameError."""
        if name not in self._jobs:
            raise UnknownNameError("job", name, self._jobs)
        return self._jobs[name]

    def location(self, name: str) -> str:
        """Location of the job's result in any store: `<function of the stage>/<key>`."""
        return self._locations[self[name].name]

    def key(self, name: str) -> str:
        """The key of the job's result."""
        return self.location(name).rpartition("/")[2]

    def spec(self, name: str) -> JobSpec:
        """The job as an executor receives it."""
        job = self[name]
        needs = {need: self._locations[need] for need in job.needs}
        return JobSpec(job.name, job.stage, dict(job.arguments), self._locations[name], needs, self.result_version)

    def _make_location(self, job: Job) -> str:
        determinants = {
            "format": KEY_FORMAT,
            "result_version": self.result_version,
            "stage": job.stage,
            "arguments": job.arguments,
            "needs": [self._locations[need] for need in job.needs],
        }
        key = hashlib.sha256(canonical_json(determinants).encode()).hexdigest()[:KEY_LENGTH]
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
                f"{job.name}: stage {job.stage!r} is not an import path: write 'package.module:function' of a function "
                "in a module that other processes can import"
            )
        faults += [f"{job.name}: {fault}" for fault in json_faults(job.arguments, "arguments")]
        faults += [f"{job.name}: needs {need!r}, which is not in the plan" for need in job.needs if need not in counts]
        repeated = [need for need, count in Counter(job.needs).items() if count > 1]
        faults += [f"{job.name}: needs {need!r} more than once" for need in repeated]
    return faults


def _faults_of_locations(locations: Mapping[str, str]) -> list[str]:
    names: dict[str, list[str]] = {}
    for name, location in locations.items():
        names.setdefault(location, []).append(name)
    return [
        f"jobs {' and '.join(map(repr, duplicates))} have the same stage, arguments and needs: remove all but the first"
        for duplicates in names.values()
        if len(duplicates) > 1
    ]


def _topological_order(jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """The jobs, each after its needs and otherwise in their original order; and a fault for each cycle."""
    by_name = {job.name: job for job in jobs}
    position = {name: index for index, name in enumerate(by_name)}
    unmet = {job.name: {need for need in job.needs if need in by_name} for job in by_name.values()}
    dependents: dict[str, list[str]] = {name: [] for name in by_name}
    for name, needs in unmet.items():
        for need in needs:
            dependents[need].append(name)
    missing = {name: len(needs) for name, needs in unmet.items()}
    ready = [(position[name], name) for name, count in missing.items() if not count]
    heapq.heapify(ready)
    order: list[Job] = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(by_name[name])
        for dependent in dependents[name]:
            missing[dependent] -= 1
            if not missing[dependent]:
                heapq.heappush(ready, (position[dependent], dependent))
    return order, _faults_of_cycles({name: unmet[name] for name, count in missing.items() if count})


def _faults_of_cycles(graph: dict[str, set[str]]) -> list[str]:
    faults: list[str] = []
    while len(faults) < _MAX_CYCLES:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            # graphlib lists a cycle from need to dependent, the reverse of the order in the message.
            faults.append(f"a cycle of needs: {' needs '.join(repr(name) for name in reversed(cycle))}")
            graph = {name: needs for name, needs in graph.items() if name not in cycle}
        else:
            break
    return faults


def json_faults(value: object, path: str) -> list[str]:
    """Parts of a value that are not JSON, each with its path, such as `arguments.rates[2]: nan is not a finite number`.

    Tuples count as lists. Keys must be strings, since JSON would silently convert them to strings.
    """
    if value is None or isinstance(value, str | bool | int):
        return []
    if isinstance(value, float):
        return [] if math.isfinite(value) else [f"{path}: {value} is not a finite number"]
    if isinstance(value, list | tuple):
        return [fault for index, item in enumerate(value) for fault in json_faults(item, f"{path}[{index}]")]
    if isinstance(value, Mapping):
        bad_keys = [f"{path}: the key {key!r} is not a string" for key in value if not isinstance(key, str)]
        return bad_keys + [fault for key, item in value.items() for fault in json_faults(item, f"{path}.{key}")]
    return [f"{path}: {value!r} ({type(value).__name__}) is not a JSON value"]


def canonical_json(value: object) -> str:
    """JSON on one line with sorted keys and no spaces: equal values give equal text.

    Raises:
        TypeError: a value is not JSON.
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain_mapping)


def _plain_mapping(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} ({type(value).__name__}) is not a JSON value")
