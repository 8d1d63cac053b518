"""Interface of tasks, and batches of their token sequences.

A task draws token sequences and marks which of their tokens are determined by the tokens before them. A token is
*free* if it is drawn at random (a demo type, the moment of the trigger) and *determined* if the tokens before it leave
a single possibility (response tokens, `EOS`). Losses cover all tokens, accuracies only the determined tokens
(TMLR 2025, section 3).
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import SupportsIndex

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.arguments import integer
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.tasks.vocabulary import Vocabulary

MAX_CONTINUATION = 2_000
"""The most tokens that symscope generates after an intervention, the final `EOS` included."""


@dataclass(frozen=True)
class TokenBatch:
    """A batch of token sequences, padded at the end with the vocabulary's `PAD` (0).

    Attributes:
        tokens: the token ids.
        lengths: number of tokens before the padding, `BOS` and `EOS` included.
        determined: whether the tokens before determine this token; false on padding.
        quantities: the quantity of each sequence, by which accuracies are reported.
    """

    tokens: Int[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    determined: Bool[Tensor, "batch time"]
    quantities: Int[Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device | str) -> "TokenBatch":
        """The batch with its tensors on a device."""
        return TokenBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class Task(ABC):
    """A family of token sequences, each about a quantity.

    Args:
        quantities: the quantities of the task.
        held_out: the quantities that training excludes.

    Attributes:
        name: the task's name in tables and studies.
        vocabulary: its tokens.
        quantities: its quantities, ascending.
        held_out: the quantities that training excludes.
        trained: the quantities that training uses.
        largest: the largest quantity that `draw` accepts, if there is one; it bounds tests of extrapolation.
        named_positions: names that `named_position` accepts, such as `"trigger"`.

    Raises:
        InvalidArgumentError: no quantities, a quantity that is not an integer of at least 1, or held-out quantities
            that are not among the quantities or leave none for training.
    """

    name: str
    vocabulary: Vocabulary
    largest: int | None = None
    named_positions: tuple[str, ...] = ()

    def __init__(self, quantities: Collection[SupportsIndex], held_out: Collection[SupportsIndex]) -> None:
        self.quantities = tuple(sorted({integer(n, "a quantity") for n in quantities}))
        self.held_out = tuple(sorted({integer(n, "a held-out quantity") for n in held_out}))
        if not self.quantities:
            raise InvalidArgumentError("the range of quantities is empty; give at least one, e.g. range(1, 21)")
        if self.quantities[0] < 1:
            raise InvalidArgumentError(f"quantities start at 1, got {self.quantities[0]}")
        outside = sorted(set(self.held_out) - set(self.quantities))
        if outside:
            raise InvalidArgumentError(f"held-out quantities {outside} are not among {_range_text(self.quantities)}")
        self.trained = tuple(n for n in self.quantities if n not in self.held_out)
        if not self.trained:
            raise InvalidArgumentError(f"holding out {list(self.held_out)} leaves nothing to train on")

    @property
    def longest_response(self) -> int:
        """Number of tokens in the longest response, without `EOS`, over `quantities`; 0 in a task without responses."""
        return 0

    @abstractmethod
    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> TokenBatch:
        """Draws one sequence for each quantity (any from 1 to `largest`, also outside `self.quantities`)."""

    @abstractmethod
    def sample_free_tokens(
        self, next_token_mask: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """Draws one free token for each row, as the task does where several tokens may come next.

        Args:
            next_token_mask: the tokens that may come next.
            remaining: number of demo tokens that come before the trigger; a task without a demo phase returns it
                unchanged.
            generator: the source of randomness.

        Returns:
            The tokens, and the number of demo tokens that remain after them.
        """

    @abstractmethod
    def remaining_demo_tokens(self, sequences: TokenBatch, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Number of demo tokens in each sequence after its position."""

    def named_position(self, name: str, sequences: TokenBatch) -> Int[Tensor, " batch"]:
        """The position with this name in each sequence.

        Raises:
            UnknownNameError: the task has no position of this name.
        """
        raise UnknownNameError(f"named position of task {self.name!r}", name, self.named_positions)

    def draw_quantities(
        self, count: int, generator: Generator, among: Collection[int] | None = None
    ) -> Int[Tensor, " count"]:
        """Draws quantities.

        Args:
            count: number of quantities.
            generator: the source of randomness.
            among: the quantities to draw from, uniformly; default: all quantities of the task.
        """
        if count < 1:
            raise InvalidArgumentError(f"a batch has at least one sequence, got a count of {count}")
        values = torch.tensor(sorted(self.quantities if among is None else among))
        if len(values) == 0:
            raise InvalidArgumentError("there are no quantities to draw from; give at least one")
        return values[torch.randint(len(values), (count,), generator=generator)]

    def check_quantities(self, quantities: Int[Tensor, " batch"]) -> None:
        """Raises `InvalidArgumentError` if `draw` cannot draw a sequence for each of the quantities."""
        if len(quantities) == 0:
            raise InvalidArgumentError("a batch has at least one sequence, got no quantities")
        low, high = int(quantities.min()), int(quantities.max())
        if low < 1:
            raise InvalidArgumentError(f"quantities start at 1, got {low}")
        if self.largest is not None and high > self.largest:
            raise InvalidArgumentError(f"task {self.name!r} has quantities up to {self.largest}, got {high}")

    def check_length(self, length: int, largest: int) -> None:
        """Raises `InvalidArgumentError` if the task's sequences are longer than symscope can generate.

        Args:
            length: number of tokens after `BOS` in the longest sequence.
            largest: the largest quantity whose sequence is short enough.
        """
        if length > MAX_CONTINUATION:
            raise InvalidArgumentError(
                f"task {self.name!r} with quantities up to {self.quantities[-1]} has sequences of {length:,} tokens, "
                f"but symscope generates at most {MAX_CONTINUATION:,} tokens after an intervention. This is a limit of "
                f"symscope, not of the task: use quantities up to {largest}"
            )


def _range_text(values: tuple[int, ...]) -> str:
    first, last = min(values), max(values)
    return f"{first}..{last}" if first < last else f"{first}"
