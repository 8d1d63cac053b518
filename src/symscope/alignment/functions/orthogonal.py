"""The orthogonal alignment function (OAF): a rotation of the state space, of which only k directions matter."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from symscope.alignment.functions.base import LinearFunction


@final
class Orthogonal(LinearFunction):
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
        self.raw = nn.Parameter(torch.linalg.qr(frame.detach()).Q.contiguous())

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`: any d x k matrix, whose columns span the subspace."""
        return (self.raw,)

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`: none."""
        return {}

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> "Orthogonal":
        """See `AlignmentFunction.from_tensors`."""
        return cls(tensors[0]).with_tensors(tensors)

    def factors(
        self, tensors: Sequence[Float[Tensor, "functions ..."]]
    ) -> tuple[Float[Tensor, "functions state k"], Float[Tensor, "functions k state"]]:
        """See `LinearFunction.factors`: W and its transpose."""
        frames = torch.linalg.qr(tensors[0]).Q
        return frames, frames.mT
