"""Alignment functions in other coordinates of the state: centred, standardised, or within the span of natural states.

States are mapped to coordinates x = A (h - mean), the swap is made there, and its change is mapped back,
h' = h + B (x' - x) with A B = I. What A does not see stays unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.alignment.functions.base import (
    Alignment,
    AlignmentFunction,
    CoordinatesName,
    Factors,
    LinearFunction,
    Tensors,
    Weights,
    subspace,
)
from symscope.alignment.functions.fixed import VARIES, principal_axes
from symscope.errors import UnknownNameError

Coordinates = tuple[Float[Tensor, "coordinates state"], Float[Tensor, "state coordinates"], Float[Tensor, " state"]]
"""The matrix A that encodes states, the matrix B that decodes them, and the mean."""

COORDINATES: tuple[CoordinatesName, ...] = ("state", "centred", "standardised", "natural-span")


def check_coordinates(name: str) -> None:
    """Raises `UnknownNameError` when there are no coordinates of that name."""
    if name not in COORDINATES:
        raise UnknownNameError("coordinates", name, COORDINATES)


def coordinates_of(
    name: CoordinatesName, natural: Float[Tensor, "samples state"], whitening: float = 1.0
) -> Coordinates:
    """Coordinates of the states of a network, from natural states.

    A unit that hardly varies is not standardised. Coordinates of the natural span are principal components, divided by
    a power of their standard deviation. A projector that is orthogonal in rescaled coordinates is not orthogonal in the
    state, so orthogonal functions have the power 0.

    Args:
        name: the coordinates.
        natural: natural states.
        whitening: components of the natural span are divided by this power of their standard deviation; at 0 their
            spreads remain as they are, up to a common factor.
    """
    check_coordinates(name)
    if name == "natural-span":
        axes = principal_axes(natural).in_use()
        units = axes.spreads**whitening * axes.spreads.square().mean().sqrt() ** (1 - whitening)
        encode, decode = (axes.directions / units).T, axes.directions * units
        return encode.contiguous().to(natural), decode.to(natural), axes.mean.to(natural)
    identity = torch.eye(natural.shape[1], dtype=natural.dtype, device=natural.device)
    if name == "standardised":
        spread = natural.std(0)
        spread = torch.where(spread >= VARIES * spread.max(), spread, torch.ones_like(spread))
        return torch.diag(1 / spread), torch.diag(spread), natural.mean(0)
    return identity, identity, natural.mean(0)


@final
@dataclass(frozen=True, kw_only=True)
class Preprocessed(AlignmentFunction):
    """An alignment function in other coordinates; its tensors are those of the function, then encode, decode, mean."""

    name = "preprocessed"
    function: AlignmentFunction

    @property
    def label(self) -> str:
        return self.function.label

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        return self.function.initialise(d, k, start, generator)

    def swap_batched(
        self,
        tensors: Tensors,
        k: int,
        base: Float[Tensor, "functions batch d"],
        source: Float[Tensor, "functions batch d"],
        weights: Weights | None,
    ) -> Float[Tensor, "functions batch d"]:
        *inner, encode, decode, mean = tensors
        ours, new = ((states - mean[:, None]) @ encode.mT for states in (base, source))
        return base + (self.function.swap_batched(inner, k, ours, new, weights) - ours) @ decode.mT

    def read_batched(self, tensors: Tensors, k: int, states: Float[Tensor, "functions batch d"]) -> Tensor:
        *inner, encode, _, mean = tensors
        return self.function.read_batched(inner, k, (states - mean[:, None]) @ encode.mT)

    def select(self, tensors: Sequence[Tensor], k: int, dimensions: slice) -> Alignment:
        if not isinstance(self.function, LinearFunction):
            return super().select(tensors, k, dimensions)
        *inner, encode, decode, _ = tensors
        write, read = self.function.select(inner, k, dimensions).tensors
        return subspace(decode @ write, read @ encode, name=self.label)

    def width(self, tensors: Sequence[Tensor]) -> int:
        return len(tensors[-1])
