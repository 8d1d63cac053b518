"""Up-Down with the count as a power: the state is Q^count v for an orthogonal matrix Q, turned on and back.

No axis grows with the count: all of it is in the direction. The count lives in the whole space that Q turns, a plane
where Q is a rotation by an angle, and can be swapped there.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import Constructed, TokenRoles, axes, check_roles, phase_drives, phase_readout
from symscope.networks.constructed.cell import LinearCell
from symscope.networks.constructed.change_of_basis import random_orthogonal
from symscope.networks.recurrent import RecurrentNetwork

LARGEST = 30
"""Counts up to this one can be told from zero."""
NEAREST = 1e-3
"""How much nearer count 0 must be to v than any other count; float32 holds sixty steps to about 1e-6."""


def angle_network(*, d: int = 3, largest: int = LARGEST, **roles: Unpack[TokenRoles]) -> Constructed:
    """Up-Down with the count as an angle: a demo token turns a plane on by one step, a response token turns it back.

    A whole turn is 2 * (largest + 1) steps, so every count has a direction of its own.

    Args:
        d: size of the state, at least 3: the plane, the phase, and spare dimensions.
        largest: the largest count that it is to hold.
        roles: the tokens, as `**task.roles`; no demo token may be the response token.

    Raises:
        InvalidArgumentError: d is below 3, more counts than float32 can tell apart, or the tokens do not fit.
    """
    angle = math.pi / (largest + 1)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.double)
    return _power_network(turn, d, largest, roles)


def power_network(
    *, generator: Generator, d: int = 17, turned: int = 16, largest: int = LARGEST, **roles: Unpack[TokenRoles]
) -> Constructed:
    """Up-Down with the count as a power of a random orthogonal matrix, read out by matching with that of count 0.

    Args:
        generator: draws the matrix.
        d: size of the state, at least `turned` + 1 for the phase; the rest is spare.
        turned: dimensions of the matrix.
        largest: the largest count that it is to hold.
        roles: the tokens, as `**task.roles`; no demo token may be the response token.

    Raises:
        InvalidArgumentError: d is too small, two counts lie too close together, or the tokens do not fit.
    """
    if turned < 2:
        raise InvalidArgumentError(f"a matrix that turns anything has at least 2 dimensions, got {turned}")
    return _power_network(random_orthogonal(turned, generator).double(), d, largest, roles)


def _power_network(turn: Float[Tensor, "turned turned"], d: int, largest: int, roles: TokenRoles) -> Constructed:
    """Kept in the state is Q^count v - v, so that a run starts from zero as every network does."""
    check_roles(roles)
    turned = len(turn)
    if d <= turned:
        raise InvalidArgumentError(f"{turned} dimensions are turned and one holds the phase: d > {turned}, got {d}")
    if largest < 1:
        raise InvalidArgumentError(f"the largest count is at least 1, got {largest}")
    v = torch.zeros(turned, dtype=torch.double)
    v[0] = 1
    powers = [torch.linalg.matrix_power(turn, count) @ v for count in range(1, largest + 1)]
    gap = 1 - max(float(power @ v) for power in powers)
    if gap < NEAREST:
        raise InvalidArgumentError(f"counts up to {largest} lie too close together to be told apart; ask for fewer")
    phase = turned
    weights = torch.eye(d, dtype=torch.double).repeat(3, 1, 1)
    weights[1, :turned, :turned], weights[2, :turned, :turned] = turn, turn.T
    kinds = torch.zeros(roles["vocabulary"], dtype=torch.long)
    kinds[list(roles["demo"])], kinds[roles["response"]] = 1, 2
    drives = phase_drives(roles, d, phase)
    drives[:, :turned] = (weights[kinds, :turned, :turned] @ v - v).float()
    end = torch.zeros(d)
    end[0] = 16 / gap  # 8 at count 0, and -8 at the count that is nearest to it
    cell = LinearCell(weights.float(), kinds, drives)
    writes = axes(d, count=slice(0, turned), phase=phase)
    reads = {name: frame.T for name, frame in writes.items()}
    output = phase_readout(roles, end, 8.0, phase, margin=100 / gap)
    return Constructed(RecurrentNetwork(cell, output), "up-down", "h", writes, reads)
