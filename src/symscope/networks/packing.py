"""Packed batches for recurrent networks: rows sorted by length, longest first, so that the running rows come first.

A packed tensor holds the running rows of step 0, then those of step 1, and so on. The plan is made on the CPU, from
lengths that are stored there, so the program never waits for a device.
"""

from collections.abc import Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import one_hot


@final
class Packing:
    """The order of work for rows of given lengths.

    Args:
        lengths: number of steps of each row, on the CPU.

    Attributes:
        order: the rows, longest first.
        rank: the index of each row in `order`.
        running: number of rows that take each step; no step is empty.
        rows: the row of each packed entry.
        steps: the step of each packed entry.
    """

    def __init__(self, lengths: Int[Tensor, " batch"]) -> None:
        self.order = torch.argsort(lengths, descending=True, stable=True)
        is_running = torch.arange(int(lengths.max()))[:, None] < lengths[self.order]
        self.running: list[int] = is_running.sum(1).tolist()
        self.steps, ranks = is_running.nonzero().unbind(1)
        self.rows = self.order[ranks]
        self.rank = torch.empty_like(self.order)
        self.rank[self.order] = torch.arange(len(self.order))
        self._begins = torch.tensor([0, *self.running]).cumsum(0)

    def index(self, rows: Int[Tensor, " some"], steps: Int[Tensor, " some"]) -> Int[Tensor, " some"]:
        """The packed entries of these rows at these steps."""
        return self._begins[steps] + self.rank[rows]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy of a CPU tensor on a device; the call does not wait for the device."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def pick(values: Float[Tensor, "some *rest"], index: Int[Tensor, " picked"]) -> Float[Tensor, "picked *rest"]:
    """Selected rows, each at most once: the gradient is copied to the rows, where plain indexing would add it up."""
    return _Pick.apply(values, index)


@final
class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.count = len(values)
        return values.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (index,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.new_zeros(ctx.count, *gradient.shape[1:]).index_copy_(0, index, gradient), None


def repeat(values: Float[Tensor, "rows *rest"], counts: Int[Tensor, " rows"]) -> Float[Tensor, "total *rest"]:
    """Row i repeated `counts[i]` times (`counts` on the CPU); its gradients are summed in a fixed order."""
    index = torch.arange(len(counts)).repeat_interleave(counts)
    return _Repeat.apply(values, to_device(index, values.device), to_device(counts, values.device))


@final
class _Repeat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, counts: Tensor) -> Tensor:
        ctx.save_for_backward(counts)
        return values.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (counts,) = ctx.saved_tensors
        (gradient,) = gradients
        return sum_each(gradient.flatten(1), counts).view(len(counts), *gradient.shape[1:]), None, None


def sum_each(values: Float[Tensor, "total *rest"], counts: Int[Tensor, " rows"]) -> Float[Tensor, "rows *rest"]:
    """Sums of consecutive values, `counts[i]` of them for row i; unchecked, since a check waits for the device."""
    return torch.segment_reduce(values, "sum", lengths=counts, unsafe=True)


def before_each_step(
    start: Float[Tensor, "batch state"], after: Float[Tensor, "steps state"], running: Sequence[int]
) -> Float[Tensor, "steps state"]:
    """The packed states before each step, from those after it."""
    parts = [start[: running[0]]]
    for states, rows in zip(after.split(running), running[1:], strict=False):
        parts.append(states[:rows])
    return torch.cat(parts)


def sum_by_token(
    gradient: Float[Tensor, "steps input"], tokens: Int[Tensor, " steps"], vocabulary: int
) -> Float[Tensor, "vocabulary input"]:
    """Sums of a packed gradient by token, as a product with one-hot rows: `index_add_` has no fixed order on CUDA."""
    return one_hot(tokens, vocabulary).to(gradient.dtype).T @ gradient
