"""The paper's linear alignment function (LAF): an invertible matrix, orthogonal or not (TMLR 2025, section 3.5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from symscope.alignment.functions.base import Factors, LinearFunction, Tensors
from symscope.errors import InvalidArgumentError

RIDGE = 0.1
"""The paper's lambda, which keeps both factors of X away from singular."""


@final
@dataclass(frozen=True, kw_only=True)
class LinearAlignment(LinearFunction):
    """f(h) = X h + b with X = (M M^T + 0.1 I) S, where S is diagonal with the entries tanh(a) + 0.1 sign(tanh(a)).

    M M^T + 0.1 I is symmetric with eigenvalues of at least 0.1, so X is invertible. A bias cancels from every swap; it
    moves the coordinates only. In the order of the authors' code, X = S (M M^T + 0.1 I), S too cancels from a swap of
    whole dimensions, since it commutes with the mask. A search starts at random: M normal with standard deviation
    1/sqrt(d), a normal with 0.01, the bias zero.

    Not every oblique projector is one of its swaps. The swapped dimensions are the first k, and the first k x k block
    of the projector is, up to S, the product of the same blocks of a positive matrix and of its inverse: its
    eigenvalues are at least 1. Those of an orthogonal projector are at most 1.

    Attributes:
        order: the order of the factors, that of the paper or that of the authors' code.
        bias: whether there is a bias b.
    """

    name = "linear"
    order: Literal["paper", "code"] = "paper"
    bias: bool = False

    def __post_init__(self) -> None:
        if self.order not in ("paper", "code"):
            raise InvalidArgumentError(f"the order of the factors is 'paper' or 'code', got {self.order!r}")

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        matrix = nn.Parameter(torch.randn(d, d, generator=generator) / math.sqrt(d))
        scales = nn.Parameter(0.01 * torch.randn(d, generator=generator))
        return (matrix, scales, nn.Parameter(torch.zeros(d))) if self.bias else (matrix, scales)

    def factors(
        self, tensors: Tensors, k: int
    ) -> tuple[Float[Tensor, "functions d k"], Float[Tensor, "functions k d"]]:
        matrix, scales = tensors[:2]
        d = matrix.shape[1]
        positive = matrix @ matrix.mT + RIDGE * torch.eye(d, dtype=matrix.dtype, device=matrix.device)
        first = torch.eye(d, k, dtype=matrix.dtype, device=matrix.device).expand(len(matrix), d, k)
        columns = torch.cholesky_solve(first, torch.linalg.cholesky_ex(positive).L)
        signed = torch.tanh(scales)
        diagonal = signed + RIDGE * torch.sign(signed)
        if self.order == "paper":
            return columns / diagonal[:, :, None], positive[:, :k] * diagonal[:, None]
        given = diagonal[:, :k]
        return columns / given[:, None], positive[:, :k] * given[:, :, None]

    def read_batched(self, tensors: Tensors, k: int, states: Float[Tensor, "functions batch d"]) -> Tensor:
        read = super().read_batched(tensors, k, states)
        return read + tensors[2][:, None, :k] if self.bias else read

    def width(self, tensors: Sequence[Tensor]) -> int:
        return len(tensors[0])
