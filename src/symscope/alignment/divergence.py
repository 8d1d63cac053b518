"""Do rewritten states look like real ones, and does the swap work through directions that real ones use?

A swap can put a network into states that it is never in by itself, and what it does there proves little about what it
does (Grant et al. 2025; Makelov et al. 2024 for the dormant directions). Everything here takes states and knows nothing
of how they were rewritten; all of it is computed in double precision.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.alignment.functions.axes import principal_axes
from symscope.errors import InvalidArgumentError

SAME = 1e-4
"""Natural states closer to each other than this share of their spread are the same state."""
DIRECTIONS = 128
MOST_COMPARED = 2000


@dataclass(frozen=True)
class NaturalStates:
    """Natural states of a network at a site, and where they lie.

    Attributes:
        states: the states.
        mean: their mean.
        directions: their principal components as columns, those in which they vary.
        spreads: their standard deviation along each of these.
        spacing: how far the nearest other state is, typically (median; repetitions of the same state left out).
    """

    states: Float[Tensor, "samples state"]
    mean: Float[Tensor, " state"]
    directions: Float[Tensor, "state varying"]
    spreads: Float[Tensor, " varying"]
    spacing: float

    @classmethod
    def of(cls, states: Float[Tensor, "samples state"]) -> "NaturalStates":
        """Looks where states lie.

        Raises:
            InvalidArgumentError: they are all the same, so nothing can be said of others.
        """
        states, axes = states.detach().double(), principal_axes(states)
        if not len(states) > 1 or not axes.spreads[0] > SAME * states.abs().max():
            raise InvalidArgumentError("natural states are all the same: nothing varies, so no distance means anything")
        some = states[:MOST_COMPARED]
        apart = torch.cdist(some, some)
        others = apart.masked_fill(apart < SAME * axes.spreads.norm(), torch.inf).min(1).values
        spacing = float(others[others.isfinite()].median()) if others.isfinite().any() else float(axes.spreads[0])
        return cls(states, *axes.in_use(), spacing)

    def within(self, change: Float[Tensor, "batch state"]) -> Float[Tensor, "batch state"]:
        """The part of a change of states that runs along directions in which natural states vary."""
        ours = self.directions.to(change.dtype)
        return change @ ours @ ours.T

    @property
    def spread(self) -> float:
        """Root of the mean squared distance of a natural state from their mean."""
        return float((self.states - self.mean).square().sum(1).mean().sqrt())


@dataclass(frozen=True)
class Divergence:
    """How far rewritten states are from natural ones; beside each figure, in brackets, what natural states would have.

    Attributes:
        outside: share of the norm of the rewritten states, as seen from the natural mean, that lies outside the span of
            natural states (0): root mean square over states.
        mahalanobis: their Mahalanobis distance within that span, root mean square over states and directions (1).
        nearest: distance to the nearest natural state, in units of natural spacing, median over states (1; 0 where the
            rewritten state is itself one that occurs).
        earth_mover: sliced earth mover's distance to natural states, in units of their spread ...
        earth_mover_natural: ... and the same between two samples of natural states, as large.
    """

    outside: float
    mahalanobis: float
    nearest: float
    earth_mover: float
    earth_mover_natural: float

    def __str__(self) -> str:
        return (
            f"{self.outside:.0%} of the norm outside the natural span, Mahalanobis {self.mahalanobis:.2f} (natural 1), "
            f"nearest natural state at {self.nearest:.2f} of their spacing, earth mover's distance "
            f"{self.earth_mover:.3f} (among natural states {self.earth_mover_natural:.3f})"
        )


def divergence(natural: NaturalStates, rewritten: Float[Tensor, "batch state"], generator: Generator) -> Divergence:
    """How far rewritten states are from natural ones.

    Args:
        natural: the natural states.
        rewritten: the states after the swap.
        generator: on the CPU; draws the samples that are compared, and the directions of the sliced distance.
    """
    states = rewritten.detach().double()
    centred = states - natural.mean
    inside = centred @ natural.directions
    outside = (centred - inside @ natural.directions.T).square().sum() / centred.square().sum()
    n = min(len(states), len(natural.states) // 2, MOST_COMPARED)
    one, other = torch.randperm(len(natural.states), generator=generator)[: 2 * n].to(states.device).split(n)
    some = torch.randperm(len(states), generator=generator)[:n].to(states.device)
    slices = torch.randn(states.shape[1], DIRECTIONS, generator=generator, dtype=torch.double).to(states.device)
    near = torch.cdist(states[some], natural.states[:MOST_COMPARED]).min(1).values
    return Divergence(
        outside=float(outside.sqrt()),
        mahalanobis=float((inside / natural.spreads).square().mean().sqrt()),
        nearest=float(near.median()) / natural.spacing,
        earth_mover=sliced_earth_mover(states[some], natural.states[one], slices) / natural.spread,
        earth_mover_natural=sliced_earth_mover(natural.states[other], natural.states[one], slices) / natural.spread,
    )


def sliced_earth_mover(
    one: Float[Tensor, "samples state"], other: Float[Tensor, "samples state"], slices: Float[Tensor, "state slices"]
) -> float:
    """Earth mover's distance (Wasserstein-1) between samples along a line, averaged over lines.

    Args:
        one: a sample, ...
        other: ... and another of the same size.
        slices: directions of the lines, as columns of any length.
    """
    lines = slices / slices.norm(dim=0)
    return float(((one @ lines).sort(0).values - (other @ lines).sort(0).values).abs().mean())


def earth_mover(one: Float[Tensor, "samples state"], other: Float[Tensor, "samples state"]) -> float:
    """The exact earth mover's distance between two samples of the same size: the cheapest pairing.

    It takes time cubic in the size; a second for a thousand states.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  (imported where it is used: it takes a second)

    cost = torch.cdist(one.double(), other.double()).cpu().numpy()
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())
