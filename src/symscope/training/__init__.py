"""Training by next-token prediction, trial accuracy, and files of networks."""

from symscope.training.accuracy import TrialAccuracy, trial_accuracy, trials_correct
from symscope.training.checkpoints import load_network, read_facts, save_network
from symscope.training.trainer import Trained, TrainingOptions, Validation, learning_rate, next_token_loss, train

__all__ = [
    "Trained",
    "TrainingOptions",
    "TrialAccuracy",
    "Validation",
    "learning_rate",
    "load_network",
    "next_token_loss",
    "read_facts",
    "save_network",
    "train",
    "trial_accuracy",
    "trials_correct",
]
