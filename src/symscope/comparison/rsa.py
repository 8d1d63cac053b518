"""Representational similarity analysis (RSA, Kriegeskorte et al. 2008): which pairs of states are far from each other?

In each network the dissimilarities of all pairs of states are computed; their correlation over pairs is the similarity.
The defaults are Spearman's rank correlation, which is the field's usual choice, of Euclidean distances, the default of
rsatoolbox. They do not change with orthogonal maps, scales and offsets of the states. The correlation distance of
Kriegeskorte et al. (`distance="correlation"`) subtracts the mean over the neurons of a state, so it changes with the
basis of the state, which means nothing in a trained network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import one_hot

from symscope.comparison.measure import Scorer, SimilarityMeasure, checked_option
from symscope.comparison.pairing import SequenceRows, cross_moments
from symscope.errors import InvalidArgumentError

DISTANCES = ("euclidean", "correlation")
CORRELATIONS = ("spearman", "pearson")
MOST_ROWS = 500
"""Default number of rows whose pairs are compared (124,750 pairs)."""


@final
@dataclass(frozen=True)
class RSA(SimilarityMeasure):
    """RSA of single states, of a sample of whole sequences.

    Attributes:
        distance: `euclidean` or `correlation` (1 - Pearson correlation of two states).
        correlation: `spearman` or `pearson`, over pairs.
        max_rows: most rows; the number of pairs grows with their square.
    """

    distance: str = "euclidean"
    correlation: str = "spearman"
    max_rows: int | None = MOST_ROWS

    def __post_init__(self) -> None:
        checked_option(self.distance, "distance", DISTANCES)
        checked_option(self.correlation, "correlation", CORRELATIONS)

    @property
    def name(self) -> str:
        return "rsa"

    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        upper = torch.triu_indices(len(a), len(a), 1)
        first, second = (self._standardised(states, upper) for states in (a, b))

        def score(pairings: Int[Tensor, "pairings rows"]) -> Float[Tensor, " pairings"]:
            permuted = (second.index_select(0, pairing).index_select(1, pairing) for pairing in pairings)
            return torch.stack([(first * each).sum() for each in permuted]) / 2

        return Scorer(score)

    def _standardised(
        self, states: Float[Tensor, "rows state"], upper: Int[Tensor, "2 pairs"]
    ) -> Float[Tensor, "rows rows"]:
        """The matrix of dissimilarities, or of their ranks, with mean 0 and norm 1 over pairs."""
        vector = _standardise(dissimilarities(states, self.distance)[None], self.correlation)[0]
        _check_varies(vector, "rows")
        matrix = states.new_zeros(len(states), len(states))
        matrix[upper[0], upper[1]] = vector
        return matrix + matrix.T


@final
@dataclass(frozen=True, eq=False)
class ClassMeanRSA(SimilarityMeasure):
    """RSA of class means: the mean states for each combination of the values of some variables.

    Attributes:
        values: for each variable its value at each row.
        distance: `euclidean` or `correlation` (1 - Pearson correlation of two means).
        correlation: `spearman` or `pearson`, over pairs.
    """

    values: Mapping[str, Shaped[Tensor, " rows"]]
    distance: str = "euclidean"
    correlation: str = "spearman"

    def __post_init__(self) -> None:
        checked_option(self.distance, "distance", DISTANCES)
        checked_option(self.correlation, "correlation", CORRELATIONS)
        if not self.values:
            raise InvalidArgumentError("class means need the values of at least one variable")

    @property
    def name(self) -> str:
        return "class_mean_rsa"

    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        columns = [column.cpu().double() for column in self.values.values()]
        if any(len(column) != len(a) for column in columns):
            raise InvalidArgumentError(
                f"each variable of class means needs {len(a)} values, one for each row of states"
            )
        classes = torch.stack(columns, 1).unique(dim=0, return_inverse=True)[1]
        members = one_hot(classes).double()
        if members.shape[1] < 3:
            raise InvalidArgumentError(
                f"RSA of class means needs at least 3 classes, since it correlates pairs of them; the values of "
                f"{', '.join(self.values)} give {members.shape[1]}"
            )
        weights = members / members.sum(0)

        def standardised(means: Float[Tensor, "pairings classes state"]) -> Float[Tensor, "pairings pairs"]:
            vectors = torch.stack([dissimilarities(each, self.distance) for each in means])
            return _standardise(vectors, self.correlation)

        first = standardised((weights.T @ a)[None])[0]
        _check_varies(first, "class means")
        _check_varies(standardised((weights.T @ b)[None])[0], "class means")
        return Scorer(lambda pairings: standardised(cross_moments(weights, b, pairings)) @ first)


def dissimilarities(states: Float[Tensor, "rows state"], distance: str = "euclidean") -> Float[Tensor, " pairs"]:
    """The dissimilarities of all pairs of rows, in the order of `torch.triu_indices(rows, rows, 1)`.

    Args:
        states: one state a row.
        distance: `euclidean`, or `correlation`: 1 - the Pearson correlation of two rows.
    """
    if distance == "euclidean":
        return torch.pdist(states)
    centred = states - states.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if not (norms > 1e-12 * states.norm(dim=1, keepdim=True).clamp(min=1e-300)).all():
        raise InvalidArgumentError(
            "a state has the same number in all neurons, so it has no correlation distance: use distance='euclidean'"
        )
    upper = torch.triu_indices(len(states), len(states), 1)
    return 1 - (centred / norms @ (centred / norms).T)[upper[0], upper[1]]


def average_ranks(vector: Float[Tensor, " numbers"]) -> Float[Tensor, " numbers"]:
    """Ranks from 1; equal numbers have the mean of their ranks."""
    _, inverse, counts = vector.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[inverse]


def _standardise(vectors: Float[Tensor, "pairings pairs"], correlation: str) -> Float[Tensor, "pairings pairs"]:
    """Vectors, or their ranks, with mean 0 and norm 1; 0 where all entries are equal."""
    if correlation == "spearman":
        vectors = torch.stack([average_ranks(vector) for vector in vectors])
    centred = vectors - vectors.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    return torch.where(norms > 1e-12 * vectors.norm(dim=1, keepdim=True), centred / norms, 0.0)


def _check_varies(vector: Float[Tensor, " pairs"], what: str) -> None:
    if not vector.any():
        raise InvalidArgumentError(
            f"RSA is not defined for these states: all pairs of {what} have the same dissimilarity"
        )
