"""Which neurons transfer a variable by themselves."""

import torch

from symscope.interchange import CachedInterventions, counterfactual_losses, matches_counterfactual
from symscope.networks import Network

NEURON_ROWS = 200
"""Validation interventions on which each single neuron is tried."""
STATES_AT_ONCE = 8192


@torch.no_grad()
def rank_neurons(network: Network, validation: CachedInterventions) -> list[int]:
    """The neurons by what they do by themselves, on validation interventions that take values from one source.

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
    return rank.argsort(descending=True).tolist()
