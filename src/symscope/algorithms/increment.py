"""Increment: count the demo tokens in steps of 1, the response tokens in steps of one n-th of the way to 1."""

from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Values
from symscope.algorithms.numeric import DEMO, PHASE, RESP, NumericAlgorithm
from symscope.algorithms.variables import Real

ROUNDING = 1e-9
"""A count this close to 1 has reached it. Counts are sums of at most some hundred fractions, so float64 errs by less
than 1e-12, and two different ones lie further apart than this."""


@final
class Increment(NumericAlgorithm):
    """Variables `count`, `increment` and `phase`.

    Demo and response tokens, each in its phase, add the increment to the count. The increment starts as 1; at the
    trigger it becomes 1/count and the count starts again from 0. `EOS` follows when the count of the resp phase is 1,
    or beyond it after an intervention. A count of 0 at the trigger (possible only after an intervention) has no
    1/count: the increment is then 0, and there is no end.
    """

    name = "increment"
    variables = (Real("count"), Real("increment"), PHASE)

    def start(self, batch: int) -> Values:
        """See `Algorithm.start`."""
        one = torch.ones(batch, dtype=torch.float64)
        return {"count": 0 * one, "increment": one, "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """See `Algorithm.step`."""
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

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """See `Algorithm.next_token_mask`."""
        return self._next(values["phase"], self._reached(values))

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        """See `Algorithm.can_end`."""
        return (values["phase"] == DEMO) | (values["increment"] > 0) | self._reached(values)

    def _reached(self, values: Values) -> Bool[Tensor, " batch"]:
        return values["count"] >= 1 - ROUNDING
