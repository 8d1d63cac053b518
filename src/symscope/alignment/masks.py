"""A mask says which of a function's dimensions belong to which variable: the other half of an alignment.

Functions and masks multiply: any function is searched with any mask. Like functions, masks of one kind are evaluated
side by side from their stacked tensors.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from symscope.alignment.functions.base import Mask as Weights
from symscope.alignment.functions.base import Stackable
from symscope.errors import InvalidArgumentError


class Mask(Stackable, ABC):
    """Gives dimensions to variables.

    Attributes:
        variables: the variables.
        k: how many dimensions there are to give.
    """

    variables: tuple[str, ...]
    k: int

    @abstractmethod
    def weights(
        self,
        tensors: Sequence[Float[Tensor, "functions ..."]],
        variable: Int[Tensor, "functions rows"],
        progress: float,
    ) -> Weights | None:
        """How much of each dimension is exchanged, for several masks that differ from this one in their tensors alone.

        Args:
            tensors: theirs, stacked.
            variable: which variable each row swaps.
            progress: how much of the search is over, from 0 to 1.

        Returns:
            Weights from 0 to 1; `None` where every row exchanges all dimensions.
        """

    @abstractmethod
    def parts(self) -> Mapping[str, slice]:
        """The dimensions of each variable, as the mask stands."""

    def cost(self, tensors: Sequence[Float[Tensor, "functions ..."]]) -> Float[Tensor, " functions"] | None:
        """What is added to each function's loss; `None` for nothing."""
        return None

    def settled(self, progress: float) -> bool:
        """Whether a search may be stopped early at this point of its course."""
        return True


@final
class Blocks(Mask):
    """A fixed block of dimensions for each variable, one after another.

    Raises:
        InvalidArgumentError: no variables, or one without dimensions.
    """

    table: Tensor

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        if not sizes or min(sizes.values()) < 1:
            raise InvalidArgumentError(
                f"each variable takes at least 1 dimension, and there is at least one; got {dict(sizes)}"
            )
        self.sizes, self.variables, self.k = dict(sizes), tuple(sizes), sum(sizes.values())
        table = torch.zeros(len(sizes), self.k)
        for row, part in enumerate(self.parts().values()):
            table[row, part] = 1
        self.register_buffer("table", table)

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`: one row for each variable, 1 where it exchanges."""
        return (self.table,)

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`."""
        return {"variables": len(self.variables)}

    def weights(
        self,
        tensors: Sequence[Float[Tensor, "functions ..."]],
        variable: Int[Tensor, "functions rows"],
        progress: float,
    ) -> Weights | None:
        """See `Mask.weights`."""
        if len(self.variables) == 1:
            return None
        (tables,) = tensors
        return tables.gather(1, variable[:, :, None].expand(-1, -1, self.k))

    def parts(self) -> Mapping[str, slice]:
        """See `Mask.parts`."""
        ends = list(accumulate(self.sizes.values()))
        return {name: slice(end - size, end) for (name, size), end in zip(self.sizes.items(), ends, strict=True)}


@final
class Learned(Mask):
    """A block whose size is learned (boundless DAS, Wu et al. 2023): dimension i is exchanged by sigmoid((b - i) / T).

    The temperature T falls evenly from the first to the last over the search, so the boundary b ends sharp. Scored is
    always the sharp mask.

    Args:
        variable: the variable.
        most: dimensions to choose from.
        cost: added to the loss, times the boundary as a share of `most`: how dear dimensions are, in nats.
        temperatures: the first and the last, in dimensions; default: from a twentieth of `most` to 0.1.
    """

    def __init__(
        self, variable: str, most: int, cost: float = 0.5, temperatures: tuple[float, float] | None = None
    ) -> None:
        super().__init__()
        first, last = temperatures or (max(most / 20, 0.1), 0.1)
        if most < 1 or cost < 0 or not 0 < last <= first:
            raise InvalidArgumentError(
                "a learned mask needs at least 1 dimension, a cost of at least 0 and temperatures that fall, above 0; "
                f"got {most}, {cost} and {temperatures}"
            )
        self.variables, self.k, self.dear, self.temperatures = (variable,), most, cost, (first, last)
        self.boundary = nn.Parameter(torch.tensor(0.8))  # from above: too few dimensions leave nothing to learn from

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`: the boundary, as a share of `most`."""
        return (self.boundary,)

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`."""
        return {"cost": self.dear, "temperatures": self.temperatures}

    def weights(
        self,
        tensors: Sequence[Float[Tensor, "functions ..."]],
        variable: Int[Tensor, "functions rows"],
        progress: float,
    ) -> Weights | None:
        """See `Mask.weights`."""
        (boundary,) = tensors
        first, last = self.temperatures
        place = torch.arange(self.k, dtype=boundary.dtype, device=boundary.device) + 0.5
        weights = torch.sigmoid((boundary[:, None] * self.k - place) / (first + (last - first) * progress))
        return weights[:, None]

    def parts(self) -> Mapping[str, slice]:
        """See `Mask.parts`: the dimensions below the boundary, one at least."""
        given = int((float(self.boundary.detach()) * self.k + 0.5) // 1)
        return {self.variables[0]: slice(0, min(max(given, 1), self.k))}

    def cost(self, tensors: Sequence[Float[Tensor, "functions ..."]]) -> Float[Tensor, " functions"] | None:
        """See `Mask.cost`."""
        return self.dear * tensors[0] if self.dear else None

    def settled(self, progress: float) -> bool:
        """See `Mask.settled`: when the boundary is sharp."""
        return progress >= 1
