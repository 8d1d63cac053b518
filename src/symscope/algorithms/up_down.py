"""Up-Down: counts demo tokens up and response tokens down, and ends at zero (TMLR 2025, Algorithm 1).

In tasks with another response rule, the trigger applies the rule to the count.
"""

from abc import ABC
from math import isqrt
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Values
from symscope.algorithms.numeric import DEMO, PHASE, RESP, NumericAlgorithm
from symscope.algorithms.variables import Integer
from symscope.tasks import MAX_CONTINUATION, NumericTask, Task

BEYOND = 10
"""A count may exceed the task's largest quantity by this much before it is squared; see `UpDownSquare`."""


class _CountsDown(NumericAlgorithm, ABC):
    """Variables `count` (a number) and `phase` (demo or resp).

    In the demo phase, a demo token adds 1 to the count. The trigger applies the task's response rule to the count and
    begins the resp phase, in which a response token subtracts 1. `EOS` follows in the resp phase if the count is zero.
    """

    variables = (Integer("count"), PHASE)

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        assert isinstance(task, NumericTask)  # since `solves` is true
        self._rule = task.rule.of

    def start(self, batch: int) -> Values:
        return {"count": torch.zeros(batch, dtype=torch.long), "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        count, phase = values["count"], values["phase"]
        resp, trigger = phase == RESP, self._trigger[tokens]
        up, down = self._demo[tokens] & ~resp, self._response[tokens] & resp
        counted = count + up.long() - down.long()
        return {
            "count": torch.where(trigger & ~resp, self._rule(counted), counted),
            "phase": torch.where(trigger, RESP, phase),
        }

    def demo_tokens_counted(self, values: Values) -> Int[Tensor, " batch"]:
        return values["count"]

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        return self._next(values["phase"], values["count"] <= 0)


@final
class UpDown(_CountsDown):
    """Variables `count` and `phase`: demo tokens count up, response tokens count down, `EOS` follows at zero."""

    name = "up-down"


@final
class UpDownModulo(_CountsDown):
    """Up-Down with a count that the trigger replaces by its remainder."""

    name, rule = "up-down-modulo", "modulo"


@final
class UpDownRounding(_CountsDown):
    """Up-Down with a count that the trigger rounds."""

    name, rule = "up-down-rounding", "rounding"


@final
class UpDownSquare(_CountsDown):
    """Up-Down with a count that the trigger squares.

    An intervention can move a count from the resp phase, such as 400, into the demo phase, where its square is longer
    than any sequence. By convention, a state of the demo phase cannot end if its count exceeds the task's largest
    quantity by more than 10 (30 for quantities 1..20), or if its response is longer than symscope can generate.
    """

    name, rule = "up-down-square", "square"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        longest = (isqrt(4 * MAX_CONTINUATION - 7) - 1) // 2  # n + n^2 + 2 tokens, as in a sequence of the task
        self._largest = min(task.quantities[-1] + BEYOND, longest)

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        return (values["phase"] == RESP) | (values["count"] <= self._largest)
