"""`make_network`: names, options and sizes; networks are described by and rebuilt from their configuration."""

import json

import numpy as np
import pytest
import torch
from tests.networks.examples import VOCABULARY, network, tokens

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks import (
    NETWORKS,
    LinearReadout,
    RecurrentNetwork,
    count_parameters,
    make_network,
    network_from_config,
)
from symscope.networks.gru import GRUCell
from symscope.seeds import generator


def test_an_unknown_network_or_option_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'gru'"):
        make_network("grru", 8, 7, generator(0))
    with pytest.raises(UnknownNameError, match="unknown option of network 'lstm' 'eech': did you mean 'each'"):
        make_network("lstm", 8, 7, generator(0), eech=True)


@pytest.mark.parametrize(
    ("name", "d", "options", "message"),
    [
        ("gru", 0, {}, "the state size d must be between 1 and 65536, got 0"),
        ("gru", 10**9, {}, "the state size d must be between 1 and 65536, got 1000000000"),
        ("lstm", 0, {}, "between 1 and 65536, got 0"),
        ("lstm", 7, {}, "d is even; got 7"),
        ("lstm", 8, {"each": "no"}, "each of network 'lstm' is true or false, got 'no'"),
        ("transformer-rope", 0, {}, "the width d must be between 1 and 65536, got 0"),
        ("transformer-rope", 10**20, {}, "the width d must be between 1 and 65536, got 1"),
        ("transformer-nope", 8, {"heads": 3}, "3 heads do not divide d = 8; .* 1, 2, 4, 8"),
        ("transformer-nope", 8, {"heads": 0}, "the number of heads must be between 1 and 65536, got 0"),
        ("transformer-rope", 6, {"heads": 2}, "pairs of dimensions"),
        ("transformer-rope", 8, {"layers": 0}, "the number of layers must be between 1 and 4, got 0"),
        ("transformer-rope", 8, {"layers": 5}, "the number of layers must be between 1 and 4, got 5"),
        ("transformer-rope", 8, {"layers": True}, "the number of layers must be an integer, got True"),
    ],
)
def test_impossible_sizes_and_options_are_refused(name, d, options, message):
    for make in (
        lambda: make_network(name, d, 7, generator(0), **options),
        lambda: count_parameters(name, d, 7, **options),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            make()


@pytest.mark.parametrize("name", NETWORKS)
def test_impossible_vocabularies_are_refused(name):
    for vocabulary, message in ((0, "between 1 and 65536, got 0"), (10**9, "between 1 and 65536")):
        with pytest.raises(InvalidArgumentError, match=f"the vocabulary size must be {message}"):
            make_network(name, 8, vocabulary, generator(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_of_numpy_and_torch_are_sizes(name):
    options = {"layers": np.int32(1), "heads": torch.tensor(2)} if name.startswith("transformer") else {}
    some = make_network(name, np.int64(8), torch.tensor(VOCABULARY), generator(0), **options)
    plain = make_network(name, 8, VOCABULARY, generator(0), **{key: int(value) for key, value in options.items()})
    assert torch.equal(some(tokens(2, 4)), plain(tokens(2, 4)))
    assert json.dumps(some.config) == json.dumps(plain.config)


@pytest.mark.parametrize(
    ("name", "options"), [("gru", {}), ("lstm", {"each": True}), ("transformer-nope", {"layers": 3, "heads": 2})]
)
def test_a_network_is_rebuilt_from_its_configuration(name, options):
    some = network(name, **options)
    rebuilt = network_from_config(json.loads(json.dumps(some.config)))
    assert (rebuilt.architecture, rebuilt.config) == (some.architecture, some.config)
    rebuilt.load_state_dict(some.state_dict())
    assert torch.equal(rebuilt(tokens(3, 5)), some(tokens(3, 5)))


def test_a_configuration_has_all_options_and_a_network_of_the_user_has_none():
    config = {"kind": "transformer-rope", "d": 12, "vocabulary": 7, "options": {"layers": 3, "heads": 1}}
    assert network("transformer-rope", layers=3).config == config
    readout = LinearReadout(torch.eye(7)[:, :2], torch.zeros(7))
    assert RecurrentNetwork(GRUCell(2, 7, generator(0)), readout).config is None


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"kind": "gru", "d": 8, "vocabulary": 7},
        {"kind": "gru", "d": 8, "vocabulary": 7, "options": ["each"]},
        {"kind": "gru", "d": "8", "vocabulary": 7, "options": {}},
        {"kind": "gru", "d": 8, "vocabulary": 7, "options": {}, "module": "os"},
        {"kind": ["gru"], "d": 8, "vocabulary": 7, "options": {}},
        {"kind": "lstm", "d": 8, "vocabulary": 7, "options": {"each": "no"}},
        {"kind": "os.system", "d": 8, "vocabulary": 7, "options": {}},
        {"kind": "lstm", "d": 8, "vocabulary": 7, "options": {"generator": 1}},
    ],
)
def test_a_damaged_configuration_is_refused(config):
    with pytest.raises((InvalidArgumentError, UnknownNameError)):
        network_from_config(config)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_counted_without_building_the_network(name):
    assert count_parameters(name, 12, VOCABULARY) == sum(p.numel() for p in network(name).parameters())
    assert count_parameters(name, 2**16, VOCABULARY) > 10**9  # several GB, were they allocated
