"""Ctx-Distr: a one-layer transformer without position encoding that averages +1 and -1 over the whole context.

It is a `Transformer` with constructed weights. Queries and keys are zero, so attention is the plain average. Every
direction in use has mean zero over the dimensions, so the norms only scale, and every decision compares two linear
readings with each other, so their scale does not matter. The output layer is linear where its hidden units come in
pairs: gelu(x) - gelu(-x) = x.
"""

from typing import Unpack

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import Constructed, TokenRoles, check_roles
from symscope.networks.transformer import Transformer

CONSTANT, VALUE, MARK, SUM, PHASE = range(5)
"""Directions: a constant of every token; its value; the trigger's mark; the averages of values and of marks."""
CONSTANT_LENGTH = 20.0
"""Length of the constant direction: a value changes the norm by about 1 in 1000, so its contribution stays the same."""


def averaging_network(
    *, d: int = 16, longest: int = 128, sharpness: float = 8.0, **roles: Unpack[TokenRoles]
) -> Constructed:
    """Ctx-Distr: demo tokens have the value +1, response tokens -1, others 0; `EOS` where the average is not positive.

    No state accumulates anything. The only variable is the value of the token itself, at site `embedding`; rewriting
    the state after the layer changes one prediction and nothing later.

    Args:
        d: width, even and at least 10.
        longest: length of the longest context in which a sum of 1 is distinguishable from a sum of 0.
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
    directions = torch.zeros(5, d)
    for index in range(5):
        directions[index, 2 * index], directions[index, 2 * index + 1] = 0.5**0.5, -(0.5**0.5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        network.embedding.add_(CONSTANT_LENGTH * directions[CONSTANT])
        network.embedding[list(roles["demo"])] += directions[VALUE]
        network.embedding[roles["response"]] -= directions[VALUE]
        network.embedding[roles["trigger"]] += directions[MARK]
        parameters = dict(network.named_parameters())
        # After the norm, a value of 1 has a length of nearly sqrt(d) / CONSTANT_LENGTH; this factor makes the average
        # of a single 1 among n tokens CONSTANT_LENGTH / n.
        parameters["layers.0.project_weight"][2 * d :] = CONSTANT_LENGTH**2 / d**0.5 * torch.eye(d)
        moved = directions[[VALUE, MARK]].T @ directions[[SUM, PHASE]]
        parameters["layers.0.attended_weight"].copy_(moved.T)
        _set_readout(network, directions, longest, sharpness, roles)
    direction = directions[[VALUE]]
    return Constructed(network, "ctx-distr", "embedding", {"value": direction.T}, {"value": direction})


def _set_readout(
    network: Transformer, directions: Float[Tensor, "directions d"], longest: int, sharpness: float, roles: TokenRoles
) -> None:
    """`EOS` where the sum is below one half of the constant over `longest`; free tokens before the trigger."""
    readings = directions[[CONSTANT, SUM, PHASE]]
    output = network.output
    for index, reading in enumerate(readings):
        output.hidden_weight[2 * index], output.hidden_weight[2 * index + 1] = reading, -reading
    # In units of the constant (CONSTANT_LENGTH before the final norm), a sum of 1 over n tokens reads 1/n, and so does
    # the trigger.
    logits = torch.zeros(roles["vocabulary"], 3)
    logits[:, 0] = -100.0 * longest
    logits[roles["response"]] = 0
    logits[roles["eos"]] = torch.tensor([0.5, -longest, 0])
    logits[[*roles["demo"], roles["trigger"]]] = torch.tensor([2.0 * longest, 0, -4.0 * longest**2])
    output.output_weight[:, 0:6:2], output.output_weight[:, 1:6:2] = logits, -logits
    output.output_weight.mul_(sharpness)
