"""Networks as JSON values that the page runs, and back: GRU, LSTM, linear cells, and transformers.

The page computes what torch computes from the same weights, so a document holds every weight in single precision.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.explorer.encoding import decode_array, encode_array
from symscope.networks import (
    GRUCell,
    LinearReadout,
    LSTMCell,
    MLPReadout,
    Network,
    RecurrentNetwork,
    Transformer,
)
from symscope.networks.constructed import LinearCell
from symscope.seeds import generator

MAX_WIDTH = 512
"""Largest width of a state that a page runs; wider networks make the page slow and large."""
CELLS: Mapping[type[nn.Module], str] = {GRUCell: "gru", LSTMCell: "lstm", LinearCell: "linear"}
READOUTS: Mapping[type[nn.Module], str] = {MLPReadout: "mlp", LinearReadout: "linear"}
RUNNABLE = "a GRU or LSTM of make_network, a transformer of make_network, or a constructed network"


def check_runs_in_page(network: Network) -> None:
    """Raises `InvalidArgumentError` where the page cannot run a network."""
    width = max(network.sites.values(), default=0)
    if _kind(network) is None:
        raise InvalidArgumentError(
            f"the page runs {RUNNABLE}, and this network is a {type(network).__name__} ({network.architecture}): "
            "leave it out of the explorer; its other results are not affected"
        )
    if width > MAX_WIDTH:
        raise InvalidArgumentError(f"the page runs networks with states of up to {MAX_WIDTH} numbers, this has {width}")


def network_document(network: Network) -> dict[str, Any]:
    """A network as JSON values: its kind, its sizes, the parts of its state by site, and its weights.

    Raises:
        InvalidArgumentError: the page cannot run this kind of network.
    """
    check_runs_in_page(network)
    kind, readout = _kind(network) or ("", "")
    document: dict[str, Any] = {"kind": kind, "readout": readout, "vocabulary": network.vocabulary}
    if isinstance(network, RecurrentNetwork):
        cell = network.cell
        parts = {name: part.indices(cell.width)[:2] for name, part in cell.sites.items()}
        document |= {
            "width": cell.width,
            "sites": {name: list(part) for name, part in parts.items()},
            "output": list(cell.output.indices(cell.width)[:2]),
        }
        if isinstance(cell, LSTMCell):
            document["embedding"] = cell.embedding.shape[1]
    elif isinstance(network, Transformer):
        document |= {
            "width": network.embedding.shape[1],
            "sites": {name: index for index, name in enumerate(network.sites)},
            "layers": len(network.layers),
            "headWidth": network.head_width,
            "rope": network.rope,
        }
    hidden = network.state_dict().get("output.hidden_weight")
    document["hidden"] = None if hidden is None else len(hidden)
    weights = {name: _weight(tensor) for name, tensor in network.state_dict().items()}
    return {**document, "weights": weights}


def read_network(document: Mapping[str, Any]) -> Network:
    """The network of a document, on the CPU in single precision, in evaluation mode.

    Raises:
        CheckpointError: the document is damaged.
    """
    try:
        weights = {name: decode_array(entry) for name, entry in document["weights"].items()}
        network = _unfilled(document, weights)
        network.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"a network of the page is damaged: {error}") from error
    return network.eval()


def _kind(network: Network) -> tuple[str, str] | None:
    """The kind of the network and of its output layer, as the page names them; `None`: the page cannot run it."""
    if isinstance(network, Transformer):
        return "transformer", "mlp"
    if isinstance(network, RecurrentNetwork):
        cell, readout = CELLS.get(type(network.cell)), READOUTS.get(type(network.output))
        return None if cell is None or readout is None else (cell, readout)
    return None


def _weight(tensor: Tensor) -> dict[str, Any]:
    if not tensor.is_floating_point():
        return encode_array(tensor, "u2")
    if not tensor.isfinite().all():
        raise InvalidArgumentError("a weight of the network is NaN or infinite, so the page cannot run it")
    return encode_array(tensor.float(), "f4")


def _unfilled(document: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Network:
    """A network of the same shape, whose weights are still to be loaded."""
    draws, vocabulary, width = generator(0, "explorer"), document["vocabulary"], document["width"]
    hidden = document["hidden"]
    if document["kind"] == "transformer":
        heads = width // document["headWidth"]
        return Transformer(width, vocabulary, draws, layers=document["layers"], heads=heads, rope=document["rope"])
    if document["kind"] == "linear":
        cell = LinearCell(weights["cell.weight"], weights["cell.kinds"].long(), weights["cell.token_bias"])
    elif document["kind"] == "lstm":
        cell = LSTMCell(width // 2, document["embedding"], vocabulary, draws)
    else:
        cell = GRUCell(width, vocabulary, draws)
    if document["readout"] == "linear":
        return RecurrentNetwork(cell, LinearReadout(weights["output.weight"], weights["output.bias"]))
    first, last = document["output"]
    return RecurrentNetwork(cell, MLPReadout(last - first, vocabulary, draws, hidden=hidden))


def single_precision(network: Network) -> Network:
    """The network as the page has it; a network on another device or in another precision is copied."""
    at = (network.dtype, network.device)
    return network if at == (torch.float32, torch.device("cpu")) else read_network(network_document(network))
