"""Training of a network on a task by next-token prediction (TMLR 2025, section 3.2).

The loop draws a batch, makes an update, validates after a number of epochs, and stops if the network solves the task
or the last epoch is over. A checkpoint holds the complete state of the loop, so an interrupted training continues
exactly where it stopped.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, SupportsIndex

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from symscope.adam import Adam
from symscope.arguments import FilePath, integer, positive_number
from symscope.errors import CheckpointError, InvalidArgumentError, NonFiniteError
from symscope.networks import Network, require_network
from symscope.progress import progress_bar
from symscope.seeds import generator
from symscope.tasks import Task, TokenBatch
from symscope.tracking import STEP, OnStep, call_each
from symscope.training.accuracy import trials_correct
from symscope.training.checkpoints import load_tensors, load_weights, save_network, save_tensors

UPDATES_AN_EPOCH = 8
LATEST = "latest.safetensors"
TRAINING = "training"
"""Name of a training in `on_step`."""
_SHOWN = {"loss": "loss", "trained_accuracy": "accuracy", "held_out_accuracy": "on held-out quantities"}
_INTEGER_BOUNDS = {
    "batch": (1, 2**20),
    "epochs": (1, 10**7),
    "min_epochs": (0, 10**7),
    "consecutive": (1, 10**7),
    "validate_every": (1, 10**7),
    "validate_each": (1, 10**5),
    "checkpoint_every": (0, 10**7),
}


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training; the defaults are those of the paper.

    Attributes:
        learning_rate: peak of the learning-rate schedule.
        batch: sequences in each update.
        epochs: the largest number of epochs, each of 8 updates.
        min_epochs: the smallest number of epochs; a network that reaches the target accuracy earlier trains on to it.
        target_accuracy: training stops once the trial accuracy on trained and on held-out quantities has reached this
            share ...
        consecutive: ... in this many consecutive validations.
        validate_every: epochs between validations.
        validate_each: validation sequences for each quantity.
        checkpoint_every: epochs between the checkpoints that are kept, a multiple of `validate_every`; 0: none.

    Raises:
        InvalidArgumentError: an option has the wrong type or is out of bounds; the message names all such options.
    """

    learning_rate: float = 1e-4
    batch: int = 128
    epochs: int = 2500
    min_epochs: int = 0
    target_accuracy: float = 0.9999
    consecutive: int = 3
    validate_every: int = 5
    validate_each: int = 15
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        faults: list[str] = []
        values: dict[str, Any] = {}
        checks: dict[str, Callable[[str], Any]] = {
            "learning_rate": lambda name: positive_number(self.learning_rate, name),
            "target_accuracy": lambda name: positive_number(self.target_accuracy, name, 1.0),
            **dict.fromkeys(_INTEGER_BOUNDS, lambda name: integer(getattr(self, name), name, *_INTEGER_BOUNDS[name])),
        }
        for name, check in checks.items():
            try:
                values[name] = check(name)
            except InvalidArgumentError as error:
                faults.append(str(error))
        if not faults and values["min_epochs"] > values["epochs"]:
            faults.append(f"min_epochs must be at most epochs ({self.epochs}), got {self.min_epochs}")
        if not faults and values["checkpoint_every"] % values["validate_every"]:
            faults.append(
                f"checkpoint_every must be a multiple of validate_every ({self.validate_every}), "
                f"got {self.checkpoint_every}"
            )
        if faults:
            raise InvalidArgumentError("; ".join(faults))
        for name, value in values.items():
            object.__setattr__(self, name, value)  # plain numbers in place of those of numpy


@dataclass(frozen=True)
class Validation:
    """Result of one validation.

    Attributes:
        update: number of updates so far.
        epoch: number of epochs so far.
        loss: mean over the updates since the last validation, in nats.
        learning_rate: of the last update.
        trained_accuracy: trial accuracy on trained quantities.
        held_out_accuracy: trial accuracy on held-out quantities; NaN if there are none.
        seconds: duration of all updates so far, without validations and interruptions.
    """

    update: int
    epoch: int
    loss: float
    learning_rate: float
    trained_accuracy: float
    held_out_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        history: all validations.
        solved: whether the network reached the target accuracy.
    """

    history: tuple[Validation, ...]
    solved: bool


@dataclass
class _Run:
    """State of a training: everything that changes, and so everything that a checkpoint holds."""

    network: Network
    adam: Adam
    batches: Generator
    dropout: Generator
    update: int = 0
    reached: int = 0
    seconds: float = 0.0
    history: list[Validation] = field(default_factory=list)


def train(
    network: nn.Module,
    task: Task,
    seed: SupportsIndex,
    options: TrainingOptions | None = None,
    *,
    folder: FilePath | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> Trained:
    """Trains a network in place, on its device.

    Updates run with gradients, also inside `torch.no_grad()`, and in the mode of the network (`train()` or `eval()`);
    validations run in evaluation mode.

    Args:
        network: a network with initial weights.
        task: the task; the batches are drawn from its trained quantities.
        seed: of the batches and of the network's dropout; with the same seed and the same initial weights, the trained
            weights are the same on one machine. Layers that draw from torch's global generator, such as `nn.Dropout`,
            do not depend on it.
        options: how to train.
        folder: folder of the checkpoints; a training that was interrupted continues from its last checkpoint.
        progress: show a progress bar in a terminal or notebook.
        on_step: called after each validation with the name `training` and the fields of `Validation`; `step` is the
            number of updates.

    Returns:
        The validations, and whether the network solved the task.

    Raises:
        InvalidArgumentError: `network` is not a network with the task's vocabulary, or has no trainable weights.
        NonFiniteError: the loss or a weight is not finite; the last checkpoint is the last good one.
        CheckpointError: the folder holds a damaged checkpoint, or the checkpoint of a different training.
    """
    network, seed = require_network(network, len(task.vocabulary)), integer(seed, "seed")
    options = options or TrainingOptions()
    updates = options.epochs * UPDATES_AN_EPOCH
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        progress_bar(updates, _SHOWN, visible=progress) as show,
    ):
        return _train(network, task, seed, options, None if folder is None else Path(folder), call_each(show, on_step))


def _train(
    network: Network,
    task: Task,
    seed: int,
    options: TrainingOptions,
    folder: Path | None,
    on_step: OnStep | None,
) -> Trained:
    run = _start(network, seed)
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
        if on_step:
            on_step(TRAINING, _values(run.history[-1]))
    return Trained(tuple(run.history), run.reached >= options.consecutive)


def learning_rate(update: int, peak: float, *, warmup: int = 100, power: float = 0.5, floor: float = 1e-7) -> float:
    """The paper's learning rate at an update, counted from 1: linear warm-up, then decay (TMLR 2025, appendix).

    It is min(L t/W, max(L (W/t)^p, floor)) at update t, with peak L, warm-up W and power p.
    """
    return min(peak * update / warmup, max(peak * (warmup / update) ** power, floor))


def next_token_loss(network: Network, sequences: TokenBatch, dropout: Generator | None = None) -> Tensor:
    """Mean cross-entropy of all tokens except the first and the padding, in nats."""
    batch = sequences.to(network.device)
    features = network.features(batch.tokens[:, :-1], sequences.lengths - 1)
    real = torch.arange(features.shape[1], device=features.device) < (batch.lengths - 1)[:, None]
    return cross_entropy(network.readout(features[real], dropout), batch.tokens[:, 1:][real])


def _start(network: Network, seed: int) -> _Run:
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InvalidArgumentError("the network has no trainable weights: no parameter requires gradients")
    adam = Adam(network.parameters())
    dropout = generator(seed, "training", "dropout", device=network.device)
    return _Run(network, adam, generator(seed, "training", "batches"), dropout)


def _finished(run: _Run, options: TrainingOptions) -> bool:
    if run.update < options.min_epochs * UPDATES_AN_EPOCH:
        return False
    return run.reached >= options.consecutive or run.update >= options.epochs * UPDATES_AN_EPOCH


def _identity(network: Network, task: Task, seed: int, options: TrainingOptions) -> dict[str, Any]:
    """What identifies a training; a few sequences distinguish the task, with all its options, from other tasks."""
    drawn = task.draw(torch.tensor(task.quantities), generator(0, "identity")).tokens
    digest = hashlib.sha256(drawn.numpy().tobytes()).hexdigest()[:16]
    named = {"task": task.name, "sequences": digest, "quantities": task.quantities, "held_out": task.held_out}
    return {**named, "network": network.architecture, "seed": seed, "options": asdict(options)}


def _period(run: _Run, task: Task, options: TrainingOptions) -> float:
    """Makes the updates up to the next validation, and returns their mean loss."""
    first = run.update + 1
    left = options.epochs * UPDATES_AN_EPOCH - run.update
    updates = min(options.validate_every * UPDATES_AN_EPOCH, left)
    losses = torch.stack([_update(run, task, options) for _ in range(updates)])
    wrong = (~losses.isfinite()).nonzero()
    if len(wrong) or not all(parameter.isfinite().all() for parameter in run.network.parameters()):
        update = first + int(wrong[0]) if len(wrong) else run.update
        good = f"that of update {first - 1}" if first > 1 else "none, since no validation was before"
        raise NonFiniteError(
            f"training is not finite at update {update}; lower the learning rate (now {options.learning_rate:g}). "
            f"The last good checkpoint is {good}"
        )
    return float(losses.mean())


def _update(run: _Run, task: Task, options: TrainingOptions) -> Tensor:
    """Makes one step of Adam on a new batch, and returns the loss."""
    sequences = task.draw(task.draw_quantities(options.batch, run.batches, task.trained), run.batches)
    loss = next_token_loss(run.network, sequences, run.dropout)
    run.adam.zero_grad()
    loss.backward()
    run.adam.step(learning_rate(run.update + 1, options.learning_rate))
    run.update += 1
    return loss.detach()


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


def _values(seen: Validation) -> dict[str, float | int]:
    """A validation as `on_step` gets it."""
    values = asdict(seen)
    return {STEP: values.pop("update"), **values}


def _save(run: _Run, folder: Path, identity: dict[str, Any], options: TrainingOptions) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in run.network.state_dict().items()}
    for index, state in enumerate(run.adam.state):
        tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
    tensors |= {"batches": run.batches.get_state(), "dropout": run.dropout.get_state()}
    facts = {"kind": "training", "update": run.update, "reached": run.reached, "seconds": run.seconds}
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
    states: list[dict[str, Tensor]] = [{} for _ in run.adam.parameters]
    for name, tensor in groups["adam"].items():
        index, _, entry = name.partition(".")
        states[int(index)][entry] = tensor.to(run.network.device)
    run.adam.state[:] = states
    run.batches.set_state(tensors["batches"])
    run.dropout.set_state(tensors["dropout"])
    run.update, run.reached, run.seconds = facts["update"], facts["reached"], facts["seconds"]
    run.history.extend(Validation(**entry) for entry in facts["history"])
