"""Reach: which activations of a transformer can affect which.

An activation after a layer depends on the activations before that layer at the same and at earlier positions. So a
state that is updated from token to token moves up one layer with every token: after L layers it has been updated at
most L times.
"""

from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from symscope.networks.transformer import Transformer


class Reach(NamedTuple):
    """Reach between activations (layer, position), flattened to one index; layer 0 is the embedding."""

    reaches: Bool[Tensor, "activations activations"]
    """Whether the first activation can affect the second, by the causal structure; none affects itself."""
    updates: Int[Tensor, " activations"]
    """The largest number of updates, each from a position to a later one, on any path that ends at the activation."""


def causal_reach(layers: int, time: int) -> Reach:
    """Reach by structure alone: a graph of activations, and its longest paths."""
    activations = list(product(range(layers + 1), range(time)))
    edges = torch.tensor([[b[0] == a[0] + 1 and b[1] >= a[1] for b in activations] for a in activations])
    updates = torch.tensor([[float(b[1] > a[1]) for b in activations] for a in activations])
    reaches, longest = edges.clone(), torch.zeros(len(activations))
    for _ in range(layers):
        reaches = reaches | ((reaches.float() @ edges.float()) > 0)
        longest = torch.maximum(longest, torch.where(edges, longest[:, None] + updates, 0.0).amax(0))
    return Reach(reaches, longest.long())


@torch.no_grad()
def measured_reach(network: Transformer, time: int, generator: Generator) -> Float[Tensor, "activations activations"]:
    """Change of each activation when one is changed at random, relative to its size; on random tokens."""
    tokens = torch.randint(network.vocabulary, (1, time), generator=generator).to(network.device)
    natural = [network.embedding[tokens]]
    natural += network.run_layers(natural[0], 0)
    layers = len(natural) - 1
    change = torch.zeros(layers + 1, time, layers + 1, time)
    for layer, before in enumerate(natural[:-1]):
        changed = before.repeat(time, 1, 1)  # row p is changed at position p
        positions = torch.arange(time)
        changed[positions, positions] += torch.randn(time, before.shape[-1], generator=generator).to(before)
        after = network.run_layers(changed, layer)
        for later, (new, old) in enumerate(zip(after, natural[layer + 1 :], strict=True), layer + 1):
            change[layer, :, later] = (new - old).abs().amax(-1) / old.abs().amax(-1)
    return change.flatten(2).flatten(0, 1)
