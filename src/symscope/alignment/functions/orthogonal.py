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
    keeps_angles = True

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        frame = random_frame(d, k, generator) if start is None else start[0]
        return (nn.Parameter(torch.linalg.qr(frame.detach()).Q.contiguous()),)

    def factors(
        self, tensors: Tensors, k: int
    ) -> tuple[Float[Tensor, "functions d k"], Float[Tensor, "functions k d"]]:
        frames = torch.linalg.qr(tensors[0]).Q
        return frames, frames.mT

    def width(self, tensors: Sequence[Tensor]) -> int:
        return len(tensors[0])


@final
@dataclass(frozen=True, kw_only=True)
class Oblique(LinearFunction):
    """Two free matrices, U (d x k) and C (k x d); the projector of the swap is U (C U)^-1 C.

    Every invertible linear map has such a projector for its k dimensions, and every such projector belongs to linear
    maps, so this function reaches all that any linear alignment function reaches, in 2dk numbers.
    """

    name = "oblique"
    closed_form = "oblique"

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
