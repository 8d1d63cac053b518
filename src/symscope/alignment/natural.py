"""Do rewritten states look like natural ones, and does a swap work through directions that natural states use?

A swap can put a network into states that it never reaches by itself, and what it does there proves little about what
it does (Grant et al. 2025; Makelov et al. 2024 for dormant directions). Everything here takes states and knows nothing
of how they were rewritten; distances are computed in double precision.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.alignment.functions import PrincipalAxes, coordinates_of, principal_axes
from symscope.alignment.functions.base import CoordinatesName
from symscope.alignment.functions.preprocessed import Coordinates
from symscope.errors import InvalidArgumentError

EQUAL = 1e-4
"""Natural states closer to each other than this share of their spread are the same state."""
DIRECTIONS = 128
COMPARED_STATES = 2000


@final
class NaturalStates:
    """Natural states of a network at a site; what follows from them is computed once, when it is needed.

    Args:
        states: the states.
    """

    def __init__(self, states: Float[Tensor, "samples state"]) -> None:
        self._given = states.detach()
        self._coordinates: dict[tuple[CoordinatesName, float], tuple[Coordinates, NaturalStates]] = {}

    @cached_property
    def states(self) -> Float[Tensor, "samples state"]:
        """The states in double precision."""
        return self._given.double()

    @cached_property
    def principal(self) -> PrincipalAxes:
        """All principal axes of the states."""
        return principal_axes(self._given)

    @cached_property
    def axes(self) -> PrincipalAxes:
        """The principal axes along which the states vary: the natural span."""
        return self.principal.in_use()

    def check_variation(self) -> None:
        """Raises `InvalidArgumentError` where all states are the same, so that no distance means anything."""
        if not len(self.states) > 1 or not self.principal.spreads[0] > EQUAL * self.states.abs().max():
            raise InvalidArgumentError("natural states are all the same: nothing varies, so no distance means anything")

    def coordinates(self, name: CoordinatesName, whitening: float) -> tuple[Coordinates, "NaturalStates"]:
        """Coordinates of these states (see `coordinates_of`), and the states in them.

        Raises:
            InvalidArgumentError: coordinates of the natural span, and the states are all the same.
        """
        if (name, whitening) not in self._coordinates:
            if name == "natural-span":
                self.check_variation()
            encode, decode, mean = coordinates_of(name, self._given, whitening)
            encoded = self if name == "state" else NaturalStates((self._given - mean) @ encode.T)
            self._coordinates[name, whitening] = ((encode, decode, mean), encoded)
        return self._coordinates[name, whitening]

    def leading_directions(self, k: int) -> Float[Tensor, "state k"]:
        """The k leading principal directions, in the precision of the states."""
        return self.principal.directions.to(self._given.dtype)[:, :k]

    def like(self) -> Tensor:
        """A tensor of the device and precision of the states."""
        return self._given[:0]

    def within(self, change: Float[Tensor, "batch state"]) -> Float[Tensor, "batch state"]:
        """The part of a change of states that lies along directions in which natural states vary."""
        directions = self.axes.directions.to(change.dtype)
        return change @ directions @ directions.T

    @cached_property
    def whitening(self) -> Float[Tensor, "state axes"]:
        """Maps differences from the mean to coordinates of the natural span in which natural states have variance 1."""
        return self.axes.directions / self.axes.spreads

    @cached_property
    def spread(self) -> float:
        """Root of the mean squared distance of a natural state from the mean."""
        return float((self.states - self.axes.mean).square().sum(1).mean().sqrt())

    @cached_property
    def spacing(self) -> float:
        """Median distance to the nearest different natural state."""
        some = self.states[:COMPARED_STATES]
        distance = torch.cdist(some, some)
        different = distance.masked_fill(distance < EQUAL * self.principal.spreads.norm(), torch.inf).min(1).values
        if not different.isfinite().any():
            return float(self.principal.spreads[0])
        return float(different[different.isfinite()].median())


@dataclass(frozen=True)
class Divergence:
    """How far rewritten states are from natural ones; in brackets the value that natural states have.

    Attributes:
        mahalanobis: Mahalanobis distance within the natural span, root mean square over states and directions (1).
        nearest: distance to the nearest natural state, in units of natural spacing, median over states (1; 0 where the
            rewritten state is itself a natural one).
        earth_mover: sliced earth mover's distance to natural states, in units of their spread.
        earth_mover_natural: the same distance between two samples of natural states of the same size.
    """

    mahalanobis: float
    nearest: float
    earth_mover: float
    earth_mover_natural: float

    def __str__(self) -> str:
        return (
            f"Mahalanobis {self.mahalanobis:.2f} (natural 1), nearest natural state at {self.nearest:.2f} of their "
            f"spacing, earth mover's distance {self.earth_mover:.3f} (among natural states "
            f"{self.earth_mover_natural:.3f})"
        )


def divergence(natural: NaturalStates, rewritten: Float[Tensor, "batch state"], generator: Generator) -> Divergence:
    """How far rewritten states are from natural ones.

    Args:
        natural: the natural states.
        rewritten: the states after the swap.
        generator: on the CPU; draws the samples that are compared, and the directions of the sliced distance.

    Raises:
        InvalidArgumentError: the natural states are all the same.
    """
    natural.check_variation()
    axes, states = natural.axes, rewritten.detach().double()
    centred = states - axes.mean
    inside = centred @ axes.directions
    n = min(len(states), len(natural.states) // 2, COMPARED_STATES)
    first, second = torch.randperm(len(natural.states), generator=generator)[: 2 * n].to(states.device).split(n)
    some = torch.randperm(len(states), generator=generator)[:n].to(states.device)
    slices = torch.randn(states.shape[1], DIRECTIONS, generator=generator, dtype=torch.double).to(states.device)
    near = torch.cdist(states[some], natural.states[:COMPARED_STATES]).min(1).values
    sample = natural.states[first]
    return Divergence(
        mahalanobis=float((inside / axes.spreads).square().mean().sqrt()),
        nearest=float(near.median()) / natural.spacing,
        earth_mover=sliced_earth_mover(states[some], sample, slices) / natural.spread,
        earth_mover_natural=sliced_earth_mover(natural.states[second], sample, slices) / natural.spread,
    )


def sliced_earth_mover(
    sample: Float[Tensor, "samples state"],
    reference: Float[Tensor, "samples state"],
    slices: Float[Tensor, "state slices"],
) -> float:
    """Earth mover's distance (Wasserstein-1) between two samples of one size along a line, averaged over lines.

    Args:
        sample: the sample.
        reference: the sample that it is compared with.
        slices: directions of the lines, as columns of any length.
    """
    lines = slices / slices.norm(dim=0)
    return float(((sample @ lines).sort(0).values - (reference @ lines).sort(0).values).abs().mean())
