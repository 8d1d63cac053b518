"""The first stage of a study: train one network, and measure its behaviour."""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.common import WEIGHTS, Subject, save_part
from symscope.training import TrainingOptions, Validation, save_network, train, trial_accuracy
from symscope.training.trainer import UPDATES_AN_EPOCH


def train_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Trains the network; leaves its weights, its checkpoints, and parts of the tables `training` and `behaviour`."""
    subject = Subject.of(arguments)
    options = TrainingOptions(**arguments["training"])
    network = subject.fresh_network("trained")
    scratch = folder / "scratch"

    def tell(seen: Validation) -> None:
        shown = {"loss": seen.loss, "trained": seen.trained_accuracy, "held out": seen.held_out_accuracy}
        report(Progress(seen.update, options.epochs * UPDATES_AN_EPOCH, "training", shown))

    trained = train(network, subject.task, subject.seed, options, folder=scratch, on_validation=tell)
    save_network(folder / WEIGHTS, network, subject.columns)
    for checkpoint in sorted(scratch.glob("epoch-*.safetensors")):
        shutil.copy2(checkpoint, folder)  # not moved: scratch alone outlives an interruption

    history = ({**subject.columns, **_without_nan(asdict(seen))} for seen in trained.history)
    save_part("training", history, folder)
    counts = arguments["behaviour"]
    last = max(subject.task.quantities[-1], min(counts["extrapolate_to"], subject.task.largest or math.inf))
    quantities = range(subject.task.quantities[0], int(last) + 1)
    trials = generator(subject.seed, "behaviour")
    shown = trial_accuracy(network, subject.task, trials, each=counts["each"], quantities=quantities)
    save_part("trial_accuracy", ({**subject.columns, **asdict(row)} for row in shown), folder)
    facts = {"updates": trained.history[-1].update, "training_seconds": trained.history[-1].seconds}
    return {**subject.facts, "solved": trained.solved, **facts}


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
