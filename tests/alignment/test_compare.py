"""Competing algorithms on networks that hold one of them."""

import pytest
from symscope.alignment.compare import told_apart

from symscope.algorithms import CtxDistr, Increment, UpDown, UpUp, make_algorithm
from symscope.alignment import SearchOptions, compare
from symscope.errors import InvalidArgumentError
from symscope.networks import change_basis, magnitude_network, random_orthogonal, two_counts_network
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object(quantities=range(1, 9), held_out=[4])
UP_DOWN, UP_UP = UpDown(TASK), UpUp(TASK)
QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=300, validate_every=50, starts=2, patience=3)
FEW = (500, 150, 300)


def test_variables_that_do_the_same_are_causally_the_same():
    assert told_apart(UP_DOWN, "phase", UP_UP, "phase") == 0
    assert told_apart(UP_DOWN, "count", UP_UP, "demo_count") > 0.2
    assert told_apart(UP_DOWN, "count", UP_UP, "phase") > 0.2
    assert told_apart(UP_DOWN, "count", UP_DOWN, "count") == 0
    # A demo count of the resp phase decides as much as the increment that it becomes at the trigger, and no more.
    assert told_apart(UP_UP, "demo_count", Increment(TASK), "increment") > 0.2
    assert told_apart(UP_DOWN, "count", CtxDistr(TASK), "value") > 0.2


@pytest.mark.parametrize(
    ("make", "right"),
    [(magnitude_network, "up-down"), pytest.param(two_counts_network, "up-up", marks=pytest.mark.slow)],
)
def test_the_algorithm_that_the_network_holds_comes_first(make, right):
    constructed = make(**TASK.roles, d=4)
    hidden = change_basis(constructed, random_orthogonal(4, generator(0)))
    found = compare(hidden.network, [UP_UP, UP_DOWN], 1, counts=FEW, options=QUICK)
    assert {rival.algorithm: rival.weakest.score.iia > 0.9 for rival in found.rivals}[right], str(found)
    (behind,) = found.ahead.values()
    # Two counts hold their difference as well, and that is the one count of Up-Down.
    assert (behind.low > 0) == (right == "up-down"), str(found)
    assert found.same == [(("up-up", "phase"), ("up-down", "phase"))]
    assert "phase of up-up and phase of up-down: causally the same on these interventions" in str(found)


def test_errors():
    network = magnitude_network(**TASK.roles).network
    with pytest.raises(InvalidArgumentError, match="at least two different"):
        compare(network, [UP_DOWN], 1)
    with pytest.raises(InvalidArgumentError, match="of one task"):
        compare(network, [UP_DOWN, make_algorithm("up-up", make_task("single-object"))], 1)
