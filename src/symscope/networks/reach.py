"""Reach: which activation of a transformer can have any effect on which.

What is after a layer at a position comes from what is before the layer there and at earlier positions. So a state that
is carried from token to token climbs one layer with every token: after L layers it has been updated L times at most.
"""

from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from symscope.networks.transformer import Transformer


class Reach(NamedTuple):
    """For activations (layer, position), layer 0 being the embedding, both flattened to one index."""

    reaches: Bool[Tensor, "activations activations"]
    """Whether the first can reach the second, by the causal structure; none reaches itself."""
    updates: Int[Tensor, " activations"]
    """The most updates, each from a position to a later one, on any way that ends there."""


def causal_reach(layers: int, time: int) -> Reach:
    """Reach from the structure alone: a graph of activations, and the longest ways in it."""
    places = list(product(range(layers + 1), range(time)))
    edges = torch.tensor([[b[0] == a[0] + 1 and b[1] >= a[1] for b in places] for a in places])
    moves = torch.tensor([[float(b[1] > a[1]) for b in places] for a in places])
    reaches, longest = edges.clone(), torch.zeros(len(places))
    for _ in range(layers):
        reaches = reaches | ((reaches.float() @ edges.float()) > 0)
        longest = torch.maximum(longest, torch.where(edges, longest[:, None] + moves, 0.0).amax(0))
    return Reach(reaches, longest.long())


@torch.no_grad()
def measured_reach(network: Transformer, time: int, generator: Generator) -> Float[Tensor, "activations activations"]:
    """How much each activation changes when another is changed at random, relative to its size; on random tokens."""
    tokens = torch.randint(network.vocabulary, (1, time), generator=generator)
    plain = [network.embedding[tokens]]
    plain += network.onwards(plain[0], 0)
    layers = len(plain) - 1
    change = torch.zeros(layers + 1, time, layers + 1, time)
    for layer, before in enumerate(plain[:-1]):
        moved = before.repeat(time, 1, 1)  # row p has position p changed
        each = torch.arange(time)
        moved[each, each] += torch.randn(time, before.shape[-1], generator=generator)
        after = network.onwards(moved, layer)
        for above, (new, old) in enumerate(zip(after, plain[layer + 1 :], strict=True), layer + 1):
            change[layer, :, above] = (new - old).abs().amax(-1) / old.abs().amax(-1)
    return change.flatten(2).flatten(0, 1)
