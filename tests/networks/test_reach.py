"""Reach by the causal structure agrees with an independent rule and with measurements in a transformer."""

from itertools import product

import pytest

from symscope.networks import make_network
from symscope.networks.reach import causal_reach, measured_reach
from symscope.seeds import generator


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_reach_and_updates_are_those_of_the_rule(layers):
    """Up by at least one layer, never to an earlier position; at most one update per layer and position."""
    time = 6
    reach = causal_reach(layers, time)
    activations = list(product(range(layers + 1), range(time)))
    for (i, first), (j, second) in product(enumerate(activations), repeat=2):
        assert bool(reach.reaches[i, j]) == (first[0] < second[0] and first[1] <= second[1])
        assert int(reach.updates[j]) == min(second)


@pytest.mark.parametrize("kind", ["transformer-rope", "transformer-nope"])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_real_transformer_changes_exactly_where_it_can_be_reached(kind, layers):
    network = make_network(kind, 16, 8, generator(0), layers=layers)
    change = measured_reach(network, 5, generator(1))
    reaches = causal_reach(layers, 5).reaches
    assert change[reaches].min() > 1e-3
    assert change[~reaches].max() == 0
