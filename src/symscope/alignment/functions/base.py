"""An alignment function says which coordinates of a network's state are a variable.

It maps states to aligned coordinates, in which those of the variable are exchanged between base and source, and back
(TMLR 2025, section 3.4). Functions of one kind and size are evaluated side by side, from their stacked tensors: that is
how a search trains many of them as one program.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from symscope.errors import InvalidArgumentError

Own = TypeVar("Own", bound="Stackable")
Mask = Float[Tensor, "functions #rows k"]
"""How much of each dimension a row exchanges, from 0 to 1; `rows` may be 1, for all of a function's rows."""


def check_size(d: int, k: int) -> None:
    """Raises `InvalidArgumentError` when k dimensions cannot be given to variables of a state of width d."""
    if not 1 <= k <= d:
        raise InvalidArgumentError(f"a variable takes 1 to d = {d} dimensions of the state, got k = {k}")


class Stackable(nn.Module, ABC):
    """Something that can be evaluated side by side with others of its kind, from their stacked tensors."""

    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """What it is made of, trainable or fixed."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Everything else that it is made of, as plain values; equal for those that can be stacked."""

    def with_tensors(self: Own, tensors: Sequence[Tensor]) -> Own:
        """The same with copies of other tensors."""
        other = copy.deepcopy(self)
        for own, new in zip(other.tensors(), tensors, strict=True):
            own.data = new.detach().clone()
        return other


class AlignmentFunction(Stackable, ABC):
    """A map to aligned coordinates, k of which are given to variables.

    Attributes:
        name: the function's name in tables and studies.
        d: width of the state.
        k: number of dimensions given to variables.
    """

    name: str

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        check_size(d, k)
        self.d, self.k = d, k

    @classmethod
    @abstractmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> "AlignmentFunction":
        """The function with these settings and tensors."""

    @abstractmethod
    def exchange(
        self,
        tensors: Sequence[Float[Tensor, "functions ..."]],
        base: Float[Tensor, "functions batch state"],
        source: Float[Tensor, "functions batch state"],
        mask: Mask | None,
    ) -> Float[Tensor, "functions batch state"]:
        """The swaps of several functions that differ from this one in their `tensors` alone, each on its own rows.

        Args:
            tensors: theirs, stacked.
            base: the states that are rewritten.
            source: those that the variable's part comes from.
            mask: how much of each of the k dimensions is exchanged; `None`: all of all.
        """

    @abstractmethod
    def part(self, dimensions: slice) -> "AlignmentFunction":
        """This function as it stands, fixed, with only some of its k dimensions given to the variable."""

    @abstractmethod
    def coordinates(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, "batch k"]:
        """The aligned coordinates of each state that are given to variables."""

    def swap(
        self, base: Float[Tensor, "batch state"], source: Float[Tensor, "batch state"]
    ) -> Float[Tensor, "batch state"]:
        """The base states with the variable's part of the source states."""
        return self.exchange([tensor[None] for tensor in self.tensors()], base[None], source[None], None)[0]


class LinearFunction(AlignmentFunction, ABC):
    """A linear map: the whole swap is a projector of rank k, h' = h_base + U C (h_source - h_base) with C U = I.

    The map matters only through the projector's thin factors U and C, so a member of the family gives these. With a
    mask m the swap is h_base + U diag(m) C (h_source - h_base): where m picks the dimensions of one variable, its own
    projector, and the product of those of two variables is zero.
    """

    @abstractmethod
    def factors(
        self, tensors: Sequence[Float[Tensor, "functions ..."]]
    ) -> tuple[Float[Tensor, "functions state k"], Float[Tensor, "functions k state"]]:
        """U and C of several functions like this one, from their stacked tensors."""

    def exchange(
        self,
        tensors: Sequence[Float[Tensor, "functions ..."]],
        base: Float[Tensor, "functions batch state"],
        source: Float[Tensor, "functions batch state"],
        mask: Mask | None,
    ) -> Float[Tensor, "functions batch state"]:
        """See `AlignmentFunction.exchange`."""
        write, read = self.factors(tensors)
        moved = (source - base) @ read.mT
        return base + (moved if mask is None else moved * mask) @ write.mT

    def part(self, dimensions: slice) -> "AlignmentFunction":
        """See `AlignmentFunction.part`: a `Subspace`."""
        from symscope.alignment.functions.fixed import Subspace  # noqa: PLC0415  (a subspace is itself linear)

        with torch.no_grad():
            write, read = (factor[0] for factor in self.factors([tensor[None] for tensor in self.tensors()]))
        return Subspace(write[:, dimensions], read[dimensions], name=self.name)

    def coordinates(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, "batch k"]:
        """See `AlignmentFunction.coordinates`: C h."""
        _, read = self.factors([tensor[None] for tensor in self.tensors()])
        return states @ read[0].T
