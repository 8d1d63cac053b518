"""Swaps of the whole state: the ceiling of what a subspace can do, and the test for a Markov state."""

from symscope.algorithms import Algorithm
from symscope.alignment.functions import whole_state
from symscope.alignment.score import Score, follows_swap
from symscope.interchange import Interventions, cache_states, draw_interventions, draw_same_phase
from symscope.networks import Network
from symscope.seeds import generator


def whole_state_test(network: Network, algorithm: Algorithm, count: int, *, site: str, seed: int) -> dict[str, Score]:
    """Whole-state swaps within one phase: how often the network continues as the source, and as the base.

    A network with a Markov state follows the source. The share that ends exactly as the base would, as if nothing had
    been swapped, is the Ctx-Distr score (TMLR 2025, section 4.3).

    Args:
        network: the network.
        algorithm: an algorithm with a Markov state, for the network's task.
        count: number of swaps to draw.
        site: where in the network.
        seed: of the draws.

    Returns:
        Scores named `source` and `base`.
    """
    as_source, as_base = draw_same_phase(algorithm, count, generator(seed, "same phase", algorithm.name))
    return {"source": _score(network, as_source, site), "base": _score(network, as_base, site)}


def whole_state_score(network: Network, algorithm: Algorithm, count: int, *, site: str, seed: int) -> Score:
    """IIA when the whole state is swapped, and with it all variables of the algorithm: the ceiling.

    Args:
        network: the network.
        algorithm: the algorithm, for the network's task.
        count: number of interventions to draw.
        site: where in the network.
        seed: of the draws.
    """
    variables = [variable.name for variable in algorithm.variables]
    draws = generator(seed, "interventions", algorithm.name, *variables, "test")
    return _score(network, draw_interventions(algorithm, variables, count, draws), site)


def _score(network: Network, interventions: Interventions, site: str) -> Score:
    cached = cache_states(network, interventions, site)
    everything = whole_state(cached.base_states.shape[1]).to(cached.base_states)
    return Score.of(follows_swap(network, {interventions.variables[0]: everything}, cached))
