"""A study, declared: which networks to train on which tasks, and which variables to look for in them.

A declaration is a short YAML file. All of its faults are reported together, before any work starts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from symscope.algorithms import make_algorithm
from symscope.alignment.search import SearchOptions
from symscope.errors import ConfigurationError, InvalidArgumentError, SymscopeError
from symscope.networks import Network, make_network
from symscope.seeds import generator
from symscope.tasks import Task, make_task
from symscope.training import TrainingOptions


class _Section(BaseModel):
    """A part of a declaration: a key that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _label(name: str, options: Mapping[str, object]) -> str:
    return "-".join([name, *(f"{option}{value}" for option, value in sorted(options.items()))])


class TaskChoice(_Section):
    """A task, and its options."""

    name: str
    quantities: tuple[int, int] = Field(default=(1, 20), description="first and last quantity, both included")
    held_out: tuple[int, ...] = (4, 9, 14, 17)
    options: dict[str, int | float] = Field(default={}, description="what else it takes, such as void_probability")

    @property
    def label(self) -> str:
        """What the task is called in tables: its name, and its options."""
        return _label(self.name, self.options)

    def make(self) -> Task:
        """The task itself; raises what the task raises."""
        first, last = self.quantities
        return make_task(self.name, quantities=range(first, last + 1), held_out=self.held_out, **self.options)


class NetworkChoice(_Section):
    """An architecture at several sizes, each trained once a seed."""

    kind: str
    sizes: tuple[int, ...] = Field(min_length=1)
    options: dict[str, int] = Field(default={}, description="what else this kind takes, such as layers and heads")

    @property
    def label(self) -> str:
        """What the network is called in tables: its kind, and its options."""
        return _label(self.kind, self.options)


class AlignmentChoice(_Section):
    """The variables of an algorithm to look for, and the subspace sizes allowed: numbers, or `d/2`."""

    algorithm: str
    site: str | None = Field(default=None, description="where to look; default: the network's own")
    variables: tuple[str, ...] = Field(min_length=1)
    k: tuple[int | str, ...] = Field(min_length=1)


class InterventionCounts(_Section):
    """How many interventions to draw; each set apart from the others."""

    train: int = Field(default=10_000, ge=1)
    validation: int = Field(default=1_000, ge=1)
    test: int = Field(default=1_000, ge=1)
    gradience: int = Field(default=0, ge=0, description="a further set, for IIA by base and source value")


class BehaviourCounts(_Section):
    """How trial accuracy is measured after training."""

    each: int = Field(default=15, ge=1, description="sequences for each quantity")
    extrapolate_to: int = Field(default=0, ge=0, description="also measure quantities beyond the task's, up to this")


class Study(_Section):
    """A declared study. `title` is the question that its report answers."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    tasks: tuple[TaskChoice, ...] = Field(min_length=1)
    networks: tuple[NetworkChoice, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(min_length=1)
    device: str = "cpu"
    training: TrainingOptions = TrainingOptions()
    alignments: tuple[AlignmentChoice, ...] = ()
    whole_state_swaps: int = Field(default=0, ge=0, description="swaps within one phase, at every site")
    search: SearchOptions = SearchOptions()
    interventions: InterventionCounts = InterventionCounts()
    behaviour: BehaviourCounts = BehaviourCounts()


def subspace_size(declared: int | str, d: int) -> int:
    """A declared k as a number: `d`, the width of the state, a part of it such as `d/2`, or the number itself.

    Raises:
        InvalidArgumentError: it is none of these, or does not lie in 1..d.
    """
    match = re.fullmatch(r"d(?:\s*/\s*([1-9]\d*))?|(-?\d+)", str(declared).strip())
    if match is None:
        raise InvalidArgumentError(f"k is a number, 'd', or a part of d such as 'd/2', got {declared!r}")
    size = int(match[2]) if match[2] else d // int(match[1] or 1)
    if not 1 <= size <= d:
        raise InvalidArgumentError(f"a variable takes 1 to d = {d} dimensions of the state, got k = {declared}")
    return size


def read_study(text: str, where: str) -> Study:
    """A study from YAML text, checked.

    Args:
        text: the declaration.
        where: what to call it in errors.

    Raises:
        ConfigurationError: with all faults together.
    """
    try:
        declared = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(where, [f"no valid YAML: {error}"]) from error
    return check_study(declared, where)


def check_study(declared: object, where: str) -> Study:
    """A study from plain values, checked: their types, and whether all that is named exists and fits together.

    Raises:
        ConfigurationError: with all faults together.
    """
    if declared is None:
        raise ConfigurationError(
            where, ["the declaration is empty; `symscope study show quick` prints one to start from"]
        )
    try:
        study = Study.model_validate(declared)
    except ValidationError as error:
        raise ConfigurationError(where, [_fault(entry) for entry in _own_faults(error)]) from error
    faults = list(_faults(study))
    if faults:
        raise ConfigurationError(where, faults)
    return study


def _own_faults(error: ValidationError) -> list[Mapping[str, Any]]:
    """The faults, without those of a list that only seems too short because its entries are wrong."""
    entries = error.errors()
    inner = {entry["loc"][:depth] for entry in entries for depth in range(len(entry["loc"]))}
    return [entry for entry in entries if entry["type"] != "too_short" or entry["loc"] not in inner]


def _fault(entry: Mapping[str, Any]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in entry["loc"]).lstrip(".")
    given = "" if isinstance(entry["input"], dict | list) else f" (got {entry['input']!r})"
    return f"{place or 'the whole'}: {entry['msg']}{given}"


def _faults(study: Study) -> Iterator[str]:
    """What types cannot tell: unknown names, and values that do not fit each other."""
    tasks: list[Task] = []
    for index, choice in enumerate(study.tasks):
        try:
            tasks.append(choice.make())
        except SymscopeError as error:
            yield f"tasks[{index}]: {error}"
    networks: list[Network] = []
    for index, network in enumerate(study.networks):
        for d in network.sizes:
            try:
                networks.append(make_network(network.kind, d, 4, generator(0), **network.options))
            except SymscopeError as error:
                yield f"networks[{index}], d = {d}: {error}"
    for index, choice in enumerate(study.alignments):
        for place, error in _alignment_faults(choice, tasks, networks):
            yield f"alignments[{index}].{place}: {error}"
    for name, declared in _told_apart(study).items():
        if len(set(declared)) < len(declared):
            yield f"{name}: each once, got {declared}"
    try:
        torch.Generator(study.device)
        torch.empty(0, device=study.device)
    except (RuntimeError, AssertionError) as error:
        yield f"device: {study.device!r} cannot be used here: {str(error).splitlines()[0]}"


def _told_apart(study: Study) -> dict[str, list[object]]:
    """What tables tell apart, by section: two of the same would share their rows."""
    return {
        "seeds": list(study.seeds),
        "tasks": [task.label for task in study.tasks],
        "networks": [f"{network.label}, d = {d}" for network in study.networks for d in network.sizes],
        "alignments": [f"{choice.algorithm} at {choice.site or 'default'}" for choice in study.alignments],
    }


def _alignment_faults(
    choice: AlignmentChoice, tasks: Sequence[Task], networks: Sequence[Network]
) -> Iterator[tuple[str, Exception]]:
    if len(set(choice.variables)) < len(choice.variables):
        yield "variables", InvalidArgumentError(f"each once, got {list(choice.variables)}")
    for task in tasks:
        try:
            algorithm = make_algorithm(choice.algorithm, task)
        except SymscopeError as error:
            yield "algorithm", error
            continue
        for variable in choice.variables:
            try:
                algorithm.check_variables([variable])
            except SymscopeError as error:
                yield "variables", error
    for network in networks:
        site = choice.site or network.default_site
        try:
            network.check_site(site)
        except SymscopeError as error:
            yield "site", error
            continue
        for declared in choice.k:
            try:
                subspace_size(declared, network.sites[site])
            except SymscopeError as error:
                yield "k", error
