"""Networks: run on tokens, their states read, resumed from rewritten states."""

from collections.abc import Callable

from torch import Generator

from symscope.errors import UnknownNameError
from symscope.networks.base import Cut, Network
from symscope.networks.constructed import Constructed, disguise, magnitude_network, random_orthogonal
from symscope.networks.readouts import LinearReadout, MLPReadout
from symscope.networks.recurrent import Cell, GRUCell, RecurrentNetwork, gru

NETWORKS: dict[str, Callable[[int, int, Generator], Network]] = {"gru": gru}


def make_network(name: str, d: int, vocabulary: int, generator: Generator) -> Network:
    """A freshly initialised network of that name; `UnknownNameError` names the nearest ones when there is none."""
    if name not in NETWORKS:
        raise UnknownNameError("network", name, NETWORKS)
    return NETWORKS[name](d, vocabulary, generator)


__all__ = [
    "NETWORKS",
    "Cell",
    "Constructed",
    "Cut",
    "GRUCell",
    "LinearReadout",
    "MLPReadout",
    "Network",
    "RecurrentNetwork",
    "disguise",
    "gru",
    "magnitude_network",
    "make_network",
    "random_orthogonal",
]
