"""The reversible network: a map that is not linear, and yet exactly invertible.

It shows why a flexible map proves little: non-linear maps find variables even in random networks (Sutter et al. 2025).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import relu

from symscope.alignment.functions.base import AlignmentFunction, Factors, Tensors, Weights
from symscope.errors import InvalidArgumentError

TENSORS_OF_A_COUPLING = 4
"""Weights and bias of the hidden units, weights and bias of what they add."""

Halves = tuple[Float[Tensor, "functions batch first"], Float[Tensor, "functions batch second"]]


@final
@dataclass(frozen=True, kw_only=True)
class Reversible(AlignmentFunction):
    """Additive coupling blocks: each half of the state moves the other, y1 = x1 + F(x2), then y2 = x2 + G(y1).

    F and G have one hidden layer with ReLU. Subtracting what was added inverts a block exactly, to rounding. The
    tensors of a map are, for F and then for G of each block: hidden weights and bias, output weights and bias.

    Attributes:
        hidden: hidden units of F and of G; default: the width of the state.
        blocks: coupling blocks.
    """

    name = "reversible"
    hidden: int | None = None
    blocks: int = 3

    def __post_init__(self) -> None:
        if self.blocks < 1 or (self.hidden is not None and self.hidden < 1):
            raise InvalidArgumentError(
                f"a reversible network has at least one block and one hidden unit, got {self.blocks} and {self.hidden}"
            )

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        if d < 2:
            raise InvalidArgumentError(f"a reversible network has two halves, so d is at least 2, got {d}")
        units, half = self.hidden or d, d // 2
        tensors: list[Tensor] = []
        for into, out in [(d - half, half), (half, d - half)] * self.blocks:
            for shape, fan_in in (((units, into), into), ((units,), into), ((out, units), units), ((out,), units)):
                bound = 1 / math.sqrt(max(fan_in, 1))
                tensors.append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
        return tuple(nn.Parameter(tensor) for tensor in tensors)

    def swap_batched(
        self,
        tensors: Tensors,
        k: int,
        base: Float[Tensor, "functions batch d"],
        source: Float[Tensor, "functions batch d"],
        weights: Weights | None,
    ) -> Float[Tensor, "functions batch d"]:
        rows = base.shape[1]
        encoded = _encode(tensors, torch.cat([base, source], 1))
        ours, new = encoded[:, :rows], encoded[:, rows:]
        moved = new[..., :k] - ours[..., :k]
        moved = moved if weights is None else moved * weights
        return _decode(tensors, torch.cat([ours[..., :k] + moved, ours[..., k:]], 2))

    def read_batched(self, tensors: Tensors, k: int, states: Float[Tensor, "functions batch d"]) -> Tensor:
        return _encode(tensors, states)[..., :k]

    def width(self, tensors: Sequence[Tensor]) -> int:
        return tensors[0].shape[1] + tensors[TENSORS_OF_A_COUPLING].shape[1]


def _encode(tensors: Tensors, states: Float[Tensor, "functions batch d"]) -> Float[Tensor, "functions batch d"]:
    first, second = _halves(states)
    for add_to_first, add_to_second in _pairs(tensors):
        first = first + _added(add_to_first, second)
        second = second + _added(add_to_second, first)
    return torch.cat([first, second], 2)


def _decode(tensors: Tensors, aligned: Float[Tensor, "functions batch d"]) -> Float[Tensor, "functions batch d"]:
    first, second = _halves(aligned)
    for add_to_first, add_to_second in reversed(_pairs(tensors)):
        second = second - _added(add_to_second, first)
        first = first - _added(add_to_first, second)
    return torch.cat([first, second], 2)


def _halves(states: Float[Tensor, "functions batch d"]) -> Halves:
    half = states.shape[-1] // 2
    return states[..., :half], states[..., half:]


def _pairs(tensors: Tensors) -> list[tuple[Tensors, Tensors]]:
    """The tensors of F and of G, block by block."""
    size = TENSORS_OF_A_COUPLING
    couplings = [tensors[at : at + size] for at in range(0, len(tensors), size)]
    return list(zip(couplings[::2], couplings[1::2], strict=True))


def _added(coupling: Tensors, half: Float[Tensor, "functions batch half"]) -> Tensor:
    weight, bias, output, offset = coupling
    hidden = relu(torch.baddbmm(bias[:, None], half, weight.mT))
    return torch.baddbmm(offset[:, None], hidden, output.mT)
