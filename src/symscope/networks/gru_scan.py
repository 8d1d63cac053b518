"""The GRU over many steps as one differentiable function, with its backward pass written by hand.

Unrolled step by step, autograd records a dozen small operations a step and, for the weights, a matrix product a
step. Here a step costs five operations forwards and four backwards; the local derivatives are worked out for all
steps at once, and the weights' gradient is one product over all steps, left out where the weights are frozen.
`GRUCell.step` is the plain second version; the tests show that both agree.
"""

from collections.abc import Iterable, Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from symscope.networks.packing import before_each_step, by_token

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def gru_scan(
    start: Float[Tensor, "batch d"],
    drives: Float[Tensor, "vocabulary 3*d"],
    weight: Float[Tensor, "3*d d"],
    bias: Float[Tensor, " 3*d"],
    tokens: Int[Tensor, " steps"],
    running: Sequence[int],
) -> Float[Tensor, "steps d"]:
    """States after each step of a packed batch (see `Cell.scan`)."""
    return _GRUScan.apply(start, drives, weight, bias, tokens, running)


def _looked_up(
    table: Tensor, new: Tensor, tokens: Tensor, running: Sequence[int], *, keep: bool
) -> tuple[tuple[Tensor, ...], Iterable[Sequence[Tensor]]]:
    """What is kept for the way back, and for each step the gates, the parts of them that the loop works on, and new.

    Without a way back, steps are looked up one at a time: what a step takes then stays in the cache.
    """
    d = new.shape[1]

    def parts(gates: Tensor, new: Tensor) -> tuple[Tensor, ...]:
        return gates, gates[:, : 2 * d], *gates.split(d, 1), new

    if keep:
        kept = table.index_select(0, tokens), new.index_select(0, tokens)
        return kept, zip(*(part.split(running) for part in parts(*kept)), strict=True)
    return (), (parts(table.index_select(0, some), new.index_select(0, some)) for some in tokens.split(running))


@final
class _GRUScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, start: Tensor, drives: Tensor, weight: Tensor, bias: Tensor, tokens: Tensor, running: Sequence[int]
    ) -> Tensor:
        d = weight.shape[1]
        # `gates` starts as what tokens and biases contribute and ends as reset, update and the recurrent part of new.
        table = torch.cat([drives[:, : 2 * d] + bias[: 2 * d], bias[2 * d :].expand(len(drives), d)], 1)
        after, transposed, states = drives.new_empty(len(tokens), d), weight.T, start
        kept, by_step = _looked_up(table, drives[:, 2 * d :], tokens, running, keep=any(ctx.needs_input_grad))
        for (g, sigmoids, reset, update, recurrent, n), h in zip(by_step, after.split(running), strict=True):
            g.addmm_(states[: len(g)], transposed)
            sigmoids.sigmoid_()
            n.addcmul_(reset, recurrent).tanh_()
            states = torch.lerp(n, states[: len(g)], update, out=h)
        ctx.save_for_backward(start, weight, tokens, *kept, after)
        ctx.running, ctx.vocabulary = running, len(drives)
        return after

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator's stub names no arguments
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        start, weight, tokens, gates, new, after = ctx.saved_tensors
        running: Sequence[int] = ctx.running
        _, wants_drives, wants_weight, wants_bias = ctx.needs_input_grad[:4]
        d, total = weight.shape[1], len(after)
        before = before_each_step(start, after, running)
        reset, update, recurrent = gates.split(d, 1)
        # How much each gate, before its non-linearity, moves the next state; in the loop, in place, times the gradient.
        into = gates.new_empty(total, 3, d)
        by_reset, by_update, by_recurrent = into.unbind(1)
        tanh_backward.grad_input(1 - update, new, grad_input=by_recurrent)
        by_new = by_recurrent.clone() if wants_drives else None
        torch.mul(by_recurrent, recurrent, out=by_reset)
        sigmoid_backward.grad_input(by_reset, reset, grad_input=by_reset)
        torch.sub(before, new, out=by_update)
        sigmoid_backward.grad_input(by_update, update, grad_input=by_update)
        by_recurrent.mul_(reset)
        flat = into.view(total, 3 * d)
        arriving = gradients[0].clone()
        to_start = start.new_zeros(len(start), d)
        # Each step adds its share to what arrives at the states before it, which are the first rows of that step.
        by_step = [part.split(running) for part in (arriving, into, flat, update)]
        earlier = [to_start, *by_step[0]]
        for t in reversed(range(len(running))):
            g, i, i_flat, u = (parts[t] for parts in by_step)
            i.mul_(g[:, None])
            earlier[t][: running[t]].addmm_(i_flat, weight).addcmul_(g, u)
        to_drives = None
        if by_new is not None:
            by_new.mul_(arriving)
            parts = (by_token(part, tokens, ctx.vocabulary) for part in (flat[:, : 2 * d], by_new))
            to_drives = torch.cat(list(parts), 1)
        to_weight = flat.T @ before if wants_weight else None
        return to_start, to_drives, to_weight, flat.sum(0) if wants_bias else None, None, None
