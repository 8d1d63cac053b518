"""Increment: counts n demo tokens in steps of 1, and the response tokens in steps of 1/n up to 1."""

from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Values
from symscope.algorithms.numeric import DEMO, PHASE, RESP, NumericAlgorithm
from symscope.algorithms.variables import Real

ROUNDING = 1e-9
"""A count within this distance of 1 is 1. Counts are sums of at most some hundred fractions, so the error of float64 is
below 1e-12, and different counts are further apart than this distance."""


@final
class Increment(NumericAlgorithm):
    """Variables `count`, `increment` and `phase`.

    A demo token in the demo phase and a response token in the resp phase add the increment to the count. The increment
    is 1 at first; the trigger sets the increment to 1/count and the count to 0. `EOS` follows if the count in the resp
    phase is 1 or, after an intervention, more. If the count at the trigger is 0, which only an intervention makes
    possible, the increment becomes 0 and the sequence cannot end.
    """

    name = "increment"
    variables = (Real("count"), Real("increment"), PHASE)

    def start(self, batch: int) -> Values:
        ones = torch.ones(batch, dtype=torch.float64)
        return {"count": 0 * ones, "increment": ones, "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        count, increment, phase = values["count"], values["increment"], values["phase"]
        resp, trigger = phase == RESP, self._trigger[tokens]
        counts = torch.where(resp, self._response[tokens], self._demo[tokens])
        counted = count + counts * increment
        begins = trigger & ~resp
        inverse = torch.where(counted > 0, 1 / counted, 0)
        return {
            "count": torch.where(begins, 0, counted),
            "increment": torch.where(begins, inverse, increment),
            "phase": torch.where(trigger, RESP, phase),
        }

    def demo_tokens_counted(self, values: Values) -> Int[Tensor, " batch"]:
        return (values["count"] - ROUNDING).ceil().long()  # a count of 3.4 has as many responses as a count of 4

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        return self._next(values["phase"], self._reached(values))

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        return (values["phase"] == DEMO) | (values["increment"] > 0) | self._reached(values)

    def _reached(self, values: Values) -> Bool[Tensor, " batch"]:
        return values["count"] >= 1 - ROUNDING
