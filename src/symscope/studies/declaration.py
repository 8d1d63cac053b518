"""The declaration of a study: which networks to train on which tasks, and which variables to search for in them.

A declaration is a short YAML file with these sections; `read_study` in `check.py` reads and checks it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from symscope.errors import InvalidArgumentError
from symscope.studies.choices import FunctionChoice, NetworkChoice, TaskChoice
from symscope.studies.comparisons import ComparisonGrid
from symscope.studies.options import (
    Development,
    DrawnOrZero,
    Frontier,
    InterventionCounts,
    MaskSection,
    Observations,
    ProtocolSection,
    SearchSection,
    Section,
    Seed,
    Size,
    TrainingSection,
    TrialAccuracyCounts,
    Values,
    Weight,
)

StateSize = Annotated[int, Field(ge=3, le=4096)]
ConstructedNetwork = Literal["magnitude", "two-counts", "angle", "power", "averaging"]
POWER_DIMENSIONS = 4
"""Dimensions of the count of the power network of a calibration."""
Coordinates = Literal["state", "natural-span"]
DEFAULT_CONTROLS = (
    "shuffled_labels",
    "untrained",
    "random_subspace",
    "principal_components",
    "neurons",
    "whole_state",
)
"""All controls of symscope. Of null controls with equal scores, the first is reported as the nearest control."""
ChangeOfBasis = Literal["none", "orthogonal", "invertible"]


class Search(Section):
    """One search: variables of an algorithm at one site, with one alignment function and several subspace sizes."""

    algorithm: str
    site: str
    function: FunctionChoice
    variables: Values[str]
    k: Values[int]
    joint: bool = False
    mask: MaskSection | None = None
    controls: Values[str] = ()
    options: SearchSection | None = None
    protocol: ProtocolSection | None = Field(default=None, exclude=True)
    """Only for the plan, and no argument of a job: the interventions of a job have the protocol."""

    @property
    def algorithm_label(self) -> str:
        """The algorithm in the name of a job, with the protocol if that is not the study's."""
        protocol = "" if self.protocol is None else f"-{job_text(self.protocol.protocol().name)}"
        return f"{self.algorithm.rpartition(':')[2]}{protocol}"

    @property
    def label(self) -> str:
        """The last part of the name of its job."""
        return f"{self.algorithm_label}-{self.site}-{self.function.label}"


class AlignmentGrid(Section):
    """The variables of an algorithm to search for, with the sites, alignment functions and subspace sizes."""

    algorithm: str = Field(description="an algorithm of symscope, or the import path of a class, package.module:Class")
    variables: Values[str] = Field(min_length=1)
    k: Values[int | str] = Field(min_length=1, description="numbers, or parts of the width of the site, `d/2`")
    functions: Values[FunctionChoice] = Field(
        default=(FunctionChoice(name="oblique", options={"coordinates": "natural-span"}),), min_length=1
    )
    sites: Values[str] | None = Field(
        default=None, min_length=1, description="sites to search, where a network has them; default: the default site"
    )
    tasks: Values[str] | None = Field(
        default=None,
        min_length=1,
        description="tasks that the algorithm solves, of which a run may leave some out; default: all of the study",
    )

    joint: bool = Field(default=False, description="search all variables in one map; default: each in its own map")
    mask: MaskSection | None = Field(default=None, description="learn the size of each subspace, of at most k")
    controls: Values[str] = Field(
        default=DEFAULT_CONTROLS,
        description="controls and baselines of symscope, or import paths of classes, package.module:Class",
    )
    search: SearchSection | None = Field(default=None, description="how to search here; default: as in the study")
    protocol: ProtocolSection | None = Field(
        default=None,
        description="how interventions are drawn here: `paper`, `paper-code`, or a section; default: as in the study",
    )

    @model_validator(mode="after")
    def _has_one_variable_for_a_learned_mask(self) -> "AlignmentGrid":
        if self.joint and self.mask is not None and len(self.variables) > 1:
            raise ValueError("a learned mask is for one variable: leave out 'joint' or 'mask'")
        return self

    def includes(self, task: TaskChoice) -> bool:
        """Whether its searches are made in networks of a task."""
        return self.tasks is None or task.name in self.tasks or task.label in self.tasks

    def searches(self, task: TaskChoice, sites: Mapping[str, int], default_site: str) -> list[Search]:
        """Its searches in one network of a task, whose sites have these widths."""
        if not self.includes(task):
            return []
        searched = [default_site] if self.sites is None else [site for site in self.sites if site in sites]
        return [
            Search(
                algorithm=self.algorithm,
                site=site,
                function=function,
                variables=self.variables,
                k=tuple(dict.fromkeys(subspace_size(declared, sites[site]) for declared in self.k)),
                joint=self.joint,
                mask=self.mask,
                controls=self.controls,
                options=self.search,
                protocol=self.protocol,
            )
            for site in searched
            for function in self.functions
        ]


class Theory(Section):
    """What theory predicts, measured in constructed networks and fresh transformers: no training."""

    sizes: Values[Annotated[int, Field(ge=2, le=4096)]] = Field(
        default=(2, 16), min_length=1, description="state sizes after a change of basis; 2 dimensions are needed"
    )
    layers: Values[Annotated[int, Field(ge=1, le=4)]] = Field(
        default=(1, 2, 3, 4), min_length=1, description="depths of the transformers whose reach is measured"
    )


class CalibrationQuestion(Section):
    """One measurement of a calibration: a network whose variables are known, and how it is searched."""

    part: Literal["known", "null", "curve"]
    network: str
    change_of_basis: ChangeOfBasis = "none"
    d: int
    k: Values[Size]
    function: FunctionChoice
    latent_weight: float = 0.0
    coordinates: Coordinates = "state"

    @property
    def label(self) -> str:
        """The last part of the name of its job."""
        hidden = [] if self.part == "null" else [self.change_of_basis]
        curve = [str(self.latent_weight), self.coordinates] if self.part == "curve" else []
        return "-".join([self.network, *hidden, *curve, f"d{self.d}", f"k{max(self.k)}", self.function.label])


class Calibration(Section):
    """Searches in networks whose variables are known: no training."""

    networks: Values[ConstructedNetwork] = Field(
        default=("magnitude", "two-counts", "angle", "power", "averaging"),
        description="constructed networks, whose variables are known; the count of `power` takes 4 dimensions, so that "
        "k = 4 is searched too; `averaging` is a transformer of twice the width, without a change of basis",
    )
    changes_of_basis: Values[ChangeOfBasis] = Field(
        default=("orthogonal", "invertible", "none"), description="matrices that the states are multiplied by"
    )
    functions: Values[FunctionChoice] = tuple(
        FunctionChoice(name=name) for name in ("orthogonal", "oblique", "linear", "reversible")
    )
    d: StateSize = Field(default=8, description="state size of the constructed networks")
    k: Values[Size] = Field(
        default=(1, 2), min_length=1, description="dimensions of each variable; each is searched, one is chosen"
    )
    null_sizes: Values[Annotated[int, Field(ge=2, le=4096)]] = Field(
        default=(8, 16, 32), description="state sizes of untrained GRUs; each variable has half of the dimensions"
    )
    curve_d: StateSize = Field(default=16, description="state size of the network of the curve")
    curve_k: Values[Size] = (1, 2)
    curve_functions: Values[FunctionChoice] = (FunctionChoice(name="orthogonal"), FunctionChoice(name="oblique"))
    latent_weights: Values[Weight] = Field(
        default=(0.0, 0.3, 1.0, 3.0), description="weights of the counterfactual-latent loss along the curve"
    )

    def questions(self) -> Iterator[CalibrationQuestion]:
        """All measurements, each of which is a job."""
        settings: list[tuple[float, Coordinates]] = [(weight, "state") for weight in self.latent_weights]
        settings.append((0.0, "natural-span"))
        for k in self.curve_k:
            for function in self.curve_functions:
                for weight, coordinates in settings:
                    yield CalibrationQuestion(
                        part="curve", network="magnitude", change_of_basis="invertible", d=self.curve_d, k=(k,),
                        function=function, latent_weight=weight, coordinates=coordinates,
                    )  # fmt: skip
        for change_of_basis in self.changes_of_basis:
            for function in self.functions:
                for network in self.networks:
                    if network == "averaging" and change_of_basis != "none":
                        continue
                    yield CalibrationQuestion(
                        part="known",
                        network=network,
                        change_of_basis=change_of_basis,
                        d=2 * self.d if network == "averaging" else self.d,
                        k=(*self.k, POWER_DIMENSIONS) if network == "power" else self.k,
                        function=function,
                    )
        for d in self.null_sizes:
            for function in self.functions:
                yield CalibrationQuestion(part="null", network="gru", d=d, k=(d // 2,), function=function)


class Study(Section):
    """A declared study. `title` is the question that its report answers."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    tasks: Values[TaskChoice] = ()
    networks: Values[NetworkChoice] = ()
    seeds: Values[Seed] = Field(min_length=1)
    device: str = "cpu"
    training: TrainingSection = TrainingSection()
    alignments: Values[AlignmentGrid] = ()
    comparisons: Values[ComparisonGrid] = ()
    whole_state_swaps: DrawnOrZero = Field(default=0, description="swaps within one phase, at every site")
    development: Development | None = None
    frontier: Frontier | None = None
    observe: Observations = Observations()
    theory: Theory | None = None
    calibration: Calibration | None = None
    search: SearchSection = SearchSection()
    interventions: InterventionCounts = InterventionCounts()
    trial_accuracy: TrialAccuracyCounts = TrialAccuracyCounts()

    @model_validator(mode="after")
    def _has_jobs(self) -> "Study":
        if self.theory is None and self.calibration is None and not (self.tasks and self.networks):
            raise ValueError(
                "nothing to do: name at least one task and one network, or add a section theory or calibration"
            )
        if self.frontier is not None and not self.alignments:
            raise ValueError("a frontier repeats the searches of the study: name alignments")
        trains = any(network.needs_training for network in self.networks)
        if self.development is not None and not (self.training.checkpoint_every and self.alignments and trains):
            raise ValueError(
                "development needs checkpoints and alignments: set checkpoint_every of training, name alignments, "
                "and let the study train a network"
            )
        return self


def job_text(words: str) -> str:
    """Words in the form of names of jobs: with `-` for blanks and commas."""
    return re.sub(r"[ ,]+", "-", words)


def subspace_size(declared: int | str, d: int) -> int:
    """A declared k as a number: `d`, the width of the state, a part of it such as `d/2`, or the number itself.

    Raises:
        InvalidArgumentError: it is neither, or is not in 1..d.
    """
    match = re.fullmatch(r"d(?:\s*/\s*([1-9]\d{0,8}))?|(-?\d{1,18})", str(declared).strip())
    if match is None:
        raise InvalidArgumentError(f"k is a number, 'd', or a part of d such as 'd/2', got {declared!r}")
    size = int(match[2]) if match[2] else d // int(match[1] or 1)
    if not 1 <= size <= d:
        raise InvalidArgumentError(f"a variable takes 1 to d = {d} dimensions of the state, got k = {declared}")
    return size
