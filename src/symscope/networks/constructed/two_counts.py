"""Up-Up: a linear cell that counts demo and response tokens on two axes."""

from typing import Unpack

import torch

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import Constructed, TokenRoles, axes, check_roles, phase_drives, phase_readout
from symscope.networks.constructed.cell import LinearCell
from symscope.networks.recurrent import RecurrentNetwork

DEMO, RESP, PHASE = 0, 1, 2


def two_counts_network(*, d: int = 3, sharpness: float = 8.0, **roles: Unpack[TokenRoles]) -> Constructed:
    """Up-Up: the demo count along one axis, the resp count along another, the phase along a third, the others spare.

    In the resp phase the logit of `EOS` passes that of the response token when the counts are less than one half
    apart, or the resp count is ahead.

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
    drives = phase_drives(roles, d, PHASE)
    drives[list(roles["demo"]), DEMO] = 1
    drives[roles["response"], RESP] = 1
    end = torch.zeros(d)
    end[DEMO], end[RESP] = -1, 1
    cell = LinearCell(torch.eye(d)[None], torch.zeros(len(drives), dtype=torch.long), drives)
    output = phase_readout(roles, end, 0.5, PHASE, scale=sharpness)
    writes = axes(d, demo_count=DEMO, resp_count=RESP, phase=PHASE)
    reads = {name: frame.T for name, frame in writes.items()}
    return Constructed(RecurrentNetwork(cell, output), "up-up", "h", writes, reads)
