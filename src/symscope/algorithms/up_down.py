"""Up-Down: count the demo tokens up, the response tokens down, end at zero (TMLR 2025, Algorithm 1).

For the tasks whose response is as long as a rule says, the rule is applied to the count when the trigger comes.
"""

from abc import ABC
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Values
from symscope.algorithms.numeric import DEMO, PHASE, RESP, NumericAlgorithm
from symscope.algorithms.variables import Integer
from symscope.tasks import NumericTask, Task

BEYOND = 10
"""How far past its task's largest quantity the square of a count is still taken; see `UpDownSquare`."""


class _CountsDown(NumericAlgorithm, ABC):
    """Variables `count` (a number) and `phase` (demo or resp).

    In the demo phase a demo token adds one to the count; the trigger applies the task's response rule to it and
    begins the resp phase, in which a response token takes one off; `EOS` follows when the count of the resp phase is
    zero.
    """

    variables = (Integer("count"), PHASE)

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        assert isinstance(task, NumericTask)  # it is claimed
        self._answer = task.rule.of

    def start(self, batch: int) -> Values:
        """See `Algorithm.start`."""
        return {"count": torch.zeros(batch, dtype=torch.long), "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """See `Algorithm.step`."""
        count, phase = values["count"], values["phase"]
        resp, trigger = phase == RESP, self._trigger[tokens]
        up, down = self._demo[tokens] & ~resp, self._response[tokens] & resp
        counted = count + up.long() - down.long()
        return {
            "count": torch.where(trigger & ~resp, self._answer(counted), counted),
            "phase": torch.where(trigger, RESP, phase),
        }

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """See `Algorithm.next_token_mask`."""
        return self._next(values["phase"], values["count"] <= 0)


@final
class UpDown(_CountsDown):
    """Variables `count` and `phase`: demo tokens count up, response tokens down, `EOS` at zero."""

    name = "up-down"


@final
class UpDownModulo(_CountsDown):
    """Up-Down whose count becomes its remainder at the trigger."""

    name, rule = "up-down-modulo", "modulo"


@final
class UpDownRounding(_CountsDown):
    """Up-Down whose count is rounded at the trigger."""

    name, rule = "up-down-rounding", "rounding"


@final
class UpDownSquare(_CountsDown):
    """Up-Down whose count is squared at the trigger.

    A count of the resp phase that is put into the demo phase may be as large as 400, and its square a response that no
    sequence will ever hold. Counts of the demo phase more than 10 above the task's largest quantity (30 for 1..20)
    therefore count as ones that cannot end.
    """

    name, rule = "up-down-square", "square"

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        """See `Algorithm.can_end`."""
        return (values["phase"] == RESP) | (values["count"] <= self.task.quantities[-1] + BEYOND)
