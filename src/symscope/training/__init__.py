"""Training by next-token prediction, and the trial accuracy of trained networks."""

from symscope.training.accuracy import TrialAccuracy, trial_accuracy, trials_correct
from symscope.training.checkpoints import load_network, save_network
from symscope.training.schedule import learning_rate
from symscope.training.trainer import Trained, TrainingOptions, Validation, next_token_loss, train

__all__ = [
    "Trained",
    "TrainingOptions",
    "TrialAccuracy",
    "Validation",
    "learning_rate",
    "load_network",
    "next_token_loss",
    "save_network",
    "train",
    "trial_accuracy",
    "trials_correct",
]
