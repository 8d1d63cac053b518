"""A mask says which dimensions of an alignment function belong to which variable.

Functions and masks combine freely. Like the maps of a function, masks of one kind are evaluated in one batch from their
stacked tensors.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor, nn

from symscope.alignment.functions.base import Tensors, Weights
from symscope.errors import InvalidArgumentError

SwapOf = tuple[tuple[str, int], ...]
"""The variables that an intervention overwrites, each with the index of its source."""


class Mask(ABC):
    """Gives dimensions to variables; the members are dataclasses.

    Attributes:
        k: how many dimensions there are to give.
        sources: number of sources to go through, of which some may give nothing.
    """

    k: int
    sources: int

    @abstractmethod
    def initialise(self) -> tuple[Tensor, ...]:
        """The tensors of a mask; trainable ones require a gradient."""

    @abstractmethod
    def weights(
        self, tensors: Tensors, swap: Int[Tensor, "masks rows"], source: int, progress: float
    ) -> Weights | None:
        """How much of each dimension comes from a source, for several masks.

        Args:
            tensors: of the masks, stacked.
            swap: which of the swaps each row is.
            source: index of the source.
            progress: share of the search that is over, from 0 to 1.

        Returns:
            Weights from 0 to 1; `None` where every row exchanges all dimensions.
        """

    @abstractmethod
    def dimensions(self, tensors: Sequence[Tensor]) -> Mapping[str, slice]:
        """The dimensions of each variable, from the tensors of one mask."""

    @property
    @abstractmethod
    def structure(self) -> tuple[object, ...]:
        """Everything but the names of variables; masks of one structure are evaluated in one batch."""

    def penalty(self, tensors: Tensors) -> Tensor | None:
        """What is added to the loss of each fit, in nats; `None` for nothing."""
        return None

    def settled(self, progress: float) -> bool:
        """Whether a search may stop early at this point."""
        return True


@final
@dataclass(frozen=True)
class FixedMask(Mask):
    """A fixed block of dimensions for each variable, one after another.

    Attributes:
        sizes: the variables and their numbers of dimensions.
        swaps: what each kind of intervention overwrites; default: one variable each, from the first source.

    Raises:
        InvalidArgumentError: no variables, or one without dimensions.
    """

    sizes: tuple[tuple[str, int], ...]
    swaps: tuple[SwapOf, ...] = ()

    def __post_init__(self) -> None:
        if not self.sizes or min(size for _, size in self.sizes) < 1:
            raise InvalidArgumentError(
                f"name at least one variable, each with at least 1 dimension; got {dict(self.sizes)}"
            )
        if not self.swaps:
            object.__setattr__(self, "swaps", tuple(((name, 0),) for name, _ in self.sizes))

    @property
    def k(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Dimensions of all variables together."""
        return sum(size for _, size in self.sizes)

    @property
    def sources(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of sources, up to the last from which a value comes."""
        return 1 + max(source for swap in self.swaps for _, source in swap)

    @property
    def structure(self) -> tuple[object, ...]:
        return FixedMask, self.k, len(self.sizes), tuple(len(swap) for swap in self.swaps)

    def initialise(self) -> tuple[Tensor, ...]:
        table = torch.zeros(self.sources, len(self.swaps), self.k)
        blocks = self.dimensions(())
        for row, swap in enumerate(self.swaps):
            for name, source in swap:
                table[source, row, blocks[name]] = 1
        return (table,)

    def weights(
        self, tensors: Tensors, swap: Int[Tensor, "masks rows"], source: int, progress: float
    ) -> Weights | None:
        (tables,) = tensors
        if tables.shape[1] == 1 and len(self.swaps) == 1 and len(self.swaps[0]) == len(self.sizes):
            return None
        return tables[:, source].gather(1, swap[:, :, None].expand(-1, -1, self.k))

    def dimensions(self, tensors: Sequence[Tensor]) -> Mapping[str, slice]:
        ends = accumulate(size for _, size in self.sizes)
        return {name: slice(end - size, end) for (name, size), end in zip(self.sizes, ends, strict=True)}


@final
@dataclass(frozen=True)
class BoundaryMask(Mask):
    """A block whose size is learned (boundless DAS, Wu et al. 2023): dimension i is exchanged by sigmoid((b - i) / T).

    The temperature T falls evenly over the search, so the boundary b ends sharp. The sharp mask is always the one that
    is scored. The tensor is the boundary as a share of k.

    Attributes:
        size_penalty: weight of the penalty on subspace size, in nats, for the whole of k.
        temperatures: the first and the last, in dimensions; default: from a twentieth of k to 0.1.
        variable, k, source: the variable, dimensions to choose from, and the index of its source; a search fills these
            in.
    """

    size_penalty: float = 0.5
    temperatures: tuple[float, float] | None = None
    variable: str = ""
    k: int = 1
    source: int = 0

    def __post_init__(self) -> None:
        first, last = self._temperatures
        if self.k < 1 or not self.size_penalty >= 0 or not 0 < last <= first:
            raise InvalidArgumentError(
                "a learned mask needs at least 1 dimension, a size_penalty of at least 0 and temperatures above 0 that "
                f"fall; got {self.k}, {self.size_penalty} and {self.temperatures}"
            )

    @property
    def _temperatures(self) -> tuple[float, float]:
        return self.temperatures or (max(self.k / 20, 0.1), 0.1)

    @property
    def sources(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of sources, up to the source of the variable."""
        return self.source + 1

    @property
    def structure(self) -> tuple[object, ...]:
        return BoundaryMask, self.k, self.size_penalty, self.temperatures, self.source

    def initialise(self) -> tuple[Tensor, ...]:
        return (nn.Parameter(torch.tensor(0.8)),)  # from above: too few dimensions leave nothing to learn from

    def weights(
        self, tensors: Tensors, swap: Int[Tensor, "masks rows"], source: int, progress: float
    ) -> Weights | None:
        (boundary,) = tensors
        if source != self.source:
            return boundary.new_zeros(len(boundary), 1, self.k)
        first, last = self._temperatures
        dimension = torch.arange(self.k, dtype=boundary.dtype, device=boundary.device) + 0.5
        weights = torch.sigmoid((boundary[:, None] * self.k - dimension) / (first + (last - first) * progress))
        return weights[:, None]

    def dimensions(self, tensors: Sequence[Tensor]) -> Mapping[str, slice]:
        size = int((float(tensors[0].detach()) * self.k + 0.5) // 1)
        return {self.variable: slice(0, min(max(size, 1), self.k))}

    def penalty(self, tensors: Tensors) -> Tensor | None:
        return self.size_penalty * tensors[0] if self.size_penalty else None

    def settled(self, progress: float) -> bool:
        return progress >= 1
