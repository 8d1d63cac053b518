"""Running-Total: the algorithm of the arithmetic task."""

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

    `phase` is what comes next: how many operations there are, the start value, an operator (or the end), an operand
    to add, an operand to subtract, `=`, the total, the comma. `remaining` is how many operations have not begun: the
    operator takes one off, and when an operator would be next and none remain, `EOS` follows. `total` (0 before the
    start value) takes the operand in at once, before `=`.
    """

    name = "running-total"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        assert isinstance(task, ArithmeticTask)  # it is claimed
        self.variables = (
            Integer("total", 0, task.largest_total),
            Integer("remaining", 0, task.largest),
            Category("phase", PHASES),
        )
        size = len(task.vocabulary)
        self._number = torch.full((size,), -1)
        self._number[task.numbers] = torch.arange(len(task.numbers))
        self._room = task.largest_total
        self._end = torch.arange(size) == task.vocabulary.eos
        self._then = torch.arange(len(PHASES))[:, None].repeat(1, size)  # a token that does not belong changes nothing
        for phase, after in ((OPERATIONS, START), (START, OPERATOR), (ADD, EQUALS), (SUBTRACT, EQUALS), (TOTAL, COMMA)):
            self._then[phase, task.numbers] = after
        self._then[OPERATOR, task.plus], self._then[OPERATOR, task.minus] = ADD, SUBTRACT
        self._then[EQUALS, task.equals], self._then[COMMA, task.comma] = TOTAL, OPERATOR
        self._belongs = self._then != torch.arange(len(PHASES))[:, None]

    @classmethod
    def solves(cls, task: Task) -> bool:
        """See `Algorithm.solves`."""
        return isinstance(task, ArithmeticTask)

    def start(self, batch: int) -> Values:
        """See `Algorithm.start`."""
        zero = torch.zeros(batch, dtype=torch.long)
        return {"total": zero, "remaining": zero, "phase": torch.full((batch,), OPERATIONS)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """See `Algorithm.step`."""
        total, remaining, phase = values["total"], values["remaining"], values["phase"]
        number, belongs = self._number[tokens], self._belongs[phase, tokens]

        def now(which: int) -> Bool[Tensor, " batch"]:
            return belongs & (phase == which)

        total = torch.where(now(START), number, total + now(ADD) * number - now(SUBTRACT) * number)
        return {
            "total": total,
            "remaining": torch.where(now(OPERATIONS), number, remaining - now(OPERATOR).long()),
            "phase": self._then[phase, tokens],
        }

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """See `Algorithm.next_token_mask`."""
        total, phase, number = values["total"][:, None], values["phase"][:, None], self._number
        least = torch.where(phase == OPERATIONS, 1, torch.where(phase == TOTAL, total, 0))
        most = torch.full_like(total, self._room)
        most = torch.where(phase == OPERATIONS, len(self._number), most)
        most = torch.where(phase == ADD, self._room - total, most)
        most = torch.where((phase == SUBTRACT) | (phase == TOTAL), total, most)
        fits = (number < 0) | ((number >= least) & (number <= most))
        over = (phase == OPERATOR) & (values["remaining"][:, None] <= 0)
        return torch.where(over, self._end, self._belongs[values["phase"]] & fits)
