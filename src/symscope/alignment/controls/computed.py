"""Controls that need no search: random subspace, principal components, single neurons, the whole state."""

from dataclasses import dataclass
from typing import final

import torch
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
from symscope.interchange import (
    CachedInterventions,
    counterfactual_losses,
    matches_counterfactual,
)
from symscope.networks import Network

NEURON_ROWS = 200
"""Validation interventions on which each single neuron is tried."""
STATES_AT_ONCE = 8192


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
        validation = interventions.validation
        return None if len(set(validation.source_of)) > 1 else best_neurons(interventions.network, validation, k)


@torch.no_grad()
def best_neurons(network: Network, validation: CachedInterventions, k: int) -> Alignment:
    """The k neurons that do most by themselves, chosen on validation interventions that take values from one source.

    In order of the IIA of each single neuron; where that is equal, of how much it lowers the loss to first order.
    """
    base, source = validation.base_states, validation.source_states[validation.source_of[0]]
    d, rows = base.shape[1], torch.arange(min(NEURON_ROWS, len(base)))
    base, source = base[: len(rows)], source[: len(rows)]
    iia = []
    for some in torch.arange(d).split(max(STATES_AT_ONCE // len(rows), 1)):
        swapped = base.repeat(len(some), 1, 1)
        swapped[torch.arange(len(some)), :, some] = source.T[some.to(source.device)]
        correct = matches_counterfactual(network, validation, swapped.flatten(0, 1), rows.repeat(len(some)))
        iia.append(correct.view(len(some), -1).double().mean(1).cpu())
    with torch.enable_grad():
        states = base.clone().requires_grad_()
        losses = counterfactual_losses(network, validation, states, rows)
        (gradient,) = torch.autograd.grad(losses.sum(), states)
    gain = -((source - base) * gradient).sum(0).double().cpu()
    # The gain is between 0 and half a step of the IIA, so it decides only between equal IIAs.
    rank = torch.cat(iia) * len(rows) + 0.5 * gain.argsort().argsort() / d
    return neurons(d, rank.argsort(descending=True)[:k].tolist()).to(base)
