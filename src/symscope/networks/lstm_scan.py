"""The LSTM over many steps as one differentiable function, with its backward pass written by hand.

The same plan as `gru_scan`; `LSTMCell.step` is the plain second version.
"""

from collections.abc import Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from symscope.networks.packing import before_each_step, by_token

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def lstm_scan(
    start: Float[Tensor, "batch state"],
    drives: Float[Tensor, "vocabulary gates"],
    weight: Float[Tensor, "gates h"],
    tokens: Int[Tensor, " steps"],
    running: Sequence[int],
) -> Float[Tensor, "steps state"]:
    """States (h and c) after each step of a packed batch (see `Cell.scan`); `drives` hold the biases."""
    return _LSTMScan.apply(start, drives, weight, tokens, running)


@final
class _LSTMScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, start: Tensor, drives: Tensor, weight: Tensor, tokens: Tensor, running: Sequence[int]
    ) -> Tensor:
        size, transposed = weight.shape[1], weight.T
        # `gates` starts as what the tokens contribute and ends as input, forget, new and output.
        gates = drives.index_select(0, tokens)
        after, shown, states = gates.new_empty(len(tokens), 2 * size), gates.new_empty(len(tokens), size), start
        for g, s, state in zip(gates.split(running), shown.split(running), after.split(running), strict=True):
            h, c = states[: len(g)].split(size, 1)
            g.addmm_(h, transposed)
            g[:, : 2 * size].sigmoid_()
            g[:, 2 * size : 3 * size].tanh_()
            g[:, 3 * size :].sigmoid_()
            keep, forget, new, show = g.split(size, 1)
            c = torch.mul(forget, c, out=state[:, size:]).addcmul_(keep, new)
            torch.mul(show, torch.tanh(c, out=s), out=state[:, :size])
            states = state
        ctx.save_for_backward(start, weight, tokens, gates, shown, after)
        ctx.running, ctx.vocabulary = running, len(drives)
        return after

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator's stub names no arguments
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        start, weight, tokens, gates, shown, after = ctx.saved_tensors
        running: Sequence[int] = ctx.running
        size, total = weight.shape[1], len(after)
        before = before_each_step(start, after, running)
        keep, forget, new, show = gates.split(size, 1)
        # How much each gate, before its non-linearity, moves c (the output gate: h); in the loop times the gradient.
        into = gates.new_empty(total, 4, size)
        sigmoid_backward.grad_input(new, keep, grad_input=into[:, 0])
        sigmoid_backward.grad_input(before[:, size:], forget, grad_input=into[:, 1])
        tanh_backward.grad_input(keep, new, grad_input=into[:, 2])
        sigmoid_backward.grad_input(shown, show, grad_input=into[:, 3])
        through = tanh_backward(show, shown)
        carried = start.new_zeros(0, 2 * size)
        parts = zip(*(x.split(running) for x in (gradients[0], into, forget, through)), strict=True)
        for gradient, i, f, t in reversed(list(parts)):
            g = gradient.clone()
            g[: len(carried)] += carried
            to_h, to_c = g.split(size, 1)
            to_c.addcmul_(to_h, t)
            i[:, :3].mul_(to_c[:, None])
            i[:, 3].mul_(to_h)
            carried = torch.cat([i.view(len(g), 4 * size) @ weight, to_c * f], 1)
        to_start = torch.cat([carried, carried.new_zeros(len(start) - len(carried), 2 * size)])
        _, wants_drives, wants_weight = ctx.needs_input_grad[:3]
        flat = into.view(total, 4 * size)
        to_drives = by_token(flat, tokens, ctx.vocabulary) if wants_drives else None
        return to_start, to_drives, flat.T @ before[:, :size] if wants_weight else None, None, None
