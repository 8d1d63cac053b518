"""Packed batches: rows in the order of their lengths, longest first, so that those still running come first.

A packed tensor holds the running rows of step 0, then those of step 1, and so on; `running` counts them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot


def before_each_step(
    start: Float[Tensor, "batch state"], after: Float[Tensor, "steps state"], running: Sequence[int]
) -> Float[Tensor, "steps state"]:
    """The packed states before each step, from those after it."""
    parts = [start[: running[0]]]
    for states, rows in zip(after.split(running), running[1:], strict=False):
        parts.append(states[:rows])
    return torch.cat(parts)


def by_token(
    gradient: Float[Tensor, "steps drive"], tokens: Int[Tensor, " steps"], vocabulary: int
) -> Float[Tensor, "vocabulary drive"]:
    """Sums a packed gradient by token: a product with one-hot rows (adding by index has no fixed order on CUDA)."""
    return one_hot(tokens, vocabulary).to(gradient.dtype).T @ gradient
