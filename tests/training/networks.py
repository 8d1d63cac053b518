"""Networks that users may bring: with layers of torch, tied weights, dropout."""

import torch
from torch import nn

from symscope.networks import Cell, RecurrentNetwork, gru
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object(quantities=range(1, 5), held_out=(3,))
TOKENS = len(TASK.vocabulary)


def small_gru(d: int = 8, seed: int = 0) -> RecurrentNetwork:
    return gru(d, TOKENS, generator(seed, "network"))


class TanhCell(Cell):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.embedding, self.recurrent = nn.Embedding(TOKENS, d), nn.Linear(d, d)

    def token_inputs(self):
        return self.embedding.weight

    def step(self, states, inputs):
        return torch.tanh(self.recurrent(states) + inputs)


class DropoutReadout(nn.Module):
    """An output layer with torch's dropout, which depends on the mode of the network."""

    def __init__(self, d: int, p: float) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(p), nn.Linear(d, TOKENS)

    def forward(self, features, dropout=None):
        return self.linear(self.dropout(features))


def users_network(d: int = 8, *, p: float = 0.0, tied: bool = False, seed: int = 0) -> RecurrentNetwork:
    torch.manual_seed(seed)
    network = RecurrentNetwork(TanhCell(d), DropoutReadout(d, p))
    if tied:
        network.output.linear.weight = network.cell.embedding.weight
    return network
