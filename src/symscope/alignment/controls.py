"""Controls: what an IIA must be held against before it means anything.

The same search on an untrained network, or for arbitrary labels, shows what the search alone can do; a subspace of the
same size that nobody searched for, what any k dimensions do; single neurons, whether a map was needed at all; the swap
of the whole state, what any subspace could do at best.
"""

import torch
from torch import Generator

from symscope.algorithms import Algorithm
from symscope.alignment.functions import Subspace, neurons, principal_components, random_subspace, whole_state
from symscope.alignment.score import Score, score
from symscope.alignment.unseen import Unseen
from symscope.interventions import (
    Prepared,
    draw_interventions,
    draw_same_phase,
    follows,
    losses_after,
    prepare,
)
from symscope.networks import Network
from symscope.seeds import generator

UNTRAINED, SHUFFLED = "untrained", "shuffled_labels"
RANDOM_SUBSPACE, PRINCIPAL_COMPONENTS = "random_subspace", "principal_components"
NEURONS, WHOLE_STATE = "neurons", "whole_state"

NULL_CONTROLS = (UNTRAINED, SHUFFLED, RANDOM_SUBSPACE, PRINCIPAL_COMPONENTS)
"""What an alignment must beat: what one gets without having found the variable in the trained network."""

NEURON_ROWS = 200
"""Validation interventions that each single neuron is tried on."""
STATES_AT_ONCE = 8192


def kind_of(control: str) -> str:
    """The kind of a control: several untrained networks are `untrained 1`, `untrained 2`, ..."""
    return control.split(" ", maxsplit=1)[0]


def subspace_controls(
    network: Network, k: int, natural: Prepared, validation: Prepared, test: Unseen, draws: Generator
) -> dict[str, Score]:
    """Controls of k dimensions that need no search, and the swap of the whole state.

    Args:
        network: the network.
        k: dimensions.
        natural: interventions whose natural states give the principal components.
        validation: interventions that single neurons are chosen by.
        test: what they are scored on; each takes a number of its own name and k.
        draws: draws the random subspace.
    """
    states = natural.natural_states()
    chosen = {
        RANDOM_SUBSPACE: random_subspace(states.shape[1], k, draws).to(states.device),
        PRINCIPAL_COMPONENTS: principal_components(states, k),
        NEURONS: best_neurons(network, validation, k),
        WHOLE_STATE: whole_state(states.shape[1]).to(states.device),
    }
    return {name: test.score(f"{name}, k = {k}", function) for name, function in chosen.items()}


@torch.no_grad()
def best_neurons(network: Network, validation: Prepared, k: int) -> Subspace:
    """The k neurons that do most by themselves: the identity alignment function, chosen on validation interventions.

    In order of the IIA of each single neuron, and where that is equal (as where no single one does anything), of how
    much it lowers the loss to first order.
    """
    base, source = validation.base.states, validation.source
    d, rows = base.shape[1], torch.arange(min(NEURON_ROWS, len(base)))
    own, other = base[: len(rows)], source[: len(rows)]
    iia = []
    for some in torch.arange(d).split(max(STATES_AT_ONCE // len(rows), 1)):
        swapped = own.repeat(len(some), 1, 1)
        swapped[torch.arange(len(some)), :, some] = other.T[some.to(other.device)]
        right = follows(network, validation, swapped.flatten(0, 1), rows.repeat(len(some)))
        iia.append(right.view(len(some), -1).double().mean(1).cpu())
    with torch.enable_grad():
        states = own.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(losses_after(network, validation, states, rows).sum(), states)
    lowers = -((other - own) * gradient).sum(0).double().cpu()
    # The gain lies within 0 and 1/2 of a step of the IIA, so it decides only among equals.
    rank = torch.cat(iia) * len(rows) + 0.5 * lowers.argsort().argsort() / d
    return neurons(d, rank.argsort(descending=True)[:k].tolist()).to(base.device)


def whole_state_test(network: Network, algorithm: Algorithm, count: int, *, site: str, seed: int) -> dict[str, Score]:
    """Whole-state swaps within one phase: how often the network goes on as the source, and as the base.

    A network with a Markov state follows the source; the share that ends exactly as the base would, as if nothing had
    been swapped, is the Ctx-Distr score (TMLR 2025, section 4.3).

    Args:
        network: the network.
        algorithm: an algorithm with a Markov state, for the network's task.
        count: how many swaps to draw.
        site: where.
        seed: of the draws.

    Returns:
        Scores named `source` and `base`.
    """
    pairs = draw_same_phase(algorithm, count, generator(seed, "same phase", algorithm.name))
    prepared = {"source": prepare(network, pairs.as_source, site), "base": prepare(network, pairs.as_base, site)}
    everything = whole_state(prepared["source"].source.shape[1]).to(prepared["source"].source.device)
    return {outcome: score(network, everything, swaps) for outcome, swaps in prepared.items()}


def whole_state_score(network: Network, algorithm: Algorithm, count: int, *, site: str, seed: int) -> Score:
    """IIA when the whole state is swapped, and with it all variables of the algorithm: the ceiling.

    Args:
        network: the network.
        algorithm: the algorithm, for the network's task.
        count: how many interventions to draw.
        site: where.
        seed: of the draws.
    """
    variables = [variable.name for variable in algorithm.variables]
    draws = generator(seed, "interventions", algorithm.name, *variables, "test")
    prepared = prepare(network, draw_interventions(algorithm, variables, count, draws), site)
    return score(network, whole_state(prepared.source.shape[1]).to(prepared.source.device), prepared)
