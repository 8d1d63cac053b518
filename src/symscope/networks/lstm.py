"""The LSTM: a hidden state h that the output layer reads, and a memory c beside it."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import linear

from symscope.errors import InvalidArgumentError
from symscope.networks.initial import normal_parameter, uniform_parameter
from symscope.networks.lstm_scan import lstm_scan
from symscope.networks.readouts import MLPReadout
from symscope.networks.recurrent import Cell, RecurrentNetwork


@final
class LSTMCell(Cell):
    """Long short-term memory, in torch's convention (input, forget, new, output), behind an embedding.

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
        self.embedding = normal_parameter((vocabulary, embedding), generator)
        self.input_weight = uniform_parameter((4 * size, embedding), size, generator)
        self.input_bias = uniform_parameter((4 * size,), size, generator)
        self.state_weight = uniform_parameter((4 * size, size), size, generator)
        self.state_bias = uniform_parameter((4 * size,), size, generator)

    def token_inputs(self) -> Float[Tensor, "vocabulary drive"]:
        """See `Cell.drives`."""
        return linear(self.embedding, self.input_weight, self.input_bias)

    def step(
        self, states: Float[Tensor, "batch state"], drives: Float[Tensor, "batch drive"]
    ) -> Float[Tensor, "batch state"]:
        """See `Cell.step`."""
        h, c = states.split(self.size, 1)
        keep, forget, new, show = (drives + linear(h, self.state_weight, self.state_bias)).split(self.size, 1)
        c = torch.sigmoid(forget) * c + torch.sigmoid(keep) * torch.tanh(new)
        return torch.cat([torch.sigmoid(show) * torch.tanh(c), c], 1)

    def scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, " steps"], running: Sequence[int]
    ) -> Float[Tensor, "steps state"]:
        """See `Cell.scan`."""
        return lstm_scan(start, self.token_inputs() + self.state_bias, self.state_weight, tokens, running)


def lstm(d: int, vocabulary: int, generator: Generator, *, each: bool = False) -> RecurrentNetwork:
    """The paper's LSTM: embedding of width d, one cell, the MLP output layer (4d hidden units) on h.

    Args:
        d: size of the whole state: h and c take half of it each, so d is even.
        vocabulary: number of tokens.
        generator: draws the initial weights.
        each: the other convention: h and c of size d each, so the whole state has 2d.

    Raises:
        InvalidArgumentError: d is below 1, or odd where it is to be halved.
    """
    if d < 1:
        raise InvalidArgumentError(f"the state size d is at least 1, got {d}")
    if d % 2 and not each:
        raise InvalidArgumentError(f"h and c take half of d each, so d is even; got {d} (each=True gives d to both)")
    size = d if each else d // 2
    cell = LSTMCell(size, d, vocabulary, generator)
    return RecurrentNetwork(cell, MLPReadout(size, vocabulary, generator, hidden=4 * d))
