"""The oblique alignment function: every projector of rank k, that is, every swap of a linear map."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from symscope.alignment.functions.base import LinearFunction
from symscope.errors import InvalidArgumentError


@final
class Oblique(LinearFunction):
    """Two trainable matrices, U (d x k) and C (k x d), both free; the swap's projector is U (C U)^-1 C.

    Every invertible linear map has such a projector for its k dimensions, and every such projector has its maps, so
    this reaches all that any linear alignment function reaches, in 2dk numbers.

    Args:
        write: where U starts.
        read: where C starts; default U^T.

    Raises:
        InvalidArgumentError: the shapes do not fit, or C U is singular.
    """

    name = "oblique"

    def __init__(self, write: Float[Tensor, "state k"], read: Float[Tensor, "rows columns"] | None = None) -> None:
        super().__init__(*write.shape)
        read = write.T if read is None else read
        if read.shape != (self.k, self.d):
            raise InvalidArgumentError(f"read must be {(self.k, self.d)} for a write of {tuple(write.shape)}")
        condition = float(torch.linalg.cond((read @ write).double()))
        if not condition < 1e6:
            raise InvalidArgumentError(f"the map is singular: read @ write has the condition number {condition:.3g}")
        self.write, self.read = nn.Parameter(write.detach().clone()), nn.Parameter(read.detach().clone())

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`: U and C."""
        return self.write, self.read

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`: none."""
        return {}

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> "Oblique":
        """See `AlignmentFunction.from_tensors`."""
        return cls(*tensors)

    def factors(
        self, tensors: Sequence[Float[Tensor, "functions ..."]]
    ) -> tuple[Float[Tensor, "functions state k"], Float[Tensor, "functions k state"]]:
        """See `LinearFunction.factors`: U, and (C U)^-1 C. A map that becomes singular gives what is not finite."""
        write, read = tensors
        return write, torch.linalg.solve_ex(read @ write, read).result
