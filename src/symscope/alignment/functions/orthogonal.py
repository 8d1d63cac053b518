"""The orthogonal alignment function (OAF): a rotation of the state space, of which only k directions matter."""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from symscope.alignment.functions.base import AlignmentFunction, Factors


@final
class Orthogonal(AlignmentFunction):
    """A trainable orthonormal frame W (d x k); the swap's projector is W W^T.

    Whatever the rest of the rotation does cancels, so the frame reaches every swap that a full d x d rotation
    reaches, at O(d k^2) by a thin QR instead of O(d^3).

    Args:
        frame: where to start: k independent directions, as columns. `random_subspace` and `principal_components`
            give such frames as their `write`.
    """

    name = "orthogonal"

    def __init__(self, frame: Float[Tensor, "state k"]) -> None:
        super().__init__(*frame.shape)
        self.raw = nn.Parameter(torch.linalg.qr(frame.detach()).Q)

    def tensors(self) -> tuple[Tensor, ...]:
        """See `AlignmentFunction.tensors`: any d x k matrix, whose columns span the subspace."""
        return (self.raw,)

    @staticmethod
    def factors(*tensors: Float[Tensor, "functions ..."]) -> Factors:
        """See `AlignmentFunction.factors`."""
        (raw,) = tensors
        frames = torch.linalg.qr(raw).Q
        return frames, frames.mT

    @torch.no_grad()
    def frame(self) -> Float[Tensor, "state k"]:
        """The orthonormal frame as it stands."""
        return torch.linalg.qr(self.raw).Q
