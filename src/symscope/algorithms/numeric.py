"""Base of the algorithms for numeric equivalence: the roles of tokens, and the two phases.

A void token is free in the demo phase and does not change the state.
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
    """An algorithm with a demo phase and a resp phase.

    Attributes:
        rule: name of the response rule that it follows; it solves every numeric task with this rule.
    """

    rule: ClassVar[str] = "equal"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        assert isinstance(task, NumericTask)  # since `solves` is true
        token = torch.arange(len(task.vocabulary))
        self._demo = torch.isin(token, task.demo)
        self._response = token == task.response
        self._trigger = token == task.trigger
        self._free = self._demo | self._trigger | (token == (-1 if task.void is None else task.void))
        self._end = token == task.vocabulary.eos

    @classmethod
    def solves(cls, task: Task) -> bool:
        return isinstance(task, NumericTask) and task.rule.name == cls.rule

    def _next(self, phase: Int[Tensor, " batch"], ended: Bool[Tensor, " batch"]) -> Bool[Tensor, "batch vocabulary"]:
        """The free tokens in the demo phase; in the resp phase `EOS` where `ended`, otherwise the response token."""
        determined = torch.where(ended[:, None], self._end, self._response)
        return torch.where((phase == RESP)[:, None], determined, self._free)
