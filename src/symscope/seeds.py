"""Every random draw takes a generator; this is where generators come from."""

import hashlib

import torch


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose, e.g. `generator(0, "training", "dropout")`.

    Streams of different seeds or purposes are independent, so a new draw somewhere never shifts another.
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
