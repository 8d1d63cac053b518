"""Networks written by hand: known implementations of known algorithms, the calibration weights of every search.

Each is built from the ids of a task's tokens by role, and says where its variables live. `disguise` then hides them
without changing what the network does.
"""

from collections.abc import Callable

from symscope.networks.constructed.averaging import averaging_network
from symscope.networks.constructed.base import Constructed, TokenRoles
from symscope.networks.constructed.cell import LinearCell
from symscope.networks.constructed.change_of_basis import change_basis, random_invertible, random_orthogonal
from symscope.networks.constructed.magnitude import magnitude_network
from symscope.networks.constructed.powers import angle_network, power_network
from symscope.networks.constructed.two_counts import two_counts_network

CONSTRUCTED: dict[str, Callable[..., Constructed]] = {
    "magnitude": magnitude_network,
    "two-counts": two_counts_network,
    "angle": angle_network,
    "power": power_network,
    "averaging": averaging_network,
}
"""Name to what builds it, from `**task.roles` and the options of each."""

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
