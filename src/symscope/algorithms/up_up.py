"""Up-Up: counts demo tokens and response tokens separately, and ends when the counts agree (TMLR 2025, Algorithm 2)."""

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

    A demo token in the demo phase adds 1 to the demo count; a response token in the resp phase adds 1 to the resp
    count. `EOS` follows in the resp phase if the counts are equal. A state cannot end if its resp count is above its
    demo count.
    """

    name = "up-up"
    variables = (Integer("demo_count"), Integer("resp_count"), PHASE)

    def start(self, batch: int) -> Values:
        zero = torch.zeros(batch, dtype=torch.long)
        return {"demo_count": zero, "resp_count": zero, "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        phase = values["phase"]
        resp = phase == RESP
        return {
            "demo_count": values["demo_count"] + (self._demo[tokens] & ~resp),
            "resp_count": values["resp_count"] + (self._response[tokens] & resp),
            "phase": torch.where(self._trigger[tokens], RESP, phase),
        }

    def demo_tokens_counted(self, values: Values) -> Int[Tensor, " batch"]:
        return values["demo_count"]

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        return self._next(values["phase"], values["demo_count"] == values["resp_count"])

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        return (values["phase"] == DEMO) | (values["resp_count"] <= values["demo_count"])
