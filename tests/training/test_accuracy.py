"""Trial accuracy: by quantity, of networks in any mode."""

import numpy as np
import pytest
import torch
from tests.training.networks import TASK, small_gru, users_network
from torch import nn

from symscope.errors import InvalidArgumentError
from symscope.seeds import generator
from symscope.training import trial_accuracy, trials_correct


def test_a_trial_is_correct_if_every_determined_token_is_predicted() -> None:
    network = small_gru()
    sequences = TASK.draw(torch.tensor([1, 4, 2, 1, 1]), generator(0))
    for threshold in range(3):  # networks that are right on some trials: bias the output layer towards tokens
        with torch.no_grad():
            network.output.output_bias[[TASK.response, TASK.vocabulary.eos]] += float(threshold)
        expected = []
        for row, length in enumerate(sequences.lengths.tolist()):
            predicted = network(sequences.tokens[row : row + 1, :length]).argmax(-1)[0]
            determined = sequences.determined[row, 1:length]
            targets = sequences.tokens[row, 1:length]
            expected.append(bool((predicted[:-1][determined] == targets[determined]).all()))
        assert trials_correct(network, sequences).tolist() == expected


def test_quantities_are_those_of_the_task_or_those_given() -> None:
    rows = trial_accuracy(small_gru(), TASK, generator(1), each=3)
    assert [(row.quantity, row.held_out, row.n) for row in rows] == [(n, n == 3, 3) for n in (1, 2, 3, 4)]
    rows = trial_accuracy(small_gru(), TASK, generator(1), each=np.int64(2), quantities=np.array([12, 2]).tolist())
    assert [(row.quantity, row.held_out, row.n) for row in rows] == [(2, False, 2), (12, True, 2)]


def test_dropout_is_off_and_every_mode_is_restored() -> None:
    network = users_network(p=0.9)
    network.cell.eval()
    modes = {name: module.training for name, module in network.named_modules()}
    assert modes["output.dropout"]
    assert not modes["cell"]
    state = torch.get_rng_state()
    rows = trial_accuracy(network, TASK, generator(1))
    assert torch.equal(state, torch.get_rng_state())  # no dropout was drawn
    assert rows == trial_accuracy(network.eval(), TASK, generator(1))
    network.train()
    network.cell.eval()
    trial_accuracy(network, TASK, generator(1))
    assert modes == {name: module.training for name, module in network.named_modules()}


def test_networks_of_any_kind_of_weights() -> None:
    network = small_gru()
    rows = trial_accuracy(network, TASK, generator(1))
    assert trial_accuracy(nn.DataParallel(network), TASK, generator(1)) == rows
    assert trial_accuracy(small_gru().double(), TASK, generator(1)) == rows
    for module in network.modules():  # weights as buffers
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.detach())
    assert trial_accuracy(network, TASK, generator(1)) == rows


def test_bad_input() -> None:
    with pytest.raises(InvalidArgumentError, match="got no quantities"):
        trial_accuracy(small_gru(), TASK, generator(0), quantities=[])
    with pytest.raises(InvalidArgumentError, match="each must be at least 1, got 0"):
        trial_accuracy(small_gru(), TASK, generator(0), each=0)
    with pytest.raises(InvalidArgumentError, match=r"torch\.nn\.GRU alone"):
        trial_accuracy(nn.GRU(3, 4), TASK, generator(0))
