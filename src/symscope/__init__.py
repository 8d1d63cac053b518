"""symscope: does this neural network compute with this variable?

The line of a study, each room importable on its own: `tasks`, `algorithms`, `networks`, `training`,
`interventions`, `alignment`. What most work needs is here.
"""

from symscope.algorithms import make_algorithm
from symscope.alignment import Evidence, SearchOptions, find
from symscope.networks import make_network
from symscope.seeds import generator
from symscope.tasks import make_task
from symscope.training import TrainingOptions, load_network, save_network, train, trial_accuracy

__all__ = [
    "Evidence",
    "SearchOptions",
    "TrainingOptions",
    "find",
    "generator",
    "load_network",
    "make_algorithm",
    "make_network",
    "make_task",
    "save_network",
    "train",
    "trial_accuracy",
]
