"""Trains a network on a task by next-token prediction (TMLR 2025, section 3.2).

`train` reads as the paper's method section: draw a batch, step, validate now and then, stop when the network solves
the task or the updates are used up. Its state goes to a checkpoint whole, so an interrupted training goes on
exactly where it was.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from symscope.errors import CheckpointError, InvalidArgumentError, NonFiniteError
from symscope.networks import Network
from symscope.seeds import generator
from symscope.tasks import Task, TokenBatch
from symscope.training.accuracy import trials_correct
from symscope.training.checkpoints import load_tensors, load_weights, save_network, save_tensors
from symscope.training.schedule import learning_rate

UPDATES_AN_EPOCH = 8
LATEST = "latest.safetensors"


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; the defaults are the paper's.

    Attributes:
        learning_rate: peak of the schedule.
        batch: sequences an update.
        epochs: the most epochs, of 8 updates each.
        target_accuracy: trial accuracy, on trained and on held-out quantities, at which training may stop ...
        consecutive: ... when this many validations in a row reach it.
        validate_every: epochs between validations.
        validate_each: validation sequences for each quantity.
        checkpoint_every: epochs between the checkpoints that are kept for the study of development, a multiple of
            `validate_every`; 0 keeps none.
    """

    learning_rate: float = 1e-4
    batch: int = 128
    epochs: int = 2500
    target_accuracy: float = 0.9999
    consecutive: int = 3
    validate_every: int = 5
    validate_each: int = 15
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch", "epochs", "consecutive", "validate_every", "validate_each"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidArgumentError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.checkpoint_every < 0 or self.checkpoint_every % self.validate_every:
            raise InvalidArgumentError(
                f"checkpoint_every must be a multiple of validate_every ({self.validate_every}), "
                f"got {self.checkpoint_every}"
            )


@dataclass(frozen=True)
class Validation:
    """What one validation saw."""

    update: int
    epoch: int
    loss: float
    """Mean over the updates since the validation before."""
    learning_rate: float
    trained_accuracy: float
    held_out_accuracy: float
    """NaN when nothing is held out."""
    seconds: float
    """Of training up to here, pauses left out."""


@dataclass
class _Run:
    """Everything that changes during training, and so everything that a checkpoint holds."""

    network: Network
    adam: torch.optim.Adam
    batches: Generator
    dropout: Generator
    update: int = 0
    reached: int = 0
    seconds: float = 0.0
    history: list[Validation] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    history: tuple[Validation, ...]
    solved: bool
    """Whether the wanted accuracy was reached; a network that fails is reported, not hidden."""


def train(
    network: Network,
    task: Task,
    seed: int,
    options: TrainingOptions | None = None,
    *,
    folder: Path | None = None,
    on_validation: Callable[[Validation], None] | None = None,
) -> Trained:
    """Trains the network in place, on its own device.

    Args:
        network: a freshly initialised network; the weights are changed.
        task: the task; batches are drawn fresh each update from its trained quantities.
        seed: determines the batches and the dropout; the same seed gives the same weights on one machine.
        options: how to train.
        folder: where checkpoints are kept; a training that was interrupted there goes on from its last.
        on_validation: called after each validation.

    Raises:
        NonFiniteError: the loss is not finite; the last checkpoint is the last good one.
        CheckpointError: the folder holds a damaged checkpoint, or one of another training.
    """
    options = options or TrainingOptions()
    run = _start(network, seed, options)
    identity = _identity(network, task, seed, options)
    if folder is not None and (folder / LATEST).exists():
        _restore(run, folder / LATEST, identity)
    validation = _validation_set(task, seed, options)
    while not _finished(run, options):
        began = monotonic()
        loss = _period(run, task, options)
        run.seconds += monotonic() - began
        run.history.append(_validate(run, validation, loss, options))
        if folder is not None:
            _save(run, folder, identity, options)
        if on_validation:
            on_validation(run.history[-1])
    return Trained(tuple(run.history), run.reached >= options.consecutive)


def _start(network: Network, seed: int, options: TrainingOptions) -> _Run:
    adam = torch.optim.Adam(network.parameters(), lr=options.learning_rate, fused=True)
    dropout = generator(seed, "training", "dropout", device=_device(network))
    return _Run(network, adam, generator(seed, "training", "batches"), dropout)


def _finished(run: _Run, options: TrainingOptions) -> bool:
    return run.reached >= options.consecutive or run.update >= options.epochs * UPDATES_AN_EPOCH


def _identity(network: Network, task: Task, seed: int, options: TrainingOptions) -> dict[str, Any]:
    """What a checkpoint belongs to. A few sequences tell the task, with all its options, from any other."""
    drawn = task.draw(torch.tensor(task.quantities), generator(0, "identity")).tokens
    digest = hashlib.sha256(drawn.numpy().tobytes()).hexdigest()[:16]
    named = {"task": task.name, "sequences": digest, "quantities": task.quantities, "held_out": task.held_out}
    return {**named, "network": network.architecture, "seed": seed, "options": asdict(options)}


def _period(run: _Run, task: Task, options: TrainingOptions) -> float:
    """The updates up to the next validation; gives their mean loss."""
    first = run.update + 1
    left = options.epochs * UPDATES_AN_EPOCH - run.update
    updates = min(options.validate_every * UPDATES_AN_EPOCH, left)
    losses = torch.stack([_update(run, task, options) for _ in range(updates)])
    wrong = (~losses.isfinite()).nonzero()
    if len(wrong) or not all(parameter.isfinite().all() for parameter in run.network.parameters()):
        at = first + int(wrong[0]) if len(wrong) else run.update
        good = f"that of update {first - 1}" if first > 1 else "none, since this is before the first"
        raise NonFiniteError(
            f"training is not finite at update {at}; lower the learning rate (now {options.learning_rate:g}). "
            f"The last good checkpoint is {good}"
        )
    return float(losses.mean())


def _update(run: _Run, task: Task, options: TrainingOptions) -> Tensor:
    """One step of Adam on a fresh batch; gives the loss."""
    sequences = task.draw(task.draw_quantities(options.batch, run.batches, task.trained), run.batches)
    for group in run.adam.param_groups:
        group["lr"] = learning_rate(run.update + 1, options.learning_rate)
    loss = next_token_loss(run.network, sequences, run.dropout)
    run.adam.zero_grad()
    loss.backward()
    run.adam.step()
    run.update += 1
    return loss.detach()


def next_token_loss(network: Network, sequences: TokenBatch, dropout: Generator | None = None) -> Tensor:
    """Mean cross-entropy of every token but the first, in nats."""
    there = sequences.to(_device(network))
    features = network.features(there.tokens[:, :-1], sequences.lengths - 1)
    real = torch.arange(features.shape[1], device=features.device) < (there.lengths - 1)[:, None]
    return cross_entropy(network.readout(features[real], dropout), there.tokens[:, 1:][real])


def _validation_set(task: Task, seed: int, options: TrainingOptions) -> dict[str, TokenBatch]:
    draws = generator(seed, "training", "validation")
    groups = {"trained": task.trained, "held_out": task.held_out}
    each = options.validate_each
    return {
        name: task.draw(torch.tensor(quantities).repeat_interleave(each), draws)
        for name, quantities in groups.items()
        if quantities
    }


def _validate(run: _Run, validation: dict[str, TokenBatch], loss: float, options: TrainingOptions) -> Validation:
    shares = {name: float(trials_correct(run.network, s).double().mean()) for name, s in validation.items()}
    run.reached = run.reached + 1 if min(shares.values()) >= options.target_accuracy else 0
    return Validation(
        run.update,
        run.update // UPDATES_AN_EPOCH,
        loss,
        learning_rate(run.update, options.learning_rate),
        shares["trained"],
        shares.get("held_out", math.nan),
        run.seconds,
    )


def _save(run: _Run, folder: Path, identity: dict[str, Any], options: TrainingOptions) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"network.{name}": tensor for name, tensor in run.network.state_dict().items()}
    for index, state in run.adam.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
    tensors |= {"batches": run.batches.get_state(), "dropout": run.dropout.get_state()}
    facts = {"update": run.update, "reached": run.reached, "seconds": run.seconds}
    facts |= {"history": [asdict(entry) for entry in run.history], "identity": identity}
    save_tensors(folder / LATEST, tensors, facts)
    epoch = run.update // UPDATES_AN_EPOCH
    if options.checkpoint_every and epoch % options.checkpoint_every == 0:
        save_network(folder / f"epoch-{epoch:05d}.safetensors", run.network, asdict(run.history[-1]))


def _restore(run: _Run, path: Path, identity: dict[str, Any]) -> None:
    tensors, facts = load_tensors(path)
    if facts.get("identity") != json.loads(json.dumps(identity)):
        raise CheckpointError(f"{path} is of another training (task, seed or options differ); use another folder")
    groups: dict[str, dict[str, Tensor]] = {"network": {}, "adam": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    load_weights(run.network, groups["network"], path)
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in groups["adam"].items():
        index, _, entry = name.partition(".")
        state.setdefault(int(index), {})[entry] = tensor
    run.adam.load_state_dict({**run.adam.state_dict(), "state": state})
    run.batches.set_state(tensors["batches"])
    run.dropout.set_state(tensors["dropout"])
    run.update, run.reached, run.seconds = facts["update"], facts["reached"], facts["seconds"]
    run.history.extend(Validation(**entry) for entry in facts["history"])


def _device(network: Network) -> torch.device:
    return next(network.parameters()).device
