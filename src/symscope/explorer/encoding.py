"""Arrays as base64 text in little-endian order, which the page reads as typed arrays, and back."""

import base64
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from symscope.errors import CheckpointError

Kind = Literal["f2", "f4", "f8", "u1", "u2"]
"""Type of the numbers: floating-point of 2, 4 or 8 bytes, or unsigned integer of 1 or 2 bytes."""


def encode_array(tensor: Tensor, kind: Kind = "f4") -> dict[str, Any]:
    """A tensor as JSON values: its type, its shape, and its numbers."""
    array = np.ascontiguousarray(tensor.detach().cpu().numpy().astype(f"<{kind}"))
    return {"type": kind, "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def decode_array(entry: dict[str, Any]) -> Tensor:
    """The tensor that `encode_array` wrote; `CheckpointError` when the entry is damaged."""
    try:
        numbers = np.frombuffer(base64.b64decode(entry["data"], validate=True), dtype=f"<{entry['type']}")
        array = numbers.reshape(entry["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"an array of the page is damaged: {error}") from error
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=").str.replace("u2", "i4")).copy())
