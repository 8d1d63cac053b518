"""Linear maps from the states of the second network to those of the first, and what they carry over.

A map is fitted by least squares with a small ridge to half of the sequences, and scored on the other half. Second
moments of the second network's states do not change when sequences of one half are permuted, so the permutations of a
null distribution differ in cross moments only.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from symscope.alignment.baseline_directions import fit_probe
from symscope.arguments import integer
from symscope.comparison.measure import Scorer, SimilarityMeasure, compact
from symscope.comparison.pairing import SequenceRows, cross_moments
from symscope.errors import InvalidArgumentError

RIDGE = 1e-4
"""Added to the second moments of the states that are mapped, in units of their mean over dimensions."""


class _Half(NamedTuple):
    """The rows of one half, and the place of every row within it (-1 for rows of the other half)."""

    rows: Int[Tensor, " half"]
    index_of: Int[Tensor, " rows"]

    @classmethod
    def of(cls, chosen: Tensor) -> "_Half":
        rows = chosen.nonzero()[:, 0]
        index_of = torch.full((len(chosen),), -1)
        index_of[rows] = torch.arange(len(rows))
        return cls(rows, index_of)

    def pairings(self, pairings: Int[Tensor, "pairings rows"]) -> Int[Tensor, "pairings half"]:
        """Pairings that exchange rows of this half only, as pairings of its rows."""
        return self.index_of[pairings[:, self.rows]]


class _Regression:
    """Ridge regression on the second network's states, for any pairing; states are centred by training means."""

    def __init__(self, b: Float[Tensor, "rows b"], rows: SequenceRows) -> None:
        self.train, self.test = _Half.of(rows.train), _Half.of(~rows.train)
        if not (len(self.train.rows) > 1 and len(self.test.rows) > 1):
            raise InvalidArgumentError(
                f"a map is fitted to half of the sequences and scored on the rest, and each half needs 2 rows; got "
                f"{len(self.train.rows)} and {len(self.test.rows)}: give more sequences"
            )
        centred = compact(b)
        centred = centred - centred[self.train.rows].mean(0)
        self.b_train, self.b_test = centred[self.train.rows], centred[self.test.rows]
        moments = self.b_train.T @ self.b_train
        ridge = RIDGE * moments.diagonal().mean()
        if not ridge > 0:
            raise InvalidArgumentError(
                "the second network's states are the same in all training rows: there is nothing to map"
            )
        self._root = torch.linalg.cholesky(moments + ridge * torch.eye(len(moments), dtype=moments.dtype))

    def weights(
        self, targets: Float[Tensor, "train out"], pairings: Int[Tensor, "pairings rows"]
    ) -> tuple[Float[Tensor, "pairings b out"], Float[Tensor, "pairings b out"]]:
        """The weights of the regression of centred targets for each pairing, and the cross moments."""
        cross = cross_moments(targets, self.b_train, self.train.pairings(pairings)).mT
        return torch.cholesky_solve(cross, self._root), cross


@final
@dataclass(frozen=True)
class StateStitching(SimilarityMeasure):
    """Stitching fitted to states: R² of the best linear map from the second network's states to the first's.

    It is the share of the variance of the first network's states, in test rows, that the mapped states explain. With a
    rank it is reduced-rank regression (Izenman 1975) with a ridge, in closed form. It is directed.

    Attributes:
        rank: rank of the map; `None`: full.
    """

    held_out: ClassVar[bool] = True
    directed: ClassVar[bool] = True
    rank: int | None = None

    def __post_init__(self) -> None:
        if self.rank is not None:
            integer(self.rank, "rank", 1)

    @property
    def name(self) -> str:
        return "state_stitching" if self.rank is None else f"state_stitching_rank_{self.rank}"

    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        regression = _Regression(b, rows)
        train, test = regression.train, regression.test
        a = compact(a)
        a_train, a_test = (a[half.rows] - a[train.rows].mean(0) for half in (train, test))
        squares, total = a_test.square().sum(), (a_test - a_test.mean(0)).square().sum()
        if not total > 0:
            raise InvalidArgumentError("the first network's states are the same in all test rows: nothing to explain")
        moments = regression.b_test.T @ regression.b_test

        def score(pairings: Int[Tensor, "pairings rows"]) -> Float[Tensor, " pairings"]:
            weights, cross = regression.weights(a_train, pairings)
            if self.rank is not None and self.rank < a.shape[1]:
                weights = _reduce_rank(weights, cross, self.rank)
            shared = cross_moments(a_test, regression.b_test, test.pairings(pairings)).mT
            errors = squares - 2 * (weights * shared).sum((1, 2)) + (weights * (moments @ weights)).sum((1, 2))
            return 1 - errors / total

        return Scorer(score)


def _reduce_rank(
    weights: Float[Tensor, "pairings b out"], cross: Float[Tensor, "pairings b out"], rank: int
) -> Float[Tensor, "pairings b out"]:
    """The maps of this rank with the least ridged squared error: fitted values projected on their leading axes."""
    fitted = weights.mT @ cross
    axes = torch.linalg.eigh((fitted + fitted.mT) / 2).eigenvectors[:, :, -rank:]
    return weights @ axes @ axes.mT


def reduced_rank_map(
    inputs: Float[Tensor, "rows in"], outputs: Float[Tensor, "rows out"], rank: int | None = None
) -> tuple[Float[Tensor, "in out"], Float[Tensor, " out"]]:
    """The affine map of least squared error from inputs to outputs: weights and bias.

    Args:
        inputs: one vector a row.
        outputs: the vector that each is mapped to.
        rank: rank of the weights; default: full.
    """
    mean, centre = inputs.mean(0), outputs.mean(0)
    x, y = inputs - mean, outputs - centre
    moments, cross = x.T @ x, x.T @ y
    ridge = RIDGE * moments.diagonal().mean()
    weights = torch.linalg.solve(moments + ridge * torch.eye(len(moments)).to(moments), cross)
    if rank is not None and rank < weights.shape[1]:
        weights = _reduce_rank(weights[None], cross[None], rank)[0]
    return weights, centre - mean @ weights


@final
@dataclass(frozen=True, eq=False)
class ProbeTransfer(SimilarityMeasure):
    """Probe transfer: how well a probe of a variable, fitted in the first network, reads states of the second.

    A linear map from the second network's states to the first's is fitted to the training rows, and a probe to the
    first network's states and the variable in the same rows (ridge regression of a number: R²; logistic regression of
    a category: accuracy). The score is that of the probe on mapped states of the second network in test rows. The
    reference is the score of the probe on the first network's own states in test rows. The floor for a category is the
    share of the class that is most frequent in training.

    Attributes:
        variable: name of the variable.
        values: its value at each row.
        numeric: the values are numbers; default: each different value is a category.
    """

    held_out: ClassVar[bool] = True
    directed: ClassVar[bool] = True
    variable: str
    values: Shaped[Tensor, " rows"]
    numeric: bool = False

    @property
    def name(self) -> str:
        return f"probe_transfer_{self.variable}"

    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        values = self.values.cpu()
        if len(values) != len(a):
            raise InvalidArgumentError(
                f"variable {self.variable!r} needs a value for each row of states, {len(a)}; got {len(values)}"
            )
        regression = _Regression(b, rows)
        train, test = regression.train, regression.test
        labels, expected = values[train.rows], values[test.rows]
        if len(labels.unique()) < 2 or len(expected.unique()) < 2:
            raise InvalidArgumentError(
                f"variable {self.variable!r} has one value only in a half of the rows: there is nothing to read"
            )
        probe = fit_probe(a[train.rows], labels, numeric=self.numeric, classes=values.unique())
        read = a[train.rows] @ probe.weights.T
        mean = read.mean(0)

        def score(pairings: Int[Tensor, "pairings rows"]) -> Float[Tensor, " pairings"]:
            weights, _ = regression.weights(read - mean, pairings)
            indices = test.pairings(pairings)
            scores = [
                probe.score(regression.b_test[index] @ weight + mean + probe.bias, expected)
                for index, weight in zip(indices, weights, strict=True)
            ]
            return torch.stack(scores)

        reference = float(probe.score(a[test.rows] @ probe.weights.T + probe.bias, expected))
        return Scorer(
            score, None if self.numeric else float((expected == labels.mode().values).double().mean()), reference
        )
