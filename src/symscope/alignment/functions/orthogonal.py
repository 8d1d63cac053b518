"""The orthogonal alignment function (OAF): a rotation of the state space, of which only k directions matter."""

from collections.abc import Sequence
from typing import Self, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from symscope.alignment.functions.base import AlignmentFunction, Factors


@final
class Orthogonal(AlignmentFunction):
    """A trainable orthonormal frame W (d x k); the swap's projector is W W^T.

    Whatever the rest of the rotation does cancels, so the frame reaches every swap that a full d x d rotation
    reaches, at O(d k^2) by a thin QR instead of O(d^3).

    Args:
        d: width of the state.
        k: number of dimensions, 1 to d.
        generator: draws the first frame, uniform over all.
    """

    name = "orthogonal"

    def __init__(self, d: int, k: int, generator: Generator) -> None:
        super().__init__(d, k)
        self.raw = nn.Parameter(torch.linalg.qr(torch.randn(d, k, generator=generator)).Q)

    @classmethod
    def factors(cls, functions: Sequence[Self]) -> Factors:  # pyright: ignore[reportIncompatibleMethodOverride]
        """See `AlignmentFunction.factors`."""
        frames = torch.linalg.qr(torch.stack([function.raw for function in functions])).Q
        return frames, frames.mT

    @torch.no_grad()
    def frame(self) -> Float[Tensor, "state k"]:
        """The orthonormal frame as it stands."""
        return self.factors([self])[0][0].clone()
