"""Arithmetic: a start value and a stated number of additions and subtractions, with the total after each.

`BOS 2 7 + 5 = 12 , - 12 = 0 , EOS` has two operations and starts at 7. The total stays within 0..20.
"""

from collections.abc import Collection
from typing import SupportsIndex, final

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.arguments import integer
from symscope.tasks.base import MAX_CONTINUATION, Task, TokenBatch
from symscope.tasks.numeric import HELD_OUT, QUANTITIES
from symscope.tasks.vocabulary import Vocabulary

PLUS, MINUS, EQUALS, COMMA = "+", "-", "=", ","
TOKENS_BEFORE = 3
"""Number of tokens before the first operation: `BOS`, the number of operations, the start value."""
TOKENS_PER_OPERATION = 5


@final
class ArithmeticTask(Task):
    """The arithmetic task; its quantity is the number of operations.

    Free tokens are the number of operations, the start value (uniform over 0..20), each operator (+ or - with equal
    probability) and each operand (uniform over those that keep the total within 0..20; 0 is one of these, so both
    operators are always possible). Determined tokens are `=`, the total, the comma and `EOS`, and an operand that can
    only be 0 (adding to 20, subtracting from 0).

    Args:
        largest_total: upper end of the range of the total; the lower end is 0.
        quantities: the numbers of operations.
        held_out: the numbers of operations that training excludes.

    Raises:
        InvalidArgumentError: as for `Task`, or `largest_total` is not an integer within 1..10,000.
    """

    name = "arithmetic"

    def __init__(
        self,
        *,
        largest_total: SupportsIndex = 20,
        quantities: Collection[SupportsIndex] = QUANTITIES,
        held_out: Collection[SupportsIndex] = HELD_OUT,
    ) -> None:
        super().__init__(quantities, held_out)
        longest = (MAX_CONTINUATION - TOKENS_BEFORE) // TOKENS_PER_OPERATION
        self.check_length(TOKENS_BEFORE + TOKENS_PER_OPERATION * self.quantities[-1], longest)
        self.largest_total = integer(largest_total, "largest_total", 1, 10_000)
        self.largest = max(self.largest_total, self.quantities[-1])  # a larger number of operations has no token
        numbers = [str(number) for number in range(self.largest + 1)]
        self.vocabulary = Vocabulary((*numbers, PLUS, MINUS, EQUALS, COMMA))
        self.numbers = torch.tensor(self.vocabulary.encode(numbers))
        self.plus, self.minus, self.equals, self.comma = self.vocabulary.encode((PLUS, MINUS, EQUALS, COMMA))

    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> TokenBatch:
        self.check_quantities(quantities)
        batch, operations = len(quantities), int(quantities.max())
        total = torch.randint(self.largest_total + 1, (batch,), generator=generator)
        bos = torch.full_like(total, self.vocabulary.bos)
        columns, free = [bos, self.numbers[quantities], self.numbers[total]], torch.zeros_like(total, dtype=torch.bool)
        determined = [free] * TOKENS_BEFORE
        for _ in range(operations):
            adds = torch.randint(2, (batch,), generator=generator).bool()
            limit = torch.where(adds, self.largest_total - total, total)
            operand = (torch.rand(batch, generator=generator, dtype=torch.float64) * (limit + 1)).long()
            total = total + torch.where(adds, operand, -operand)
            operator = torch.where(adds, self.plus, self.minus)
            equals, comma = (torch.full_like(total, token) for token in (self.equals, self.comma))
            columns += [operator, self.numbers[operand], equals, self.numbers[total], comma]
            determined += [free, limit == 0, ~free, ~free, ~free]
        end = (TOKENS_BEFORE + TOKENS_PER_OPERATION * quantities)[:, None]
        position = torch.arange(len(columns) + 1)[None, :]
        tokens = torch.stack([*columns, torch.full_like(total, self.vocabulary.eos)], 1)
        tokens = torch.where(position == end, self.vocabulary.eos, tokens)
        tokens = tokens.masked_fill(position > end, self.vocabulary.pad)
        known = (torch.stack([*determined, ~free], 1) | (position == end)) & (position <= end)
        return TokenBatch(tokens, end[:, 0] + 1, known, quantities)

    def sample_free_tokens(
        self, next_token_mask: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """Draws uniformly from the tokens that may come next, and returns `remaining` unchanged."""
        return torch.multinomial(next_token_mask.float(), 1, generator=generator)[:, 0], remaining

    def remaining_demo_tokens(self, sequences: TokenBatch, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Zeros: the task has no demo phase."""
        return torch.zeros_like(positions)
