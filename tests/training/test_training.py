"""Training: the schedule, the loss, seeds, interruptions, modes, types, and failures."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from tests.training.networks import TASK, small_gru, users_network
from torch import nn
from torch.nn.functional import cross_entropy

from symscope.adam import Adam
from symscope.errors import CheckpointError, InvalidArgumentError, NonFiniteError
from symscope.networks import gru
from symscope.seeds import generator
from symscope.tasks import modulo, multi_object
from symscope.training import (
    TrainingOptions,
    learning_rate,
    load_network,
    next_token_loss,
    train,
    trial_accuracy,
)
from symscope.training.checkpoints import load_tensors, save_tensors
from symscope.training.trainer import LATEST

SHORT = TrainingOptions(learning_rate=1e-3, batch=16, epochs=8, validate_every=2, validate_each=3, checkpoint_every=4)


def test_schedule_is_the_papers() -> None:
    peak = 1e-4
    assert learning_rate(1, peak) == pytest.approx(1e-6)
    assert learning_rate(100, peak) == pytest.approx(peak)
    assert learning_rate(400, peak) == pytest.approx(peak / 2)
    assert learning_rate(10**9, peak) == 1e-7


def test_loss_counts_every_token_but_the_first_and_no_padding() -> None:
    net = small_gru()
    sequences = TASK.draw(torch.tensor([1, 4, 2]), generator(0))
    losses = []
    for row, length in enumerate(sequences.lengths.tolist()):
        tokens = sequences.tokens[row, :length]
        losses.append(cross_entropy(net(tokens[None])[0, :-1], tokens[1:], reduction="none"))
    torch.testing.assert_close(next_token_loss(net, sequences), torch.cat(losses).mean())


def test_a_seed_determines_the_weights() -> None:
    nets = [small_gru(), small_gru(), small_gru()]
    histories = [train(net, TASK, seed, SHORT).history for net, seed in zip(nets, (1, 1, 2), strict=True)]
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert [replace(v, seconds=0.0) for v in histories[0]] == [replace(v, seconds=0.0) for v in histories[1]]


class Stop(Exception):  # noqa: N818
    """In place of Ctrl-C."""


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path) -> None:
    uninterrupted = small_gru()
    train(uninterrupted, TASK, 0, SHORT)

    def stop(name, values) -> None:
        if values["epoch"] in (2, 6):
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            train(small_gru(), TASK, 0, SHORT, folder=tmp_path, on_step=stop)
    resumed = small_gru()
    result = train(resumed, TASK, 0, SHORT, folder=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(uninterrupted.parameters(), resumed.parameters(), strict=True))
    assert [seen.epoch for seen in result.history] == [2, 4, 6, 8]
    assert sorted(path.name for path in tmp_path.glob("epoch-*")) == [
        "epoch-00004.safetensors",
        "epoch-00008.safetensors",
    ]


def test_training_stops_at_the_target_accuracy() -> None:
    net = small_gru(d=24)
    options = TrainingOptions(learning_rate=3e-3, batch=64, epochs=200, consecutive=2, validate_each=5)
    trained = train(net, TASK, 0, options)
    assert trained.solved
    assert trained.history[-1].epoch < 200
    rows = {row.quantity: row for row in trial_accuracy(net, TASK, generator(1), each=20)}
    assert [rows[n].held_out for n in (1, 2, 3, 4)] == [False, False, True, False]
    assert min(rows[n].trial_accuracy for n in (1, 2, 4)) > 0.9
    (beyond,) = trial_accuracy(net, TASK, generator(1), each=20, quantities=[12])
    assert beyond.held_out


def test_training_goes_on_to_its_smallest_number_of_epochs() -> None:
    task = multi_object(quantities=range(1, 3), held_out=())
    options = TrainingOptions(learning_rate=1e-2, batch=32, epochs=60, consecutive=1, validate_every=2, validate_each=3)
    short = train(small_gru(), task, 0, options)
    solved = short.history[-1].epoch
    longer = train(small_gru(), task, 0, replace(options, min_epochs=solved + 2))
    assert short.solved
    assert longer.history[-1].epoch >= solved + 2
    assert [row.loss for row in longer.history[: len(short.history)]] == [row.loss for row in short.history]


def test_a_task_may_have_no_held_out_quantities() -> None:
    task = multi_object(quantities=range(1, 3), held_out=())
    trained = train(small_gru(), task, 0, replace(SHORT, epochs=2))
    assert math.isnan(trained.history[-1].held_out_accuracy)


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(tmp_path) -> None:
    net = small_gru()

    def poison(name, values) -> None:
        if values["epoch"] == 4:
            with torch.no_grad():
                net.cell.embedding.fill_(float("nan"))

    with pytest.raises(NonFiniteError, match=r"not finite at update 33.*last good checkpoint is that of update 32"):
        train(net, TASK, 0, SHORT, folder=tmp_path, on_step=poison)
    again = small_gru()
    train(again, TASK, 0, SHORT, folder=tmp_path)
    assert all(parameter.isfinite().all() for parameter in again.parameters())


def test_weights_that_break_in_the_last_update_of_a_period_are_never_saved(tmp_path, monkeypatch) -> None:
    net = small_gru()
    step = Adam.step

    def poison(adam, *words):
        step(adam, *words)
        if int(adam.state[0]["step"]) == 32:
            with torch.no_grad():
                net.cell.embedding[0, 0] = float("nan")

    monkeypatch.setattr(Adam, "step", poison)
    with pytest.raises(NonFiniteError, match=r"at update 32.*that of update 16"):
        train(net, TASK, 0, SHORT, folder=tmp_path)
    monkeypatch.undo()
    again = small_gru()
    train(again, TASK, 0, SHORT, folder=tmp_path)
    assert all(parameter.isfinite().all() for parameter in again.parameters())


def test_the_last_period_ends_with_the_last_epoch() -> None:
    assert [seen.epoch for seen in train(small_gru(), TASK, 0, replace(SHORT, epochs=5)).history] == [2, 4, 5]


def test_a_folder_of_another_training_is_refused(tmp_path) -> None:
    train(small_gru(), TASK, 0, replace(SHORT, epochs=2), folder=tmp_path)
    with pytest.raises(CheckpointError, match="another training"):
        train(small_gru(), TASK, 1, replace(SHORT, epochs=2), folder=tmp_path)
    third = modulo(modulus=3, quantities=range(1, 5), held_out=(3,))
    same_name = modulo(modulus=4, quantities=range(1, 5), held_out=(3,))
    size = len(third.vocabulary)
    train(gru(8, size, generator(0)), third, 0, replace(SHORT, epochs=2), folder=tmp_path / "modulo")
    with pytest.raises(CheckpointError, match="another training"):
        train(gru(8, size, generator(0)), same_name, 0, replace(SHORT, epochs=2), folder=tmp_path / "modulo")
    (tmp_path / LATEST).write_bytes(b"half")
    with pytest.raises(CheckpointError, match="damaged"):
        train(small_gru(), TASK, 0, replace(SHORT, epochs=2), folder=tmp_path)


def unchecked_options(**values) -> TrainingOptions:
    """Options with values of any type: in tests alone, `__init__` checks the annotations of its arguments first."""
    options = object.__new__(TrainingOptions)
    for entry in fields(TrainingOptions):
        object.__setattr__(options, entry.name, values.get(entry.name, entry.default))
    options.__post_init__()
    return options


def states_of(network) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_validation_runs_in_evaluation_mode_and_the_mode_is_restored() -> None:
    network, modes = users_network(d=24, p=0.5), []
    options = TrainingOptions(learning_rate=1e-2, batch=64, epochs=200, consecutive=2, validate_each=5)
    trained = train(network, TASK, 0, options, on_step=lambda *_: modes.append(network.output.dropout.training))
    assert trained.solved  # with dropout of half of the units, no validation would reach the target
    assert set(modes) == {True}
    history = train(users_network(p=0.5).eval(), TASK, 0, SHORT).history
    no_dropout = train(users_network(), TASK, 0, SHORT).history
    assert [seen.loss for seen in history] == [seen.loss for seen in no_dropout]  # updates keep the network's mode


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_training_inside_no_grad(context) -> None:
    plain, inside = small_gru(), small_gru()
    train(plain, TASK, 0, SHORT)
    with context():
        train(inside, TASK, 0, SHORT)
        assert not torch.is_grad_enabled()
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), inside.parameters(), strict=True))


def test_float64_networks_are_trained_and_continued(tmp_path) -> None:
    network, continued = small_gru().double(), small_gru().double()
    train(network, TASK, 0, SHORT)
    half = replace(SHORT, epochs=4)
    train(small_gru().double(), TASK, 0, half, folder=tmp_path)
    facts = load_tensors(tmp_path / LATEST)
    identity = facts[1]["identity"] | {"options": facts[1]["identity"]["options"] | {"epochs": SHORT.epochs}}
    save_tensors(tmp_path / LATEST, facts[0], facts[1] | {"identity": identity})
    result = train(continued, TASK, 0, SHORT, folder=tmp_path)
    assert {weight.dtype for weight in continued.parameters()} == {torch.float64}
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), continued.parameters(), strict=True))
    assert [seen.epoch for seen in result.history] == [2, 4, 6, 8]


def test_tied_weights_are_trained_saved_and_continued(tmp_path) -> None:
    network = users_network(tied=True)
    initial = states_of(network)
    train(network, TASK, 0, SHORT)

    def stop(name, values) -> None:
        if values["epoch"] == 4:
            raise Stop

    interrupted, continued = users_network(tied=True), users_network(tied=True)
    with pytest.raises(Stop):
        train(interrupted, TASK, 0, SHORT, folder=tmp_path, on_step=stop)
    train(continued, TASK, 0, SHORT, folder=tmp_path)
    assert continued.output.linear.weight is continued.cell.embedding.weight
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), continued.parameters(), strict=True))
    assert any(not torch.equal(initial[name], tensor) for name, tensor in states_of(network).items())
    kept = load_network(tmp_path / "epoch-00008.safetensors", users_network(tied=True))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), kept.parameters(), strict=True))


def test_integers_of_numpy_and_text_paths(tmp_path) -> None:
    options = unchecked_options(
        learning_rate=np.float64(1e-3), batch=np.int64(16), epochs=np.int32(8), validate_every=2, validate_each=3,
        checkpoint_every=np.int64(4),
    )  # fmt: skip
    assert options == SHORT
    assert {type(value) for value in vars(options).values()} == {int, float}
    plain, other_types = small_gru(), small_gru()
    train(plain, TASK, 1, SHORT)
    train(other_types, TASK, np.int64(1), options, folder=str(tmp_path / "run"))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), other_types.parameters(), strict=True))
    train(small_gru(), TASK, 1, SHORT, folder=tmp_path / "run")  # it is the same training


def test_wrapped_networks_are_trained_and_other_modules_are_refused() -> None:
    plain, wrapped = small_gru(), small_gru()
    train(plain, TASK, 0, SHORT)
    train(nn.DataParallel(wrapped), TASK, 0, SHORT)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), wrapped.parameters(), strict=True))
    with pytest.raises(InvalidArgumentError, match=r"torch\.nn\.GRU alone"):
        train(nn.GRU(3, 4), TASK, 0, SHORT)
    with pytest.raises(InvalidArgumentError, match="has 20 tokens and its task has 8"):
        train(gru(8, 20, generator(0)), TASK, 0, SHORT)
    with pytest.raises(InvalidArgumentError, match="no trainable weights"):
        train(small_gru().requires_grad_(False), TASK, 0, SHORT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, "learning_rate must be above 0 and finite, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0 and finite, got nan"),
        ({"learning_rate": float("inf")}, "learning_rate must be above 0 and finite, got inf"),
        ({"learning_rate": "fast"}, "learning_rate must be a number, got 'fast'"),
        ({"target_accuracy": 99}, "target_accuracy must be above 0 and at most 1, got 99"),
        ({"target_accuracy": -1}, "target_accuracy must be above 0 and at most 1, got -1"),
        ({"target_accuracy": 0}, "target_accuracy must be above 0 and at most 1, got 0"),
        ({"batch": 0}, "batch must be between 1 and 1048576, got 0"),
        ({"batch": 10**9}, "batch must be between 1 and 1048576, got 1000000000"),
        ({"epochs": 0}, "epochs must be between 1"),
        ({"epochs": 2.5}, "epochs must be an integer, got 2.5"),
        ({"epochs": True}, "epochs must be an integer, got True"),
        ({"consecutive": 0}, "consecutive must be between 1"),
        ({"epochs": 5, "min_epochs": 6}, "min_epochs must be at most epochs"),
        ({"validate_every": 0}, "validate_every must be between 1"),
        ({"validate_each": 0}, "validate_each must be between 1"),
        ({"checkpoint_every": -5}, "checkpoint_every must be between 0"),
        ({"validate_every": 5, "checkpoint_every": 7}, "multiple of validate_every"),
        (
            {"batch": 0, "epochs": -1, "target_accuracy": 2},
            "target_accuracy .* got 2; batch .* got 0; epochs .* got -1",
        ),
    ],
)
def test_options_out_of_bounds_are_refused_together(options, message) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        unchecked_options(**options)
