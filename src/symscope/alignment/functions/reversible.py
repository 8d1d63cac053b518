"""The reversible network: a map that is not linear, and yet exactly invertible.

It shows why a flexible map proves little: non-linear maps find variables even in random networks (Sutter et al. 2025).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import relu

from symscope.alignment.functions.base import AlignmentFunction, Mask
from symscope.errors import InvalidArgumentError

BLOCKS = 3
OF_EACH = 4
"""Tensors of each coupling: weights and bias of the hidden units, weights and bias of what they add."""

Halves = tuple[Float[Tensor, "functions batch one"], Float[Tensor, "functions batch other"]]


@final
class Reversible(AlignmentFunction):
    """Additive coupling blocks: one half of the state moves the other, y1 = x1 + F(x2), then back, y2 = x2 + G(y1).

    F and G have one hidden layer with ReLU. Subtracting what was added inverts a block exactly, to rounding.

    Args:
        tensors: of each block, for F and then for G: hidden weights and bias, output weights and bias.
        d: width of the state, at least 2.
        k: dimensions given to variables.
        first: the first of them.
    """

    name = "reversible"

    def __init__(self, tensors: Sequence[Tensor], d: int, k: int, first: int = 0) -> None:
        super().__init__(d, k)
        if d < 2 or not 0 <= first <= d - k:
            raise InvalidArgumentError(
                f"a reversible network has two halves, so d is at least 2, and its k dimensions lie within d; got "
                f"d = {d}, k = {k} from {first}"
            )
        self.first = first
        self.couplings = nn.ParameterList(tensor.detach().clone() for tensor in tensors)

    @classmethod
    def random(
        cls, d: int, k: int, generator: Generator, *, hidden: int | None = None, blocks: int = BLOCKS
    ) -> "Reversible":
        """Freshly initialised (torch's default for linear layers), with so many hidden units; default d."""
        if blocks < 1 or (hidden is not None and hidden < 1):
            raise InvalidArgumentError(f"at least one block and one hidden unit, got {blocks} and {hidden}")
        units, half = hidden or d, d // 2
        tensors: list[Tensor] = []
        for into, out in [(d - half, half), (half, d - half)] * blocks:
            for shape, fan_in in (((units, into), into), ((units,), into), ((out, units), units), ((out,), units)):
                bound = 1 / math.sqrt(max(fan_in, 1))
                tensors.append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
        return cls(tensors, d, k)

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`."""
        return tuple(self.couplings)

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`."""
        return {"d": self.d, "k": self.k, "first": self.first}

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> "Reversible":
        """See `AlignmentFunction.from_tensors`."""
        return cls(tensors, **settings)

    def exchange(
        self,
        tensors: Sequence[Float[Tensor, "functions ..."]],
        base: Float[Tensor, "functions batch state"],
        source: Float[Tensor, "functions batch state"],
        mask: Mask | None,
    ) -> Float[Tensor, "functions batch state"]:
        """See `AlignmentFunction.exchange`."""
        many = base.shape[1]
        there = self._there(tensors, torch.cat([base, source], 1))
        own, other = there[:, :many], there[:, many:]
        given = slice(self.first, self.first + self.k)
        moved = other[..., given] - own[..., given]
        moved = moved if mask is None else moved * mask
        return self._back(
            tensors, torch.cat([own[..., : given.start], own[..., given] + moved, own[..., given.stop :]], 2)
        )

    def part(self, dimensions: slice) -> AlignmentFunction:
        """See `AlignmentFunction.part`."""
        start, stop, _ = dimensions.indices(self.k)
        part = Reversible(self.tensors(), self.d, stop - start, self.first + start).requires_grad_(False)
        part.name = self.name
        return part

    def coordinates(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, "batch k"]:
        """See `AlignmentFunction.coordinates`."""
        there = self._there([tensor[None] for tensor in self.tensors()], states[None])[0]
        return there[:, self.first : self.first + self.k]

    def _there(
        self, tensors: Sequence[Tensor], states: Float[Tensor, "functions batch state"]
    ) -> Float[Tensor, "functions batch state"]:
        one, other = self._halves(states)
        for by_other, by_one in _pairs(tensors):
            one = one + _added(by_other, other)
            other = other + _added(by_one, one)
        return torch.cat([one, other], 2)

    def _back(
        self, tensors: Sequence[Tensor], aligned: Float[Tensor, "functions batch state"]
    ) -> Float[Tensor, "functions batch state"]:
        one, other = self._halves(aligned)
        for by_other, by_one in reversed(_pairs(tensors)):
            other = other - _added(by_one, one)
            one = one - _added(by_other, other)
        return torch.cat([one, other], 2)

    def _halves(self, states: Float[Tensor, "functions batch state"]) -> Halves:
        half = self.d // 2
        return states[..., :half], states[..., half:]


def _pairs(tensors: Sequence[Tensor]) -> list[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    """The tensors of F and of G, block by block."""
    couplings = [tensors[at : at + OF_EACH] for at in range(0, len(tensors), OF_EACH)]
    return list(zip(couplings[::2], couplings[1::2], strict=True))


def _added(coupling: Sequence[Tensor], half: Float[Tensor, "functions batch half"]) -> Tensor:
    weight, bias, output, offset = coupling
    hidden = relu(torch.baddbmm(bias[:, None], half, weight.mT))
    return torch.baddbmm(offset[:, None], hidden, output.mT)
