"""Checks of single arguments: integers of any type, and numbers within bounds."""

from __future__ import annotations

import math
import os
from operator import index
from typing import Any

from symscope.errors import InvalidArgumentError

FilePath = str | os.PathLike[str]
"""A path, as text or as an object of `pathlib`."""


def integer(value: Any, name: str, low: int | None = None, high: int | None = None) -> int:
    """The argument as an `int`.

    Args:
        value: an integer of any type: Python's, numpy's, or a tensor with a single integer.
        name: name of the argument, for error messages.
        low: the smallest valid value.
        high: the largest valid value.

    Raises:
        InvalidArgumentError: the value is not an integer (a bool, a float and a text are not), or is out of bounds.
    """
    try:
        number = None if _is_bool(value) else index(value)
    except TypeError:
        number = None
    if number is None:
        raise InvalidArgumentError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    if (low is not None and number < low) or (high is not None and number > high):
        raise InvalidArgumentError(f"{name} must be {_bounds(low, high)}, got {number}")
    return number


def positive_number(value: Any, name: str, high: float = math.inf) -> float:
    """The argument as a finite `float` above 0 and at most `high`.

    Raises:
        InvalidArgumentError: the value is not a number (a bool and a text are not), or is out of bounds.
    """
    try:
        number = None if _is_bool(value) or isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        raise InvalidArgumentError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not (0 < number <= high and math.isfinite(number)):
        bounds = "above 0 and finite" if high == math.inf else f"above 0 and at most {high:g}"
        raise InvalidArgumentError(f"{name} must be {bounds}, got {value}")
    return number


def _is_bool(value: Any) -> bool:
    """Whether the value is a bool of Python, numpy or torch; these count as integers in parts of Python."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def _bounds(low: int | None, high: int | None) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"between {low} and {high}"
