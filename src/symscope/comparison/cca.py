"""Canonical correlations: SVCCA (Raghu et al. 2017) and PWCCA (Morcos et al. 2018).

The canonical correlations of two sets of states are the largest correlations between linear functions of the one and of
the other, each pair of functions uncorrelated with those before. They do not change with invertible maps of the states.
With orthonormal bases U and V of the columns of the centred states they are the singular values of U^T V.

They measure what is linearly readable in both networks, however small its share of the variance: SVCCA therefore drops
the directions of smallest variance, PWCCA weighs the correlations. Both are biased upwards for few rows. If the
dimensions of both networks together reach the number of rows, they are 1 for any states; so are then the values of the
null distribution, and p is 1.
"""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.arguments import positive_number
from symscope.comparison.measure import Scorer, SimilarityMeasure
from symscope.comparison.pairing import SequenceRows, cross_moments

NEGLIGIBLE = 1e-5
"""Directions with a standard deviation below this share of the largest are rounding errors of single precision."""


class _Basis(NamedTuple):
    """An orthonormal basis of the columns of centred states: states = columns @ loadings."""

    columns: Float[Tensor, "rows span"]
    loadings: Float[Tensor, "span state"]

    @classmethod
    def of(cls, states: Float[Tensor, "rows state"], variance: float = 1.0) -> "_Basis":
        """The basis of the leading directions that explain a share of the variance."""
        left, sizes, right = torch.linalg.svd(states - states.mean(0), full_matrices=False)
        explained = sizes.square().cumsum(0) / sizes.square().sum()
        count = min(int((explained < variance - 1e-12).sum()) + 1, int((sizes > NEGLIGIBLE * sizes[0]).sum()))
        return cls(left[:, :count], sizes[:count, None] * right[:count])


@final
@dataclass(frozen=True)
class SVCCA(SimilarityMeasure):
    """Singular vector canonical correlation analysis: the mean canonical correlation of the leading directions.

    Attributes:
        variance: the share of the variance that the leading directions of each network explain.
    """

    variance: float = 0.99

    def __post_init__(self) -> None:
        positive_number(self.variance, "variance", 1.0)

    @property
    def name(self) -> str:
        return "svcca"

    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        first, second = (_Basis.of(states, self.variance).columns for states in (a, b))

        def score(pairings: Int[Tensor, "pairings rows"]) -> Float[Tensor, " pairings"]:
            return torch.linalg.svdvals(cross_moments(first, second, pairings)).clamp(max=1).mean(1)

        return Scorer(score)


@final
@dataclass(frozen=True)
class PWCCA(SimilarityMeasure):
    """Projection-weighted canonical correlation analysis.

    The weight of a canonical correlation is the sum, over the neurons of a network, of the absolute products of the
    neuron's activations with the canonical direction. The network is the one whose states span fewer dimensions, the
    first if they span equally many.
    """

    @property
    def name(self) -> str:
        return "pwcca"

    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        first, second = _Basis.of(a), _Basis.of(b)
        weigh_first = len(first.loadings) <= len(second.loadings)

        def score(pairings: Int[Tensor, "pairings rows"]) -> Float[Tensor, " pairings"]:
            moments = cross_moments(first.columns, second.columns, pairings)
            left, correlations, right = torch.linalg.svd(moments, full_matrices=False)
            directions = left.mT @ first.loadings if weigh_first else right @ second.loadings
            weights = directions.abs().sum(2)
            return (weights * correlations.clamp(max=1)).sum(1) / weights.sum(1)

        return Scorer(score)
