"""The recurrent cell of the networks written by hand: linear in the state."""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from symscope.networks.recurrent import Cell


@final
class LinearCell(Cell):
    """h' = W h + b, where b is the token's own and W that of the token's kind; site `h`.

    Args:
        weight: one W for each kind of token.
        kinds: the kind of each token.
        drives: b, of each token.
    """

    kinds: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "kinds state state"],
        kinds: Int[Tensor, " vocabulary"],
        drives: Float[Tensor, "vocabulary state"],
    ) -> None:
        super().__init__()
        d = weight.shape[1]
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.weight, self.token_bias = nn.Parameter(weight), nn.Parameter(drives)
        self.register_buffer("kinds", kinds)

    def token_inputs(self) -> Float[Tensor, "vocabulary drive"]:
        """See `Cell.token_inputs`: b, and which kind the token is, as zeros and a one."""
        chosen = one_hot(self.kinds, len(self.weight)).to(self.token_bias.dtype)
        return torch.cat([self.token_bias, chosen], 1)

    def step(
        self, states: Float[Tensor, "batch state"], drives: Float[Tensor, "batch drive"]
    ) -> Float[Tensor, "batch state"]:
        """See `Cell.step`."""
        drive, chosen = drives.split([self.width, len(self.weight)], 1)
        moved = states @ self.weight.mT
        return drive + (moved * chosen.T[:, :, None]).sum(0)
