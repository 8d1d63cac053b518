"""Competing algorithms on networks that hold one of them."""

import pytest

from symscope.algorithms import CtxDistr, Increment, UpDown, UpUp, make_algorithm
from symscope.alignment import SearchOptions, compare
from symscope.alignment._compare import distinguishability
from symscope.errors import InvalidArgumentError
from symscope.networks import change_basis, magnitude_network, random_orthogonal, two_counts_network
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object(quantities=range(1, 9), held_out=[4])
UP_DOWN, UP_UP = UpDown(TASK), UpUp(TASK)
QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=100, validate_every=50, patience=3, more_restarts=0)
FEW = {"n_train": 500, "n_validation": 150, "n_test": 300}


def test_variables_with_the_same_effect_are_causally_the_same():
    assert distinguishability(UP_DOWN, "phase", UP_UP, "phase") == 0
    assert distinguishability(UP_DOWN, "count", UP_UP, "demo_count") > 0.2
    assert distinguishability(UP_DOWN, "count", UP_UP, "phase") > 0.2
    assert distinguishability(UP_DOWN, "count", UP_DOWN, "count") == 0
    # A demo count of the resp phase decides as much as the increment that it becomes at the trigger, and no more.
    assert distinguishability(UP_UP, "demo_count", Increment(TASK), "increment") > 0.2
    assert distinguishability(UP_DOWN, "count", CtxDistr(TASK), "value") > 0.2


@pytest.mark.parametrize(
    ("make", "right"),
    [(magnitude_network, "up-down"), pytest.param(two_counts_network, "up-up", marks=pytest.mark.slow)],
)
def test_the_algorithm_that_the_network_holds_comes_first(make, right):
    constructed = make(**TASK.roles, d=4)
    network = change_basis(constructed, random_orthogonal(4, generator(0))).network
    comparison = compare(network, [UP_UP, UP_DOWN], 1, options=QUICK, **FEW)
    assert {c.algorithm: c.weakest.iia > 0.9 for c in comparison.candidates}[right], str(comparison)
    (behind,) = comparison.lead.values()
    # Two counts hold their difference as well, and that is the only count of Up-Down.
    assert (behind.low > 0) == (right == "up-down"), str(comparison)
    assert comparison.equivalent == [(("up-up", "phase"), ("up-down", "phase"))]
    text = str(comparison)
    assert "phase of up-up and phase of up-down: causally the same on these interventions" in text
    assert text.startswith(f"{comparison.candidates[0].algorithm}: weakest variable ")


def test_comparisons_that_are_not_possible_are_refused():
    network = magnitude_network(**TASK.roles).network
    with pytest.raises(InvalidArgumentError, match="at least two different"):
        compare(network, [UP_DOWN], 1)
    with pytest.raises(InvalidArgumentError, match="of one task"):
        compare(network, [UP_DOWN, make_algorithm("up-up", make_task("single-object"))], 1)
