"""Faults of a declaration that types cannot express: unknown names, and values that do not fit each other.

Each check reads the entries that are valid by themselves, so one fault does not hide another. No check allocates
memory for a network of symscope, and none changes any global state.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from symscope.algorithms import Algorithm
from symscope.alignment import CONTROLS
from symscope.alignment.functions import LinearFunction
from symscope.errors import InvalidArgumentError, SymscopeError, UnknownNameError
from symscope.imports import import_object, is_import_path
from symscope.studies.choices import (
    FunctionChoice,
    NetworkChoice,
    NetworkShape,
    TaskChoice,
    build_algorithm,
    make_control,
)
from symscope.studies.comparisons import ComparisonGrid, Member
from symscope.studies.declaration import POWER_DIMENSIONS, AlignmentGrid, Calibration, subspace_size
from symscope.studies.network_faults import network_faults
from symscope.studies.options import ProtocolSection
from symscope.studies.source import Fault, Location
from symscope.tasks import TASKS, Task

Section = TypeVar("Section", bound=BaseModel)


@dataclass(frozen=True)
class _Declared:
    """The entries of a declaration that are valid by themselves, by index."""

    values: Mapping[Any, Any]
    tasks: Mapping[int, TaskChoice]
    networks: Mapping[int, NetworkChoice]
    alignments: Mapping[int, AlignmentGrid]
    comparisons: Mapping[int, ComparisonGrid]


def consistency_faults(values: Mapping[Any, Any]) -> Iterator[Fault]:
    """All faults of a declaration that types cannot express."""
    declared = _Declared(
        values,
        _entries(values, "tasks", TaskChoice),
        _entries(values, "networks", NetworkChoice),
        _entries(values, "alignments", AlignmentGrid),
        _entries(values, "comparisons", ComparisonGrid),
    )
    tasks: dict[int, Task] = {}
    for index, choice in declared.tasks.items():
        try:
            what, builder = f"task {choice.name!r}", _task_builder(choice)
            faults = list(_option_faults(("tasks", index), what, builder, choice.options))
            yield from faults
            if not faults:
                tasks[index] = choice.make()
        except SymscopeError as error:
            yield Fault(("tasks", index), str(error))
    shapes: list[NetworkShape] = []
    for index, choice in declared.networks.items():
        yield from network_faults(("networks", index), choice, list(tasks.values()), shapes)
    for index, grid in declared.alignments.items():
        solved = [task for number, task in tasks.items() if grid.includes(declared.tasks[number])]
        yield from _alignment_faults(("alignments", index), grid, solved, shapes)
        yield from _task_name_faults(("alignments", index), grid, declared.tasks)
        if grid.protocol is not None:
            yield from _protocol_faults(("alignments", index, "protocol"), grid.protocol, solved)
    yield from _comparison_faults(declared, tasks)
    yield from _protocol_faults(("interventions", "protocol"), _protocol(values), tasks.values())
    yield from _algorithm_name_faults(declared, tasks)
    yield from _repetition_faults(declared)
    yield from _swap_faults(declared)
    yield from _calibration_faults(values.get("calibration"))
    yield from _device_faults(values.get("device", "cpu"))


def _entries(values: Mapping[Any, Any], key: str, section: type[Section]) -> dict[int, Section]:
    entries = values.get(key)
    valid = {}
    for index, entry in enumerate(entries if isinstance(entries, list | tuple) else ()):
        try:
            valid[index] = section.model_validate(entry)
        except ValidationError:
            continue  # reported already
    return valid


def _protocol(values: Mapping[Any, Any]) -> ProtocolSection:
    interventions = values.get("interventions")
    declared = interventions.get("protocol") if isinstance(interventions, Mapping) else None
    try:
        return ProtocolSection.model_validate(declared or {})
    except ValidationError:
        return ProtocolSection()  # reported already


def _task_builder(choice: TaskChoice) -> Callable[..., Any]:
    if is_import_path(choice.name):
        return import_object(choice.name, "task")
    if choice.name not in TASKS:
        raise UnknownNameError("task", choice.name, TASKS)
    return TASKS[choice.name]


def _option_faults(
    location: Location, what: str, builder: Callable[..., Any], options: Mapping[str, Any]
) -> Iterator[Fault]:
    """Options that a function does not have, or whose values have another type than its annotation says."""
    parameters = inspect.signature(builder).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [p.name for p in parameters.values() if p.kind is not p.POSITIONAL_ONLY]
    for name, value in options.items():
        if name not in parameters:
            yield Fault((*location, "options", name), str(UnknownNameError(f"option of {what}", name, known)))
            continue
        message = _type_fault(parameters[name].annotation, value)
        if message:
            yield Fault((*location, "options", name), f"option {name!r} of {what}: {message} (got {value!r})")


def _type_fault(annotation: Any, value: object) -> str:
    """What is wrong with the type of a value; an empty text where it is right, or nothing is known of the type."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return ""
    adapter = TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return _lower(error.errors()[0]["msg"])
    return ""


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _alignment_faults(
    location: Location, grid: AlignmentGrid, tasks: Sequence[Task], shapes: Sequence[NetworkShape]
) -> Iterator[Fault]:
    yield from _variable_faults(location, grid, tasks)
    for number, function in enumerate(grid.functions):
        yield from _function_faults((*location, "functions", number), function)
    yield from _control_faults((*location, "controls"), grid.controls)
    yield from _site_faults(location, grid, shapes)


def _variable_faults(
    location: Location, grid: AlignmentGrid | ComparisonGrid, tasks: Sequence[Task]
) -> Iterator[Fault]:
    """An algorithm that a task does not have, and variables that the algorithm does not have or that are repeated."""
    if len(set(grid.variables)) < len(grid.variables):
        yield Fault((*location, "variables"), f"each variable once, got {list(grid.variables)}")
    for task in tasks:
        try:
            algorithm = build_algorithm(grid.algorithm, task)
        except SymscopeError as error:
            yield Fault((*location, "algorithm"), str(error))
            continue
        for declared in grid.variables:
            try:
                algorithm.check_variables(declared.split("+") if isinstance(grid, ComparisonGrid) else [declared])
            except SymscopeError as error:
                yield Fault((*location, "variables"), str(error))


def _task_name_faults(
    location: Location, grid: AlignmentGrid | ComparisonGrid, tasks: Mapping[int, TaskChoice]
) -> Iterator[Fault]:
    """Unknown names. The study may lack a built-in task that an alignment names: it then runs on some of its tasks."""
    names = {name for task in tasks.values() for name in (task.name, task.label)}
    for name in grid.tasks or ():
        if name not in names and name not in TASKS:
            known = ", ".join(sorted({*names, *TASKS}))
            yield Fault((*location, "tasks"), f"{name!r} is neither a built-in task nor one of this study: {known}")


def _comparison_faults(declared: _Declared, tasks: Mapping[int, Task]) -> Iterator[Fault]:
    """Comparisons of networks that do not exist, in more dimensions than they have, or with unsuitable functions."""
    seeds = declared.values.get("seeds")
    members = [
        Member(network.label, d, seed)
        for network in declared.networks.values()
        for d in network.sizes
        for seed in (seeds if isinstance(seeds, list | tuple) else ())
    ]
    for index, grid in declared.comparisons.items():
        location = ("comparisons", index)
        solved = [task for number, task in tasks.items() if grid.includes(declared.tasks[number])]
        yield from _variable_faults(location, grid, solved)
        yield from _task_name_faults(location, grid, declared.tasks)
        for number, function in enumerate(grid.functions):
            at = (*location, "functions", number)
            faults = list(_function_faults(at, function))
            yield from faults
            if not faults and not isinstance(function.make(), LinearFunction):
                yield Fault(at, f"networks are compared with linear alignment functions, got {function.label!r}")
        yield from (Fault((*location, *within), text) for within, text in grid.pair_faults(members))


def _function_faults(location: Location, function: FunctionChoice) -> Iterator[Fault]:
    try:
        faults = list(
            _option_faults(location, f"alignment function {function.name!r}", function.kind(), function.options)
        )
        yield from faults
        if not faults:
            function.make()
    except SymscopeError as error:
        yield Fault(location, str(error))


def _control_faults(location: Location, names: Sequence[str]) -> Iterator[Fault]:
    for name in names:
        try:
            if is_import_path(name):
                make_control(name)
            elif name not in CONTROLS:
                yield Fault(location, str(UnknownNameError("control", name, CONTROLS)))
        except SymscopeError as error:
            yield Fault(location, str(error))
    if len(set(names)) < len(names):
        yield Fault(location, f"each control once, got {list(names)}")


def _protocol_faults(location: Location, protocol: ProtocolSection, tasks: Iterable[Task]) -> Iterator[Fault]:
    for task in tasks:
        if protocol.position is not None and protocol.position not in task.named_positions:
            message = str(
                UnknownNameError(f"named position of task {task.name!r}", protocol.position, task.named_positions)
            )
            yield Fault((*location, "position"), message)
        try:
            task.vocabulary.encode(protocol.excluded_tokens)
        except SymscopeError as error:
            yield Fault((*location, "excluded_tokens"), str(error))


def _site_faults(location: Location, grid: AlignmentGrid, shapes: Sequence[NetworkShape]) -> Iterator[Fault]:
    known = {site for shape in shapes for site in shape.sites}
    for site in grid.sites or ():
        if known and site not in known:
            yield Fault((*location, "sites"), str(UnknownNameError("site", site, known)))
    for shape in shapes:
        for site in (shape.default_site,) if grid.sites is None else grid.sites:
            for declared in grid.k if site in shape.sites else ():
                try:
                    subspace_size(declared, shape.sites[site])
                except InvalidArgumentError as error:
                    yield Fault((*location, "k"), str(error))


def _algorithm_name_faults(declared: _Declared, tasks: Mapping[int, Task]) -> Iterator[Fault]:
    """Two algorithms with one name would share their rows in tables."""
    for number, task in tasks.items():
        names: dict[str, str] = {}
        for index, grid in declared.alignments.items():
            algorithm = _algorithm(grid, task) if grid.includes(declared.tasks[number]) else None
            if algorithm is None:
                continue
            for name in {algorithm.name, grid.algorithm.rpartition(":")[2]}:
                first = names.setdefault(name, grid.algorithm)
                if first != grid.algorithm:
                    message = (
                        f"{first!r} and {grid.algorithm!r} have the same name, {name!r}, so their rows in tables would "
                        "have the same key: change one of the names"
                    )
                    yield Fault(("alignments", index, "algorithm"), message)


def _algorithm(grid: AlignmentGrid, task: Task) -> Algorithm | None:
    try:
        return build_algorithm(grid.algorithm, task)
    except SymscopeError:
        return None  # reported already


def _repetition_faults(declared: _Declared) -> Iterator[Fault]:
    """Entries with one name would share their rows in tables."""
    seeds, usual = declared.values.get("seeds"), _protocol(declared.values)
    names: dict[str, list[object]] = {
        "seeds": list(seeds) if isinstance(seeds, list | tuple) else [],
        "tasks": [task.label for task in declared.tasks.values()],
        "networks": [f"{network.label}, d = {d}" for network in declared.networks.values() for d in network.sizes],
        "alignments": [
            f"{grid.algorithm} at {site} by {_function_label(function)} for {task.label}{_protocol_text(grid, usual)}"
            for grid in declared.alignments.values()
            for site in grid.sites or ("the default site",)
            for function in grid.functions
            for task in declared.tasks.values()
            if grid.includes(task)
        ],
        "comparisons": [
            f"{grid.algorithm} for {task.label}"
            for grid in declared.comparisons.values()
            for task in declared.tasks.values()
            if grid.includes(task)
        ],
    }
    for key, entries in names.items():
        if len({str(entry) for entry in entries}) < len(entries):
            yield Fault((key,), f"each once, got {entries}")


def _protocol_text(grid: AlignmentGrid, usual: ProtocolSection) -> str:
    """The protocol of an alignment, in words, if it is not that of the study."""
    if grid.protocol is None or grid.protocol == usual:
        return ""
    return f", protocol {grid.protocol.protocol().name}"


def _function_label(function: FunctionChoice) -> str:
    """The name of a function in tables; of a function with faults, which are reported already, its declaration."""
    return function.model_dump_json() if any(_function_faults((), function)) else function.label


def _swap_faults(declared: _Declared) -> Iterator[Fault]:
    if declared.values.get("whole_state_swaps") and not declared.alignments:
        for index, choice in declared.tasks.items():
            if is_import_path(choice.name):
                message = "whole-state swaps need an algorithm that predicts the continuation: name one in alignments"
                yield Fault(("tasks", index), message)


def _calibration_faults(declared: object) -> Iterator[Fault]:
    try:
        calibration = Calibration.model_validate(declared or {})
    except ValidationError:
        return  # reported already
    for key, functions in (("functions", calibration.functions), ("curve_functions", calibration.curve_functions)):
        for number, function in enumerate(functions):
            yield from _function_faults(("calibration", key, number), function)
    sizes = (("k", calibration.k, calibration.d), ("curve_k", calibration.curve_k, calibration.curve_d))
    for key, searched, d in sizes:
        if (k := max(searched, default=1)) > d:
            yield Fault(("calibration", key), f"a variable takes 1 to d = {d} dimensions of the state, got k = {k}")
    wide = [name for name in calibration.networks if name in ("power", "averaging")]
    if wide and calibration.d <= POWER_DIMENSIONS:
        message = f"the networks {', '.join(wide)} need d of at least {POWER_DIMENSIONS + 1}, got {calibration.d}"
        yield Fault(("calibration", "d"), message)


def _device_faults(device: object) -> Iterator[Fault]:
    if not isinstance(device, str):
        return  # reported already
    try:
        torch.Generator(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        yield Fault(("device",), f"{device!r} cannot be used here: {str(error).splitlines()[0]}")
