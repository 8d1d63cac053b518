"""Controls: what an IIA must be held against before it means anything.

A subspace of the same size that nobody searched for shows what any k dimensions do; the same search on an untrained
network shows what the search alone can do; the swap of the whole state shows what any subspace could do at best.
"""

from jaxtyping import Float
from torch import Generator, Tensor

from symscope.algorithms import Algorithm
from symscope.alignment.functions import principal_components, random_subspace, whole_state
from symscope.alignment.score import Score, score
from symscope.interventions import Prepared, draw_interventions, draw_same_phase, prepare
from symscope.networks import Network
from symscope.seeds import generator

UNTRAINED, RANDOM_SUBSPACE, PRINCIPAL_COMPONENTS = "untrained", "random-subspace", "principal-components"


def subspace_controls(
    network: Network, k: int, natural: Float[Tensor, "samples state"], test: Prepared, draws: Generator
) -> dict[str, Score]:
    """IIA of a random subspace of k dimensions, and of the k leading principal components of natural states."""
    chance = random_subspace(natural.shape[1], k, draws).to(natural.device)
    leading = principal_components(natural, k)
    return {RANDOM_SUBSPACE: score(network, chance, test), PRINCIPAL_COMPONENTS: score(network, leading, test)}


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
