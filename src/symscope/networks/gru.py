"""The GRU: a cell with plain steps, and the same recurrence over many steps with a hand-written backward pass.

Unrolled step by step, autograd records a dozen small operations per step and, for the weights, one matrix product per
step. `gru_scan` needs five operations per step forwards and four backwards; it computes the local derivatives of all
steps at once, and the gradient of the weights in one product over all steps, which is left out where the weights are
frozen. `GRUCell.step` is the independent plain version; the tests show that both agree.
"""

from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex, final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from symscope.arguments import integer
from symscope.networks.packing import before_each_step, sum_by_token
from symscope.networks.parameters import MAX_SIZE, normal_parameter, uniform_parameter
from symscope.networks.readouts import MLPReadout
from symscope.networks.recurrent import Cell, RecurrentNetwork

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


@final
class GRUCell(Cell):
    """The gated recurrent unit in torch's convention (reset, update, new), with an embedding of width d; site `h`."""

    def __init__(self, d: int, vocabulary: int, generator: Generator) -> None:
        super().__init__()
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.vocabulary = vocabulary
        self.embedding = normal_parameter((vocabulary, d), generator)
        self.input_weight = uniform_parameter((3 * d, d), d, generator)
        self.input_bias = uniform_parameter((3 * d,), d, generator)
        self.state_weight = uniform_parameter((3 * d, d), d, generator)
        self.state_bias = uniform_parameter((3 * d,), d, generator)

    def token_inputs(self) -> Float[Tensor, "vocabulary input"]:
        return linear(self.embedding, self.input_weight, self.input_bias)

    def step(
        self, states: Float[Tensor, "batch state"], inputs: Float[Tensor, "batch input"]
    ) -> Float[Tensor, "batch state"]:
        d = self.width
        recurrent = linear(states, self.state_weight, self.state_bias)
        reset, update = torch.sigmoid(inputs[:, : 2 * d] + recurrent[:, : 2 * d]).split(d, 1)
        new = torch.tanh(inputs[:, 2 * d :] + reset * recurrent[:, 2 * d :])
        return torch.lerp(new, states, update)

    def scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, " steps"], running: Sequence[int]
    ) -> Float[Tensor, "steps state"]:
        return gru_scan(start, self.token_inputs(), self.state_weight, self.state_bias, tokens, running)


def gru(d: SupportsIndex, vocabulary: SupportsIndex, generator: Generator) -> RecurrentNetwork:
    """The paper's GRU: embedding and state of width d, one cell, the MLP output layer; site `h`."""
    d, vocabulary = integer(d, "the state size d", 1, MAX_SIZE), integer(vocabulary, "the vocabulary size", 1, MAX_SIZE)
    return RecurrentNetwork(GRUCell(d, vocabulary, generator), MLPReadout(d, vocabulary, generator))


def gru_scan(
    start: Float[Tensor, "batch d"],
    inputs: Float[Tensor, "vocabulary 3*d"],
    weight: Float[Tensor, "3*d d"],
    bias: Float[Tensor, " 3*d"],
    tokens: Int[Tensor, " steps"],
    running: Sequence[int],
) -> Float[Tensor, "steps d"]:
    """States after each step of a packed batch (see `Cell.scan`)."""
    return _GRUScan.apply(start, inputs, weight, bias, tokens, running)


def _look_up_gates(
    table: Tensor, new: Tensor, tokens: Tensor, running: Sequence[int], *, keep: bool
) -> tuple[tuple[Tensor, ...], Iterable[Sequence[Tensor]]]:
    """The tensors that the backward pass needs; and for each step the gates, the parts that the loop uses, and `new`.

    Without a backward pass the gates are looked up one step at a time, so that they stay in the processor's cache.
    """
    d = new.shape[1]

    def parts(gates: Tensor, new: Tensor) -> tuple[Tensor, ...]:
        return gates, gates[:, : 2 * d], *gates.split(d, 1), new

    if keep:
        kept = table.index_select(0, tokens), new.index_select(0, tokens)
        return kept, zip(*(part.split(running) for part in parts(*kept)), strict=True)
    return (), (parts(table.index_select(0, ids), new.index_select(0, ids)) for ids in tokens.split(running))


@final
class _GRUScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, start: Tensor, inputs: Tensor, weight: Tensor, bias: Tensor, tokens: Tensor, running: Sequence[int]
    ) -> Tensor:
        d = weight.shape[1]
        # `gates` starts as the sum of token inputs and biases; it ends as reset, update and the recurrent part of new.
        table = torch.cat([inputs[:, : 2 * d] + bias[: 2 * d], bias[2 * d :].expand(len(inputs), d)], 1)
        after, transposed, states = inputs.new_empty(len(tokens), d), weight.T, start
        kept, steps = _look_up_gates(table, inputs[:, 2 * d :], tokens, running, keep=any(ctx.needs_input_grad))
        for (gates, sigmoids, reset, update, recurrent, new), h in zip(steps, after.split(running), strict=True):
            gates.addmm_(states[: len(gates)], transposed)
            sigmoids.sigmoid_()
            new.addcmul_(reset, recurrent).tanh_()
            states = torch.lerp(new, states[: len(gates)], update, out=h)
        ctx.save_for_backward(start, weight, tokens, *kept, after)
        ctx.running, ctx.vocabulary = running, len(inputs)
        return after

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator's stub names no arguments
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        start, weight, tokens, gates, new, after = ctx.saved_tensors
        running: Sequence[int] = ctx.running
        _, needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad[:4]
        d, total = weight.shape[1], len(after)
        before = before_each_step(start, after, running)
        reset, update, recurrent = gates.split(d, 1)
        # Derivative of the next state by each gate before its non-linearity; the loop multiplies it by the gradient.
        by_gate = gates.new_empty(total, 3, d)
        by_reset, by_update, by_recurrent = by_gate.unbind(1)
        tanh_backward.grad_input(1 - update, new, grad_input=by_recurrent)
        by_new = by_recurrent.clone() if needs_inputs else None
        torch.mul(by_recurrent, recurrent, out=by_reset)
        sigmoid_backward.grad_input(by_reset, reset, grad_input=by_reset)
        torch.sub(before, new, out=by_update)
        sigmoid_backward.grad_input(by_update, update, grad_input=by_update)
        by_recurrent.mul_(reset)
        flat = by_gate.view(total, 3 * d)
        to_states = gradients[0].clone()
        to_start = start.new_zeros(len(start), d)
        # Each step adds its gradient to that of the states before it, which are the first rows of the step before.
        parts = [part.split(running) for part in (to_states, by_gate, flat, update)]
        to_earlier = [to_start, *parts[0]]
        for step in reversed(range(len(running))):
            gradient, step_by_gate, step_flat, step_update = (part[step] for part in parts)
            step_by_gate.mul_(gradient[:, None])
            to_earlier[step][: running[step]].addmm_(step_flat, weight).addcmul_(gradient, step_update)
        to_inputs = None
        if by_new is not None:
            by_new.mul_(to_states)
            sums = (sum_by_token(part, tokens, ctx.vocabulary) for part in (flat[:, : 2 * d], by_new))
            to_inputs = torch.cat(list(sums), 1)
        to_weight = flat.T @ before if needs_weight else None
        return to_start, to_inputs, to_weight, flat.sum(0) if needs_bias else None, None, None
