"""How natural rewritten states are within the natural span: how far out they lie, and how near to their class.

A swap that stays in the span of natural states can still produce states far from all of them. Two measures show it,
each with its floor: what natural states themselves give. For honest floors, natural states are split at random into two
halves; the first is what states are compared with, and the second gives the floor.

Give only rewritten states of interventions whose counterfactual values differ from the base's. Where they agree, as in
half of the swaps of a variable with two values, the state hardly changes, which dilutes shares and medians.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.alignment.functions.fixed import VARIES, principal_axes
from symscope.alignment.state_classes import ClassSums
from symscope.errors import InvalidArgumentError
from symscope.seeds import generator

QUANTILE = 0.99
"""Of natural Mahalanobis distances; states beyond it are far out."""
ROUNDING = 1e-4
"""Relative difference between distances that counts as rounding, where states repeat exactly."""
BLOCK_BYTES = 64_000_000
"""Memory for one block of distances."""


@dataclass(frozen=True)
class FarOut:
    """Share of states whose Mahalanobis distance within the natural span exceeds the natural 99% quantile.

    Attributes:
        share: of the rewritten states.
        floor: of natural states that the quantile was not computed from (about 0.01).
        expected: of the natural states that the rewritten ones should resemble; `None` where none are given. A swap
            makes rare combinations of values more frequent, so that this can exceed the floor.
    """

    share: float
    floor: float
    expected: float | None = None


@dataclass(frozen=True)
class WithinClass:
    """Distances from rewritten states to the natural states with the counterfactual values.

    The nearest state is a strict measure: where the states of a class lie densely, a small deviation is many of their
    spacings. The distance from the class mean compares a deviation with the extent of the class.

    Attributes:
        distance: distance to the nearest natural state of the class, median over rewritten states, in units of the
            floor: 1 for states like natural ones.
        high: the 90% quantile in the same units.
        natural_high: the 90% quantile of natural states in the same units.
        floor: median distance from a natural state to the nearest one of its class in the other half, in units of the
            state; at least `VARIES` times the largest standard deviation, where states of a class coincide.
        radius: distance to the mean of the class, median over rewritten states, in units of its floor: 1 for states
            like natural ones.
        radius_floor: median distance of a natural state from the mean of its class in the other half; not below the
            same least value.
        left_out_share: share of the rewritten states without a natural state of their class in the first half.
    """

    distance: float
    high: float
    natural_high: float
    floor: float
    radius: float
    radius_floor: float
    left_out_share: float


def far_out_share(
    rewritten: Float[Tensor, "rows state"],
    natural: Float[Tensor, "samples state"],
    expected: Float[Tensor, "others state"] | None = None,
) -> FarOut:
    """The share of rewritten states that lie farther out than 99% of natural states.

    Args:
        rewritten: states after the swap.
        natural: natural states.
        expected: natural states that have the counterfactual values of the rewritten ones, not among `natural`.

    Raises:
        InvalidArgumentError: there are fewer than 4 natural states, or all are the same.
    """
    first, second = (natural[rows] for rows in _halves(natural))
    axes = principal_axes(first).in_use()

    def distances(states: Float[Tensor, "some state"]) -> Float[Tensor, " some"]:
        return ((states.double() - axes.mean) @ axes.directions / axes.spreads).square().sum(1)

    limit = distances(first).quantile(QUANTILE) * (1 + ROUNDING)

    def share(states: Float[Tensor, "some state"]) -> float:
        return float((distances(states) > limit).double().mean())

    return FarOut(share(rewritten), share(second), None if expected is None else share(expected))


def within_class_distance(
    rewritten: Float[Tensor, "rows state"],
    counterfactual_class: Int[Tensor, " rows"],
    natural: Float[Tensor, "samples state"],
    natural_class: Int[Tensor, " samples"],
) -> WithinClass:
    """How near rewritten states come to natural states with the counterfactual values of all variables.

    Args:
        rewritten: states after the swap.
        counterfactual_class: class of each one's values after the swap; -1 where no natural state has them.
        natural: natural states.
        natural_class: their classes.

    Raises:
        InvalidArgumentError: there are fewer than 4 natural states, all are the same, no class has members in both
            halves, or no rewritten state has natural states of its class.
    """
    first, second = _halves(natural)
    reference = natural[first], natural_class[first]
    natural_distances = nearest_of_class(natural[second], natural_class[second], *reference)
    distances = nearest_of_class(rewritten, counterfactual_class, *reference)
    known, natural_known = distances.isfinite(), natural_distances.isfinite()
    if not known.any() or not natural_known.any():
        raise InvalidArgumentError(
            "no distance within classes: no state has natural states of its class to compare with; give more of them"
        )
    sums = ClassSums.of(reference[0].double(), reference[1])
    radii = (rewritten - sums.means(counterfactual_class)).norm(dim=1)[known]
    natural_radii = (natural[second] - sums.means(natural_class[second])).norm(dim=1)[natural_known]
    smallest = VARIES * float(principal_axes(natural[first]).spreads[0])
    floor = max(float(natural_distances[natural_known].quantile(0.5)), smallest)
    radius_floor = max(float(natural_radii.quantile(0.5)), smallest)
    return WithinClass(
        distance=float(distances[known].quantile(0.5)) / floor,
        high=float(distances[known].quantile(0.9)) / floor,
        natural_high=float(natural_distances[natural_known].quantile(0.9)) / floor,
        floor=floor,
        radius=float(radii.quantile(0.5)) / radius_floor,
        radius_floor=radius_floor,
        left_out_share=1 - float(known.double().mean()),
    )


def nearest_of_class(
    states: Float[Tensor, "rows state"],
    classes: Int[Tensor, " rows"],
    natural: Float[Tensor, "samples state"],
    natural_class: Int[Tensor, " samples"],
    block_bytes: int = BLOCK_BYTES,
) -> Float[Tensor, " rows"]:
    """Distance of each state to the nearest natural state of its class; infinite where the class has no members.

    Only states of one class are compared, in blocks of rows: memory does not grow with the number of rows.
    """
    states, natural = states.double(), natural.double()
    nearest = states.new_full((len(states),), torch.inf)
    for label in natural_class.unique():
        members = natural[natural_class == label]
        for some in (classes == label).nonzero()[:, 0].split(max(block_bytes // (8 * len(members)), 1)):
            # Matrix products lose half of the digits where states nearly coincide, so distances are taken directly.
            distances = torch.cdist(states[some], members, compute_mode="donot_use_mm_for_euclid_dist")
            nearest[some] = distances.min(1).values
    return nearest


def _halves(natural: Float[Tensor, "samples state"]) -> tuple[Int[Tensor, " half"], Int[Tensor, " rest"]]:
    """Rows of a random half of the natural states, and of the rest; the same ones for the same number of states."""
    if len(natural) < 4:
        raise InvalidArgumentError(f"natural distances need at least 4 natural states, got {len(natural)}")
    if not (natural != natural[0]).any():
        raise InvalidArgumentError("natural states are all the same, so that no distance has a meaning")
    order = torch.randperm(len(natural), generator=generator(0, "naturalness")).to(natural.device)
    return order[: len(natural) // 2], order[len(natural) // 2 :]
