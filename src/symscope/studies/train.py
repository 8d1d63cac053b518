"""The first stage about a network: train it, or take a trained network of the user; then measure its trial accuracy."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from symscope.errors import CheckpointError
from symscope.networks import Network, tensors_digest
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.arguments import MeasureArguments, TrainArguments
from symscope.studies.choices import file_digest
from symscope.studies.options import TrialAccuracyCounts
from symscope.studies.progress import show_training
from symscope.studies.subject import WEIGHTS, Subject, save_part
from symscope.training import TrialAccuracy, load_network, save_network, train, trial_accuracy
from symscope.training.trainer import UPDATES_AN_EPOCH


def train_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Trains the network; stores weights, checkpoints, and parts of the tables `training` and `trial_accuracy`."""
    del needs  # it reads no result
    job = TrainArguments.read(arguments)
    subject, options = Subject.of(job), job.training.options()
    network = subject.new_network("trained")
    scratch = folder / "scratch"
    show = show_training(report, options.epochs * UPDATES_AN_EPOCH)
    trained = train(network, subject.task, subject.seed, options, folder=scratch, progress=False, on_step=show)
    save_network(folder / WEIGHTS, network, subject.columns)
    for checkpoint in sorted(scratch.glob("epoch-*.safetensors")):
        shutil.copy2(checkpoint, folder)  # not moved: only scratch outlives an interruption

    history = ({**subject.columns, **_without_nan(asdict(seen))} for seen in trained.history)
    save_part("training", history, folder)
    _save_trial_accuracy(network, subject, job.trial_accuracy, folder)
    facts = {"updates": trained.history[-1].update, "training_seconds": trained.history[-1].seconds}
    return {**subject.facts, "solved": trained.solved, **facts}


def measure_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Takes a trained network of the user; stores its weights, and a part of the table `trial_accuracy`.

    Raises:
        CheckpointError: the weights have changed since the study was planned.
    """
    del needs
    job = MeasureArguments.read(arguments)
    subject = Subject.of(job)
    report(Progress(0, 1, "trial accuracy"))
    network = subject.new_network("trained")
    if job.weights is not None:
        load_network(Path(job.weights), network)
    digest = tensors_digest(network) if job.weights is None else file_digest(Path(job.weights))
    if digest != job.digest:
        source = job.weights or job.network.kind
        raise CheckpointError(f"the weights of {source} have changed since the study was planned; run it again")
    save_network(folder / WEIGHTS, network, subject.columns)
    measured = _save_trial_accuracy(network, subject, job.trial_accuracy, folder)
    declared = [entry for entry in measured if entry.quantity in subject.task.quantities]
    accuracy = sum(entry.trial_accuracy for entry in declared) / len(declared)
    facts = {"trial_accuracy": accuracy, "target_accuracy": job.target_accuracy}
    return {**subject.facts, "solved": accuracy >= job.target_accuracy, **facts}


def _save_trial_accuracy(
    network: Network, subject: Subject, counts: TrialAccuracyCounts, folder: Path
) -> Sequence[TrialAccuracy]:
    quantities = subject.task.quantities
    last = max(quantities[-1], min(counts.extrapolate_to, subject.task.largest or math.inf))
    trials = generator(subject.seed, "behaviour")
    measured = trial_accuracy(
        network, subject.task, trials, each=counts.each, quantities=range(quantities[0], int(last) + 1)
    )
    save_part("trial_accuracy", ({**subject.columns, **asdict(row)} for row in measured), folder)
    return measured


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
