"""The strength-value test: exact where the answer is known, and the same as feeding other tokens."""

import pytest
import torch

from symscope.errors import InvalidArgumentError
from symscope.interventions import strength_test
from symscope.networks import CONSTRUCTED, make_network
from symscope.seeds import generator
from symscope.tasks import make_task


@pytest.mark.parametrize("name", ["multi-object", "multi-object-void", "single-object"])
def test_every_contribution_of_the_averaging_transformer_is_worth_one_step(name):
    task = make_task(name)
    network = CONSTRUCTED["averaging"](**task.roles).network
    found = strength_test(network, task, 100, generator(0, "strength"))
    assert [(one.token, one.change, one.expected) for one in found] == [
        ("demo", "added", 1), ("demo", "removed", -1), ("resp", "added", -1), ("resp", "removed", 1),
    ]  # fmt: skip
    assert all(one.exact.all() for one in found)


def test_an_untrained_transformer_shows_nothing():
    task = make_task("multi-object")
    fresh = make_network("transformer-nope", 16, len(task.vocabulary), generator(1), layers=1)
    assert not any(one.exact.any() for one in strength_test(fresh, task, 50, generator(0, "strength")))


@pytest.mark.parametrize("heads", [1, 2])
def test_counting_a_contribution_differently_is_feeding_other_tokens(heads):
    """In one layer without position encoding, a position that counts twice is a token that is there twice."""
    draws = generator(2)
    network = make_network("transformer-nope", 8, 6, draws, layers=1, heads=heads)
    tokens = torch.randint(6, (3, 9), generator=draws)
    at, ones = 4, torch.ones(3, 9)
    plain = network.features(tokens)
    torch.testing.assert_close(network.features_counting(tokens, ones), plain)
    for count, others in (
        (0.0, torch.cat([tokens[:, :at], tokens[:, at + 1 :]], 1)),
        (2.0, torch.cat([tokens[:, : at + 1], tokens[:, at:]], 1)),
    ):
        changed = network.features_counting(tokens, ones.index_fill(1, torch.tensor([at]), count))
        torch.testing.assert_close(changed[:, :at], plain[:, :at])
        torch.testing.assert_close(changed[:, at + 1 :], network.features(others)[:, -4:])


def test_deeper_and_rotary_transformers_count_as_well_by_ones():
    draws = generator(3)
    network = make_network("transformer-rope", 8, 6, draws, layers=3, heads=2)
    tokens = torch.randint(6, (4, 7), generator=draws)
    torch.testing.assert_close(network.features_counting(tokens, torch.ones(4, 7)), network.features(tokens))


@pytest.mark.parametrize(
    ("kind", "layers", "task", "told"),
    [
        ("transformer-nope", 2, "multi-object", "one layer"),
        ("transformer-rope", 1, "multi-object", "without position encoding"),
        ("transformer-nope", 1, "modulo", "answered as they are"),
    ],
)
def test_what_it_cannot_be_asked_of_is_said(kind, layers, task, told):
    task = make_task(task)
    network = make_network(kind, 8, len(task.vocabulary), generator(0), layers=layers)
    with pytest.raises(InvalidArgumentError, match=told):
        strength_test(network, task, 5, generator(0))
