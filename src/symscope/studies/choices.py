"""Tasks, networks, algorithms and alignment functions that a declaration names, and how each of them is made.

A name without a colon is a member of symscope; an import path, `package.module:Name`, is a class or function of the
user.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Generator

from symscope.algorithms import Algorithm, make_algorithm
from symscope.alignment import CONTROLS, FUNCTIONS, AlignmentFunction, Control, alignment_function
from symscope.errors import InvalidArgumentError, SymscopeError, UnknownNameError
from symscope.imports import import_object, is_import_path
from symscope.networks import NETWORKS, Network, make_network, tensors_digest
from symscope.seeds import generator
from symscope.studies.options import OptionValue, Pair, Quantity, Section, Size, Values
from symscope.tasks import Task, make_task
from symscope.training import load_network

Made = TypeVar("Made")


def _label(name: str, options: Mapping[str, object]) -> str:
    last = name.rpartition(":")[2]
    return "-".join([last, *(f"{option}{value}" for option, value in sorted(options.items()))])


class TaskChoice(Section):
    """A task and its options. A task of the user has the quantities of its class where none are declared."""

    name: str = Field(description="a task of symscope, or the import path of a class, package.module:Class")
    quantities: Pair[Quantity] | None = Field(default=None, description="first and last quantity, both included")
    held_out: Values[Quantity] | None = None
    options: dict[str, OptionValue] = Field(default={}, description="further arguments, such as void_probability")

    @model_validator(mode="before")
    @classmethod
    def _with_quantities_of_the_paper(cls, declared: Any) -> Any:
        declared = {"name": declared} if isinstance(declared, str) else declared
        if isinstance(declared, dict) and not is_import_path(str(declared.get("name", ""))):
            return {"quantities": (1, 20), "held_out": (4, 9, 14, 17), **declared}
        return declared

    @property
    def label(self) -> str:
        """The name of the task in tables: its name and its options."""
        return _label(self.name, self.options)

    def make(self) -> Task:
        """The task; raises what its class raises."""
        options: dict[str, Any] = dict(self.options)
        if self.quantities is not None:
            options["quantities"] = range(self.quantities[0], self.quantities[1] + 1)
        if self.held_out is not None:
            options["held_out"] = self.held_out
        if not is_import_path(self.name):
            return make_task(self.name, **options)
        return _make(self.name, "task", Task, **options)


class NetworkChoice(Section):
    """An architecture at several sizes, trained once for each seed; or a trained network of the user."""

    kind: str = Field(description="an architecture of symscope, or the import path of a function that builds a network")
    sizes: Values[Size] = Field(min_length=1)
    options: dict[str, int] = Field(default={}, description="further arguments, such as layers and heads")
    name: str | None = Field(default=None, min_length=1, description="name in tables; default: kind and options")
    weights: str | None = Field(
        default=None, min_length=1, description="safetensors file of `save_network`; the network is not trained"
    )
    trained: bool = Field(default=False, description="the function at `kind` returns a trained network")
    fresh: str | None = Field(
        default=None, description="with `trained`: import path of a function that builds an untrained network"
    )

    @model_validator(mode="after")
    def _names_one_source_of_weights(self) -> "NetworkChoice":
        if self.trained and self.weights is not None:
            raise ValueError("'weights' and 'trained' exclude each other: the function at 'kind' has loaded weights")
        if self.trained and not is_import_path(self.kind):
            raise ValueError(
                f"'trained' needs the import path of a function that returns a trained network, got {self.kind!r}; "
                "for a file of weights write 'weights: path'"
            )
        if self.fresh is not None and not (self.trained and is_import_path(self.fresh)):
            raise ValueError("'fresh' is an import path, for networks with 'trained: true'")
        return self

    @property
    def label(self) -> str:
        """The name of the network in tables."""
        return self.name or _label(self.kind, self.options)

    @property
    def needs_training(self) -> bool:
        """Whether the study trains the network."""
        return self.weights is None and not self.trained

    def shape(self, d: int, vocabulary: int) -> "NetworkShape":
        """The sites and the number of parameters at one size; see `network_shape`."""
        return network_shape(self.kind, d, vocabulary, self.options)

    def weights_digest(self, d: int, vocabulary: int) -> str:
        """Hash of the weights of a trained network.

        Raises:
            InvalidArgumentError: there is no such file.
            CheckpointError: the weights are damaged or of another architecture.
        """
        if self.weights is None:
            network = build_network(self.kind, d, vocabulary, generator(0), self.options)
            return tensors_digest(network)
        path = Path(self.weights)
        if not path.is_file():
            raise InvalidArgumentError(f"there is no file {self.weights} (relative to {Path.cwd()})")
        load_network(path, _unallocated(self.kind, d, vocabulary, self.options))
        return file_digest(path)


class FunctionChoice(Section):
    """An alignment function and its options."""

    name: str = Field(description="an alignment function of symscope, or the import path of a function that makes it")
    options: dict[str, OptionValue] = Field(default={}, description="further arguments, such as coordinates and bias")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, declared: Any) -> Any:
        return {"name": declared} if isinstance(declared, str) else declared

    @property
    def label(self) -> str:
        """The name of the function in tables: its name and its options."""
        return self.make().label

    def kind(self) -> Callable[..., Any]:
        """The class of the function, or the user's class or function that makes it.

        Raises:
            UnknownNameError: there is no such alignment function.
            InvalidArgumentError: it cannot be imported.
        """
        if is_import_path(self.name):
            return import_object(self.name, "alignment function")
        if self.name not in FUNCTIONS:
            raise UnknownNameError("alignment function", self.name, FUNCTIONS)
        return FUNCTIONS[self.name]

    def make(self) -> AlignmentFunction:
        """The alignment function; raises what `kind` raises, and what its class raises."""
        if is_import_path(self.name):
            return _make(self.name, "alignment function", AlignmentFunction, **self.options)
        return alignment_function(self.name, **self.options)


def make_control(name: str) -> Control:
    """A control of that name, or of the user's class at an import path; untrained networks are made elsewhere."""
    return _make(name, "control", Control) if is_import_path(name) else CONTROLS[name]()


@dataclass(frozen=True)
class NetworkShape:
    """What a plan needs to know of a network: its sites with their widths, and its number of parameters."""

    sites: Mapping[str, int]
    default_site: str
    parameters: int
    vocabulary: int


def network_shape(kind: str, d: int, vocabulary: int, options: Mapping[str, int]) -> NetworkShape:
    """The shape of a network. A network of symscope allocates no memory for it; one of the user is built."""
    network = _unallocated(kind, d, vocabulary, options)
    parameters = sum(tensor.numel() for tensor in network.parameters())
    return NetworkShape(dict(network.sites), network.default_site, parameters, network.vocabulary)


def build_network(kind: str, d: int, vocabulary: int, draws: Generator, options: Mapping[str, int]) -> Network:
    """A network of a declared kind: `make_network`, or the user's function with the same arguments."""
    if not is_import_path(kind):
        return make_network(kind, d, vocabulary, draws, **options)
    return _make(kind, "network", Network, d, vocabulary, draws, **options)


def build_algorithm(name: str, task: Task) -> Algorithm:
    """A declared algorithm for a task: `make_algorithm`, or the user's class."""
    return _make(name, "algorithm", Algorithm, task) if is_import_path(name) else make_algorithm(name, task)


def file_digest(path: Path) -> str:
    """Hash of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]


def _unallocated(kind: str, d: int, vocabulary: int, options: Mapping[str, int]) -> Network:
    """A network whose tensors have no memory; a network of the user is built as it is."""
    if kind not in NETWORKS:
        return build_network(kind, d, vocabulary, generator(0), options)
    with torch.device("meta"):
        return build_network(kind, d, vocabulary, generator(0), options)


def _make(path: str, what: str, kind: type[Made], *arguments: Any, **options: Any) -> Made:
    try:
        made = import_object(path, what)(*arguments, **options)
    except SymscopeError:
        raise
    except Exception as error:
        raise InvalidArgumentError(f"{what} {path!r} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, kind):
        raise InvalidArgumentError(f"{what} {path!r} makes a {type(made).__name__}, not a symscope {kind.__name__}")
    return made
