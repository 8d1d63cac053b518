"""The trainable networks by name."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Generator

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks.base import Network
from symscope.networks.gru import gru
from symscope.networks.lstm import lstm
from symscope.networks.transformer import transformer_nope, transformer_rope

NETWORKS: dict[str, Callable[..., Network]] = {
    "gru": gru,
    "lstm": lstm,
    "transformer-rope": transformer_rope,
    "transformer-nope": transformer_nope,
}
"""Name to what builds it: from d, the number of tokens, a generator and the options of its kind."""


def make_network(name: str, d: int, vocabulary: int, generator: Generator, **options: Any) -> Network:
    """A freshly initialised network of that name.

    Args:
        name: one of `NETWORKS`.
        d: width of the embedding and size of the state.
        vocabulary: number of tokens.
        generator: draws the initial weights.
        options: what else this kind takes, such as `layers=4` or `heads=2` for a transformer.

    Raises:
        UnknownNameError: no such network, or no such option of it; the message names the nearest ones.
        InvalidArgumentError: a size that is not possible.
    """
    if name not in NETWORKS:
        raise UnknownNameError("network", name, NETWORKS)
    if vocabulary < 1:
        raise InvalidArgumentError(f"a network needs a vocabulary of at least 1 token, got {vocabulary}")
    for option in options:
        if option not in network_options(name):
            raise UnknownNameError(f"option of network {name!r}", option, network_options(name))
    return NETWORKS[name](d, vocabulary, generator, **options)


def network_options(name: str) -> dict[str, Any]:
    """The options of a kind of network, with their defaults; `UnknownNameError` when there is no such kind."""
    if name not in NETWORKS:
        raise UnknownNameError("network", name, NETWORKS)
    parameters = inspect.signature(NETWORKS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
