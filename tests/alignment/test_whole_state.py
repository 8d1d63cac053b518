"""Whole-state swaps: a Markov network follows the source, one that recomputes goes on as the base."""

import pytest
import torch

from symscope.algorithms import UpDown, algorithms_for, make_algorithm
from symscope.alignment import whole_state_test
from symscope.errors import InvalidArgumentError
from symscope.interventions import contradicts, draw_same_phase
from symscope.networks import averaging_network, magnitude_network, two_counts_network
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)


def test_pairs_lie_in_one_phase_with_other_counts_and_something_left_to_do() -> None:
    as_source, as_base = draw_same_phase(ALGORITHM, 400, generator(0))
    assert len(as_source) == len(as_base) == 400
    assert torch.equal(as_source.base_values["phase"], as_source.source_values["phase"])
    assert (as_source.base_values["count"] != as_source.source_values["count"]).all()
    assert torch.equal(*(torch.isin(drawn.continuation, TASK.demo).sum(1) for drawn in (as_source, as_base)))
    for drawn, values in ((as_source, as_source.source_values), (as_base, as_base.base_values)):
        demos = torch.isin(drawn.continuation, TASK.demo).sum(1)
        assert torch.equal((drawn.continuation == TASK.response).sum(1), values["count"] + demos)
        assert (drawn.lengths > 1).all()


@pytest.mark.parametrize("make", [magnitude_network, two_counts_network])
def test_a_markov_network_follows_the_source(make) -> None:
    outcomes = whole_state_test(make(**TASK.roles).network, ALGORITHM, 300, site="h", seed=0)
    assert (outcomes["source"].iia, outcomes["base"].iia) == (1, 0)


@pytest.mark.parametrize("name", ["modulo", "rounding", "multi-object-void", "arithmetic"])
def test_the_two_answers_of_a_pair_differ_on_every_task(name: str) -> None:
    task = make_task(name)
    algorithm = make_algorithm(algorithms_for(task)[0], task)
    pairs = draw_same_phase(algorithm, 200, generator(0))
    base, source = pairs.as_base.base_values, pairs.as_base.source_values
    assert contradicts(algorithm, base, pairs.as_source).all()
    assert contradicts(algorithm, source, pairs.as_base).all()
    assert not contradicts(algorithm, base, pairs.as_base).any()
    assert not contradicts(algorithm, source, pairs.as_source).any()


def test_a_network_that_recomputes_goes_on_as_the_base() -> None:
    outcomes = whole_state_test(averaging_network(**TASK.roles).network, ALGORITHM, 300, site="layer1", seed=0)
    assert (outcomes["source"].iia, outcomes["base"].iia) == (0, 1)


def test_no_pairs_no_test() -> None:
    with pytest.raises(InvalidArgumentError, match="one phase"):
        draw_same_phase(UpDown(multi_object(quantities=[1], held_out=[])), 5, generator(0))
