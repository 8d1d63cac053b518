"""Networks with a known answer, and searches of them, that the tests of this folder share."""

import torch

from symscope.algorithms import UpDown
from symscope.alignment import AlignmentProblem, FixedMask, Orthogonal, SearchOptions, TrainingPool, align, search
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import change_basis, magnitude_network, random_orthogonal
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)
PLAIN = {"init": "principal-components", "latent_weight": 0.0, "more_restarts": 0}
"""A search that starts far from the answer, stops at the target, and is not repeated."""
QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=400, validate_every=50, restarts=3, patience=4, **PLAIN)
FEW = {"n_train": 1000, "n_validation": 200, "n_test": 400}
TINY = {"n_train": 60, "n_validation": 20, "n_test": 30}
BRIEF = SearchOptions(learning_rate=1e-3, steps=20, validate_every=10, batch=16, restarts=2, **PLAIN)


def hidden(d=6, seed=0):
    """The magnitude network in a rotated basis."""
    return change_basis(magnitude_network(**TASK.roles, d=d), random_orthogonal(d, generator(seed, "disguise")))


def scrambled(seed, d=6):
    """A network of the same architecture with random weights."""
    fresh = hidden(d).network
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.normal_(generator=generator(seed))
    return fresh


def cached(network, variable, count, purpose, algorithm=ALGORITHM):
    """Interventions on one variable, with the states of a network at its default site."""
    drawn = draw_interventions(algorithm, [variable], count, generator(0, variable, purpose))
    return cache_states(network, drawn, network.default_site)


def align_orthogonal(network, algorithm, variables, k, **options):
    """A search of the paper's map alone."""
    return align(network, algorithm, variables, k, **{"function": Orthogonal(), **options})


def problem(*variables, k, seed=0, function=None, mask=None, **options):
    """The search of variables in one map, in k dimensions each, on the sets of the same names."""
    mask = mask or FixedMask(tuple((variable, k) for variable in variables))
    return AlignmentProblem(variables, mask, function or Orthogonal(), seed, **options)


def searched(network, problems, sets, options):
    """Searches with training and validation interventions by name, `{name: (train, validation)}`."""
    train, validation = ({name: pair[part] for name, pair in sets.items()} for part in (0, 1))
    return search(network, problems, TrainingPool(network, train, {}, options.memory), validation, options)
