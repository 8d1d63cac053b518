"""Sections of a declaration with numbers: how to train, how to search, how much to measure.

Every field has a strict type and bounds, so that a value which cannot be meant is found before any work starts.
"""

from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

from symscope.alignment import LATENT_WEIGHTS, BoundaryMask, SearchOptions
from symscope.errors import UnknownNameError
from symscope.interchange import PROTOCOLS, InterventionProtocol
from symscope.training import TrainingOptions

Item = TypeVar("Item")

MAX_SIZE = 2**16
"""Largest state size, and largest number of hidden units, that a declaration may name."""
MAX_QUANTITY = 10_000
"""Largest quantity that a declaration may name."""
MAX_COUNT = 10**9
"""Upper bound of steps, epochs and similar counts."""
MAX_DRAWN = 10**7
"""Upper bound of the numbers of sequences and interventions that are drawn at once."""

Values = Annotated[tuple[Item, ...], Strict(False)]
"""A tuple that may be given as a list; its items keep their strict types."""
Pair = Annotated[tuple[Item, Item], Strict(False)]

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Drawn = Annotated[int, Field(ge=1, le=MAX_DRAWN)]
DrawnOrZero = Annotated[int, Field(ge=0, le=MAX_DRAWN)]
Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
LearningRate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


def _check_magnitude(value: bool | int | float | str) -> bool | int | float | str:
    if isinstance(value, int | float) and not abs(value) <= MAX_SIZE:
        raise ValueError(f"input should be between -{MAX_SIZE} and {MAX_SIZE}")
    return value


OptionValue = Annotated[bool | int | float | str, AfterValidator(_check_magnitude)]
"""The value of an option of a task, network or alignment function."""


class Section(BaseModel):
    """A part of a declaration, or the arguments of a stage: immutable, with strict types and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingSection(Section):
    """How to train: the fields of `TrainingOptions`."""

    learning_rate: LearningRate = TrainingOptions.learning_rate
    batch: Drawn = TrainingOptions.batch
    epochs: Count = TrainingOptions.epochs
    min_epochs: CountOrZero = TrainingOptions.min_epochs
    target_accuracy: Share = TrainingOptions.target_accuracy
    consecutive: Count = TrainingOptions.consecutive
    validate_every: Count = TrainingOptions.validate_every
    validate_each: Drawn = TrainingOptions.validate_each
    checkpoint_every: CountOrZero = TrainingOptions.checkpoint_every

    @model_validator(mode="after")
    def _has_consistent_values(self) -> "TrainingSection":
        self.options()
        return self

    def options(self) -> TrainingOptions:
        """The options that the trainer takes."""
        return TrainingOptions(**self.model_dump())


class SearchSection(Section):
    """How to search: the fields of `SearchOptions`."""

    learning_rate: LearningRate = SearchOptions.learning_rate
    batch: Drawn = SearchOptions.batch
    steps: Count = SearchOptions.steps
    validate_every: Count = SearchOptions.validate_every
    target_iia: Share = SearchOptions.target_iia
    patience: Count = SearchOptions.patience
    restarts: Annotated[int, Field(ge=1, le=1_000)] = SearchOptions.restarts
    more_restarts: Annotated[int, Field(ge=0, le=1_000)] = SearchOptions.more_restarts
    init: Literal["least-squares", "principal-components", "random"] = "least-squares"
    latent_weight: Weight = SearchOptions.latent_weight
    memory: Annotated[int, Field(ge=1)] | None = SearchOptions.memory

    def options(self) -> SearchOptions:
        """The options that the search takes."""
        return SearchOptions(**self.model_dump())


class ProtocolSection(Section):
    """Where base and source stop, and how many demo tokens follow: the fields of `InterventionProtocol`.

    Also the name of a protocol: `paper` or `paper-code`.
    """

    position: str | None = None
    excluded_tokens: Values[str] = ()
    extra_demo_tokens: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] | Literal["quantity"] = 3

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, declared: Any) -> Any:
        if not isinstance(declared, str):
            return declared
        if declared not in PROTOCOLS:
            raise ValueError(str(UnknownNameError("protocol", declared, PROTOCOLS)))
        return asdict(PROTOCOLS[declared])

    def protocol(self) -> InterventionProtocol:
        """The protocol that draws of interventions take."""
        return InterventionProtocol(**self.model_dump())


class InterventionCounts(Section):
    """How many interventions to draw; the sets are drawn independently."""

    train: Drawn = 2_000
    validation: Drawn = 1_000
    test: Drawn = 1_000
    gradience: DrawnOrZero = Field(default=0, description="a further set, for IIA by base and source value")
    protocol: ProtocolSection = ProtocolSection()
    held_out: dict[str, Values[int]] = Field(
        default={}, description="values of variables that no training or validation intervention has"
    )


class TrialAccuracyCounts(Section):
    """How trial accuracy is measured after training."""

    each: Drawn = Field(default=15, description="sequences for each quantity")
    extrapolate_to: Annotated[int, Field(ge=0, le=MAX_QUANTITY)] = Field(
        default=0, description="also measure quantities beyond the task's, up to this"
    )


class MaskSection(Section):
    """A learned subspace size (boundless DAS): the fields of `BoundaryMask`. The k of a search is the maximum size."""

    size_penalty: Weight = BoundaryMask.size_penalty
    temperatures: Pair[Annotated[float, Field(gt=0, le=1e6)]] | None = None

    @model_validator(mode="after")
    def _has_falling_temperatures(self) -> "MaskSection":
        self.mask()
        return self

    def mask(self) -> BoundaryMask:
        """The mask that a search takes."""
        return BoundaryMask(**self.model_dump())


class Development(Section):
    """Searches in the checkpoints of a training."""

    checkpoints: Annotated[int, Field(ge=2, le=10_000)] = Field(
        default=6, description="number of checkpoints, from the fresh network to the trained network"
    )
    restarts: Annotated[int, Field(ge=1, le=1_000)] = Field(default=1, description="restarts of each search")
    steps: Count = Field(default=1_000, description="maximum steps of each search")


class Frontier(Section):
    """The searches of the study again, at several weights of the counterfactual-latent loss."""

    latent_weights: Values[Weight] = Field(default=LATENT_WEIGHTS, min_length=2)


class Observations(Section):
    """Measurements of a trained network that need no search."""

    states: DrawnOrZero = Field(default=0, description="sequences for each quantity whose states are drawn")
    attention: DrawnOrZero = Field(default=0, description="sequences over which attention weights are averaged")
    strength: DrawnOrZero = Field(
        default=0, description="trials of the strength-value test of one-layer NoPE transformers"
    )
    phase: DrawnOrZero = Field(
        default=0, description="sequences for each quantity in which the phase of transformers is read and swapped"
    )
