"""Rows of sequences, and the permutations of whole sequences that a null distribution is computed from.

Row r of both sets of states belongs to the same position of the same token sequence. A permutation pairs each sequence
of the first network with a different sequence of the second; the rows of a sequence stay together and in order. So
everything that all sequences share, such as how states change with the position, is in the null distribution too.

Only sequences of equal length are exchanged: between others there is no pairing of all rows. Where the length says
something about the variable (in numeric equivalence it is a function of the quantity), this null distribution contains
what follows from the length. With a single row of each sequence all rows can be exchanged, and it contains nothing
(`one_row_per_sequence`).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.seeds import generator

FEWEST_ARRANGEMENTS = 20
"""With fewer arrangements of the sequences, no p-value could be below 0.05."""
NUMBERS_AT_ONCE = 1 << 23
"""Numbers in a block of permuted states (64 MB)."""


@dataclass(frozen=True)
class SequenceRows:
    """Which sequence each row belongs to.

    Attributes:
        sequence: for each row the number of its sequence, from 0 to the number of sequences - 1.
        train: the rows to which maps are fitted; they are scored on the others. A sequence is on one side.
    """

    sequence: Int[Tensor, " rows"]
    train: Bool[Tensor, " rows"]

    @classmethod
    def of(cls, sequences: Shaped[Tensor, " rows"], seed: int) -> "SequenceRows":
        """The rows of sequences; half of the sequences of each length, drawn at random, are for training.

        Args:
            sequences: the sequence of each row, by any integer; rows of a sequence are in the order of its positions.
            seed: of the split.
        """
        _, sequence = sequences.cpu().unique(return_inverse=True)
        lengths = torch.bincount(sequence)
        shuffled = torch.randperm(len(lengths), generator=generator(seed, "similarity", "split"))
        ordered = shuffled[lengths[shuffled].argsort(stable=True)]
        train = torch.zeros(len(lengths), dtype=torch.bool)
        train[ordered[::2]] = True
        return cls(sequence, train[sequence])

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return int(self.sequence.max()) + 1

    def sample(self, most: int, seed: int) -> Int[Tensor, " chosen"]:
        """Rows of whole sequences, drawn at random: at most so many rows, but at least two sequences; ascending."""
        lengths = torch.bincount(self.sequence)
        if len(self.sequence) <= most:
            return torch.arange(len(self.sequence))
        order = torch.randperm(len(lengths), generator=generator(seed, "similarity", "sample"))
        count = max(2, int((lengths[order].cumsum(0) <= most).sum()))
        chosen = torch.zeros(len(lengths), dtype=torch.bool)
        chosen[order[:count]] = True
        return chosen[self.sequence].nonzero()[:, 0]

    def select(self, rows: Int[Tensor, " chosen"]) -> "SequenceRows":
        """Some of the rows, as whole sequences."""
        return SequenceRows(self.sequence[rows].unique(return_inverse=True)[1], self.train[rows])

    def pairings(self, count: int, seed: int, *, within_split: bool = False) -> Int[Tensor, "pairings rows"]:
        """Permutations of the sequences: for each row of the first network the row of the second it is paired with.

        All permutations of the sequences of equal length are equally likely; the identity is one of them.

        Args:
            count: number of permutations.
            seed: of the draws.
            within_split: sequences for training and for testing are permuted separately.

        Raises:
            InvalidArgumentError: the sequences have fewer than 20 arrangements.
        """
        lengths = torch.bincount(self.sequence)
        group = lengths * 2
        if within_split:
            group[self.sequence] += self.train.long()
        _check_arrangements(group)
        draws = generator(seed, "similarity", "permutations", int(within_split))
        replaced = _permute_within(group, count, draws)
        order = self.sequence.argsort(stable=True)
        start = lengths.cumsum(0) - lengths
        position = torch.empty_like(order)
        position[order] = torch.arange(len(order)) - start[self.sequence[order]]
        return order[start[replaced[:, self.sequence]] + position]


def _check_arrangements(group: Int[Tensor, " sequences"]) -> None:
    sizes = torch.bincount(group)
    arrangements = float(torch.lgamma(sizes.double() + 1).sum())
    if arrangements < math.log(FEWEST_ARRANGEMENTS) - 1e-9:
        raise InvalidArgumentError(
            f"a permutation test exchanges sequences of equal length, and these {len(group)} sequences have only "
            f"{round(math.exp(arrangements))} arrangements, so that no p-value can be below 0.05: give more sequences "
            "of equal length, or a single row of each sequence (one_row_per_sequence)"
        )


def _permute_within(
    group: Int[Tensor, " sequences"], count: int, draws: Generator
) -> Int[Tensor, "permutations sequences"]:
    """For each sequence the sequence that takes its place, one of the same group."""
    by_key = torch.rand(count, len(group), generator=draws).argsort(1)
    shuffled = by_key.gather(1, group[by_key].argsort(dim=1, stable=True))
    replaced = torch.empty_like(shuffled)
    replaced[:, group.argsort(stable=True)] = shuffled
    return replaced


def one_row_per_sequence(sequences: Shaped[Tensor, " rows"], seed: int = 0) -> Int[Tensor, " sequences"]:
    """One row of each sequence, drawn at random; ascending.

    With these rows all sequences can be exchanged, whatever their lengths.

    Args:
        sequences: the sequence of each row, by any integer.
        seed: of the draws.
    """
    _, sequence = sequences.cpu().unique(return_inverse=True)
    order = torch.randperm(len(sequence), generator=generator(seed, "similarity", "rows"))
    ordered = order[sequence[order].argsort(stable=True)]
    lengths = torch.bincount(sequence)
    return ordered[lengths.cumsum(0) - lengths].sort().values


def cross_moments(
    first: Float[Tensor, "rows first"], second: Float[Tensor, "rows second"], pairings: Int[Tensor, "pairings rows"]
) -> Float[Tensor, "pairings first second"]:
    """The sum over rows of the products x y^T, for each pairing of the rows."""
    rows, width = second.shape
    at_once = max(1, NUMBERS_AT_ONCE // (rows * width))
    parts = []
    for part in pairings.split(at_once):
        permuted = second[part.T].reshape(rows, -1)  # the pairings side by side: one product of matrices for all
        parts.append((first.T @ permuted).view(-1, len(part), width).transpose(0, 1))
    return torch.cat(parts)
