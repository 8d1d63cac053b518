"""Stitching trained on behaviour: on networks with a known answer, against runs of single sequences."""

from functools import cache

import pytest
import torch

from symscope.algorithms import UpDown
from symscope.comparison import StitchOptions, stitch, stitching_data
from symscope.errors import InvalidArgumentError, NonFiniteError, UnknownNameError
from symscope.interchange import InterventionProtocol
from symscope.networks import change_basis, magnitude_network, make_network, random_invertible, two_counts_network
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object(quantities=range(1, 7), held_out=[4])
ALGORITHM = UpDown(TASK)
DATA = stitching_data(ALGORITHM, 300, 80, 120)
OPTIONS = StitchOptions(learning_rate=3e-2, batch=32, steps=140, patience=3)


@cache
def magnitude(seed, d=6):
    """The magnitude network in an invertible basis."""
    return change_basis(
        magnitude_network(d=d, **TASK.roles), random_invertible(d, 3.0, generator(seed, "basis"))
    ).network


@cache
def scrambled(seed):
    """A network of the same kind with random weights."""
    network = change_basis(magnitude_network(d=6, **TASK.roles), random_invertible(6, 3.0, generator(0))).network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=generator(seed))
    return network


@cache
def stitched():
    return stitch(magnitude(0), magnitude(1, 5), DATA, (1, 2, None), untrained=scrambled(2), options=OPTIONS)


def test_networks_that_hold_the_same_variables_are_stitched_by_the_regression_of_their_states():
    _, two, full = stitched()
    for result in (two, full):
        assert result.score.iia == result.from_regression.iia == result.reference.iia == 1
        assert (result.best_step, result.total_steps) == (0, 0)  # nothing was left to train
        assert result.constant.iia < 0.2
        assert result.untrained.iia < 0.6
        assert result.above_untrained.low > 0.3
        assert result.above_untrained.p < 1e-6


def test_training_on_behaviour_finds_what_the_regression_of_states_misses():
    """Tokens of the demo phase are free, so the count alone, in one dimension, is enough to continue correctly."""
    one, _, _ = stitched()
    assert one.from_regression.iia < 0.2
    assert one.score.low > max(0.2, one.constant.high)
    assert 0 < one.best_step <= one.total_steps <= 140


def test_the_rank_of_a_map_is_the_requested_one():
    for result in stitched():
        sizes = torch.linalg.svdvals(result.weights)
        assert int((sizes > 1e-4 * sizes[0]).sum()) == (result.rank or 2)  # both networks use two dimensions
        assert result.weights.shape == (5, 6)


def test_the_score_is_that_of_single_sequences():
    result, receiver, sender = stitched()[0], magnitude(0), magnitude(1, 5)
    test, correct = DATA.test, []
    for row in range(60):
        tokens = test.base.inputs[row : row + 1, : test.base.position[row] + 1]
        stop = torch.tensor([tokens.shape[1] - 1])
        state = sender.states(tokens, "h")[:, -1] @ result.weights + result.bias
        steps = int(test.lengths[row])
        fed, mask = test.fed[row : row + 1, : steps - 1], torch.ones(1, steps, dtype=torch.bool)
        features = receiver.resume(receiver.run_until(tokens, stop, "h").rewrite(state), fed, mask)
        right = receiver.readout(features).argmax(-1) == test.targets[row, :steps]
        correct.append(bool(right[test.target_mask[row, :steps]].all()))
    assert correct == result.score.correct[:60].tolist()


def test_continuations_of_the_data_are_those_of_the_sequences():
    """Without a rewritten state a correct network predicts every token that counts."""
    for part in DATA:
        assert not part.sources
        assert part.target_mask.any(1).all()
    trigger = stitching_data(ALGORITHM, 20, 20, 20, protocol=InterventionProtocol(position="trigger")).test
    counts = trigger.base.values["count"]
    assert torch.equal(trigger.target_mask.sum(1), counts + 1)  # a response for each demo token, and EOS


def test_each_map_trains_for_itself():
    alone = stitch(magnitude(0), magnitude(1, 5), DATA, (1,), options=OPTIONS)[0]
    one = stitched()[0]
    assert (alone.best_step, alone.total_steps, alone.untrained) == (one.best_step, one.total_steps, None)
    assert alone.above_untrained is None
    torch.testing.assert_close(alone.weights, one.weights, atol=1e-3, rtol=1e-3)


def test_networks_with_different_variables_can_be_stitched_one_way_only():
    """The count of Up-Down is the difference of the counts of Up-Up, but not the other way round."""
    counts = two_counts_network(d=3, **TASK.roles).network
    forward = stitch(magnitude(0), counts, DATA, options=StitchOptions(batch=16, steps=10))[0]
    assert forward.score.iia == 1
    assert str(forward).startswith("stitching, full rank: 1.000")


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer-rope"])
def test_a_receiver_that_cannot_do_the_task_says_so_and_keeps_its_weights(kind):
    network = make_network(kind, 8, len(TASK.vocabulary), generator(0, kind))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    options = StitchOptions(batch=16, steps=10, validate_every=5)
    result = stitch(network, magnitude(0), DATA, (None, 1), options=options)[0]
    assert result.reference.iia < 0.5
    assert result.weights.shape == (6, network.sites[network.default_site])
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_wrong_arguments_are_refused():
    for ranks, message in (((), "no ranks"), ((7,), "between 1 and 5, got 7"), ((0,), "between 1 and 5")):
        with pytest.raises(InvalidArgumentError, match=message):
            stitch(magnitude(0), magnitude(1, 5), DATA, ranks)
    with pytest.raises(UnknownNameError, match="unknown site 'z'"):
        stitch(magnitude(0), magnitude(1, 5), DATA, sites=("h", "z"))
    with pytest.raises(InvalidArgumentError, match="n_test must be at least 1"):
        stitching_data(ALGORITHM, n_test=0)
    for name, value in (("steps", 0), ("learning_rate", 0.0), ("target", 1.5)):
        with pytest.raises(InvalidArgumentError, match=name):
            StitchOptions(**{name: value})
    with pytest.raises(NonFiniteError, match="lower the learning rate"):
        stitch(magnitude(0), scrambled(2), DATA, options=StitchOptions(learning_rate=1e38, steps=60))
