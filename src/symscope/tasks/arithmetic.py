"""Arithmetic: a start value and a stated number of additions and subtractions, with the total after each.

`BOS 2 7 + 5 = 12 , - 12 = 0 , EOS`: two operations, starting from 7. The total never leaves 0..20.
"""

from collections.abc import Collection
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.tasks.base import Task, TokenBatch
from symscope.tasks.numeric import HELD_OUT, QUANTITIES
from symscope.tasks.vocabulary import Vocabulary

PLUS, MINUS, EQUALS, COMMA = "+", "-", "=", ","
BEFORE, EACH = 3, 5
"""Tokens before the first operation (`BOS`, how many, start value), and of each operation."""


@final
class ArithmeticTask(Task):
    """Arithmetic; a quantity is a number of operations.

    Free are the number of operations, the start value (uniform over 0..20), each operator (a fair coin) and each
    operand (uniform over those that keep the total within 0..20; 0 is one of them, so both operators always may
    come). Determined are `=`, the total, the comma and `EOS`, and an operand where only 0 is left (adding to 20,
    taking from 0).

    Args:
        largest_total: the total stays in 0 to this.
        quantities: the numbers of operations.
        held_out: those that training never shows.

    Raises:
        InvalidArgumentError: no quantities, one below 1, hold-outs that leave nothing to train on, or a largest
            total below 1.
    """

    name = "arithmetic"

    def __init__(
        self,
        *,
        largest_total: int = 20,
        quantities: Collection[int] = QUANTITIES,
        held_out: Collection[int] = HELD_OUT,
    ) -> None:
        super().__init__(quantities, held_out)
        if largest_total < 1:
            raise InvalidArgumentError(f"the total moves within 0 to at least 1, got {largest_total}")
        self.largest_total = largest_total
        self.largest = max(largest_total, self.quantities[-1])  # a larger number of operations has no token
        numbers = [str(number) for number in range(self.largest + 1)]
        self.vocabulary = Vocabulary((*numbers, PLUS, MINUS, EQUALS, COMMA))
        self.numbers = torch.tensor(self.vocabulary.encode(numbers))
        self.plus, self.minus, self.equals, self.comma = self.vocabulary.encode((PLUS, MINUS, EQUALS, COMMA))

    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> TokenBatch:
        """See `Task.draw`."""
        self.check_quantities(quantities)
        batch, operations = len(quantities), int(quantities.max())
        total = torch.randint(self.largest_total + 1, (batch,), generator=generator)
        bos = torch.full_like(total, self.vocabulary.bos)
        columns, free = [bos, self.numbers[quantities], self.numbers[total]], torch.zeros_like(total, dtype=torch.bool)
        determined = [free] * BEFORE
        for _ in range(operations):
            adds = torch.randint(2, (batch,), generator=generator).bool()
            room = torch.where(adds, self.largest_total - total, total)
            operand = (torch.rand(batch, generator=generator, dtype=torch.float64) * (room + 1)).long()
            total = total + torch.where(adds, operand, -operand)
            operator = torch.where(adds, self.plus, self.minus)
            equals, comma = (torch.full_like(total, token) for token in (self.equals, self.comma))
            columns += [operator, self.numbers[operand], equals, self.numbers[total], comma]
            determined += [free, room == 0, ~free, ~free, ~free]
        end = (BEFORE + EACH * quantities)[:, None]
        place = torch.arange(BEFORE + EACH * operations + 1)[None, :]
        tokens = torch.stack([*columns, torch.full_like(total, self.vocabulary.eos)], 1)
        tokens = torch.where(place == end, self.vocabulary.eos, tokens).masked_fill(place > end, self.vocabulary.pad)
        known = (torch.stack([*determined, ~free], 1) | (place == end)) & (place <= end)
        return TokenBatch(tokens, end[:, 0] + 1, known, quantities)

    def sample_free_tokens(
        self, allowed: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """See `Task.sample_free_tokens`: uniform over the allowed tokens; `remaining` is returned unchanged."""
        return torch.multinomial(allowed.float(), 1, generator=generator)[:, 0], remaining

    def remaining_demo_tokens(self, sequences: TokenBatch, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """See `Task.remaining_demo_tokens`: none, there is no demo phase."""
        return torch.zeros_like(positions)
