"""Sizes of networks and their initial weights.

Weights are drawn from a generator that the caller passes; torch's own layers draw from a global one. Nothing is drawn
for tensors without memory (of the device "meta"), because this would import torch's compiler, which takes seconds.
"""

import math

import torch
from torch import Generator, nn

MAX_SIZE = 2**16
"""Largest width, number of units or vocabulary that is accepted."""


def uniform_parameter(shape: tuple[int, ...], fan_in: int, generator: Generator) -> nn.Parameter:
    """Uniform between plus and minus 1/sqrt(fan_in): torch's default for linear and recurrent layers."""
    bound, weights = 1 / math.sqrt(fan_in), torch.empty(shape)
    return nn.Parameter(weights if weights.is_meta else weights.uniform_(-bound, bound, generator=generator))


def normal_parameter(shape: tuple[int, ...], generator: Generator, std: float = 1.0) -> nn.Parameter:
    """Normal with mean 0; with standard deviation 1, torch's default for embeddings."""
    weights = torch.empty(shape)
    return nn.Parameter(weights if weights.is_meta else weights.normal_(0, std, generator=generator))
