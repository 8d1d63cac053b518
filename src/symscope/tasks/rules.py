"""Response rules: the number of response tokens for a number of demo tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsIndex, final

import torch
from jaxtyping import Int
from torch import Tensor

from symscope.arguments import integer


@final
@dataclass(frozen=True)
class ResponseRule:
    """A response rule.

    Attributes:
        name: the rule's name; an algorithm names the rule that it follows.
        of: the number of response tokens for each number of demo tokens.
    """

    name: str
    of: Callable[[Int[Tensor, "*batch"]], Int[Tensor, "*batch"]]


EQUAL = ResponseRule("equal", lambda n: n)
SQUARE = ResponseRule("square", lambda n: n * n)


def remainder(modulus: SupportsIndex) -> ResponseRule:
    """The rule n mod `modulus`. The response to a multiple of the modulus is empty: `EOS` follows the trigger.

    Raises:
        InvalidArgumentError: the modulus is not an integer of at least 2 (every n mod 1 is 0).
    """
    number = integer(modulus, "modulus", 2)
    return ResponseRule("modulo", lambda n: n % number)


def nearest_multiple(multiple: SupportsIndex) -> ResponseRule:
    """The rule that rounds n to the nearest multiple of `multiple`.

    Of two multiples at equal distance it takes the even multiple, as Python's `round` does (with 3 there are none).

    Raises:
        InvalidArgumentError: `multiple` is not an integer of at least 1.
    """
    number = integer(multiple, "multiple", 1)
    return ResponseRule("rounding", lambda n: torch.round(n.double() / number).long() * number)
