"""Up-Down with the count as a power: the state is Q^count v for an orthogonal matrix Q.

No axis grows with the count: the direction of the state holds all of it. The count lives in the whole space that Q
rotates (a plane if Q is a rotation by an angle), and can be swapped there.
"""

import math
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Generator, Tensor

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
from symscope.networks.constructed.change_of_basis import random_orthogonal
from symscope.networks.recurrent import RecurrentNetwork

LARGEST_COUNT = 30
"""Default of the largest count that is distinguishable from zero."""
MIN_GAP = 1e-3
"""Smallest accepted difference between the products of v with itself and with any power; float32 errs by 1e-6."""


def angle_network(*, d: int = 3, largest: int = LARGEST_COUNT, **roles: Unpack[TokenRoles]) -> Constructed:
    """Up-Down with the count as an angle: a demo token rotates a plane by one step, a response token rotates it back.

    A full rotation has 2 * (largest + 1) steps, so every count has a different direction.

    Args:
        d: size of the state, at least 3: the plane, the phase, and unused dimensions.
        largest: the largest count that is distinguishable from zero.
        roles: the tokens, as `**task.roles`; no demo token may be the response token.

    Raises:
        InvalidArgumentError: d is below 3, float32 cannot distinguish so many counts, or the tokens do not fit.
    """
    angle = math.pi / (largest + 1)
    rotation = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return _power_network(torch.tensor(rotation, dtype=torch.double), d, largest, roles)


def power_network(
    *, generator: Generator, d: int = 17, turned: int = 16, largest: int = LARGEST_COUNT, **roles: Unpack[TokenRoles]
) -> Constructed:
    """Up-Down with the count as a power of a random orthogonal matrix; the output layer compares it with count 0.

    Args:
        generator: draws the matrix.
        d: size of the state, at least `turned` + 1 for the phase; the rest is unused.
        turned: dimensions of the matrix.
        largest: the largest count that is distinguishable from zero.
        roles: the tokens, as `**task.roles`; no demo token may be the response token.

    Raises:
        InvalidArgumentError: d is too small, two counts are too close together, or the tokens do not fit.
    """
    if turned < 2:
        raise InvalidArgumentError(f"a matrix that rotates has at least 2 dimensions, got {turned}")
    return _power_network(random_orthogonal(turned, generator).double(), d, largest, roles)


def _power_network(matrix: Float[Tensor, "turned turned"], d: int, largest: int, roles: TokenRoles) -> Constructed:
    """The state holds Q^count v - v, so that a run starts from zero as in every network."""
    check_roles(roles)
    turned = len(matrix)
    if d <= turned:
        raise InvalidArgumentError(f"{turned} dimensions are rotated and one holds the phase: d > {turned}, got {d}")
    if largest < 1:
        raise InvalidArgumentError(f"the largest count is at least 1, got {largest}")
    v = torch.zeros(turned, dtype=torch.double)
    v[0] = 1
    powers = [torch.linalg.matrix_power(matrix, count) @ v for count in range(1, largest + 1)]
    gap = 1 - max(float(power @ v) for power in powers)
    if gap < MIN_GAP:
        raise InvalidArgumentError(f"counts up to {largest} are too close together to be distinguished; lower it")
    phase = turned
    weights = torch.eye(d, dtype=torch.double).repeat(3, 1, 1)
    weights[1, :turned, :turned], weights[2, :turned, :turned] = matrix, matrix.T
    kinds = torch.zeros(roles["vocabulary"], dtype=torch.long)
    kinds[list(roles["demo"])], kinds[roles["response"]] = 1, 2
    inputs = phase_inputs(roles, d, phase)
    inputs[:, :turned] = (weights[kinds, :turned, :turned] @ v - v).float()
    end = torch.zeros(d)
    end[0] = 16 / gap  # the product is 8 at count 0, and -8 at the nearest count
    cell = LinearCell(weights.float(), kinds, inputs)
    writes = axes(d, count=slice(0, turned), phase=phase)
    reads = {name: frame.T for name, frame in writes.items()}
    output = phase_readout(roles, end, 8.0, phase, margin=100 / gap)
    return Constructed(RecurrentNetwork(cell, output), "up-down", "h", writes, reads)
