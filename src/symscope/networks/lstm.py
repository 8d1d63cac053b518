"""The LSTM: a cell with plain steps, and the same recurrence over many steps with a hand-written backward pass.

The state is the hidden state h, which the output layer reads, and the memory c. `lstm_scan` follows the same plan as
`gru_scan`; `LSTMCell.step` is the independent plain version.
"""

from collections.abc import Sequence
from typing import Any, SupportsIndex, final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from symscope.arguments import integer
from symscope.errors import InvalidArgumentError
from symscope.networks.packing import before_each_step, sum_by_token
from symscope.networks.parameters import MAX_SIZE, normal_parameter, uniform_parameter
from symscope.networks.readouts import MLPReadout
from symscope.networks.recurrent import Cell, RecurrentNetwork

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


@final
class LSTMCell(Cell):
    """Long short-term memory in torch's convention (input, forget, new, output), with an embedding.

    The state is h and c concatenated, h first; sites `state` (both), `h` and `c`.

    Args:
        size: size of h and of c.
        embedding: width of the embedding.
        vocabulary: number of tokens.
        generator: draws the initial weights.
    """

    def __init__(self, size: int, embedding: int, vocabulary: int, generator: Generator) -> None:
        super().__init__()
        self.size, self.width = size, 2 * size
        h, c = slice(0, size), slice(size, 2 * size)
        self.sites, self.output = {"state": slice(0, 2 * size), "h": h, "c": c}, h
        self.vocabulary = vocabulary
        self.embedding = normal_parameter((vocabulary, embedding), generator)
        self.input_weight = uniform_parameter((4 * size, embedding), size, generator)
        self.input_bias = uniform_parameter((4 * size,), size, generator)
        self.state_weight = uniform_parameter((4 * size, size), size, generator)
        self.state_bias = uniform_parameter((4 * size,), size, generator)

    def token_inputs(self) -> Float[Tensor, "vocabulary input"]:
        return linear(self.embedding, self.input_weight, self.input_bias)

    def step(
        self, states: Float[Tensor, "batch state"], inputs: Float[Tensor, "batch input"]
    ) -> Float[Tensor, "batch state"]:
        h, c = states.split(self.size, 1)
        gates = inputs + linear(h, self.state_weight, self.state_bias)
        input_gate, forget_gate, new, output_gate = gates.split(self.size, 1)
        c = torch.sigmoid(forget_gate) * c + torch.sigmoid(input_gate) * torch.tanh(new)
        return torch.cat([torch.sigmoid(output_gate) * torch.tanh(c), c], 1)

    def scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, " steps"], running: Sequence[int]
    ) -> Float[Tensor, "steps state"]:
        return lstm_scan(start, self.token_inputs() + self.state_bias, self.state_weight, tokens, running)


def lstm(d: SupportsIndex, vocabulary: SupportsIndex, generator: Generator, *, each: bool = False) -> RecurrentNetwork:
    """The paper's LSTM: embedding of width d, one cell, the MLP output layer (4d hidden units) on h.

    Args:
        d: size of the whole state: h and c take half of it each, so d is even.
        vocabulary: number of tokens.
        generator: draws the initial weights.
        each: the second convention: h and c of size d each, so the whole state has size 2d.

    Raises:
        InvalidArgumentError: a size is out of range, or d is odd although it is to be halved.
    """
    d, vocabulary = integer(d, "the state size d", 1, MAX_SIZE), integer(vocabulary, "the vocabulary size", 1, MAX_SIZE)
    if d % 2 and not each:
        raise InvalidArgumentError(f"h and c take half of d each, so d is even; got {d} (each=True gives d to both)")
    size = d if each else d // 2
    cell = LSTMCell(size, d, vocabulary, generator)
    return RecurrentNetwork(cell, MLPReadout(size, vocabulary, generator, hidden=4 * d))


def lstm_scan(
    start: Float[Tensor, "batch state"],
    inputs: Float[Tensor, "vocabulary gates"],
    weight: Float[Tensor, "gates h"],
    tokens: Int[Tensor, " steps"],
    running: Sequence[int],
) -> Float[Tensor, "steps state"]:
    """States (h and c) after each step of a packed batch (see `Cell.scan`); `inputs` include the biases."""
    return _LSTMScan.apply(start, inputs, weight, tokens, running)


@final
class _LSTMScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, start: Tensor, inputs: Tensor, weight: Tensor, tokens: Tensor, running: Sequence[int]
    ) -> Tensor:
        size, transposed = weight.shape[1], weight.T
        # `gates` starts as the token inputs and ends as input, forget, new and output.
        gates = inputs.index_select(0, tokens)
        after, tanh_c, states = gates.new_empty(len(tokens), 2 * size), gates.new_empty(len(tokens), size), start
        steps = zip(gates.split(running), tanh_c.split(running), after.split(running), strict=True)
        for step_gates, step_tanh_c, state in steps:
            h, c = states[: len(step_gates)].split(size, 1)
            step_gates.addmm_(h, transposed)
            step_gates[:, : 2 * size].sigmoid_()
            step_gates[:, 2 * size : 3 * size].tanh_()
            step_gates[:, 3 * size :].sigmoid_()
            input_gate, forget_gate, new, output_gate = step_gates.split(size, 1)
            c = torch.mul(forget_gate, c, out=state[:, size:]).addcmul_(input_gate, new)
            torch.mul(output_gate, torch.tanh(c, out=step_tanh_c), out=state[:, :size])
            states = state
        ctx.save_for_backward(start, weight, tokens, gates, tanh_c, after)
        ctx.running, ctx.vocabulary = running, len(inputs)
        return after

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator's stub names no arguments
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        start, weight, tokens, gates, tanh_c, after = ctx.saved_tensors
        running: Sequence[int] = ctx.running
        size, total = weight.shape[1], len(after)
        before = before_each_step(start, after, running)
        input_gate, forget_gate, new, output_gate = gates.split(size, 1)
        # Derivative of c (for the output gate: of h) by each gate before its non-linearity; the loop multiplies it by
        # the gradient.
        by_gate = gates.new_empty(total, 4, size)
        sigmoid_backward.grad_input(new, input_gate, grad_input=by_gate[:, 0])
        sigmoid_backward.grad_input(before[:, size:], forget_gate, grad_input=by_gate[:, 1])
        tanh_backward.grad_input(input_gate, new, grad_input=by_gate[:, 2])
        sigmoid_backward.grad_input(tanh_c, output_gate, grad_input=by_gate[:, 3])
        h_by_c = tanh_backward(output_gate, tanh_c)
        to_earlier = start.new_zeros(0, 2 * size)
        parts = zip(*(part.split(running) for part in (gradients[0], by_gate, forget_gate, h_by_c)), strict=True)
        for gradient, step_by_gate, step_forget, step_h_by_c in reversed(list(parts)):
            to_state = gradient.clone()
            to_state[: len(to_earlier)] += to_earlier
            to_h, to_c = to_state.split(size, 1)
            to_c.addcmul_(to_h, step_h_by_c)
            step_by_gate[:, :3].mul_(to_c[:, None])
            step_by_gate[:, 3].mul_(to_h)
            to_earlier = torch.cat([step_by_gate.view(len(to_state), 4 * size) @ weight, to_c * step_forget], 1)
        to_start = torch.cat([to_earlier, to_earlier.new_zeros(len(start) - len(to_earlier), 2 * size)])
        _, needs_inputs, needs_weight = ctx.needs_input_grad[:3]
        flat = by_gate.view(total, 4 * size)
        to_inputs = sum_by_token(flat, tokens, ctx.vocabulary) if needs_inputs else None
        return to_start, to_inputs, flat.T @ before[:, :size] if needs_weight else None, None, None
