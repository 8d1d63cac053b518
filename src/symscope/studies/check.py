"""Reads and checks a declaration. All of its faults are told together, with their lines, before any work starts."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError

from symscope.alignment.search import SearchOptions
from symscope.errors import ConfigurationError, InvalidArgumentError, SymscopeError, UnknownNameError
from symscope.imports import is_import_path
from symscope.networks import Network
from symscope.seeds import generator
from symscope.studies.declaration import (
    AlignmentGrid,
    BehaviourCounts,
    Calibration,
    Development,
    InterventionCounts,
    NetworkChoice,
    Observations,
    Study,
    TaskChoice,
    Theory,
    build_algorithm,
    subspace_size,
)
from symscope.studies.source import Fault, Place, Source, read_source
from symscope.tasks import Task
from symscope.training import TrainingOptions

Section = TypeVar("Section", bound=BaseModel)
Listed = dict[int, Section]
"""The entries of a list that are right in themselves, by index."""

SECTIONS: Mapping[str, type] = {
    "tasks": TaskChoice,
    "networks": NetworkChoice,
    "alignments": AlignmentGrid,
    "training": TrainingOptions,
    "search": SearchOptions,
    "interventions": InterventionCounts,
    "behaviour": BehaviourCounts,
    "development": Development,
    "observe": Observations,
    "theory": Theory,
    "calibration": Calibration,
}


def read_study(text: str, where: str) -> Study:
    """A study from YAML text, checked.

    Args:
        text: the declaration.
        where: what to call it in errors.

    Raises:
        ConfigurationError: with all faults together, each with its line.
    """
    declared, source, faults = read_source(text)
    if faults:
        raise ConfigurationError(where, source.told(faults))
    return check_study(declared, where, source)


def check_study(declared: object, where: str, source: Source | None = None) -> Study:
    """A study from plain values, checked: their types, and whether all that is named exists and fits together.

    Args:
        declared: the values.
        where: what to call the declaration in errors.
        source: the lines of the values, if they come from a text.

    Raises:
        ConfigurationError: with all faults together.
    """
    if declared is None:
        told = "the declaration is empty; `symscope study show quick` prints one to start from"
        raise ConfigurationError(where, [told])
    faults: list[Fault] = []
    study = None
    try:
        study = Study.model_validate(declared)
    except ValidationError as error:
        faults += [_fault(entry) for entry in _own_faults(error)]
    faults += _faults_beyond_types(declared)
    if study is not None and not faults:
        return study
    raise ConfigurationError(where, (source or Source()).told(faults))


def _own_faults(error: ValidationError) -> list[Mapping[str, Any]]:
    """The faults, without those of a list that only seems too short because its entries are wrong."""
    entries = error.errors()
    inner = {entry["loc"][:depth] for entry in entries for depth in range(len(entry["loc"]))}
    return [entry for entry in entries if entry["type"] != "too_short" or entry["loc"] not in inner]


def _fault(entry: Mapping[str, Any]) -> Fault:
    place: Place = entry["loc"]
    if entry["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return Fault(place, _unknown_key(place))
    given = (
        "" if isinstance(entry["input"], dict | list) or entry["type"] == "missing" else f" (got {entry['input']!r})"
    )
    told = entry["msg"].removeprefix("Value error, ")
    return Fault(place, f"{told[:1].lower()}{told[1:]}{given}")


def _unknown_key(place: Place) -> str:
    *around, key = place
    section = SECTIONS.get(str(around[0]), Study) if around else Study
    known = section.model_fields if issubclass(section, BaseModel) else [f.name for f in dataclasses.fields(section)]
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    return f"unknown key: {f'did you mean {near[0]!r}? ' if near else ''}known: {', '.join(known)}"


def _faults_beyond_types(declared: object) -> Iterator[Fault]:
    """What types cannot tell, of what is right in itself: unknown names, and values that do not fit each other."""
    if not isinstance(declared, Mapping):
        return
    tasks = _listed(declared, "tasks", TaskChoice)
    networks = _listed(declared, "networks", NetworkChoice)
    alignments = _listed(declared, "alignments", AlignmentGrid)
    made_tasks: dict[int, Task] = {}
    for index, choice in tasks.items():
        try:
            made_tasks[index] = choice.make()
        except SymscopeError as error:
            yield Fault(("tasks", index), str(error))
    made_networks: list[Network] = []
    for index, choice in networks.items():
        for d in choice.sizes:
            try:
                made_networks.append(choice.make(d, 4, generator(0)))
            except SymscopeError as error:
                yield Fault(("networks", index), f"d = {d}: {error}")
                if isinstance(error, UnknownNameError):
                    break  # the other sizes have it as well
    for index, grid in alignments.items():
        mine = [task for place, task in made_tasks.items() if grid.is_for(tasks[place])]
        yield from (
            Fault(("alignments", index, key), str(error)) for key, error in _alignment_faults(grid, mine, made_networks)
        )
        names = {name for task in tasks.values() for name in (task.name, task.label)}
        yield from (
            Fault(("alignments", index, "tasks"), f"{name!r} is no task of this study: {', '.join(sorted(names))}")
            for name in grid.tasks or ()
            if name not in names
        )
    yield from _faults_of_repetition(declared, tasks, networks, alignments)
    yield from _faults_of_swaps(declared, tasks, alignments)
    yield from _faults_of_calibration(declared.get("calibration"))
    yield from _faults_of_device(declared.get("device", "cpu"))


def _listed(declared: Mapping[Any, Any], key: str, section: type[Section]) -> Listed[Section]:
    entries = declared.get(key)
    found = {}
    for index, entry in enumerate(entries if isinstance(entries, list | tuple) else ()):
        try:
            found[index] = section.model_validate(entry)
        except ValidationError:
            continue  # told already
    return found


def _faults_of_repetition(
    declared: Mapping[Any, Any],
    tasks: Listed[TaskChoice],
    networks: Listed[NetworkChoice],
    alignments: Listed[AlignmentGrid],
) -> Iterator[Fault]:
    """Two of what tables tell apart by its name would share their rows."""
    seeds = declared.get("seeds")
    told_apart: dict[str, list[object]] = {
        "seeds": list(seeds) if isinstance(seeds, list | tuple) else [],
        "tasks": [task.label for task in tasks.values()],
        "networks": [f"{network.label}, d = {d}" for network in networks.values() for d in network.sizes],
        "alignments": [
            f"{grid.algorithm} at {site} by {function.label} for {task.label}"
            for grid in alignments.values()
            for site in grid.sites or ("the default site",)
            for function in grid.functions
            for task in tasks.values()
            if grid.is_for(task)
        ],
    }
    for key, names in told_apart.items():
        if len({str(name) for name in names}) < len(names):
            yield Fault((key,), f"each once, got {names}")


def _faults_of_swaps(
    declared: Mapping[Any, Any], tasks: Listed[TaskChoice], alignments: Listed[AlignmentGrid]
) -> Iterator[Fault]:
    if declared.get("whole_state_swaps") and not alignments:
        for index, choice in tasks.items():
            if is_import_path(choice.name):
                told = "whole-state swaps need an algorithm that says what must follow: name one under alignments"
                yield Fault(("tasks", index), told)


def _faults_of_calibration(declared: object) -> Iterator[Fault]:
    try:
        asked = Calibration.model_validate(declared or {})
    except ValidationError:
        return  # told already
    for key, functions in (("functions", asked.functions), ("curve_functions", asked.curve_functions)):
        for function in functions:
            try:
                function.check()
            except SymscopeError as error:
                yield Fault(("calibration", key), str(error))
    for key, k, d in (("k", asked.k, asked.d), ("curve_k", max(asked.curve_k, default=1), asked.curve_d)):
        if k > d:
            yield Fault(("calibration", key), f"a variable takes 1 to d = {d} dimensions of the state, got k = {k}")


def _faults_of_device(device: object) -> Iterator[Fault]:
    if not isinstance(device, str):
        return  # told already
    try:
        torch.Generator(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        yield Fault(("device",), f"{device!r} cannot be used here: {str(error).splitlines()[0]}")


def _alignment_faults(
    grid: AlignmentGrid, tasks: Sequence[Task], networks: Sequence[Network]
) -> Iterator[tuple[str, Exception]]:
    if len(set(grid.variables)) < len(grid.variables):
        yield "variables", InvalidArgumentError(f"each once, got {list(grid.variables)}")
    for task in tasks:
        try:
            algorithm = build_algorithm(grid.algorithm, task)
        except SymscopeError as error:
            yield "algorithm", error
            continue
        for variable in grid.variables:
            try:
                algorithm.check_variables([variable])
            except SymscopeError as error:
                yield "variables", error
    for function in grid.functions:
        try:
            function.check()
        except SymscopeError as error:
            yield "functions", error
    yield from _site_faults(grid, networks)


def _site_faults(grid: AlignmentGrid, networks: Sequence[Network]) -> Iterator[tuple[str, Exception]]:
    known = {site for network in networks for site in network.sites}
    for site in grid.sites or ():
        if known and site not in known:
            yield "sites", UnknownNameError("site", site, known)
    for network in networks:
        for site in (network.default_site,) if grid.sites is None else grid.sites:
            for declared in grid.k if site in network.sites else ():
                try:
                    subspace_size(declared, network.sites[site])
                except SymscopeError as error:
                    yield "k", error
