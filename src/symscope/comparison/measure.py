"""The interface of a similarity measure: a number for two sets of states whose rows are paired."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.comparison.pairing import SequenceRows
from symscope.errors import InvalidArgumentError

Score = Callable[[Int[Tensor, "pairings rows"]], Float[Tensor, " pairings"]]
"""From pairings (for each row of the first network the row of the second) to the value of the measure for each."""


@dataclass(frozen=True)
class Scorer:
    """A measure of two given sets of states.

    Attributes:
        score: the value for each of several pairings of the rows.
        floor: what a method reaches that does not read the states, where that is not 0.
        reference: what the first network reaches with its own states, where that is not 1.
    """

    score: Score
    floor: float | None = None
    reference: float | None = None


class SimilarityMeasure(ABC):
    """Base class of the measures that compare two sets of states.

    Attributes:
        held_out: the measure fits a map to the training rows and scores it on the other rows.
        directed: it maps states of the second network to the first, so that the order of the networks matters.
        max_rows: most rows that are compared, as whole sequences; `None`: all.
    """

    held_out: ClassVar[bool] = False
    directed: ClassVar[bool] = False
    max_rows: int | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the measure in tables."""

    @abstractmethod
    def scorer(self, a: Float[Tensor, "rows a"], b: Float[Tensor, "rows b"], rows: SequenceRows) -> Scorer:
        """Computes everything that does not depend on the pairing of the rows.

        Args:
            a: states of the first network, in double precision.
            b: states of the second network at the same positions.
            rows: the sequence of each row; where `max_rows` is set, all are rows of the sample.

        Raises:
            InvalidArgumentError: the measure is not defined for these states.
        """


@dataclass(frozen=True)
class Similarity:
    """The similarity of two sets of states by one measure.

    Attributes:
        measure: name of the measure.
        value: its value; the number of rows is finite, so compare it with the null distribution.
        null_mean: mean over permutations of the sequences.
        null_high: 95% quantile over permutations of the sequences.
        p: p-value of the permutation test, (1 + permutations with at least the value) / (1 + permutations).
        untrained: the value with an untrained network in place of the second; `None`: no untrained network.
        floor: what a method reaches that does not read the states (`None`: 0).
        reference: what the first network's own states reach (`None`: 1). A mapped state can reach more, since a map
            leaves out variance that the second network does not share.
        n_rows: number of rows that were compared, of training and test together.
        n_sequences: number of their sequences.
    """

    measure: str
    value: float
    null_mean: float
    null_high: float
    p: float
    untrained: float | None
    floor: float | None
    reference: float | None
    n_rows: int
    n_sequences: int

    def __str__(self) -> str:
        parts = [f"null {self.null_mean:.3f}, 95% below {self.null_high:.3f}, p = {self.p:.3f}"]
        if self.untrained is not None:
            parts.append(f"untrained {self.untrained:.3f}")
        parts += [
            f"{name} {number:.3f}"
            for name, number in (("floor", self.floor), ("reference", self.reference))
            if number is not None
        ]
        return f"{self.measure}: {self.value:.3f} ({'; '.join(parts)}; {self.n_rows} rows of {self.n_sequences})"


def compact(states: Float[Tensor, "rows state"]) -> Float[Tensor, "rows span"]:
    """The same states, centred, with the same products between rows, in at most as many columns as rows."""
    centred = states - states.mean(0)
    if centred.shape[1] <= len(centred):
        return centred
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    return left * sizes


def checked_option(value: str, name: str, known: tuple[str, ...]) -> str:
    """The value of an option.

    Raises:
        InvalidArgumentError: it is not among the known values.
    """
    if value not in known:
        raise InvalidArgumentError(f"{name} is one of {', '.join(map(repr, known))}; got {value!r}")
    return value
