"""Interchange intervention accuracy (IIA): how often the network follows the algorithm after a swap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from symscope.algorithms import Algorithm
from symscope.alignment.functions import Alignment, whole_state
from symscope.interchange import (
    PAPER_PROTOCOL,
    CachedInterventions,
    InterventionProtocol,
    Interventions,
    Swap,
    cache_states,
    draw_interventions,
    draw_same_phase,
    intervene,
    matches_counterfactual,
)
from symscope.networks import Network, Resumable
from symscope.seeds import generator
from symscope.statistics import clustered_wilson, wilson


@dataclass(frozen=True)
class Score:
    """A share of trials (of interventions: IIA), with a 95% Wilson interval over them, or over clusters of them.

    Attributes:
        iia: the share.
        low, high: ends of the interval.
        n: number of trials.
        correct: which trials succeeded, on the CPU.
    """

    iia: float
    low: float
    high: float
    n: int
    correct: Bool[Tensor, " trials"]

    @classmethod
    def of(cls, correct: Bool[Tensor, " trials"], clusters: Int[Tensor, " trials"] | None = None) -> "Score":
        """The score of some trials; with `clusters`, trials of one cluster count as dependent."""
        hits, n = int(correct.sum()), len(correct)
        interval = wilson(hits, n) if clusters is None else clustered_wilson(correct.numpy(), clusters.numpy())
        return cls(hits / n, *interval, n, correct)

    def __repr__(self) -> str:
        return f"{self.iia:.3f} (95% interval {self.low:.3f} to {self.high:.3f}, n = {self.n})"


def swap_of(alignments: Mapping[str, Alignment], cached: CachedInterventions) -> Swap:
    """The swap that overwrites the variables of a set of interventions, each from its own source."""
    pairs = [(alignments[v], at) for v, at in zip(cached.variables, cached.source_of, strict=True) if v in alignments]

    def swap(base: Float[Tensor, "rows state"], sources: Float[Tensor, "s rows state"]) -> Tensor:
        for alignment, source in pairs:
            base = alignment.swap(base, sources[source])
        return base

    return swap


@torch.no_grad()
def validation_iias(
    network: Resumable,
    cached: CachedInterventions,
    alignments: Sequence[Mapping[str, Alignment]],
    rows: Int[Tensor, " rows"] | None = None,
) -> list[float]:
    """The IIA of several alignments on one set of interventions, in one pass of the network.

    Args:
        network: the network.
        cached: the interventions.
        alignments: for each, the alignment of each overwritten variable.
        rows: the interventions to use; default: all.
    """
    rows = torch.arange(len(cached)) if rows is None else rows
    swaps = [swap_of(each, cached) for each in alignments]

    def side_by_side(base: Float[Tensor, "rows state"], sources: Float[Tensor, "s rows state"]) -> Tensor:
        parts = zip(swaps, base.chunk(len(swaps)), sources.chunk(len(swaps), 1), strict=True)
        return torch.cat([swap(part, source) for swap, part, source in parts])

    index = rows.repeat(len(swaps))
    correct = matches_counterfactual(network, cached, intervene(cached, side_by_side, index), index)
    return correct.view(len(swaps), -1).double().mean(1).tolist()


@torch.no_grad()
def follows_swap(
    network: Resumable, alignments: Mapping[str, Alignment], cached: CachedInterventions
) -> Bool[Tensor, " rows"]:
    """Where the network predicts every target after the swap; on the CPU.

    Args:
        network: the network.
        alignments: the alignment of each overwritten variable.
        cached: interventions on the network.
    """
    return matches_counterfactual(network, cached, intervene(cached, swap_of(alignments, cached))).cpu()


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


def whole_state_score(
    network: Network,
    algorithm: Algorithm,
    count: int,
    *,
    site: str,
    seed: int,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
) -> Score:
    """IIA when the whole state is swapped, and with it all variables of the algorithm: the ceiling.

    Args:
        network: the network.
        algorithm: the algorithm, for the network's task.
        count: number of interventions to draw.
        site: where in the network.
        seed: of the draws.
        protocol: where sequences stop, and how many demo tokens follow an intervention.
    """
    variables = [variable.name for variable in algorithm.variables]
    draws = generator(seed, "interventions", algorithm.name, *variables, "test")
    return _score(network, draw_interventions(algorithm, variables, count, draws, protocol), site)


def _score(network: Network, interventions: Interventions, site: str) -> Score:
    cached = cache_states(network, interventions, site)
    everything = whole_state(cached.base_states.shape[1]).to(cached.base_states)
    return Score.of(follows_swap(network, {interventions.variables[0]: everything}, cached))
