"""Running-Total: updates the total after each operation of the arithmetic task."""

from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Algorithm, Values
from symscope.algorithms.variables import Category, Integer
from symscope.tasks import ArithmeticTask, Task

PHASES = ("operations", "start", "operator", "add", "subtract", "equals", "total", "comma")
OPERATIONS, START, OPERATOR, ADD, SUBTRACT, EQUALS, TOTAL, COMMA = range(len(PHASES))


@final
class RunningTotal(Algorithm):
    """Variables `total`, `remaining` and `phase`.

    `phase` is the kind of the next token: the number of operations, the start value, an operator (or `EOS`), an operand
    to add, an operand to subtract, `=`, the total, the comma. `remaining` is the number of operations that have not
    begun: each operator reduces it by 1, and `EOS` follows in place of an operator if it is 0. `total` is 0 before the
    start value; an operand changes it immediately, before `=`.
    """

    name = "running-total"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        assert isinstance(task, ArithmeticTask)  # since `solves` is true
        self.variables = (
            Integer("total", 0, task.largest_total),
            Integer("remaining", 0, task.largest),
            Category("phase", PHASES),
        )
        size = len(task.vocabulary)
        self._number = torch.full((size,), -1)
        self._number[task.numbers] = torch.arange(len(task.numbers))
        self._largest = task.largest_total
        self._end = torch.arange(size) == task.vocabulary.eos
        self._next_phase = torch.arange(len(PHASES))[:, None].repeat(1, size)  # by default, a token changes nothing
        for phase, after in ((OPERATIONS, START), (START, OPERATOR), (ADD, EQUALS), (SUBTRACT, EQUALS), (TOTAL, COMMA)):
            self._next_phase[phase, task.numbers] = after
        self._next_phase[OPERATOR, task.plus], self._next_phase[OPERATOR, task.minus] = ADD, SUBTRACT
        self._next_phase[EQUALS, task.equals], self._next_phase[COMMA, task.comma] = TOTAL, OPERATOR
        self._belongs = self._next_phase != torch.arange(len(PHASES))[:, None]

    @classmethod
    def solves(cls, task: Task) -> bool:
        return isinstance(task, ArithmeticTask)

    def start(self, batch: int) -> Values:
        zero = torch.zeros(batch, dtype=torch.long)
        return {"total": zero, "remaining": zero, "phase": torch.full((batch,), OPERATIONS)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        total, remaining, phase = values["total"], values["remaining"], values["phase"]
        number, belongs = self._number[tokens], self._belongs[phase, tokens]

        def now(which: int) -> Bool[Tensor, " batch"]:
            return belongs & (phase == which)

        total = torch.where(now(START), number, total + now(ADD) * number - now(SUBTRACT) * number)
        return {
            "total": total,
            "remaining": torch.where(now(OPERATIONS), number, remaining - now(OPERATOR).long()),
            "phase": self._next_phase[phase, tokens],
        }

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        total, phase, number = values["total"][:, None], values["phase"][:, None], self._number
        low = torch.where(phase == OPERATIONS, 1, torch.where(phase == TOTAL, total, 0))
        high = torch.full_like(total, self._largest)
        high = torch.where(phase == OPERATIONS, len(self._number), high)
        high = torch.where(phase == ADD, self._largest - total, high)
        high = torch.where((phase == SUBTRACT) | (phase == TOTAL), total, high)
        fits = (number < 0) | ((number >= low) & (number <= high))
        finished = (phase == OPERATOR) & (values["remaining"][:, None] <= 0)
        return torch.where(finished, self._end, self._belongs[values["phase"]] & fits)
