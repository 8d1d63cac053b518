"""Shuffled labels, and natural states with the values after a swap (counterfactual latents)."""

from dataclasses import replace

import pytest
import torch

from symscope.algorithms import UpDown, UpUp, make_algorithm
from symscope.errors import InvalidArgumentError
from symscope.interchange import (
    InterventionProtocol,
    cache_states,
    counterfactual_latents,
    counterfactuals,
    draw_interventions,
    permute_values,
    shuffled_labels,
)
from symscope.networks import magnitude_network
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


def latents(algorithm, variable, count, draws):
    """Drawn interventions, and for each the number of the natural state that is its latent; -1 for none."""
    drawn = draw_interventions(algorithm, [variable], count, generator(0))
    cached = cache_states(magnitude_network(**algorithm.task.roles).network, drawn, "h")
    numbered = replace(
        cached,
        base_states=torch.arange(count).float()[:, None],
        source_states=torch.arange(count, 2 * count).float()[None, :, None],
    )
    names = [entry.name for entry in algorithm.variables]
    chosen = counterfactual_latents(numbered, names, draws)[:, 0]
    return drawn, chosen.nan_to_num(-1).long().tolist()


@pytest.mark.parametrize(
    ("name", "variable", "task"),
    [
        ("up-down", "count", TASK),
        ("up-up", "resp_count", TASK),
        ("increment", "increment", TASK),
        ("up-down", "phase", make_task("multi-object-void")),
    ],
)
def test_latents_have_the_values_after_the_swap_wherever_a_natural_state_has_them(name, variable, task):
    algorithm = make_algorithm(name, task)
    drawn, rows = latents(algorithm, variable, 400, generator(1))

    def values(of, row):
        return tuple(float(of[entry.name][row]) for entry in algorithm.variables)

    natural = [values(run.values, row) for run in (drawn.base, *drawn.sources) for row in range(400)]
    required = [values(drawn.counterfactual_values, row) for row in range(400)]
    for row, values_after in zip(rows, required, strict=True):
        assert natural[row] == values_after if row >= 0 else values_after not in natural
    assert sum(row >= 0 for row in rows) > 100
    # Of several states with the same values, not always the same is chosen.
    again = latents(algorithm, variable, 400, generator(2))[1]
    assert sum(first != second for first, second in zip(rows, again, strict=True)) > 100


def test_in_a_network_that_holds_only_the_variables_the_latent_is_the_known_swap():
    constructed = magnitude_network(**TASK.roles)
    drawn = draw_interventions(ALGORITHM, ["count"], 1000, generator(0))
    cached = cache_states(constructed.network, drawn, "h")
    chosen = counterfactual_latents(cached, ["count", "phase"], generator(1))
    known = chosen.isfinite().all(1)
    assert known.double().mean() > 0.5
    swapped = torch.stack([cached.source_states[0, :, 0], cached.base_states[:, 1]], 1)
    torch.testing.assert_close(chosen[known], swapped[known], atol=1e-5, rtol=0)
