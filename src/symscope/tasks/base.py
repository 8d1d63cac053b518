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

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class TokenBatch:
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

    def to(self, device: torch.device | str) -> "TokenBatch":
        """The same batch on another device."""
        return TokenBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class Task(ABC):
    """Draws sequences about a quantity; each member of the family says how.

    Attributes:
        name: the task's name in tables and studies.
        vocabulary: its tokens.
        quantities: every quantity that the task is about, ascending.
        held_out: those of them that training never shows.
        trained: the others.
        largest: the largest quantity that can be drawn, where there is one; it bounds extrapolation.
        named_positions: the positions that have a name, such as the trigger's; see `named_position`.
    """

    name: str
    vocabulary: Vocabulary
    largest: int | None = None
    named_positions: tuple[str, ...] = ()

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
    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> TokenBatch:
        """One sequence for each quantity (any from 1 to `largest`, also beyond `self.quantities`)."""

    @abstractmethod
    def sample_free_tokens(
        self, allowed: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """Draws one free token a row, where an algorithm allows several.

        Args:
            allowed: the tokens that may come next.
            remaining: how many more demo tokens the environment is to show before the trigger; a task without a demo
                phase gives it back as it is.
            generator: the source of randomness.

        Returns:
            The tokens, and what remains after them.
        """

    @abstractmethod
    def remaining_demo_tokens(self, sequences: TokenBatch, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How many demo tokens each sequence still shows after its position."""

    def named_position(self, name: str, sequences: TokenBatch) -> Int[Tensor, " batch"]:
        """The position of a named_position in each sequence; `UnknownNameError` when the task has none of that name."""
        raise UnknownNameError(f"named_position of task {self.name!r}", name, self.named_positions)

    def draw_quantities(
        self, count: int, generator: Generator, among: Collection[int] | None = None
    ) -> Int[Tensor, " count"]:
        """`count` quantities, uniform over `among` (default: all of the task's)."""
        if count < 1:
            raise InvalidArgumentError(f"a batch holds at least one sequence, asked for {count}")
        values = torch.tensor(sorted(self.quantities if among is None else among))
        if len(values) == 0:
            raise InvalidArgumentError("there are no quantities to draw from; give at least one")
        return values[torch.randint(len(values), (count,), generator=generator)]

    def check_quantities(self, quantities: Int[Tensor, " batch"]) -> None:
        """Raises `InvalidArgumentError` where `draw` cannot give a sequence for each of the quantities."""
        if len(quantities) == 0:
            raise InvalidArgumentError("a batch holds at least one sequence, got no quantities")
        low, high = int(quantities.min()), int(quantities.max())
        if low < 1:
            raise InvalidArgumentError(f"quantities start at 1, got {low}")
        if self.largest is not None and high > self.largest:
            raise InvalidArgumentError(f"task {self.name!r} has quantities up to {self.largest}, got {high}")


def _span(values: tuple[int, ...]) -> str:
    first, last = min(values), max(values)
    return f"{first}..{last}" if first < last else f"{first}"
