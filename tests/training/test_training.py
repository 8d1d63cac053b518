"""Training: the schedule, the loss, the same seed, going on after an interruption, and its failures."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from symscope.errors import CheckpointError, InvalidArgumentError, NonFiniteError
from symscope.networks import gru, make_network
from symscope.seeds import generator
from symscope.tasks import modulo, multi_object
from symscope.training import (
    TrainingOptions,
    learning_rate,
    load_network,
    next_token_loss,
    save_network,
    train,
    trial_accuracy,
    trials_correct,
)
from symscope.training.trainer import LATEST

TASK = multi_object(quantities=range(1, 5), held_out=(3,))
SHORT = TrainingOptions(learning_rate=1e-3, batch=16, epochs=8, validate_every=2, validate_each=3, checkpoint_every=4)


def network(d: int = 8, seed: int = 0):
    return gru(d, len(TASK.vocabulary), generator(seed, "network"))


def test_schedule_is_the_papers() -> None:
    peak = 1e-4
    assert learning_rate(1, peak) == pytest.approx(1e-6)
    assert learning_rate(100, peak) == pytest.approx(peak)
    assert learning_rate(400, peak) == pytest.approx(peak / 2)
    assert learning_rate(10**9, peak) == 1e-7


def test_loss_counts_every_token_but_the_first_and_no_padding() -> None:
    net = network()
    sequences = TASK.draw(torch.tensor([1, 4, 2]), generator(0))
    losses = []
    for row, length in enumerate(sequences.lengths.tolist()):
        tokens = sequences.tokens[row, :length]
        losses.append(cross_entropy(net(tokens[None])[0, :-1], tokens[1:], reduction="none"))
    torch.testing.assert_close(next_token_loss(net, sequences), torch.cat(losses).mean())


def test_a_trial_counts_when_every_determined_token_is_predicted() -> None:
    net = network()
    sequences = TASK.draw(torch.tensor([1, 4, 2, 1, 1]), generator(0))
    for threshold in range(3):  # networks that are right on some trials: bias the output layer towards tokens
        with torch.no_grad():
            net.output.output_bias[[TASK.response, TASK.vocabulary.eos]] += float(threshold)
        plain = []
        for row, length in enumerate(sequences.lengths.tolist()):
            predicted = net(sequences.tokens[row : row + 1, :length]).argmax(-1)[0]
            asked = sequences.determined[row, 1:length]
            plain.append(bool((predicted[:-1][asked] == sequences.tokens[row, 1:length][asked]).all()))
        assert trials_correct(net, sequences).tolist() == plain


def test_same_seed_same_weights_and_another_seed_others() -> None:
    nets = [network(), network(), network()]
    histories = [train(net, TASK, seed, SHORT).history for net, seed in zip(nets, (1, 1, 2), strict=True)]
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert [replace(v, seconds=0.0) for v in histories[0]] == [replace(v, seconds=0.0) for v in histories[1]]


class Stop(Exception):  # noqa: N818
    """Stands for Ctrl-C."""


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path) -> None:
    whole = network()
    train(whole, TASK, 0, SHORT)

    def stop(seen) -> None:
        if seen.epoch in (2, 6):
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            train(network(), TASK, 0, SHORT, folder=tmp_path, on_validation=stop)
    resumed = network()
    result = train(resumed, TASK, 0, SHORT, folder=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert [seen.epoch for seen in result.history] == [2, 4, 6, 8]
    assert sorted(path.name for path in tmp_path.glob("epoch-*")) == [
        "epoch-00004.safetensors",
        "epoch-00008.safetensors",
    ]


def test_it_learns_and_stops_when_it_has() -> None:
    net = network(d=24)
    options = TrainingOptions(learning_rate=3e-3, batch=64, epochs=200, consecutive=2, validate_each=5)
    trained = train(net, TASK, 0, options)
    assert trained.solved
    assert trained.history[-1].epoch < 200
    shown = {row.quantity: row for row in trial_accuracy(net, TASK, generator(1), each=20)}
    assert [shown[n].held_out for n in (1, 2, 3, 4)] == [False, False, True, False]
    assert min(shown[n].trial_accuracy for n in (1, 2, 4)) > 0.9
    (beyond,) = trial_accuracy(net, TASK, generator(1), each=20, quantities=[12])
    assert beyond.held_out


def test_nothing_held_out_is_no_fault() -> None:
    task = multi_object(quantities=range(1, 3), held_out=())
    trained = train(network(), task, 0, replace(SHORT, epochs=2))
    assert math.isnan(trained.history[-1].held_out_accuracy)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path) -> None:
    net = network()

    def poison(seen) -> None:
        if seen.epoch == 4:
            with torch.no_grad():
                net.cell.embedding.fill_(float("nan"))

    with pytest.raises(NonFiniteError, match=r"not finite at update 33.*last good checkpoint is that of update 32"):
        train(net, TASK, 0, SHORT, folder=tmp_path, on_validation=poison)
    again = network()
    train(again, TASK, 0, SHORT, folder=tmp_path)
    assert all(parameter.isfinite().all() for parameter in again.parameters())


def test_weights_that_break_in_the_last_update_of_a_period_are_never_saved(tmp_path, monkeypatch) -> None:
    net = network()
    step = torch.optim.Adam.step

    def poison(adam, *words):
        step(adam, *words)
        if int(adam.state_dict()["state"][0]["step"]) == 32:
            with torch.no_grad():
                net.cell.embedding[0, 0] = float("nan")

    monkeypatch.setattr(torch.optim.Adam, "step", poison)
    with pytest.raises(NonFiniteError, match=r"at update 32.*that of update 16"):
        train(net, TASK, 0, SHORT, folder=tmp_path)
    monkeypatch.undo()
    again = network()
    train(again, TASK, 0, SHORT, folder=tmp_path)
    assert all(parameter.isfinite().all() for parameter in again.parameters())


def test_the_last_period_ends_at_the_cap() -> None:
    assert [seen.epoch for seen in train(network(), TASK, 0, replace(SHORT, epochs=5)).history] == [2, 4, 5]


def test_same_shapes_are_not_the_same_network(tmp_path) -> None:
    path = tmp_path / "network.safetensors"
    rope, nope, heads = (
        make_network(kind, 8, 5, generator(0), heads=heads)
        for kind, heads in (("transformer-rope", 1), ("transformer-nope", 1), ("transformer-rope", 2))
    )
    save_network(path, rope, {})
    for other in (nope, heads):
        with pytest.raises(CheckpointError, match="another architecture"):
            load_network(path, other)


def test_checkpoints_are_read_only_into_what_they_were_written_from(tmp_path) -> None:
    path = tmp_path / "network.safetensors"
    net = network()
    save_network(path, net, {"d": 8})
    other = network(seed=1)
    assert load_network(path, other)["d"] == 8
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="another architecture"):
        load_network(path, network(d=9))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="damaged"):
        load_network(path, net)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        load_network(path, net)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_network(tmp_path / "absent", net)


def test_a_folder_of_another_training_is_refused(tmp_path) -> None:
    train(network(), TASK, 0, replace(SHORT, epochs=2), folder=tmp_path)
    with pytest.raises(CheckpointError, match="another training"):
        train(network(), TASK, 1, replace(SHORT, epochs=2), folder=tmp_path)
    other = modulo(modulus=3, quantities=range(1, 5), held_out=(3,))
    same_name = modulo(modulus=4, quantities=range(1, 5), held_out=(3,))
    size = len(other.vocabulary)
    train(gru(8, size, generator(0)), other, 0, replace(SHORT, epochs=2), folder=tmp_path / "modulo")
    with pytest.raises(CheckpointError, match="another training"):
        train(gru(8, size, generator(0)), same_name, 0, replace(SHORT, epochs=2), folder=tmp_path / "modulo")
    (tmp_path / LATEST).write_bytes(b"half")
    with pytest.raises(CheckpointError, match="damaged"):
        train(network(), TASK, 0, replace(SHORT, epochs=2), folder=tmp_path)


def test_options_are_checked() -> None:
    for name in ("learning_rate", "batch", "epochs"):
        with pytest.raises(InvalidArgumentError, match=f"{name} must be above 0"):
            TrainingOptions(**{name: -1.0 if name == "learning_rate" else 0})
    with pytest.raises(InvalidArgumentError, match="multiple of validate_every"):
        TrainingOptions(validate_every=5, checkpoint_every=7)
