"""Whole-state swaps: a Markov network follows the source, one that recomputes continues as the base."""

import pytest
import torch

from symscope.algorithms import UpDown, algorithms_for, make_algorithm
from symscope.alignment import whole_state_score, whole_state_test
from symscope.errors import InvalidArgumentError
from symscope.interchange import draw_same_phase, is_inconsistent_with
from symscope.networks import averaging_network, magnitude_network, two_counts_network
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)


def test_pairs_lie_in_one_phase_with_different_counts_and_neither_has_ended() -> None:
    as_source, as_base = draw_same_phase(ALGORITHM, 400, generator(0))
    assert len(as_source) == len(as_base) == 400
    base, source = as_source.base.values, as_source.sources[0].values
    assert torch.equal(base["phase"], source["phase"])
    assert (base["count"] != source["count"]).all()
    assert torch.equal(*(torch.isin(drawn.targets, TASK.demo).sum(1) for drawn in (as_source, as_base)))
    for drawn, values in ((as_source, source), (as_base, base)):
        demos = torch.isin(drawn.targets, TASK.demo).sum(1)
        assert torch.equal((drawn.targets == TASK.response).sum(1), values["count"] + demos)
        assert (drawn.lengths > 1).all()
        assert torch.equal(drawn.fed, drawn.targets[:, :-1])


@pytest.mark.parametrize("make", [magnitude_network, two_counts_network])
def test_a_markov_network_follows_the_source(make) -> None:
    network = make(**TASK.roles).network
    scores = whole_state_test(network, ALGORITHM, 300, site="h", seed=0)
    assert (scores["source"].iia, scores["base"].iia) == (1, 0)
    assert whole_state_score(network, ALGORITHM, 300, site="h", seed=0).iia == 1


@pytest.mark.parametrize("name", ["modulo", "rounding", "multi-object-void", "arithmetic"])
def test_the_two_continuations_of_a_pair_differ_on_every_task(name: str) -> None:
    task = make_task(name)
    algorithm = make_algorithm(algorithms_for(task)[0], task)
    as_source, as_base = draw_same_phase(algorithm, 200, generator(0))
    base, source = as_base.base.values, as_base.sources[0].values
    assert is_inconsistent_with(algorithm, base, as_source).all()
    assert is_inconsistent_with(algorithm, source, as_base).all()
    assert not is_inconsistent_with(algorithm, base, as_base).any()
    assert not is_inconsistent_with(algorithm, source, as_source).any()


def test_a_network_that_recomputes_continues_as_the_base() -> None:
    network = averaging_network(**TASK.roles).network
    scores = whole_state_test(network, ALGORITHM, 300, site="layer1", seed=0)
    assert (scores["source"].iia, scores["base"].iia) == (0, 1)


def test_a_task_without_such_pairs_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="one phase"):
        draw_same_phase(UpDown(multi_object(quantities=[1], held_out=[])), 5, generator(0))
