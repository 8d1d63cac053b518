"""Alignment functions: families of maps from the states of a network to aligned coordinates.

In aligned coordinates those of a variable are exchanged between base and source, and the result is mapped back (TMLR
2025, section 3.4). A function is its options only; its numbers are tensors, so several maps of one kind and size are
evaluated in one batch from their stacked tensors. That is how a search trains many of them at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError

Weights = Float[Tensor, "functions #rows k"]
"""How much of each dimension a row exchanges, from 0 to 1; `rows` may be 1, for all rows of a function."""
Tensors = Sequence[Float[Tensor, "functions ..."]]
"""The tensors of several maps of one kind, stacked."""
Factors = tuple[Float[Tensor, "d k"], Float[Tensor, "k d"]]
"""The factors U and C of a projector U C of rank k, with C U = I."""
CoordinatesName = Literal["state", "centred", "standardised", "natural-span"]


def check_size(d: int, k: int) -> None:
    """Raises `InvalidArgumentError` when k dimensions cannot be given to variables in a state of width d."""
    if not 1 <= k <= d:
        raise InvalidArgumentError(f"a variable takes 1 to d = {d} dimensions of the state, got k = {k}")


@dataclass(frozen=True, kw_only=True)
class AlignmentFunction(ABC):
    """A family of maps to aligned coordinates; the fields of a member are its options.

    Attributes:
        name: the name in tables and studies.
        closed_form: the least-squares form at which a search can start, `"orthogonal"` or `"oblique"`; `None`: none.
        keeps_angles: whether the projectors are orthogonal, so that coordinates of the natural span are not rescaled.
        coordinates: the coordinates of the state that the function works in: the state itself, centred, standardised
            (each unit in units of its standard deviation), or coordinates of the span of natural states, which no
            rewritten state then leaves.
    """

    name: ClassVar[str]
    closed_form: ClassVar[str | None] = None
    keeps_angles: ClassVar[bool] = False
    coordinates: CoordinatesName = "state"

    @abstractmethod
    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        """The tensors of a map of d dimensions, k of which are given to variables; trainable ones require a gradient.

        Args:
            d: width of the coordinates.
            k: dimensions given to variables.
            start: a projector of rank k to start from; `None`: random.
            generator: the source of randomness.
        """

    @abstractmethod
    def swap_batched(
        self,
        tensors: Tensors,
        k: int,
        base: Float[Tensor, "functions batch d"],
        source: Float[Tensor, "functions batch d"],
        weights: Weights | None,
    ) -> Float[Tensor, "functions batch d"]:
        """The swaps of several maps, each on its own rows.

        Args:
            tensors: of the maps, stacked.
            k: dimensions given to variables.
            base: the states that are rewritten.
            source: the states that the values come from.
            weights: how much of each of the k dimensions is exchanged; `None`: all of all.
        """

    @abstractmethod
    def read_batched(self, tensors: Tensors, k: int, states: Float[Tensor, "functions batch d"]) -> Tensor:
        """The k aligned coordinates of states, for several maps: functions x batch x k."""

    def select(self, tensors: Sequence[Tensor], k: int, dimensions: slice) -> "Alignment":
        """A map as it is now, fixed, with only some of its k dimensions given to the variable."""
        fixed = tuple(tensor.detach().clone() for tensor in tensors)
        return Alignment(self, fixed, self.width(tensors), k, dimensions, self.label)

    @abstractmethod
    def width(self, tensors: Sequence[Tensor]) -> int:
        """Width of the states that a map takes, from its tensors (not stacked)."""

    @property
    def label(self) -> str:
        """The name in tables: `oblique`, `oblique-natural-span`, `linear-biasTrue`."""
        options = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "coordinates"}
        defaults = {entry.name: entry.default for entry in fields(self)}
        changed = [f"{name}{value}" for name, value in sorted(options.items()) if value != defaults[name]]
        return "-".join([self.name, *changed, *([] if self.coordinates == "state" else [self.coordinates])])


class LinearFunction(AlignmentFunction, ABC):
    """A linear map: the swap is a projector of rank k, h' = h_base + U C (h_source - h_base) with C U = I.

    The map matters only through the thin factors U and C of the projector. With weights m the swap is
    h_base + U diag(m) C (h_source - h_base): where m selects the dimensions of a variable, its projector; the product
    of the projectors of two variables is zero.
    """

    @abstractmethod
    def factors(
        self, tensors: Tensors, k: int
    ) -> tuple[Float[Tensor, "functions d k"], Float[Tensor, "functions k d"]]:
        """U and C of several maps, from their stacked tensors."""

    def swap_batched(
        self,
        tensors: Tensors,
        k: int,
        base: Float[Tensor, "functions batch d"],
        source: Float[Tensor, "functions batch d"],
        weights: Weights | None,
    ) -> Float[Tensor, "functions batch d"]:
        write, read = self.factors(tensors, k)
        moved = (source - base) @ read.mT
        return base + (moved if weights is None else moved * weights) @ write.mT

    def read_batched(self, tensors: Tensors, k: int, states: Float[Tensor, "functions batch d"]) -> Tensor:
        return states @ self.factors(tensors, k)[1].mT

    def select(self, tensors: Sequence[Tensor], k: int, dimensions: slice) -> "Alignment":
        with torch.no_grad():
            write, read = (factor[0] for factor in self.factors([tensor[None] for tensor in tensors], k))
        return subspace(write[:, dimensions], read[dimensions], name=self.label)


@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """A fixed map that says which coordinates of a state are a variable.

    Attributes:
        function: the family that the map belongs to.
        tensors: the numbers of the map.
        d: width of the states.
        function_k: dimensions that the map gives to variables.
        dimensions: which of them belong to this variable.
        name: the name in tables.
    """

    function: AlignmentFunction
    tensors: tuple[Tensor, ...]
    d: int
    function_k: int
    dimensions: slice
    name: str

    @property
    def k(self) -> int:
        """Dimensions given to the variable."""
        return self.dimensions.stop - self.dimensions.start

    def swap(self, base: Float[Tensor, "batch d"], source: Float[Tensor, "batch d"]) -> Float[Tensor, "batch d"]:
        """The base states with the variable's coordinates of the source states."""
        weights = None
        if self.k < self.function_k:
            weights = base.new_zeros(1, 1, self.function_k)
            weights[..., self.dimensions] = 1
        return self.function.swap_batched(self._stacked, self.function_k, base[None], source[None], weights)[0]

    def read(self, states: Float[Tensor, "batch d"]) -> Float[Tensor, "batch k"]:
        """The aligned coordinates of states."""
        return self.function.read_batched(self._stacked, self.function_k, states[None])[0][:, self.dimensions]

    def to(self, like: Tensor | torch.device | torch.dtype) -> "Alignment":
        """The same map on another device or in another precision."""
        moved = tuple(tensor.to(like) for tensor in self.tensors)
        return Alignment(self.function, moved, self.d, self.function_k, self.dimensions, self.name)

    @property
    def _stacked(self) -> list[Tensor]:
        return [tensor[None] for tensor in self.tensors]

    def __repr__(self) -> str:
        return f"Alignment({self.name}, d = {self.d}, k = {self.k})"


@dataclass(frozen=True, kw_only=True)
class Subspace(LinearFunction):
    """A fixed projector U C of rank k, given by its factors."""

    name = "subspace"

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        raise InvalidArgumentError("a fixed subspace cannot be searched; choose another alignment function")

    def factors(
        self, tensors: Tensors, k: int
    ) -> tuple[Float[Tensor, "functions d k"], Float[Tensor, "functions k d"]]:
        write, read = tensors
        return write, read

    def width(self, tensors: Sequence[Tensor]) -> int:
        return len(tensors[0])


PROJECTOR = Subspace()


def subspace(
    write: Float[Tensor, "d k"], read: Float[Tensor, "rows columns"] | None = None, name: str = "subspace"
) -> Alignment:
    """The alignment of a given subspace.

    Args:
        write: directions U along which the variable is written.
        read: rows C that read it, with C U = I; default U^T, for an orthonormal U.
        name: the name in tables.

    Raises:
        InvalidArgumentError: the shapes do not fit, or C U differs from the identity by 1e-3 or more.
    """
    d, k = write.shape
    check_size(d, k)
    write, read = write.detach(), (write.T if read is None else read).detach()
    if read.shape != (k, d):
        raise InvalidArgumentError(
            f"read must be {(k, d)} for a write of {tuple(write.shape)}, got {tuple(read.shape)}"
        )
    error = float((read @ write - torch.eye(k, dtype=write.dtype, device=write.device)).abs().max())
    if not error < 1e-3:
        raise InvalidArgumentError(f"not a projector: read @ write differs from the identity by {error:.3g}")
    tensors = tuple(factor.clone(memory_format=torch.contiguous_format) for factor in (write, read))
    return Alignment(PROJECTOR, tensors, d, k, slice(0, k), name)
