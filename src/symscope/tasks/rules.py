"""A response rule: how many response tokens answer n demo tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from symscope.errors import InvalidArgumentError


@final
@dataclass(frozen=True)
class ResponseRule:
    """A rule and its name; an algorithm says by name which rule it follows."""

    name: str
    of: Callable[[Int[Tensor, "*batch"]], Int[Tensor, "*batch"]]
    """The length of the response, element by element."""


EQUAL = ResponseRule("equal", lambda n: n)
SQUARE = ResponseRule("square", lambda n: n * n)


def remainder(modulus: int) -> ResponseRule:
    """The rest n mod `modulus`; a multiple of it is answered by no response token at all, only `EOS`."""
    if modulus < 2 or modulus != int(modulus):
        raise InvalidArgumentError(f"the modulus is a whole number of at least 2 (every n mod 1 is 0), got {modulus}")
    return ResponseRule("modulo", lambda n: n % modulus)


def nearest_multiple(multiple: int) -> ResponseRule:
    """The multiple nearest to n; a tie goes to the even one, as Python's `round` does (3 has no ties)."""
    if multiple < 1 or multiple != int(multiple):
        raise InvalidArgumentError(f"round to multiples of a whole number of at least 1, got {multiple}")
    return ResponseRule("rounding", lambda n: torch.round(n.double() / multiple).long() * multiple)
