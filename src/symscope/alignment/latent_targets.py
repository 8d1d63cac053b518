"""Counterfactual-latent loss in standardised coordinates of the natural span, against class means.

The loss pulls rewritten states to the mean of the natural states with the counterfactual values. Distances are measured
in standard deviations of the natural principal directions, so that directions of small variance count as much as those
of large variance: there, rewritten states leave the natural range first.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment.functions.fixed import principal_axes
from symscope.alignment.least_squares import InterventionStates
from symscope.alignment.state_classes import NEVER_OCCURS, ClassSums


def counterfactual_means(states: InterventionStates) -> Float[Tensor, "rows state"]:
    """For each intervention the mean of the natural states with its counterfactual values, without its base and source.

    NaN where no such state exists.
    """
    sums = ClassSums.of(states.natural_states.double(), states.natural_class)
    pair = torch.stack([states.base, states.source]).double()
    if states.members is None:
        members = torch.full(pair.shape[:2], NEVER_OCCURS, device=pair.device)
    else:
        members = torch.stack([states.natural_class[rows] for rows in states.members])
    return sums.means_without(states.counterfactual_class, pair, members).to(states.base.dtype)


@dataclass(frozen=True)
class StandardisedSpan:
    """Coordinates of the natural span in units of the natural standard deviation along each principal direction.

    In them natural states have the identity as covariance, so that a swap of independent bases and sources by an
    orthogonal projector leaves Mahalanobis distances at 1 on average, whatever the projector is.

    Attributes:
        encode: from a state, less the mean, to the coordinates.
        decode: back; `encode @ decode` is the identity.
        mean: mean of the natural states.
    """

    encode: Float[Tensor, "span state"]
    decode: Float[Tensor, "state span"]
    mean: Float[Tensor, " state"]

    @classmethod
    def of(cls, natural: Float[Tensor, "samples state"]) -> "StandardisedSpan":
        """The coordinates of some natural states."""
        axes = principal_axes(natural).in_use()
        encode, decode = (axes.directions / axes.spreads).T, axes.directions * axes.spreads
        return cls(encode.to(natural), decode.to(natural), axes.mean.to(natural))

    def latent_losses(
        self, rewritten: Float[Tensor, "rows state"], targets: Float[Tensor, "rows state"]
    ) -> Float[Tensor, " rows"]:
        """Half the squared distance to each row's target, as a mean over the directions of the span.

        NaN, without a gradient, for rows whose target is NaN.
        """
        known = targets.isfinite().all(1)
        difference = torch.where(known[:, None], rewritten - targets, 0.0)
        return torch.where(known, 0.5 * (difference @ self.encode.T).square().mean(1), torch.nan)
