"""A task draws token sequences and says which of their tokens are determined by what came before.

A token is *free* when the environment draws it (which demo type, when the trigger comes) and *determined* when
everything before it leaves one possibility (response tokens, `EOS`). Losses cover all tokens, accuracies the
determined ones only (TMLR 2025, section 3).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Sequences:
    """A batch of token sequences, padded at the end with the vocabulary's `PAD` (0)."""

    tokens: Int[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    """Tokens before the padding, `BOS` and `EOS` included."""
    determined: Bool[Tensor, "batch time"]
    """Where the token follows from those before it; false on padding."""
    quantities: Int[Tensor, " batch"]
    """The number that the sequence is about, by which behaviour is reported."""

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device | str) -> "Sequences":
        """The same batch on another device."""
        return Sequences(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class Task(ABC):
    """Draws sequences about a quantity; each member of the family says how.

    Attributes:
        name: the task's name in tables and studies.
        vocabulary: its tokens.
        quantities: every quantity that the task is about, ascending.
        held_out: those of them that training never shows.
    """

    name: str
    vocabulary: Vocabulary

    def __init__(self, quantities: Collection[int], held_out: Collection[int]) -> None:
        self.quantities = tuple(sorted(set(quantities)))
        self.held_out = tuple(sorted(set(held_out)))
        if not self.quantities:
            raise InvalidArgumentError("the range of quantities is empty; give at least one, e.g. range(1, 21)")
        if self.quantities[0] < 1:
            raise InvalidArgumentError(f"quantities start at 1, got {self.quantities[0]}")
        outside = sorted(set(self.held_out) - set(self.quantities))
        if outside:
            raise InvalidArgumentError(f"held-out quantities {outside} are not among {_span(self.quantities)}")
        self.trained = tuple(n for n in self.quantities if n not in self.held_out)
        if not self.trained:
            raise InvalidArgumentError(f"holding out {list(self.held_out)} leaves nothing to train on")

    @abstractmethod
    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> Sequences:
        """One sequence for each quantity (any positive ones, also beyond `self.quantities`)."""

    @abstractmethod
    def environment(
        self, allowed: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """Draws one free token a row, where an algorithm allows several.

        Args:
            allowed: the tokens that may come next.
            remaining: how many more demo tokens the environment is to show before the trigger.
            generator: the source of randomness.

        Returns:
            The tokens, and what remains after them.
        """

    @abstractmethod
    def remaining(self, sequences: Sequences, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How many demo tokens each sequence still shows after its position."""

    def draw_quantities(
        self, count: int, generator: Generator, among: Collection[int] | None = None
    ) -> Int[Tensor, " count"]:
        """`count` quantities, uniform over `among` (default: all of the task's)."""
        if count < 1:
            raise InvalidArgumentError(f"a batch holds at least one sequence, asked for {count}")
        values = torch.tensor(sorted(self.quantities if among is None else among))
        return values[torch.randint(len(values), (count,), generator=generator)]


def _span(values: tuple[int, ...]) -> str:
    return f"{values[0]}..{values[-1]}" if len(values) > 1 else f"{values[0]}"
