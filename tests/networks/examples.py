"""Networks and tokens that the tests of this folder share."""

import torch

from symscope.networks import make_network
from symscope.seeds import generator

VOCABULARY = 7
ROUNDING = 4e-6
"""Largest difference allowed between two routes to the same float32 activity, which is of size 1 to 5 here."""


def network(name, d=12, seed=0, **options):
    return make_network(name, d, VOCABULARY, generator(seed, "network"), **options)


def tokens(batch, time, seed=0):
    return torch.randint(VOCABULARY, (batch, time), generator=generator(seed, "tokens"))


def furthest(one, other):
    """The largest absolute difference."""
    return float((one - other).detach().abs().max())


def resume(some, cut, continuation, lengths):
    """The features of every token of the continuations, those from `lengths` on zero."""
    wanted = torch.arange(continuation.shape[1]) < lengths[:, None]
    features = some.resume(cut, continuation[:, :-1], wanted)
    return features.new_zeros(*wanted.shape, features.shape[1]).index_put(wanted.nonzero(as_tuple=True), features)
