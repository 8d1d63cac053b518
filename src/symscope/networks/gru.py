"""The GRU: one gate for what to forget, one for what to renew."""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import linear

from symscope.errors import InvalidArgumentError
from symscope.networks.gru_scan import gru_scan
from symscope.networks.initial import normal_parameter, uniform_parameter
from symscope.networks.readouts import MLPReadout
from symscope.networks.recurrent import Cell, RecurrentNetwork


@final
class GRUCell(Cell):
    """The gated recurrent unit, in torch's convention (reset, update, new), behind an embedding of width d."""

    def __init__(self, d: int, vocabulary: int, generator: Generator) -> None:
        super().__init__()
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.embedding = normal_parameter((vocabulary, d), generator)
        self.input_weight = uniform_parameter((3 * d, d), d, generator)
        self.input_bias = uniform_parameter((3 * d,), d, generator)
        self.state_weight = uniform_parameter((3 * d, d), d, generator)
        self.state_bias = uniform_parameter((3 * d,), d, generator)

    def token_inputs(self) -> Float[Tensor, "vocabulary drive"]:
        """See `Cell.drives`."""
        return linear(self.embedding, self.input_weight, self.input_bias)

    def step(
        self, states: Float[Tensor, "batch state"], drives: Float[Tensor, "batch drive"]
    ) -> Float[Tensor, "batch state"]:
        """See `Cell.step`."""
        d = self.width
        recurrent = linear(states, self.state_weight, self.state_bias)
        reset, update = torch.sigmoid(drives[:, : 2 * d] + recurrent[:, : 2 * d]).split(d, 1)
        new = torch.tanh(drives[:, 2 * d :] + reset * recurrent[:, 2 * d :])
        return torch.lerp(new, states, update)

    def scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, " steps"], running: Sequence[int]
    ) -> Float[Tensor, "steps state"]:
        """See `Cell.scan`."""
        return gru_scan(start, self.token_inputs(), self.state_weight, self.state_bias, tokens, running)


def gru(d: int, vocabulary: int, generator: Generator) -> RecurrentNetwork:
    """The paper's GRU: embedding and state of width d, one cell, the MLP output layer; site `h`."""
    if d < 1:
        raise InvalidArgumentError(f"the state size d is at least 1, got {d}")
    return RecurrentNetwork(GRUCell(d, vocabulary, generator), MLPReadout(d, vocabulary, generator))
