"""Initial weights, drawn from a generator that the caller owns (torch's own layers draw from a global one)."""

import math

import torch
from torch import Generator, nn


def uniform_parameter(shape: tuple[int, ...], fan_in: int, generator: Generator) -> nn.Parameter:
    """Uniform on plus or minus 1/sqrt(fan_in): torch's default for linear and recurrent layers."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))


def normal_parameter(shape: tuple[int, ...], generator: Generator, std: float = 1.0) -> nn.Parameter:
    """Normal with mean 0; with standard deviation 1, torch's default for embeddings."""
    return nn.Parameter(torch.empty(shape).normal_(0, std, generator=generator))
