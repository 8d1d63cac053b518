"""Ctx-Distr: no counter, but a value for each token, summed over the whole context (TMLR 2025, Algorithm 3)."""

from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Values
from symscope.algorithms.numeric import DEMO, RESP, NumericAlgorithm
from symscope.algorithms.variables import Integer


@final
class CtxDistr(NumericAlgorithm):
    """Variable `value`: the summand of the token at this position.

    A demo token has the value +1, a response token -1, every other token 0. In the resp phase, `EOS` follows if the sum
    over the context is zero or below. No variable accumulates: an intervention on the value at one position changes
    every later sum by the difference, and nothing else. The entries that the algorithm computes from the context, the
    sum of the values before this position (`context`) and whether the trigger is among them (`phase`), are not
    variables.
    """

    name = "ctx-distr"
    variables = (Integer("value", -1, 1),)

    def start(self, batch: int) -> Values:
        zero = torch.zeros(batch, dtype=torch.long)
        return {"value": zero, "context": zero, "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        phase = values["phase"]
        resp = phase == RESP
        up, down = self._demo[tokens] & ~resp, self._response[tokens] & resp
        return {
            "value": up.long() - down.long(),
            "context": values["context"] + values["value"],
            "phase": torch.where(self._trigger[tokens], RESP, phase),
        }

    def demo_tokens_counted(self, values: Values) -> Int[Tensor, " batch"]:
        return values["context"] + values["value"]

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        return self._next(values["phase"], values["context"] + values["value"] <= 0)
