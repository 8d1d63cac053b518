"""Networks: run on tokens, their states read, resumed from rewritten states."""

from symscope.networks.base import Cut, Network, join_cuts
from symscope.networks.catalogue import NETWORKS, make_network, network_options
from symscope.networks.constructed import Constructed, disguise, magnitude_network, random_orthogonal
from symscope.networks.gru import GRUCell, gru
from symscope.networks.lstm import LSTMCell, lstm
from symscope.networks.readouts import LinearReadout, MLPReadout
from symscope.networks.recurrent import Cell, RecurrentNetwork
from symscope.networks.transformer import Transformer

__all__ = [
    "NETWORKS",
    "Cell",
    "Constructed",
    "Cut",
    "GRUCell",
    "LSTMCell",
    "LinearReadout",
    "MLPReadout",
    "Network",
    "RecurrentNetwork",
    "Transformer",
    "disguise",
    "gru",
    "join_cuts",
    "lstm",
    "magnitude_network",
    "make_network",
    "network_options",
    "random_orthogonal",
]
