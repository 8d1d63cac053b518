"""Constructed networks: known implementations of known algorithms, with which every search is calibrated.

Each is built from the token ids of a task and names the subspace of each variable. `change_basis` transforms the state
space without changing the behaviour.
"""

from collections.abc import Callable

from symscope.networks.constructed.averaging import averaging_network
from symscope.networks.constructed.base import Constructed, LinearCell, TokenRoles
from symscope.networks.constructed.change_of_basis import change_basis, random_invertible, random_orthogonal
from symscope.networks.constructed.counters import magnitude_network, two_counts_network
from symscope.networks.constructed.powers import angle_network, power_network

CONSTRUCTED: dict[str, Callable[..., Constructed]] = {
    "magnitude": magnitude_network,
    "two-counts": two_counts_network,
    "angle": angle_network,
    "power": power_network,
    "averaging": averaging_network,
}
"""Name to constructor; each takes `**task.roles` and its own options."""

__all__ = [
    "CONSTRUCTED",
    "Constructed",
    "LinearCell",
    "TokenRoles",
    "angle_network",
    "averaging_network",
    "change_basis",
    "magnitude_network",
    "power_network",
    "random_invertible",
    "random_orthogonal",
    "two_counts_network",
]
