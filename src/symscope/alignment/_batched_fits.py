"""Several fits of one kind as one batch: stacked tensors, and one optimiser over all of them.

The gradient of a fit reaches its own slice of the stack only, and Adam works entry by entry. So removing a stopped fit
does not affect the remaining fits.

The alignment of a fit is a moving average over its steps: batches are small, so the tensors of a single step scatter
around better ones (Polyak & Juditsky 1992).
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from symscope.adam import Adam
from symscope.alignment.functions import Alignment, AlignmentFunction
from symscope.alignment.masks import Mask

KEPT = 0.8
"""Share of the moving average that a step keeps."""


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products in the precision of their inputs, whatever faster products the user has chosen.

    The network follows that choice (`torch.set_float32_matmul_precision`); a map never does, since rounding in the map
    would appear as a difference between the base and the swapped state.
    """
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen)


@final
class BatchedFits:
    """Fits of one alignment function and one mask that differ in their tensors alone.

    Args:
        function: the alignment function.
        mask: a mask of the structure of all of theirs.
        members: the numbers of the fits within their search.
        tensors: the tensors of each fit, those of the function before those of the mask.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        function: AlignmentFunction,
        mask: Mask,
        members: Sequence[int],
        tensors: Sequence[Sequence[Tensor]],
        learning_rate: float,
    ) -> None:
        self.function, self.mask, self.members = function, mask, list(members)
        self.learning_rate = learning_rate
        self._split = len(tensors[0]) - len(mask.initialise())
        stacked = []
        for same in zip(*tensors, strict=True):
            stack = torch.stack([tensor.detach() for tensor in same])
            stacked.append(nn.Parameter(stack) if same[0].requires_grad else stack)
        self._set(stacked)

    def _set(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors
        self._trained = [tensor for tensor in tensors if isinstance(tensor, nn.Parameter)]
        self.adam = Adam(self._trained)
        self._averages = [t.detach().clone() if isinstance(t, nn.Parameter) else t for t in tensors]

    @torch.no_grad()
    def step(self) -> None:
        """One step of Adam with the gradients that the tensors have."""
        self.adam.step(self.learning_rate)
        for average, tensor in zip(self._averages, self._tensors, strict=True):
            if isinstance(tensor, nn.Parameter):
                average.lerp_(tensor, 1 - KEPT)

    @full_precision()
    def swap(
        self,
        base: Float[Tensor, "fits batch state"],
        sources: Float[Tensor, "sources fits batch state"],
        swap: Int[Tensor, "fits batch"],
        progress: float,
    ) -> Float[Tensor, "fits batch state"]:
        """The swaps of each fit on its batch; `swap` and `progress` as in `Mask.weights`."""
        function, mask = self._tensors[: self._split], self._tensors[self._split :]
        for number, source in enumerate(sources[: self.mask.sources]):
            weights = self.mask.weights(mask, swap, number, progress)
            base = self.function.swap_batched(function, self.mask.k, base, source, weights)
        return base

    def penalty(self) -> Float[Tensor, " fits"] | None:
        """What the mask adds to the loss of each fit."""
        return self.mask.penalty(self._tensors[self._split :])

    @torch.no_grad()
    def alignments(self, number: int, mask: Mask) -> dict[str, Alignment]:
        """The averaged alignment of each variable of one fit; raises where its map has become singular."""
        at = self.members.index(number)
        tensors = [average[at] for average in self._averages]
        return {
            variable: self.function.select(tensors[: self._split], self.mask.k, part)
            for variable, part in mask.dimensions(tensors[self._split :]).items()
        }

    def keep(self, members: Collection[int]) -> None:
        """Removes all other fits; the optimiser keeps its state for those that remain."""
        kept = [index for index, number in enumerate(self.members) if number in members]
        rows = torch.tensor(kept, device=self._tensors[0].device)
        states, averages = self.adam.state, [average[rows] for average in self._averages]
        self.members = [self.members[index] for index in kept]
        self._set(
            [
                nn.Parameter(tensor.detach()[rows]) if isinstance(tensor, nn.Parameter) else tensor[rows]
                for tensor in self._tensors
            ]
        )
        self.adam.state = [
            {name: entry if entry.ndim == 0 else entry[rows] for name, entry in state.items()} for state in states
        ]
        self._averages = averages


@full_precision()
def train_step(groups: Sequence[BatchedFits], losses: Float[Tensor, " fits"]) -> None:
    """One step of Adam for all fits, each on its own loss and the penalty of its mask."""
    total = losses.sum()
    for group in groups:
        penalty = group.penalty()
        total = total if penalty is None else total + penalty.sum()
        group.adam.zero_grad()
    total.backward()
    for group in groups:
        group.step()
