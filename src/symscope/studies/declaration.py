"""A study, declared: which networks to train on which tasks, and which variables to look for in them.

A declaration is a short YAML file of these sections; `read_study` in `check.py` reads and checks one.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Generator

from symscope.algorithms import Algorithm, make_algorithm
from symscope.alignment import FUNCTIONS
from symscope.alignment.search import SearchOptions
from symscope.alignment.starts import check_function, function_label
from symscope.errors import InvalidArgumentError, SymscopeError
from symscope.imports import import_object, is_import_path
from symscope.networks import Network, make_network
from symscope.tasks import Task, make_task
from symscope.training import TrainingOptions

Made = TypeVar("Made")


class _Section(BaseModel):
    """A part of a declaration: a key that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _label(name: str, options: Mapping[str, object]) -> str:
    own = name.rpartition(":")[2]
    return "-".join([own, *(f"{option}{value}" for option, value in sorted(options.items()))])


class TaskChoice(_Section):
    """A task, and its options. One of the user's own keeps its own quantities where none are declared."""

    name: str = Field(description="one of ours, or an import path, package.module:Class")
    quantities: tuple[int, int] | None = Field(default=None, description="first and last quantity, both included")
    held_out: tuple[int, ...] | None = None
    options: dict[str, int | float] = Field(default={}, description="what else it takes, such as void_probability")

    @model_validator(mode="before")
    @classmethod
    def _as_in_the_paper(cls, declared: Any) -> Any:
        if isinstance(declared, dict) and not is_import_path(str(declared.get("name", ""))):
            return {"quantities": (1, 20), "held_out": (4, 9, 14, 17), **declared}
        return declared

    @property
    def label(self) -> str:
        """What the task is called in tables: its name, and its options."""
        return _label(self.name, self.options)

    def make(self) -> Task:
        """The task itself; raises what the task raises."""
        options: dict[str, Any] = dict(self.options)
        if self.quantities is not None:
            options["quantities"] = range(self.quantities[0], self.quantities[1] + 1)
        if self.held_out is not None:
            options["held_out"] = self.held_out
        if not is_import_path(self.name):
            return make_task(self.name, **options)
        return _made(self.name, "task", Task, **options)


class NetworkChoice(_Section):
    """An architecture at several sizes, each trained once a seed."""

    kind: str = Field(description="one of ours, or an import path of what builds it, package.module:function")
    sizes: tuple[int, ...] = Field(min_length=1)
    options: dict[str, int] = Field(default={}, description="what else this kind takes, such as layers and heads")

    @property
    def label(self) -> str:
        """What the network is called in tables: its kind, and its options."""
        return _label(self.kind, self.options)

    def make(self, d: int, vocabulary: int, generator: Generator) -> Network:
        """A network of this kind; raises what its making raises."""
        return build_network(self.kind, d, vocabulary, generator, self.options)


class FunctionChoice(_Section):
    """An alignment function, and its options."""

    name: str = Field(description="one of ours, or an import path of what makes it, package.module:function")
    options: dict[str, int | float | str | bool] = Field(default={}, description="what else this function takes")

    @model_validator(mode="before")
    @classmethod
    def _named_alone(cls, declared: Any) -> Any:
        return {"name": declared} if isinstance(declared, str) else declared

    @property
    def label(self) -> str:
        """What the function is called in tables: its name, and its options."""
        return function_label(self.name, self.options)

    def check(self) -> None:
        """Raises what is wrong with it; one of the user's own is known by its import path from then on."""
        if is_import_path(self.name):
            FUNCTIONS[self.name] = import_object(self.name, "alignment function")
        check_function(self.name, self.options)


class Search(_Section):
    """One search: a variable of an algorithm, at a site, in a subspace of k dimensions of one alignment function."""

    algorithm: str
    site: str
    function: FunctionChoice
    variable: str
    k: int

    @property
    def label(self) -> str:
        """What the search is called in the name of its job."""
        return f"{self.algorithm.rpartition(':')[2]}-{self.site}-{self.function.label}-{self.variable}-k{self.k}"


class AlignmentGrid(_Section):
    """The variables of an algorithm to look for, where, with which functions, and the subspace sizes allowed."""

    algorithm: str = Field(description="one of ours, or an import path, package.module:Class")
    variables: tuple[str, ...] = Field(min_length=1)
    k: tuple[int | str, ...] = Field(min_length=1, description="numbers, or parts of the width of the site, `d/2`")
    functions: tuple[FunctionChoice, ...] = Field(default=(FunctionChoice(name="orthogonal"),), min_length=1)
    sites: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="where to look, as far as a network has it; default: the network's own"
    )
    tasks: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="names of the study's tasks that it solves; default: all of them"
    )

    def is_for(self, task: TaskChoice) -> bool:
        """Whether a task is among its tasks."""
        return self.tasks is None or task.name in self.tasks or task.label in self.tasks

    def searches(self, task: TaskChoice, sites: Mapping[str, int], default_site: str) -> list[Search]:
        """What of it concerns one network of one task, whose sites have these widths."""
        if not self.is_for(task):
            return []
        asked = [default_site] if self.sites is None else [site for site in self.sites if site in sites]
        return [
            Search(algorithm=self.algorithm, site=site, function=function, variable=variable, k=k)
            for site in asked
            for function in self.functions
            for variable in self.variables
            for k in dict.fromkeys(subspace_size(declared, sites[site]) for declared in self.k)
        ]


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


class Development(_Section):
    """The alignments searched again in the network as it was along its training."""

    moments: int = Field(default=6, ge=2, description="how many, from the fresh network to the trained one")
    starts: int = Field(default=1, ge=1, description="of each search")
    steps: int = Field(default=1_000, ge=1, description="the most of each search")


class Observations(_Section):
    """What is looked at in a trained network without any search."""

    states: int = Field(default=0, ge=0, description="sequences for each quantity whose states are shown")
    attention: int = Field(
        default=0, ge=0, description="sequences over which the attention of transformers is averaged"
    )
    strength: int = Field(
        default=0, ge=0, description="trials of the strength-value test of one-layer NoPE transformers"
    )


class Theory(_Section):
    """What theory says, shown in networks written by hand: no training."""

    sizes: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=(2, 16), min_length=1, description="of a state in a linear disguise; 2 dimensions are needed"
    )
    layers: tuple[Annotated[int, Field(ge=1, le=4)], ...] = Field(
        default=(1, 2, 3, 4), min_length=1, description="of the transformers whose reach is shown"
    )


class Calibration(_Section):
    """Networks whose answer is known, put through the whole instrument: no training."""

    networks: tuple[Literal["magnitude", "two-counts", "angle"], ...] = Field(
        default=("magnitude", "two-counts", "angle"), description="written by hand; what each holds is known"
    )
    disguises: tuple[Literal["none", "orthogonal", "invertible"], ...] = ("orthogonal", "invertible", "none")
    functions: tuple[FunctionChoice, ...] = tuple(
        FunctionChoice(name=name) for name in ("orthogonal", "oblique", "linear", "reversible")
    )
    d: Annotated[int, Field(ge=3)] = Field(default=8, description="size of the state of the networks written by hand")
    k: Annotated[int, Field(ge=1)] = Field(default=2, description="dimensions given to each variable")
    null_sizes: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=(8, 16, 32), description="of untrained GRUs, which hold nothing; half of it is given to a variable"
    )
    curve_d: Annotated[int, Field(ge=3)] = Field(default=16, description="size of the state of the curve's network")
    curve_k: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2)
    curve_functions: tuple[FunctionChoice, ...] = (FunctionChoice(name="orthogonal"), FunctionChoice(name="oblique"))
    latent_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0.0, 0.3, 1.0, 3.0), description="pulls to natural states, along the curve"
    )

    def questions(self) -> list[dict[str, Any]]:
        """What is asked, one entry a job, as `calibrate_stage` takes it."""
        known = [
            {"part": "known", "network": network, "disguise": disguise, "d": self.d, "k": self.k, "function": function}
            for disguise in self.disguises
            for function in self.functions
            for network in self.networks
        ]
        null = [
            {"part": "null", "network": "gru", "d": d, "k": d // 2, "function": function}
            for d in self.null_sizes
            for function in self.functions
        ]
        searches = [*((weight, "none") for weight in self.latent_weights), (0.0, "spanned")]
        curve = [
            {"part": "curve", "network": "magnitude", "d": self.curve_d, "k": k, "function": function}
            | {"latent_weight": weight, "view": view}
            for k in self.curve_k
            for function in self.curve_functions
            for weight, view in searches
        ]
        asked = [*curve, *known, *null]
        return [{**entry, "function": entry["function"].model_dump(mode="json")} for entry in asked]


class Study(_Section):
    """A declared study. `title` is the question that its report answers."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    tasks: tuple[TaskChoice, ...] = ()
    networks: tuple[NetworkChoice, ...] = ()
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(min_length=1)
    device: str = "cpu"
    training: TrainingOptions = TrainingOptions()
    alignments: tuple[AlignmentGrid, ...] = ()
    whole_state_swaps: int = Field(default=0, ge=0, description="swaps within one phase, at every site")
    development: Development | None = None
    observe: Observations = Observations()
    theory: Theory | None = None
    calibration: Calibration | None = None
    search: SearchOptions = SearchOptions()
    interventions: InterventionCounts = InterventionCounts()
    behaviour: BehaviourCounts = BehaviourCounts()

    @model_validator(mode="after")
    def _asks_for_something(self) -> "Study":
        if self.theory is None and self.calibration is None and not (self.tasks and self.networks):
            raise ValueError(
                "nothing to do: name at least one task and one network, or ask for theory or a calibration"
            )
        if self.development is not None and not (self.training.checkpoint_every and self.alignments):
            raise ValueError(
                "development needs checkpoints and alignments: set checkpoint_every of training, and name alignments"
            )
        return self


def build_network(kind: str, d: int, vocabulary: int, generator: Generator, options: Mapping[str, int]) -> Network:
    """A network of a declared kind: `make_network`, or the user's own function of the same arguments."""
    if not is_import_path(kind):
        return make_network(kind, d, vocabulary, generator, **options)
    return _made(kind, "network", Network, d, vocabulary, generator, **options)


def build_algorithm(name: str, task: Task) -> Algorithm:
    """A declared algorithm for a task: `make_algorithm`, or the user's own class."""
    return _made(name, "algorithm", Algorithm, task) if is_import_path(name) else make_algorithm(name, task)


def _made(path: str, what: str, kind: type[Made], *arguments: Any, **options: Any) -> Made:
    try:
        made = import_object(path, what)(*arguments, **options)
    except SymscopeError:
        raise
    except Exception as error:
        raise InvalidArgumentError(f"{what} {path!r} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, kind):
        raise InvalidArgumentError(f"{what} {path!r} makes a {type(made).__name__}, no symscope {kind.__name__}")
    return made


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
