"""Interventions whose stop is moved within the prompt."""

import pytest
import torch
from tests.interchange.examples import PERCEPTRON, data_of, labelled_bits, signs_from_two_sources

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import Interventions, StoppedInputs, cache_sites, cache_states, move_stops, stop_at
from symscope.networks import make_network
from symscope.seeds import generator


def prompts():
    """Two rows of different length; the second is scored after two fed tokens only, and is padded with 9."""
    base = StoppedInputs(torch.tensor([[1, 2, 3, 4], [5, 6, 9, 9]]), torch.tensor([3, 1]), {})
    source = StoppedInputs(torch.tensor([[7, 8, 7, 8], [4, 3, 2, 1]]), torch.tensor([3, 1]), {})
    fed, targets = torch.tensor([[0, 0], [7, 8]]), torch.tensor([[10, 0, 0], [0, 0, 20]])
    mask = torch.tensor([[True, False, False], [False, False, True]])
    return Interventions(("v",), base, (source,), (0,), fed, targets, mask)


def read_row(drawn, row):
    """All that a row reads, its stop, and its targets by the number of tokens read before them: one by one."""
    stop, length = int(drawn.base.position[row]), int(drawn.lengths[row])
    read = [*drawn.base.inputs[row, : stop + 1].tolist(), *drawn.fed[row, : length - 1].tolist()]
    targets = {
        stop + 1 + column: int(drawn.targets[row, column])
        for column in range(drawn.targets.shape[1])
        if drawn.target_mask[row, column]
    }
    return read, stop, targets


@pytest.mark.parametrize("position", [-1, -2])
def test_a_moved_stop_reads_and_predicts_the_same(position):
    drawn = prompts()
    moved = move_stops(drawn, position)
    for row in range(2):
        read, _, targets = read_row(drawn, row)
        moved_read, stop, moved_targets = read_row(moved, row)
        assert (moved_read, moved_targets) == (read, targets)
        assert stop == min(targets) + position  # counted from the token that the first target follows
    shift = moved.base.position - drawn.base.position
    assert torch.equal(moved.sources[0].position - drawn.sources[0].position, shift)


def test_moving_there_and_back_changes_nothing():
    drawn = prompts()
    there = move_stops(move_stops(drawn, -2), -1)
    here = move_stops(drawn, -1)
    for one, two in ((there.fed, here.fed), (there.targets, here.targets), (there.target_mask, here.target_mask)):
        assert torch.equal(one, two)


def test_a_position_that_a_prompt_does_not_have_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"position -5 does not exist in every prompt: the base of .* 0 "):
        move_stops(prompts(), -5)
    with pytest.raises(InvalidArgumentError, match="below 0; got 0"):
        move_stops(prompts(), 0)
    with pytest.raises(UnknownNameError, match="stop"):
        move_stops(prompts(), "stopp")
    with pytest.raises(InvalidArgumentError, match="vectors"):
        move_stops(signs_from_two_sources(5, generator(0)), -1)


def test_the_shuffled_data_of_moved_data_is_the_moved_shuffled_data():
    data = data_of(lambda count, draws: labelled_bits(count, draws, steps=0), "parity", "bits", shuffle=lambda d: d)
    moved = stop_at(data, -1)
    assert stop_at(data, "stop") is data
    assert moved.shuffle is not None
    shuffled = moved.shuffle(moved)
    assert torch.equal(shuffled.train["parity"].targets, moved.train["parity"].targets)
    assert shuffled.variables == ("parity",)


@pytest.mark.parametrize("kind", ["lstm", "transformer-rope"])
def test_states_of_several_sites_are_those_of_each(kind):
    network = make_network(kind, 8, 2, generator(0, "network"))
    drawn = labelled_bits(20, generator(0))
    sites = list(network.sites)
    for site, cached in zip(sites, cache_sites(network, drawn, sites), strict=True):
        alone = cache_states(network, drawn, site)
        assert cached.base.site == site
        assert torch.equal(cached.base_states, alone.base_states)
        assert torch.equal(cached.source_states, alone.source_states)
    assert cache_states(PERCEPTRON, signs_from_two_sources(5, generator(0)), "hidden").source_states.shape[0] == 2
