"""Arguments of the stages: a plan builds them, a stage validates them.

They hold everything that determines the result of a job, and nothing else, since the key of the result is made from
them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from symscope.studies.choices import FunctionChoice, TaskChoice
from symscope.studies.declaration import CalibrationQuestion, Search
from symscope.studies.options import (
    Count,
    InterventionCounts,
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

Arguments = TypeVar("Arguments", bound="StageArguments")


class StageArguments(Section):
    """Arguments of a stage.

    Attributes:
        seed: of all random draws.
        code: source digests of the user's modules, by import path, so that changed code gives another key.
    """

    seed: Seed
    code: dict[str, str] = Field(default={})

    @classmethod
    def read(cls: type[Arguments], arguments: Mapping[str, Any]) -> Arguments:
        """The arguments of a job, from its JSON values."""
        return cls.model_validate(dict(arguments))


class NetworkArguments(Section):
    """A network: how it is built, and its name in tables.

    Attributes:
        trained: whether the function at `kind` returns a trained network.
        fresh: import path of a function that builds an untrained network, where `kind` does not.
    """

    kind: str
    options: dict[str, int]
    label: str
    d: Size
    trained: bool = False
    fresh: str | None = None


class SubjectArguments(StageArguments):
    """Arguments of a stage that concerns one network on one task."""

    task: TaskChoice
    network: NetworkArguments
    device: str


class TrainArguments(SubjectArguments):
    """Arguments of the training stage."""

    training: TrainingSection
    trial_accuracy: TrialAccuracyCounts


class MeasureArguments(SubjectArguments):
    """Arguments of the stage that takes a trained network of the user into a study.

    Attributes:
        weights: the file with the weights; none where the function at `kind` loads them.
        digest: hash of the weights.
    """

    weights: str | None
    digest: str
    target_accuracy: float
    trial_accuracy: TrialAccuracyCounts


class AlignArguments(SubjectArguments):
    """Arguments of the search stage."""

    request: Search
    search: SearchSection
    interventions: InterventionCounts


class DevelopArguments(AlignArguments):
    """Arguments of the development stage: a search in one checkpoint of a training.

    Attributes:
        checkpoint: number of the checkpoint, from 0 to `checkpoints` - 1.
        checkpoints: how many are searched.
        each: sequences for each quantity, for the trial accuracy.
    """

    checkpoint: Annotated[int, Field(ge=0)]
    checkpoints: Annotated[int, Field(ge=2)]
    each: Count


class FrontierArguments(AlignArguments):
    """Arguments of the frontier stage: a search at several weights of the counterfactual-latent loss."""

    latent_weights: Values[Weight]


class CompareArguments(SubjectArguments):
    """Arguments of the comparison stage: the network of `SubjectArguments`, and its partner on the same task."""

    partner: NetworkArguments
    partner_seed: Seed
    algorithm: str
    variables: Values[str]
    k: Values[Size]
    functions: Values[FunctionChoice]
    stitching: Values[Size]
    search: SearchSection
    interventions: InterventionCounts


class DimensionsArguments(SubjectArguments):
    """Arguments of the stage that swaps all variables of an algorithm together, in several numbers of dimensions."""

    algorithm: str
    k: Values[Size]
    function: FunctionChoice
    search: SearchSection
    interventions: InterventionCounts


class CeilingArguments(SubjectArguments):
    """Arguments of the stage that swaps whole states at any two positions."""

    algorithm: str
    site: str
    test: Count
    protocol: ProtocolSection


class SwapArguments(SubjectArguments):
    """Arguments of the stage that swaps whole states within one phase."""

    swaps: Count
    algorithm: str | None = None


class StatesArguments(SubjectArguments):
    """Arguments of the stage that draws natural states: sequences for each quantity."""

    each: Count


class AttentionArguments(SubjectArguments):
    """Arguments of the attention stage: sequences over which weights are averaged."""

    sequences: Count


class StrengthArguments(SubjectArguments):
    """Arguments of the stage that tests strength values."""

    trials: Count


class PhaseArguments(SubjectArguments):
    """Arguments of the phase stage: sequences for each quantity that a probe reads, and swaps of the phase."""

    each: Count
    swaps: Count


class CalibrateArguments(StageArguments):
    """Arguments of one measurement of a calibration."""

    question: CalibrationQuestion
    device: str
    search: SearchSection
    interventions: InterventionCounts


class ChangeOfBasisArguments(StageArguments):
    """Arguments of the searches in a constructed network after a change of basis."""

    d: Size
    search: SearchSection
    interventions: InterventionCounts


class ReachArguments(StageArguments):
    """Arguments of the reach stage: depth of a fresh transformer."""

    layers: Annotated[int, Field(ge=1)]
