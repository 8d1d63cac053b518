"""Principal axes of natural states: in which directions they lie, and how far."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

VARIES = 0.01
"""Natural states vary in a direction when their spread there is at least this share of the largest. Trained networks
use every direction a little; what is below counts as not in use."""


class PrincipalAxes(NamedTuple):
    """The principal directions of some states as columns, those of most variance first; in double precision."""

    mean: Float[Tensor, " state"]
    directions: Float[Tensor, "state axes"]
    spreads: Float[Tensor, " axes"]
    """The standard deviation along each."""

    def in_use(self) -> "PrincipalAxes":
        """Those in which the states vary; at least one, where all states are the same."""
        vary = self.spreads >= VARIES * self.spreads[0]
        return PrincipalAxes(self.mean, self.directions[:, vary], self.spreads[vary])


def principal_axes(states: Float[Tensor, "samples state"]) -> PrincipalAxes:
    """All principal axes of some states."""
    states = states.detach().double()
    mean = states.mean(0)
    centred = states - mean
    squares, directions = torch.linalg.eigh(centred.T @ centred)
    spreads = (squares.clamp(min=0) / max(len(states) - 1, 1)).sqrt()
    return PrincipalAxes(mean, directions.flip(1), spreads.flip(0))
