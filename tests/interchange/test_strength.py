"""The strength-value test: exact where the answer is known; counts agree with feeding changed tokens."""

import pytest
import torch

from symscope.errors import InvalidArgumentError
from symscope.interchange import strength_test
from symscope.networks import CONSTRUCTED, make_network
from symscope.seeds import generator
from symscope.tasks import make_task


@pytest.mark.parametrize("name", ["multi-object", "multi-object-void", "single-object"])
def test_every_contribution_of_the_averaging_transformer_is_worth_one_step(name):
    task = make_task(name)
    network = CONSTRUCTED["averaging"](**task.roles).network
    strengths = strength_test(network, task, 100, generator(0, "strength"))
    assert [(strength.token, strength.change, strength.expected) for strength in strengths] == [
        ("demo", "added", 1), ("demo", "removed", -1), ("resp", "added", -1), ("resp", "removed", 1),
    ]  # fmt: skip
    assert all(strength.exact.all() for strength in strengths)


def test_no_contribution_of_an_untrained_transformer_is_worth_a_step():
    task = make_task("multi-object")
    fresh = make_network("transformer-nope", 16, len(task.vocabulary), generator(1), layers=1)
    strengths = strength_test(fresh, task, 50, generator(0, "strength"))
    assert not any(strength.exact.any() for strength in strengths)


@pytest.mark.parametrize("heads", [1, 2])
def test_counting_a_contribution_differently_agrees_with_feeding_changed_tokens(heads):
    """In one layer without position encoding, a position that counts twice equals a token that occurs twice."""
    draws = generator(2)
    network = make_network("transformer-nope", 8, 6, draws, layers=1, heads=heads)
    tokens = torch.randint(6, (3, 9), generator=draws)
    position, ones = 4, torch.ones(3, 9)
    plain = network.features(tokens)
    torch.testing.assert_close(network.features_counting(tokens, ones), plain)
    for count, changed_tokens in (
        (0.0, torch.cat([tokens[:, :position], tokens[:, position + 1 :]], 1)),
        (2.0, torch.cat([tokens[:, : position + 1], tokens[:, position:]], 1)),
    ):
        counted = network.features_counting(tokens, ones.index_fill(1, torch.tensor([position]), count))
        torch.testing.assert_close(counted[:, :position], plain[:, :position])
        torch.testing.assert_close(counted[:, position + 1 :], network.features(changed_tokens)[:, -4:])


def test_counts_of_one_change_nothing_in_deeper_and_rotary_transformers():
    draws = generator(3)
    network = make_network("transformer-rope", 8, 6, draws, layers=3, heads=2)
    tokens = torch.randint(6, (4, 7), generator=draws)
    torch.testing.assert_close(network.features_counting(tokens, torch.ones(4, 7)), network.features(tokens))


@pytest.mark.parametrize(
    ("kind", "layers", "task", "message"),
    [
        ("transformer-nope", 2, "multi-object", "one layer"),
        ("transformer-rope", 1, "multi-object", "without position encoding"),
        ("transformer-nope", 1, "modulo", "answered as they are"),
    ],
)
def test_networks_and_tasks_without_the_test_are_refused(kind, layers, task, message):
    task = make_task(task)
    network = make_network(kind, 8, len(task.vocabulary), generator(0), layers=layers)
    with pytest.raises(InvalidArgumentError, match=message):
        strength_test(network, task, 5, generator(0))
