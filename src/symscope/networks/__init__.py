"""Networks: they run on tokens, return their states, and resume from rewritten states."""

from symscope.networks.base import (
    Network,
    Resumable,
    RunState,
    evaluation_mode,
    frozen_weights,
    join_run_states,
    require_network,
)
from symscope.networks.catalogue import NETWORKS, count_parameters, make_network, network_from_config, network_options
from symscope.networks.constructed import (
    CONSTRUCTED,
    Constructed,
    angle_network,
    averaging_network,
    change_basis,
    magnitude_network,
    power_network,
    random_invertible,
    random_orthogonal,
    two_counts_network,
)
from symscope.networks.gru import GRUCell, gru
from symscope.networks.identity import NetworkIdentity, tensors_digest
from symscope.networks.lstm import LSTMCell, lstm
from symscope.networks.readouts import LinearReadout, MLPReadout
from symscope.networks.recurrent import Cell, RecurrentNetwork
from symscope.networks.transformer import Transformer

__all__ = [
    "CONSTRUCTED",
    "NETWORKS",
    "Cell",
    "Constructed",
    "GRUCell",
    "LSTMCell",
    "LinearReadout",
    "MLPReadout",
    "Network",
    "NetworkIdentity",
    "RecurrentNetwork",
    "Resumable",
    "RunState",
    "Transformer",
    "angle_network",
    "averaging_network",
    "change_basis",
    "count_parameters",
    "evaluation_mode",
    "frozen_weights",
    "gru",
    "join_run_states",
    "lstm",
    "magnitude_network",
    "make_network",
    "network_from_config",
    "network_options",
    "power_network",
    "random_invertible",
    "random_orthogonal",
    "require_network",
    "tensors_digest",
    "two_counts_network",
]
