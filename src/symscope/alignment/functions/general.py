"""The paper's linear alignment function (LAF): an invertible matrix, orthogonal or not (TMLR 2025, section 3.5)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from symscope.alignment.functions.base import LinearFunction
from symscope.errors import InvalidArgumentError

RIDGE = 0.1
"""The paper's lambda, which keeps both factors of X away from singular."""


@final
class GeneralLinear(LinearFunction):
    """f(h) = X h + b with X = (M M^T + 0.1 I) S, where S is diagonal with the entries tanh(a) + 0.1 sign(tanh(a)).

    M M^T + 0.1 I is symmetric and at least 0.1, so X is invertible. A bias cancels from every swap; it moves the
    coordinates only. In the order of the authors' code, X = S (M M^T + 0.1 I), S too cancels from a swap of whole
    dimensions, since it commutes with the mask.

    Args:
        matrix: M.
        scales: a.
        k: dimensions given to variables, the first ones.
        bias: b; default none.
        order: which factor comes first, as in the paper or as in the authors' code.

    Raises:
        InvalidArgumentError: shapes that do not fit, or an order that there is not.
    """

    name = "linear"

    def __init__(
        self,
        matrix: Float[Tensor, "state state"],
        scales: Float[Tensor, " state"],
        k: int,
        bias: Float[Tensor, " state"] | None = None,
        order: str = "paper",
    ) -> None:
        super().__init__(len(matrix), k)
        if order not in ("paper", "code"):
            raise InvalidArgumentError(f"the order of the factors is 'paper' or 'code', got {order!r}")
        self.order = order
        self.matrix, self.scales = nn.Parameter(matrix.detach().clone()), nn.Parameter(scales.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @classmethod
    def random(
        cls, d: int, k: int, generator: Generator, *, bias: bool = False, order: str = "paper"
    ) -> "GeneralLinear":
        """The paper's start: M normal with standard deviation 1/sqrt(d), a normal with 0.01; a bias starts at zero."""
        matrix = torch.randn(d, d, generator=generator) / math.sqrt(d)
        scales = 0.01 * torch.randn(d, generator=generator)
        return cls(matrix, scales, k, torch.zeros(d) if bias else None, order)

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`: M, a, and b where there is one."""
        return (self.matrix, self.scales) if self.bias is None else (self.matrix, self.scales, self.bias)

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`."""
        return {"k": self.k, "order": self.order}

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> "GeneralLinear":
        """See `AlignmentFunction.from_tensors`."""
        matrix, scales, *bias = tensors
        return cls(matrix, scales, settings["k"], *bias, order=settings["order"])

    def factors(
        self, tensors: Sequence[Float[Tensor, "functions ..."]]
    ) -> tuple[Float[Tensor, "functions state k"], Float[Tensor, "functions k state"]]:
        """See `LinearFunction.factors`: the first k columns of X^-1, and the first k rows of X."""
        matrix, scales = tensors[:2]
        d = matrix.shape[1]
        positive = matrix @ matrix.mT + RIDGE * torch.eye(d, dtype=matrix.dtype, device=matrix.device)
        first = torch.eye(d, self.k, dtype=matrix.dtype, device=matrix.device).expand(len(matrix), d, self.k)
        columns = torch.cholesky_solve(first, torch.linalg.cholesky_ex(positive).L)
        signed = torch.tanh(scales)
        diagonal = signed + RIDGE * torch.sign(signed)
        if self.order == "paper":
            return columns / diagonal[:, :, None], positive[:, : self.k] * diagonal[:, None]
        given = diagonal[:, : self.k]
        return columns / given[:, None], positive[:, : self.k] * given[:, :, None]

    def coordinates(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, "batch k"]:
        """See `AlignmentFunction.coordinates`: X h + b."""
        linear = super().coordinates(states)
        return linear if self.bias is None else linear + self.bias[: self.k]
