"""What the algorithms for numeric equivalence share: which token plays which role, and the two phases.

A void token plays no role: it is free in the demo phase and changes nothing.
"""

from abc import ABC
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Algorithm
from symscope.algorithms.variables import Category
from symscope.tasks import NumericTask, Task

DEMO, RESP = 0, 1
PHASE = Category("phase", ("demo", "resp"))


class NumericAlgorithm(Algorithm, ABC):
    """Tokens by role, and what may come next in each phase.

    Attributes:
        rule: name of the response rule that it follows; it solves every numeric task with that rule.
    """

    rule: ClassVar[str] = "equal"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        assert isinstance(task, NumericTask)  # it is claimed
        token = torch.arange(len(task.vocabulary))
        self._demo = torch.isin(token, task.demo)
        self._response = token == task.response
        self._trigger = token == task.trigger
        self._free = self._demo | self._trigger | (token == (-1 if task.void is None else task.void))
        self._end = token == task.vocabulary.eos

    @classmethod
    def solves(cls, task: Task) -> bool:
        """See `Algorithm.solves`."""
        return isinstance(task, NumericTask) and task.rule.name == cls.rule

    def _next(self, phase: Int[Tensor, " batch"], ended: Bool[Tensor, " batch"]) -> Bool[Tensor, "batch vocabulary"]:
        """The environment's choice in the demo phase; in the resp phase `EOS` where it has ended, else a response."""
        answer = torch.where(ended[:, None], self._end, self._response)
        return torch.where((phase == RESP)[:, None], answer, self._free)
