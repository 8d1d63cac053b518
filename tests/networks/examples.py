"""Networks and tokens that the tests of this folder share."""

import torch
from torch import nn

from symscope.networks import make_network
from symscope.seeds import generator

VOCABULARY = 7
ROUNDING = 4e-6
"""Largest difference allowed between two computations of the same float32 activity, whose size is 1 to 5 here."""


def network(name, d=12, seed=0, **options):
    return make_network(name, d, VOCABULARY, generator(seed, "network"), **options)


def tokens(batch, time, seed=0):
    return torch.randint(VOCABULARY, (batch, time), generator=generator(seed, "tokens"))


def largest_difference(first, second):
    return float((first - second).detach().abs().max())


def resume(some, state, continuation, lengths):
    """The features that predict each token of the continuations, those from `lengths` on zero."""
    target_mask = torch.arange(continuation.shape[1]) < lengths[:, None]
    features = some.resume(state, continuation[:, :-1], target_mask)
    padded = features.new_zeros(*target_mask.shape, features.shape[1])
    return padded.index_put(target_mask.nonzero(as_tuple=True), features)


def fused_layer(cell):
    """Torch's own GRU or LSTM with the weights of a cell, and the name of each weight in the cell."""
    kind, size = (nn.LSTM, cell.size) if hasattr(cell, "size") else (nn.GRU, cell.width)
    layer = kind(cell.embedding.shape[1], size, batch_first=True, dtype=cell.embedding.dtype)
    pairs = {"weight_ih": "input_weight", "weight_hh": "state_weight", "bias_ih": "input_bias", "bias_hh": "state_bias"}
    names = {f"{torch_name}_l0": name for torch_name, name in pairs.items()}
    layer.load_state_dict({torch_name: getattr(cell, name).detach() for torch_name, name in names.items()})
    return layer, names
