"""Fits as one program: functions and masks of one kind stacked, with one optimiser over all of them.

What a fit does depends on nothing beside it: its gradient reaches its own slice of the stack only, and Adam works entry
by entry. So fits that stop are taken out, and the others go on as if they had never been there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.masks import Mask


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products of the precision that their numbers have, whatever faster ones the user has chosen.

    The network follows that choice (`torch.set_float32_matmul_precision`); a map never does, since what it rounds away
    would come back as a difference between base and swapped state.
    """
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)


@dataclass
class Alignment:
    """A function, and a mask that gives its dimensions to variables."""

    function: AlignmentFunction
    mask: Mask

    def tensors(self) -> tuple[Tensor, ...]:
        """Those of the function, then those of the mask."""
        return (*self.function.tensors(), *self.mask.tensors())

    def with_tensors(self, tensors: Sequence[Tensor]) -> "Alignment":
        """The same with copies of other tensors."""
        own = len(self.function.tensors())
        return Alignment(self.function.with_tensors(tensors[:own]), self.mask.with_tensors(tensors[own:]))

    @torch.no_grad()
    def functions(self) -> dict[str, AlignmentFunction]:
        """The alignment of each variable, fixed, as it stands."""
        return {variable: self.function.part(part) for variable, part in self.mask.parts().items()}

    def stacks_with(self) -> tuple[object, ...]:
        """Equal for alignments that can be stacked."""
        shapes = tuple(tuple(tensor.shape) for tensor in self.tensors())
        kinds = type(self.function), repr(self.function.settings()), type(self.mask), repr(self.mask.settings())
        return (*kinds, shapes)


@dataclass
class _Stack:
    """Alignments that differ in their tensors alone."""

    first: Alignment
    members: list[int]
    tensors: list[Tensor]

    def __post_init__(self) -> None:
        self.rows = torch.tensor(self.members, device=self.tensors[0].device)


class Program:
    """Alignments that are trained together.

    Args:
        alignments: where they start.
        learning_rate: of Adam.
    """

    def __init__(self, alignments: Sequence[Alignment], learning_rate: float) -> None:
        groups: dict[tuple[object, ...], list[int]] = {}
        for index, alignment in enumerate(alignments):
            groups.setdefault(alignment.stacks_with(), []).append(index)
        self._learning_rate = learning_rate
        self._lay_out([_stack(alignments, members) for members in groups.values()])
        self._adam = torch.optim.Adam(self._parameters(), lr=learning_rate)

    @full_precision()
    def swap(
        self,
        base: Float[Tensor, "fits batch state"],
        source: Float[Tensor, "fits batch state"],
        variable: Int[Tensor, "fits batch"],
        progress: float,
    ) -> Float[Tensor, "fits batch state"]:
        """Each alignment's swaps on its own batch, fits in order; for `variable` and `progress` see `Mask.weights`."""
        swapped = []
        for stack in self._stacks:
            function, mask = self._split(stack)
            own, other, which = (x.index_select(0, stack.rows) for x in (base, source, variable))
            weights = stack.first.mask.weights(mask, which, progress)
            swapped.append(stack.first.function.exchange(function, own, other, weights))
        if len(swapped) == 1:
            return swapped[0]
        return torch.cat(swapped).index_select(0, self._order)

    @full_precision()
    def step(self, losses: Float[Tensor, " fits"]) -> None:
        """One step of Adam on each alignment's own loss, and on what its mask adds to that."""
        whole = losses.sum()
        for stack in self._stacks:
            cost = stack.first.mask.cost(self._split(stack)[1])
            whole = whole if cost is None else whole + cost.sum()
        self._adam.zero_grad()
        whole.backward()
        self._adam.step()

    def tensors(self, index: int) -> list[Tensor]:
        """The tensors of one alignment, as they stand."""
        for stack in self._stacks:
            if index in stack.members:
                at = stack.members.index(index)
                return [tensor[at].detach() for tensor in stack.tensors]
        raise IndexError(index)

    def keep(self, indices: Sequence[int]) -> None:
        """Leaves out all other alignments; those kept are numbered anew, in the order given."""
        number = {index: place for place, index in enumerate(indices)}
        state, stacks = {}, []
        for stack in self._stacks:
            rows = [row for row, index in enumerate(stack.members) if index in number]
            if not rows:
                continue
            at = torch.tensor(rows, device=stack.tensors[0].device)
            tensors = []
            for tensor in stack.tensors:
                kept = tensor.detach()[at]
                if isinstance(tensor, nn.Parameter):
                    kept = nn.Parameter(kept)
                    state[kept] = {
                        name: entry if entry.ndim == 0 else entry[at]
                        for name, entry in self._adam.state.get(tensor, {}).items()
                    }
                tensors.append(kept)
            stacks.append(_Stack(stack.first, [number[stack.members[row]] for row in rows], tensors))
        self._lay_out(stacks)
        self._adam = torch.optim.Adam(self._parameters(), lr=self._learning_rate)
        self._adam.state.update({parameter: entries for parameter, entries in state.items() if entries})

    def _lay_out(self, stacks: list[_Stack]) -> None:
        """Where each alignment's rows are among those of all stacks; worked out here, not at every step."""
        self._stacks = stacks
        self._order = torch.cat([stack.rows for stack in stacks]).argsort()

    def _parameters(self) -> list[nn.Parameter]:
        return [tensor for stack in self._stacks for tensor in stack.tensors if isinstance(tensor, nn.Parameter)]

    @staticmethod
    def _split(stack: _Stack) -> tuple[list[Tensor], list[Tensor]]:
        own = len(stack.first.function.tensors())
        return stack.tensors[:own], stack.tensors[own:]


def _stack(alignments: Sequence[Alignment], members: list[int]) -> _Stack:
    tensors = []
    for one in zip(*(alignments[index].tensors() for index in members), strict=True):
        stacked = torch.stack([tensor.detach() for tensor in one])
        tensors.append(nn.Parameter(stacked) if one[0].requires_grad else stacked)
    return _Stack(alignments[members[0]], members, tensors)
