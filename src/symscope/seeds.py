"""Random generators: every random draw in symscope takes a `torch.Generator`, and `generator` makes it."""

from __future__ import annotations

import hashlib
from typing import SupportsIndex

import torch

from symscope.arguments import integer


def generator(
    seed: SupportsIndex, *purpose: str | SupportsIndex, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A random generator for one purpose, e.g. `generator(0, "training", "dropout")`.

    Streams of different seeds or purposes are independent, so an additional draw for one purpose does not shift the
    draws for another.

    Args:
        seed: any integer; integers of equal value give the same stream, whatever their type (Python, numpy, torch).
        purpose: words and integers that name the purpose.
        device: the device of the generator.

    Raises:
        InvalidArgumentError: the seed is not an integer, or a word of the purpose is neither text nor an integer.
    """
    words = (str(word) if isinstance(word, str) else integer(word, "a number in the purpose") for word in purpose)
    digest = hashlib.sha256(repr((integer(seed, "seed"), *words)).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
