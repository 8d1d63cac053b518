"""The trainable networks by name."""

import inspect
from collections.abc import Callable, Mapping
from operator import index
from typing import Any, SupportsIndex

import torch
from torch import Generator

from symscope.arguments import integer
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks.base import Network
from symscope.networks.gru import gru
from symscope.networks.lstm import lstm
from symscope.networks.parameters import MAX_SIZE
from symscope.networks.transformer import transformer_nope, transformer_rope
from symscope.seeds import generator as make_generator

NETWORKS: dict[str, Callable[..., Network]] = {
    "gru": gru,
    "lstm": lstm,
    "transformer-rope": transformer_rope,
    "transformer-nope": transformer_nope,
}
"""Name to constructor; each takes d, the number of tokens, a generator, and the options of its kind."""


def make_network(
    name: str, d: SupportsIndex, vocabulary: SupportsIndex, generator: Generator, **options: Any
) -> Network:
    """A freshly initialised network of that name; its `config` holds these arguments.

    Args:
        name: a name of `NETWORKS`.
        d: width of the embedding and size of the state.
        vocabulary: number of tokens.
        generator: draws the initial weights.
        options: further arguments of this kind, such as `layers=4` or `heads=2` for a transformer.

    Raises:
        UnknownNameError: no such network, or no such option of it; the message names the nearest ones.
        InvalidArgumentError: a size is out of range, or an option has a value of the wrong type.
    """
    defaults = network_options(name)
    for option, value in options.items():
        if option not in defaults:
            raise UnknownNameError(f"option of network {name!r}", option, defaults)
        if isinstance(defaults[option], bool) and value not in (True, False):
            raise InvalidArgumentError(f"{option} of network {name!r} is true or false, got {value!r}")
    network = NETWORKS[name](d, vocabulary, generator, **options)
    values = {
        option: type(default)(options[option]) if option in options else default for option, default in defaults.items()
    }
    network.config = {"kind": name, "d": index(d), "vocabulary": index(vocabulary), "options": values}
    return network


def network_options(name: str) -> dict[str, Any]:
    """The options of a kind of network, with their defaults; `UnknownNameError` when there is no such kind."""
    if name not in NETWORKS:
        raise UnknownNameError("network", name, NETWORKS)
    parameters = inspect.signature(NETWORKS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def network_from_config(config: Mapping[str, Any]) -> Network:
    """A network with the architecture of a `Network.config`; its weights are still to be loaded.

    Raises:
        UnknownNameError: no such network, or no such option of it.
        InvalidArgumentError: the mapping is no such configuration, or a size is out of range.
    """
    kind, options = config.get("kind"), config.get("options")
    if (
        set(config) != {"kind", "d", "vocabulary", "options"}
        or not isinstance(kind, str)
        or not isinstance(options, Mapping)
        or not set(options) <= set(network_options(kind))
    ):
        raise InvalidArgumentError(
            f"the configuration of a network has the keys kind, d, vocabulary and options (of its kind), got {config}"
        )
    d, vocabulary = integer(config["d"], "d", 1, MAX_SIZE), integer(config["vocabulary"], "vocabulary", 1, MAX_SIZE)
    return make_network(kind, d, vocabulary, make_generator(0, "network of a configuration"), **options)


def count_parameters(name: str, d: SupportsIndex, vocabulary: SupportsIndex, **options: Any) -> int:
    """Number of parameters of a network of `make_network`, which is checked but not allocated.

    Raises:
        UnknownNameError, InvalidArgumentError: as `make_network`.
    """
    with torch.device("meta"):
        network = make_network(name, d, vocabulary, make_generator(0), **options)
    return sum(parameter.numel() for parameter in network.parameters())
