"""Sizes of networks and their initial weights.

Weights are drawn from a generator that the caller passes; torch's own layers draw from a global one.
"""

import math
from operator import index
from typing import SupportsIndex

import torch
from torch import Generator, nn

from symscope.errors import InvalidArgumentError

MAX_SIZE = 2**16
"""Largest width, number of units or vocabulary that is accepted."""


def whole_number(name: str, value: object, minimum: int, maximum: int = MAX_SIZE) -> int:
    """The size as an `int`; integers of numpy and torch are accepted.

    Raises:
        InvalidArgumentError: it is no integer, or outside `minimum`..`maximum`; the message begins with `name`.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise InvalidArgumentError(f"{name} is an integer, got {value!r}")
    try:
        size = index(value)
    except TypeError:  # tensors have `__index__`, but only those of one integer can be converted
        raise InvalidArgumentError(f"{name} is an integer, got {value!r}") from None
    if size < minimum:
        raise InvalidArgumentError(f"{name} is at least {minimum}, got {size}")
    if size > maximum:
        raise InvalidArgumentError(f"{name} is at most {maximum}, got {size}")
    return size


def uniform_parameter(shape: tuple[int, ...], fan_in: int, generator: Generator) -> nn.Parameter:
    """Uniform between plus and minus 1/sqrt(fan_in): torch's default for linear and recurrent layers."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))


def normal_parameter(shape: tuple[int, ...], generator: Generator, std: float = 1.0) -> nn.Parameter:
    """Normal with mean 0; with standard deviation 1, torch's default for embeddings."""
    return nn.Parameter(torch.empty(shape).normal_(0, std, generator=generator))
