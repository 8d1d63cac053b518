"""The orthogonal alignment function (OAF) and the oblique one: what they train is the projector's factors alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from symscope.alignment.functions.base import Factors, LinearFunction, Tensors
from symscope.alignment.functions.fixed import random_frame


@final
@dataclass(frozen=True, kw_only=True)
class Orthogonal(LinearFunction):
    """A rotation of the state space (OAF), of which only an orthonormal frame W (d x k) matters: projector W W^T.

    The rest of the rotation cancels from every swap, so the frame reaches every swap that a d x d rotation reaches, at
    O(d k^2) by a thin QR instead of O(d^3). The trained tensor is any d x k matrix whose columns span the subspace.
    """

    name = "orthogonal"
    closed_form = "orthogonal"
    whitening = 0.0  # a projector that is orthogonal in rescaled coordinates is not orthogonal in the state

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        frame = random_frame(d, k, generator) if start is None else start[0]
        return (nn.Parameter(orthonormal(frame.detach()).contiguous()),)

    def factors(
        self, tensors: Tensors, k: int
    ) -> tuple[Float[Tensor, "functions d k"], Float[Tensor, "functions k d"]]:
        frames = orthonormal(tensors[0])
        return frames, frames.mT

    def width(self, tensors: Sequence[Tensor]) -> int:
        return len(tensors[0])


def orthonormal(matrices: Float[Tensor, "*functions d k"]) -> Float[Tensor, "*functions d k"]:
    """Orthonormal columns with the span of those of a matrix: Q of its QR decomposition whose R has a diagonal above 0.

    LAPACK leaves the signs of the columns open. They cancel from the swap of one network, but not from a swap between
    two of them. Orthonormal columns are returned as they are.
    """
    frames, triangles = torch.linalg.qr(matrices)
    signs = triangles.diagonal(dim1=-2, dim2=-1).detach().sign()
    return frames * torch.where(signs == 0, 1.0, signs)[..., None, :]


@final
@dataclass(frozen=True, kw_only=True)
class Oblique(LinearFunction):
    """Two free matrices, U (d x k) and C (k x d); the projector of the swap is U (C U)^-1 C.

    Every invertible linear map has such a projector for its k dimensions, and every such projector belongs to linear
    maps, so this function reaches all that any linear alignment function reaches, in 2dk numbers.

    It reaches the same projectors in all coordinates of a span, but Adam takes another way in each. Half-whitened ones
    are a compromise: with whitened ones a search takes about three times the steps to the same IIA, and where spreads
    remain as they are it ends almost twice as far out.
    """

    name = "oblique"
    closed_form = "oblique"
    whitening = 0.5

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        if start is None:
            frame = random_frame(d, k, generator)
            start = frame, frame.T
        write, read = (factor.detach().clone() for factor in start)
        return nn.Parameter(write), nn.Parameter(read)

    def factors(
        self, tensors: Tensors, k: int
    ) -> tuple[Float[Tensor, "functions d k"], Float[Tensor, "functions k d"]]:
        write, read = tensors
        return write, torch.linalg.solve_ex(read @ write, read).result  # not finite where the map becomes singular

    def width(self, tensors: Sequence[Tensor]) -> int:
        return len(tensors[0])
