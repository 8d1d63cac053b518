"""Linear centred kernel alignment (CKA, Kornblith et al. 2019), by default debiased.

CKA(A, B) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), with K = A A^T and L = B B^T. It is 1 for states that differ by an
orthogonal map, a scale and an offset. The biased estimator of HSIC rises towards 1 with the number of dimensions for
each row, even for independent states. The unbiased one (Song et al. 2012, equation 5), with the diagonals of K and L
set to 0,

    HSIC(K, L) = [tr(K L) + 1^T K 1 1^T L 1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1^T K L 1] / (n (n - 3)),

is 0 on average for independent states (Nguyen, Raghu and Kornblith 2021; Murphy, Zylberberg and Fyshe 2024). It assumes
independent rows. Rows of one sequence are not, so the permutation test counts, not the distance from 0.

No matrix of rows by rows is made: tr(K L) is the squared norm of A^T B without the products of the diagonals.
"""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.comparison.measure import Scorer, SimilarityMeasure, compact
from symscope.comparison.pairing import SequenceRows, cross_moments
from symscope.errors import InvalidArgumentError


@final
@dataclass(frozen=True)
class LinearCKA(SimilarityMeasure):
    """Linear CKA.

    Attributes:
        debiased: the unbiased estimator of HSIC; the value can be below 0. Otherwise the biased one, from 0 to 1.
    """

    debiased: bool = True

    @property
    def name(self) -> str:
        return "cka" if self.debiased else "biased_cka"

    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        first, second = _Kernel.of(a), _Kernel.of(b)
        identity = torch.arange(len(a))[None]
        hsic = _unbiased_hsic if self.debiased else _biased_hsic
        norm = (hsic(first, first, identity) * hsic(second, second, identity)).sqrt()
        scale = _squared(first) * _squared(second)
        if not norm > 1e-12 * scale.sqrt():
            raise InvalidArgumentError(
                "CKA is not defined for these states: after centring, no two different rows have similar or opposite "
                "states; give more rows"
            )
        return Scorer(lambda pairings: hsic(first, second, pairings) / norm)


class _Kernel(NamedTuple):
    """Centred states and sums of their kernel without its diagonal."""

    states: Float[Tensor, "rows state"]
    diagonal: Float[Tensor, " rows"]
    row_sums: Float[Tensor, " rows"]

    @classmethod
    def of(cls, states: Float[Tensor, "rows state"]) -> "_Kernel":
        centred = compact(states)
        diagonal = centred.square().sum(1)
        return cls(centred, diagonal, centred @ centred.sum(0) - diagonal)


def _squared(kernel: _Kernel) -> Float[Tensor, ""]:
    """The squared norm of a kernel, on the scale of an HSIC."""
    return (kernel.states.T @ kernel.states).square().sum() / len(kernel.states) ** 2


def _biased_hsic(first: _Kernel, second: _Kernel, pairings: Int[Tensor, "pairings rows"]) -> Float[Tensor, " pairings"]:
    return cross_moments(first.states, second.states, pairings).square().sum((1, 2)) / len(first.states) ** 2


def _unbiased_hsic(
    first: _Kernel, second: _Kernel, pairings: Int[Tensor, "pairings rows"]
) -> Float[Tensor, " pairings"]:
    n = len(first.states)
    trace = cross_moments(first.states, second.states, pairings).square().sum((1, 2))
    trace -= second.diagonal[pairings] @ first.diagonal
    total = first.row_sums.sum() * second.row_sums.sum() / ((n - 1) * (n - 2))
    mixed = 2 / (n - 2) * (second.row_sums[pairings] @ first.row_sums)
    return (trace + total - mixed) / (n * (n - 3))
