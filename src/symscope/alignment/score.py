"""Interchange intervention accuracy (IIA): how often the network follows the algorithm after a swap."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from symscope.alignment.functions import AlignmentFunction
from symscope.display import Bar, card
from symscope.interventions import Prepared, follows, rewritten
from symscope.networks import Network
from symscope.statistics import wilson


@dataclass(frozen=True)
class Score:
    """IIA on a set of interventions, with a 95% Wilson interval over them."""

    iia: float
    low: float
    high: float
    n: int
    correct: Bool[Tensor, " batch"]
    """Which interventions were followed, on the CPU."""

    def figures(self) -> dict[str, float | int]:
        """The score by the columns that tables have for it."""
        return {"iia": self.iia, "low": self.low, "high": self.high, "n": self.n}

    def bar(self, name: str, *, main: bool = False) -> Bar:
        """The score as a notebook shows it."""
        return Bar(name, self.iia, self.low, self.high, main)

    def _repr_html_(self) -> str:
        return card("IIA", f"share of {self.n:,} interventions, with its 95% interval", [self.bar("", main=True)])

    def __str__(self) -> str:
        return f"{self.iia:.3f} (95% interval {self.low:.3f} to {self.high:.3f}, n = {self.n})"


@torch.no_grad()
def follows_swap(network: Network, function: AlignmentFunction, prepared: Prepared) -> Bool[Tensor, " batch"]:
    """Where the network, after the swap, predicts every scored token."""
    return follows(network, prepared, rewritten(prepared, function.swap)).cpu()


def score(network: Network, function: AlignmentFunction, prepared: Prepared) -> Score:
    """IIA of one alignment: the share of interventions after which every determined token is right.

    Args:
        network: the network.
        function: the alignment of one variable (or several at once).
        prepared: test interventions, drawn apart from those of the search.
    """
    return share(follows_swap(network, function, prepared))


def share(correct: Bool[Tensor, " batch"]) -> Score:
    """A share of trials with its 95% Wilson interval."""
    hits, n = int(correct.sum()), len(correct)
    return Score(hits / n, *wilson(hits, n), n, correct)
