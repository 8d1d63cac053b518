"""Training by next-token prediction, and the behaviour of what was trained."""

from symscope.training.behaviour import Behaviour, behaviour, trials_correct
from symscope.training.checkpoints import load_network, save_network
from symscope.training.schedule import learning_rate
from symscope.training.trainer import Trained, TrainingOptions, Validation, next_token_loss, train

__all__ = [
    "Behaviour",
    "Trained",
    "TrainingOptions",
    "Validation",
    "behaviour",
    "learning_rate",
    "load_network",
    "next_token_loss",
    "save_network",
    "train",
    "trials_correct",
]
