"""Controls that need no search: random subspace, principal components, single neurons, the whole state."""

from dataclasses import dataclass
from typing import final

from torch import Generator

from symscope.alignment._training_set import TrainingSet
from symscope.alignment.controls.base import ComputedControl
from symscope.alignment.functions import (
    Alignment,
    neurons,
    principal_components,
    random_subspace,
    whole_state,
)


@final
@dataclass(frozen=True)
class RandomSubspace(ComputedControl):
    """A random subspace of the same size."""

    name, is_null = "random_subspace", True

    def alignment(self, interventions: TrainingSet, k: int, generator: Generator) -> Alignment:
        states = interventions.train.base_states
        return random_subspace(states.shape[1], k, generator).to(states)


@final
@dataclass(frozen=True)
class PrincipalComponents(ComputedControl):
    """The leading principal components of the natural states, as many as the alignment has dimensions."""

    name, is_null = "principal_components", True

    def alignment(self, interventions: TrainingSet, k: int, generator: Generator) -> Alignment:
        return principal_components(interventions.train.natural_states(), k)


@final
@dataclass(frozen=True)
class WholeState(ComputedControl):
    """A swap of the whole state on the same interventions: a reference for what any subspace does.

    Interventions that take values from several sources have no such control.
    """

    name, is_null = "whole_state", False

    def alignment(self, interventions: TrainingSet, k: int, generator: Generator) -> Alignment | None:
        train = interventions.train
        if len(set(train.source_of)) > 1:
            return None
        return whole_state(train.base_states.shape[1]).to(train.base_states)


@final
@dataclass(frozen=True)
class SingleNeurons(ComputedControl):
    """The k neurons that do most by themselves (identity alignment function): is a map needed at all?

    Interventions that take values from several sources have no such control.
    """

    name, is_null = "neurons", False

    def alignment(self, interventions: TrainingSet, k: int, generator: Generator) -> Alignment | None:
        states = interventions.validation.base_states
        if len(set(interventions.validation.source_of)) > 1:
            return None
        return neurons(states.shape[1], interventions.neuron_order[:k]).to(states)
