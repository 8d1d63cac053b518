"""Up-Up: count the demo tokens and the response tokens apart, end when they are equal (TMLR 2025, Algorithm 2)."""

from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Values
from symscope.algorithms.numeric import DEMO, PHASE, RESP, NumericAlgorithm
from symscope.algorithms.variables import Integer


@final
class UpUp(NumericAlgorithm):
    """Variables `demo_count`, `resp_count` and `phase`.

    A demo token adds one to the demo count, a response token to the resp count, each in its own phase; `EOS` follows
    when they are equal in the resp phase. A resp count beyond the demo count goes on for ever: it has no end.
    """

    name = "up-up"
    variables = (Integer("demo_count"), Integer("resp_count"), PHASE)

    def start(self, batch: int) -> Values:
        """See `Algorithm.start`."""
        zero = torch.zeros(batch, dtype=torch.long)
        return {"demo_count": zero, "resp_count": zero, "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """See `Algorithm.step`."""
        phase = values["phase"]
        resp = phase == RESP
        return {
            "demo_count": values["demo_count"] + (self._demo[tokens] & ~resp),
            "resp_count": values["resp_count"] + (self._response[tokens] & resp),
            "phase": torch.where(self._trigger[tokens], RESP, phase),
        }

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """See `Algorithm.next_token_mask`."""
        return self._next(values["phase"], values["demo_count"] == values["resp_count"])

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        """See `Algorithm.can_end`."""
        return (values["phase"] == DEMO) | (values["resp_count"] <= values["demo_count"])
