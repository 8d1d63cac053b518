"""Alignments without a search: neurons, random subspaces, principal components, the whole state."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.alignment.functions.base import Alignment, check_size, subspace
from symscope.errors import InvalidArgumentError

VARIES = 0.01
"""Natural states vary in a direction when their standard deviation there is at least this share of the largest. Trained
networks use every direction a little."""


class PrincipalAxes(NamedTuple):
    """Principal directions of states as columns, in the order of decreasing variance; in double precision."""

    mean: Float[Tensor, " state"]
    directions: Float[Tensor, "state axes"]
    spreads: Float[Tensor, " axes"]
    """The standard deviation along each direction."""

    def in_use(self) -> "PrincipalAxes":
        """The axes along which the states vary (see `VARIES`); at least one, where all states are equal."""
        vary = self.spreads >= VARIES * self.spreads[0]
        return PrincipalAxes(self.mean, self.directions[:, vary], self.spreads[vary])


def principal_axes(states: Float[Tensor, "samples state"]) -> PrincipalAxes:
    """All principal axes of states (the only principal component analysis of the package)."""
    states = states.detach().double()
    mean = states.mean(0)
    centred = states - mean
    squares, directions = torch.linalg.eigh(centred.T @ centred)
    spreads = (squares.clamp(min=0) / max(len(states) - 1, 1)).sqrt()
    return PrincipalAxes(mean, directions.flip(1), spreads.flip(0))


def neurons(d: int, which: Iterable[int]) -> Alignment:
    """The identity alignment function: the variable is these neurons of the state.

    Raises:
        InvalidArgumentError: none or too many are named, a neuron twice, or one that does not exist.
    """
    chosen = list(which)
    if len(set(chosen)) != len(chosen) or not all(0 <= index < d for index in chosen):
        raise InvalidArgumentError(f"name different neurons from 0..{d - 1}, got {chosen}")
    return subspace(torch.eye(d)[:, chosen], name="identity")


def whole_state(d: int) -> Alignment:
    """Every dimension: the swap replaces the state. No subspace can do better."""
    return subspace(torch.eye(d), name="whole_state")


def random_frame(d: int, k: int, generator: Generator) -> Float[Tensor, "d k"]:
    """K orthonormal directions, uniform over all frames."""
    check_size(d, k)
    return torch.linalg.qr(torch.randn(d, k, generator=generator)).Q


def random_subspace(d: int, k: int, generator: Generator) -> Alignment:
    """A random subspace of k dimensions."""
    return subspace(random_frame(d, k, generator), name="random_subspace")


def principal_components(states: Float[Tensor, "samples state"], k: int) -> Alignment:
    """The k leading principal components of natural states."""
    check_size(states.shape[1], k)
    return subspace(principal_axes(states).directions.to(states.dtype)[:, :k], name="principal_components")
