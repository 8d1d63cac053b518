"""Up-Down with the count as a magnitude: a linear cell that adds and takes off."""

from typing import Unpack

import torch

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import Constructed, TokenRoles, axes, check_roles, phase_drives, phase_readout
from symscope.networks.constructed.cell import LinearCell
from symscope.networks.recurrent import RecurrentNetwork

COUNT, PHASE = 0, 1


def magnitude_network(*, d: int = 2, sharpness: float = 8.0, **roles: Unpack[TokenRoles]) -> Constructed:
    """Up-Down held as a magnitude: the count along one axis, the phase along another, the others spare.

    Demo tokens add one to the first axis, response tokens take one off, the trigger adds one to the second. In the
    resp phase the logit of `EOS` passes that of the response token when the count falls below one half.

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
    drives = phase_drives(roles, d, PHASE)
    drives[list(roles["demo"]), COUNT] = 1
    drives[roles["response"], COUNT] = -1
    end = torch.zeros(d)
    end[COUNT] = -1
    cell = LinearCell(torch.eye(d)[None], torch.zeros(len(drives), dtype=torch.long), drives)
    output = phase_readout(roles, end, 0.5, PHASE, scale=sharpness)
    writes = axes(d, count=COUNT, phase=PHASE)
    reads = {name: frame.T for name, frame in writes.items()}
    return Constructed(RecurrentNetwork(cell, output), "up-down", "h", writes, reads)
