"""Ctx-Distr: hold no count, but sum a value of every token over the whole context (TMLR 2025, Algorithm 3)."""

from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms.base import Values
from symscope.algorithms.numeric import DEMO, RESP, NumericAlgorithm
from symscope.algorithms.variables import Integer


@final
class CtxDistr(NumericAlgorithm):
    """One variable, `value`: what the token at this position adds to every sum over the context that it is part of.

    A demo token has the value +1, a response token -1, any other 0; `EOS` follows when the sum over the context is
    zero or below in the resp phase. Nothing that accumulates is a variable: overwriting the value of one position
    changes every later sum by the difference and nothing else. What the algorithm reads from the context, the values
    before this position (`context`) and whether the trigger is among them (`phase`), cannot be asked for.
    """

    name = "ctx-distr"
    variables = (Integer("value", -1, 1),)

    def start(self, batch: int) -> Values:
        """See `Algorithm.start`."""
        zero = torch.zeros(batch, dtype=torch.long)
        return {"value": zero, "context": zero, "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """See `Algorithm.step`."""
        phase = values["phase"]
        resp = phase == RESP
        up, down = self._demo[tokens] & ~resp, self._response[tokens] & resp
        return {
            "value": up.long() - down.long(),
            "context": values["context"] + values["value"],
            "phase": torch.where(self._trigger[tokens], RESP, phase),
        }

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """See `Algorithm.next_token_mask`."""
        return self._next(values["phase"], values["context"] + values["value"] <= 0)
