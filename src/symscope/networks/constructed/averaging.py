"""Ctx-Distr: a one-layer transformer without position encoding that averages +1 and -1 over the whole context.

It is the `Transformer` itself with weights set by hand. Queries and keys are zero, so attention is the plain average.
Every direction in use has mean zero over the dimensions, so the norms only scale, and every decision compares two
linear readings with each other, so their scale does not matter. The output layer is linear where its hidden units
come in pairs: gelu(x) - gelu(-x) = x.
"""

from typing import Unpack

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import Constructed, TokenRoles, check_roles
from symscope.networks.transformer import Transformer

CONSTANT, VALUE, MARK, SUM, PHASE = range(5)
"""Directions: what every token has; its value; the trigger's mark; the averages of values and of marks."""
ABOVE = 20.0
"""How long the constant direction is: a value hardly changes the norm, so its contribution stays 1 in 1000 the same."""


def averaging_network(
    *, d: int = 16, longest: int = 128, sharpness: float = 8.0, **roles: Unpack[TokenRoles]
) -> Constructed:
    """Ctx-Distr: demo tokens have the value +1, response tokens -1, others 0; `EOS` where the average is not positive.

    Nothing that accumulates is in a state. The one variable is the value of the token itself, at site `embedding`;
    rewriting the state after the layer changes one prediction and nothing later.

    Args:
        d: width, even and at least 10.
        longest: the longest context in which a sum of 1 can be told from a sum of 0.
        sharpness: scale of the logits.
        roles: the tokens, as `**task.roles`; no demo token may be the response token.

    Raises:
        InvalidArgumentError: d is odd or below 10, or the tokens do not fit.
    """
    check_roles(roles)
    if d < 10 or d % 2:
        raise InvalidArgumentError(f"the averaging network has an even d of at least 10, got {d}")
    if longest < 3:
        raise InvalidArgumentError(f"the longest context has at least 3 tokens, got {longest}")
    network = Transformer(d, roles["vocabulary"], Generator(), layers=1, rope=False)
    way = torch.zeros(5, d)
    for index in range(5):
        way[index, 2 * index], way[index, 2 * index + 1] = 0.5**0.5, -(0.5**0.5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        network.embedding.add_(ABOVE * way[CONSTANT])
        network.embedding[list(roles["demo"])] += way[VALUE]
        network.embedding[roles["response"]] -= way[VALUE]
        network.embedding[roles["trigger"]] += way[MARK]
        state = dict(network.named_parameters())
        # Normed, a value of 1 has the length sqrt(d) / ABOVE, nearly; with this the average of 1 over n is ABOVE / n.
        state["layers.0.project_weight"][2 * d :] = ABOVE**2 / d**0.5 * torch.eye(d)
        moved = way[[VALUE, MARK]].T @ way[[SUM, PHASE]]
        state["layers.0.attended_weight"].copy_(moved.T)
        _set_readout(network, way, longest, sharpness, roles)
    direction = way[[VALUE]]
    return Constructed(network, "ctx-distr", "embedding", {"value": direction.T}, {"value": direction})


def _set_readout(
    network: Transformer, way: Float[Tensor, "ways d"], longest: int, sharpness: float, roles: TokenRoles
) -> None:
    """`EOS` where the sum is below one half of the constant over `longest`; free tokens where there was no trigger."""
    readings = way[[CONSTANT, SUM, PHASE]]
    output = network.output
    for index, reading in enumerate(readings):
        output.hidden_weight[2 * index], output.hidden_weight[2 * index + 1] = reading, -reading
    # In units of the constant (ABOVE before the final norm), a sum of 1 over n reads 1/n, and so does the trigger.
    logits = torch.zeros(roles["vocabulary"], 3)
    logits[:, 0] = -100.0 * longest
    logits[roles["response"]] = 0
    logits[roles["eos"]] = torch.tensor([0.5, -longest, 0])
    logits[[*roles["demo"], roles["trigger"]]] = torch.tensor([2.0 * longest, 0, -4.0 * longest**2])
    output.output_weight[:, 0:6:2], output.output_weight[:, 1:6:2] = logits, -logits
    output.output_weight.mul_(sharpness)
