"""Interchange intervention accuracy (IIA): how often the network follows the algorithm after a swap."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from symscope.alignment._search import swap_of
from symscope.alignment.functions import Alignment
from symscope.interchange import CachedInterventions, intervene, matches_counterfactual
from symscope.networks import Network
from symscope.statistics import wilson


@dataclass(frozen=True)
class Score:
    """A share of trials (of interventions: IIA), with a 95% Wilson interval over them.

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
    def of(cls, correct: Bool[Tensor, " trials"]) -> "Score":
        """The score of some trials."""
        hits, n = int(correct.sum()), len(correct)
        return cls(hits / n, *wilson(hits, n), n, correct)

    def __repr__(self) -> str:
        return f"{self.iia:.3f} (95% interval {self.low:.3f} to {self.high:.3f}, n = {self.n})"


@torch.no_grad()
def follows_swap(
    network: Network, alignments: Mapping[str, Alignment], cached: CachedInterventions
) -> Bool[Tensor, " rows"]:
    """Where the network predicts every target after the swap; on the CPU.

    Args:
        network: the network.
        alignments: the alignment of each overwritten variable.
        cached: interventions on the network.
    """
    return matches_counterfactual(network, cached, intervene(cached, swap_of(alignments, cached))).cpu()
