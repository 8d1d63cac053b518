"""Subspaces that are given, not searched: what a search found, single neurons, controls, the whole state."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.alignment.functions.axes import principal_axes
from symscope.alignment.functions.base import LinearFunction, check_size
from symscope.errors import InvalidArgumentError


@final
class Subspace(LinearFunction):
    """A fixed projector U C of rank k.

    Args:
        write: directions U along which the variable is written.
        read: rows C that read it, with C U = I; default U^T, for an orthonormal U.
        name: what to call it in tables.

    Raises:
        InvalidArgumentError: the shapes do not fit, or C U is not the identity to 1e-3.
    """

    write: Tensor
    read: Tensor

    def __init__(
        self, write: Float[Tensor, "state k"], read: Float[Tensor, "rows columns"] | None = None, name: str = "subspace"
    ) -> None:
        super().__init__(*write.shape)
        read = write.T if read is None else read
        if read.shape != (self.k, self.d):
            raise InvalidArgumentError(f"read must be {(self.k, self.d)} for a write of {tuple(write.shape)}")
        error = float((read @ write - torch.eye(self.k, dtype=write.dtype, device=write.device)).abs().max())
        if not error < 1e-3:
            raise InvalidArgumentError(f"no projector: read @ write is off the identity by {error:.3g}")
        self.name = name
        self.register_buffer("write", write.detach().clone(memory_format=torch.contiguous_format))
        self.register_buffer("read", read.detach().clone(memory_format=torch.contiguous_format))

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`."""
        return self.write, self.read

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`."""
        return {"name": self.name}

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> "Subspace":
        """See `AlignmentFunction.from_tensors`."""
        return cls(*tensors, name=settings["name"])

    def factors(
        self, tensors: Sequence[Float[Tensor, "functions ..."]]
    ) -> tuple[Float[Tensor, "functions state k"], Float[Tensor, "functions k state"]]:
        """See `LinearFunction.factors`."""
        write, read = tensors
        return write, read


def neurons(d: int, which: Iterable[int]) -> Subspace:
    """The identity alignment function: the variable is these neurons of the state.

    Raises:
        InvalidArgumentError: none or too many are named, one twice, or one that does not exist.
    """
    chosen = list(which)
    if len(set(chosen)) != len(chosen) or not all(0 <= index < d for index in chosen):
        raise InvalidArgumentError(f"name different neurons from 0..{d - 1}, got {chosen}")
    return Subspace(torch.eye(d)[:, chosen], name="identity")


def whole_state(d: int) -> Subspace:
    """Every dimension: the swap replaces the state. The ceiling of what a subspace can do."""
    return Subspace(torch.eye(d), name="whole_state")


def random_subspace(d: int, k: int, generator: Generator) -> Subspace:
    """A control: k orthonormal directions, uniform over all."""
    check_size(d, k)
    return Subspace(torch.linalg.qr(torch.randn(d, k, generator=generator)).Q, name="random_subspace")


def principal_directions(states: Float[Tensor, "samples state"]) -> Float[Tensor, "state state"]:
    """All principal directions of some states, as columns, the one of most variance first."""
    return principal_axes(states).directions.to(states.dtype)


def principal_components(states: Float[Tensor, "samples state"], k: int) -> Subspace:
    """A control: the k leading principal components of natural states."""
    check_size(states.shape[1], k)
    return Subspace(principal_directions(states)[:, :k], name="principal_components")
