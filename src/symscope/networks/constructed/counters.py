"""Networks that count along axes of the state: a linear cell that adds a fixed vector for each token."""

from typing import Unpack

import torch

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import (
    Constructed,
    LinearCell,
    TokenRoles,
    axes,
    check_roles,
    phase_inputs,
    phase_readout,
)
from symscope.networks.recurrent import RecurrentNetwork


def magnitude_network(*, d: int = 2, sharpness: float = 8.0, **roles: Unpack[TokenRoles]) -> Constructed:
    """Up-Down with the count as a magnitude: the count along axis 0, the phase along axis 1, further axes unused.

    Demo tokens add 1 to the count axis, response tokens subtract 1, the trigger adds 1 to the phase axis. In the resp
    phase the logit of `EOS` exceeds that of the response token when the count is below one half.

    Args:
        d: size of the state, at least 2.
        sharpness: scale of the logits.
        roles: the tokens, as `**task.roles`; no demo token may be the response token.

    Raises:
        InvalidArgumentError: d is below 2, or the tokens do not fit.
    """
    check_roles(roles)
    if d < 2:
        raise InvalidArgumentError(f"the magnitude network needs d of at least 2 (count and phase), got {d}")
    count, phase = 0, 1
    inputs = phase_inputs(roles, d, phase)
    inputs[list(roles["demo"]), count] = 1
    inputs[roles["response"], count] = -1
    end = torch.zeros(d)
    end[count] = -1
    cell = LinearCell(torch.eye(d)[None], torch.zeros(len(inputs), dtype=torch.long), inputs)
    output = phase_readout(roles, end, 0.5, phase, scale=sharpness)
    writes = axes(d, count=count, phase=phase)
    reads = {name: frame.T for name, frame in writes.items()}
    return Constructed(RecurrentNetwork(cell, output), "up-down", "h", writes, reads)


def two_counts_network(*, d: int = 3, sharpness: float = 8.0, **roles: Unpack[TokenRoles]) -> Constructed:
    """Up-Up: the demo count along axis 0, the resp count along axis 1, the phase along axis 2, further axes unused.

    In the resp phase the logit of `EOS` exceeds that of the response token when the resp count is larger than the demo
    count less one half.

    Args:
        d: size of the state, at least 3.
        sharpness: scale of the logits.
        roles: the tokens, as `**task.roles`; no demo token may be the response token.

    Raises:
        InvalidArgumentError: d is below 3, or the tokens do not fit.
    """
    check_roles(roles)
    if d < 3:
        raise InvalidArgumentError(f"the two-counts network needs d of at least 3 (two counts and phase), got {d}")
    demo, resp, phase = 0, 1, 2
    inputs = phase_inputs(roles, d, phase)
    inputs[list(roles["demo"]), demo] = 1
    inputs[roles["response"], resp] = 1
    end = torch.zeros(d)
    end[demo], end[resp] = -1, 1
    cell = LinearCell(torch.eye(d)[None], torch.zeros(len(inputs), dtype=torch.long), inputs)
    output = phase_readout(roles, end, 0.5, phase, scale=sharpness)
    writes = axes(d, demo_count=demo, resp_count=resp, phase=phase)
    reads = {name: frame.T for name, frame in writes.items()}
    return Constructed(RecurrentNetwork(cell, output), "up-up", "h", writes, reads)
