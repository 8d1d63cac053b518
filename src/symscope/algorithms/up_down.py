"""Up-Down: count the demo tokens up, the response tokens down, end at zero (TMLR 2025, Algorithm 1)."""

from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Algorithm, Values, Variable
from symscope.tasks import NumericTask

DEMO, RESP = 0, 1


@final
class UpDown(Algorithm):
    """Variables `count` (a number) and `phase` (demo or resp).

    In the demo phase a demo token adds one to the count; the trigger begins the resp phase, in which a response
    token takes one off; `EOS` follows when the count of the resp phase is zero or below.
    """

    name = "up-down"
    variables = (Variable("count"), Variable("phase", ("demo", "resp")))

    def __init__(self, task: NumericTask) -> None:
        super().__init__(task)
        size = len(task.vocabulary)
        self._is_demo = torch.isin(torch.arange(size), task.demo)
        self._is_response = torch.arange(size) == task.response
        self._is_trigger = torch.arange(size) == task.trigger
        self._free = self._is_demo | self._is_trigger
        self._end = torch.arange(size) == task.vocabulary.eos

    def start(self, batch: int) -> Values:
        """See `Algorithm.start`."""
        return {"count": torch.zeros(batch, dtype=torch.long), "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """See `Algorithm.step`."""
        count, phase = values["count"], values["phase"]
        resp = phase == RESP
        up, down = self._is_demo[tokens] & ~resp, self._is_response[tokens] & resp
        return {
            "count": count + up.long() - down.long(),
            "phase": torch.where(self._is_trigger[tokens], RESP, phase),
        }

    def allowed(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """See `Algorithm.allowed`."""
        resp = (values["phase"] == RESP)[:, None]
        ended = (values["count"] <= 0)[:, None]
        return torch.where(resp, torch.where(ended, self._end, self._is_response), self._free)
