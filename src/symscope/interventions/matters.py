"""Which interventions tell anything: those that the base, or the source put in its place whole, cannot pass.

A continuation is scored token by token, each given those before it. Whether a state that is left as it is could go
through with it is therefore a question to the algorithm alone; what the environment draws on the way is given.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from symscope.algorithms import Algorithm, Values
from symscope.interventions.draw import Interventions


def contradicts(algorithm: Algorithm, values: Values, drawn: Interventions) -> Bool[Tensor, " batch"]:
    """Where `values` exclude the drawn continuation: the first token of it that they exclude is a scored one.

    Where it is a free one (another demo token, in the resp phase), the environment shows what this state cannot expect,
    and what a network does then no algorithm says; this counts as no contradiction.
    """
    possible = torch.ones(len(drawn), dtype=torch.bool)
    contradicted = torch.zeros(len(drawn), dtype=torch.bool)
    for token, scored in zip(drawn.continuation.unbind(1), drawn.determined.unbind(1), strict=True):
        excluded = possible & ~algorithm.next_token_mask(values).gather(1, token[:, None])[:, 0]
        contradicted |= excluded & scored
        possible &= ~excluded
        values = algorithm.step(values, token)
    return contradicted


def matters(algorithm: Algorithm, drawn: Interventions) -> Bool[Tensor, " batch"]:
    """Where what must follow the swap contradicts both the base and the source as they are.

    A network that ignores the swap may pass the others, or one whose state is replaced whole: they show nothing about
    the variable.
    """
    return contradicts(algorithm, drawn.base_values, drawn) & contradicts(algorithm, drawn.source_values, drawn)
