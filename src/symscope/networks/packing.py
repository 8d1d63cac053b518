"""Packed batches: rows in the order of their lengths, longest first, so that those still running come first.

A packed tensor holds the running rows of step 0, then those of step 1, and so on. The plan is made on the CPU, from
lengths that lie there, so a device is never waited for.
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
        lengths: how many steps each row takes, on the CPU.

    Attributes:
        order: the rows, longest first.
        place: where in that order each row is.
        running: how many rows take each step; no step is empty.
        rows: the row of each packed entry, ...
        steps: ... and its step.
    """

    def __init__(self, lengths: Int[Tensor, " batch"]) -> None:
        self.order = torch.argsort(lengths, descending=True, stable=True)
        there = torch.arange(int(lengths.max()))[:, None] < lengths[self.order]
        self.running: list[int] = there.sum(1).tolist()
        self.steps, places = there.nonzero().unbind(1)
        self.rows = self.order[places]
        self.place = torch.empty_like(self.order)
        self.place[self.order] = torch.arange(len(self.order))
        self._begins = torch.tensor([0, *self.running]).cumsum(0)

    def index(self, rows: Int[Tensor, " some"], steps: Int[Tensor, " some"]) -> Int[Tensor, " some"]:
        """Where in a packed tensor these rows are at these steps."""
        return self._begins[steps] + self.place[rows]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, without waiting for what that is still doing."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def pick(values: Float[Tensor, "some *rest"], index: Int[Tensor, " picked"]) -> Float[Tensor, "picked *rest"]:
    """Some rows, each at most once: so the gradient is put in its place, where indexing would have to add it up."""
    return _Pick.apply(values, index)


@final
class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.many = len(values)
        return values.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (index,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.new_zeros(ctx.many, *gradient.shape[1:]).index_copy_(0, index, gradient), None


def repeat(values: Float[Tensor, "rows *rest"], each: Int[Tensor, " rows"]) -> Float[Tensor, "total *rest"]:
    """Each row so many times, one after another (`each` on the CPU); its gradients are summed in a fixed order."""
    index = torch.arange(len(each)).repeat_interleave(each)
    return _Repeat.apply(values, to_device(index, values.device), to_device(each, values.device))


@final
class _Repeat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, each: Tensor) -> Tensor:
        ctx.save_for_backward(each)
        return values.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (each,) = ctx.saved_tensors
        (gradient,) = gradients
        return sum_each(gradient.flatten(1), each).view(len(each), *gradient.shape[1:]), None, None


def sum_each(values: Float[Tensor, "total *rest"], each: Int[Tensor, " rows"]) -> Float[Tensor, "rows *rest"]:
    """Sums of so many values a row, one after another; not checked, since a check waits for the device."""
    return torch.segment_reduce(values, "sum", lengths=each, unsafe=True)


def before_each_step(
    start: Float[Tensor, "batch state"], after: Float[Tensor, "steps state"], running: Sequence[int]
) -> Float[Tensor, "steps state"]:
    """The packed states before each step, from those after it."""
    parts = [start[: running[0]]]
    for states, rows in zip(after.split(running), running[1:], strict=False):
        parts.append(states[:rows])
    return torch.cat(parts)


def by_token(
    gradient: Float[Tensor, "steps drive"], tokens: Int[Tensor, " steps"], vocabulary: int
) -> Float[Tensor, "vocabulary drive"]:
    """Sums a packed gradient by token: a product with one-hot rows (adding by index has no fixed order on CUDA)."""
    return one_hot(tokens, vocabulary).to(gradient.dtype).T @ gradient
