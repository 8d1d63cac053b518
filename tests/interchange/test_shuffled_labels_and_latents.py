"""Shuffled labels, cached values, and the mean of natural states with the values after a swap."""

from dataclasses import replace

import pytest
import torch
from tests.interchange.examples import two_sources

from symscope.algorithms import UpDown, UpUp, make_algorithm
from symscope.alignment import subspace
from symscope.alignment._closed_form import counterfactual_means, intervention_states
from symscope.errors import InvalidArgumentError
from symscope.interchange import (
    InterventionProtocol,
    cache_states,
    counterfactuals,
    draw_interventions,
    permute_values,
    shuffled_labels,
)
from symscope.networks import change_basis, magnitude_network, random_invertible, random_orthogonal
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)


def test_every_value_stands_for_another_and_none_is_lost():
    drawn = draw_interventions(ALGORITHM, ["count"], 2000, generator(0))
    values, replacement = permute_values(drawn, generator(1))["count"]
    assert torch.equal(values, torch.arange(21))
    assert torch.equal(replacement.sort().values, values)
    assert not (replacement == values).any()
    assert not torch.equal(replacement, permute_values(drawn, generator(2))["count"][1])
    phase = permute_values(draw_interventions(ALGORITHM, ["phase"], 50, generator(0)), generator(1))["phase"]
    assert phase[1].tolist() == [1, 0]


def test_the_targets_follow_the_permuted_value_of_the_source():
    drawn = draw_interventions(ALGORITHM, ["count"], 300, generator(0))
    permutations = permute_values(drawn, generator(1))
    shuffled = shuffled_labels(ALGORITHM, drawn, permutations, generator(2))
    assert (len(shuffled), shuffled.rejection_rate) == (300, 0)
    assert torch.equal(shuffled.base.inputs, drawn.base.inputs)
    assert torch.equal(shuffled.sources[0].position, drawn.sources[0].position)
    expected = permutations["count"][1][drawn.sources[0].values["count"]].tolist()
    for row, length in enumerate(shuffled.lengths.tolist()):
        tokens = shuffled.targets[row, :length].tolist()
        assert tokens.count(TASK.response) == expected[row] + sum(token in TASK.demo for token in tokens)


def test_all_splits_of_a_variable_share_one_permutation_and_the_protocol():
    protocol = InterventionProtocol(extra_demo_tokens=0)
    data = counterfactuals(ALGORITHM, ["count", "phase"], n_train=300, n_validation=300, n_test=50, protocol=protocol)
    shuffled = data.shuffle(data)
    assert shuffled.variables == data.variables
    assert (shuffled.shuffle, shuffled.cause, shuffled.isolation) == (None, {}, {})
    stands_for: dict[int, int] = {}
    for split in ("train", "validation", "test"):
        drawn = getattr(shuffled, split)["count"]
        for row, length in enumerate(drawn.lengths.tolist()):
            tokens = drawn.targets[row, :length].tolist()
            assert not any(token in TASK.demo for token in tokens)
            value = int(drawn.sources[0].values["count"][row])
            assert stands_for.setdefault(value, tokens.count(TASK.response)) == tokens.count(TASK.response)


def test_interventions_that_cannot_end_are_left_out_and_counted():
    drawn = draw_interventions(UpUp(TASK), ["resp_count"], 500, generator(0))
    shuffled = shuffled_labels(UpUp(TASK), drawn, permute_values(drawn, generator(1)), generator(2))
    assert 0 < len(shuffled) < 500
    assert shuffled.rejection_rate == pytest.approx(1 - len(shuffled) / 500)


def test_the_labels_of_a_variable_with_a_single_value_cannot_be_shuffled():
    drawn = draw_interventions(ALGORITHM, ["count"], 5, generator(0))
    same = replace(drawn.base, values={"count": torch.ones(5)})
    with pytest.raises(InvalidArgumentError, match="'count' always has the same value"):
        permute_values(replace(drawn, base=same, sources=(same,)), generator(0))


@pytest.mark.parametrize(
    ("name", "variable", "task"),
    [
        ("up-down", "count", TASK),
        ("up-up", "resp_count", TASK),
        ("increment", "increment", TASK),
        ("up-down", "phase", make_task("multi-object-void")),
    ],
)
def test_cached_values_are_those_of_the_natural_states_and_those_after_the_swap(name, variable, task):
    algorithm = make_algorithm(name, task)
    drawn = draw_interventions(algorithm, [variable], 100, generator(0))
    cached = cache_states(magnitude_network(**task.roles).network, drawn, "h")
    names = [entry.name for entry in algorithm.variables]
    assert set(cached.values) == set(cached.counterfactual_values) == set(names)
    assert len(cached.natural_states()) == 200
    for entry in names:
        runs = [run.values[entry] for run in (drawn.base, *drawn.sources)]
        assert torch.equal(cached.values[entry], torch.cat(runs))
        assert torch.equal(cached.counterfactual_values[entry], runs[int(entry == variable)])


def test_values_that_one_run_lacks_are_unknown():
    drawn = draw_interventions(ALGORITHM, ["count"], 10, generator(0))
    bare = replace(drawn.base, values={"phase": drawn.base.values["phase"]})
    network = magnitude_network(**TASK.roles).network
    cached = cache_states(network, replace(drawn, base=bare), "h")
    assert (set(cached.values), set(cached.counterfactual_values)) == ({"phase"}, {"phase"})
    cached = cache_states(network, replace(drawn, base=replace(drawn.base, values={})), "h")
    assert (cached.values, cached.counterfactual_values) == ({}, {})


@pytest.mark.parametrize("change", [random_orthogonal, lambda d, draws: random_invertible(d, 5.0, draws)])
def test_in_a_network_that_holds_only_the_variables_the_counterfactual_mean_is_the_known_swap(change):
    constructed = change_basis(magnitude_network(**TASK.roles, d=4), change(4, generator(0)))
    drawn = draw_interventions(ALGORITHM, ["count"], 1000, generator(0))
    cached = cache_states(constructed.network, drawn, "h")
    means = counterfactual_means(intervention_states(cached, ["count", "phase"]))
    known = means.isfinite().all(1)
    assert known.double().mean() > 0.5
    exact = subspace(constructed.writes["count"], constructed.reads["count"])
    swapped = exact.swap(cached.base_states, cached.source_states[0])
    torch.testing.assert_close(means[known], swapped[known], atol=1e-4, rtol=0)


def test_without_all_values_or_with_several_sources_there_is_no_counterfactual_mean():
    network = magnitude_network(**TASK.roles).network
    cached = cache_states(network, draw_interventions(ALGORITHM, ["count"], 10, generator(0)), "h")
    for unknown in (["count", "parity"], []):
        with pytest.raises(InvalidArgumentError, match=f"unknown are those of {(unknown or ['', 'none'])[1]}, "):
            intervention_states(cached, unknown)
    two = cache_states(network, two_sources(ALGORITHM, ("count", "phase"), 10, generator(0)), "h")
    with pytest.raises(InvalidArgumentError, match="there are 2 sources"):
        intervention_states(two, ["count", "phase"])
