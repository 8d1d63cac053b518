"""Networks and interventions that are measured: interventions on the count of Up-Down, drawn once for all methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch

from benchmarks.rows import CACHE, Setting
from symscope.algorithms import make_algorithm
from symscope.interchange import (
    CachedInterventions,
    CounterfactualData,
    Interventions,
    cache_states,
    draw_interventions,
)
from symscope.networks import Network, make_network
from symscope.seeds import generator
from symscope.tasks import make_task
from symscope.training import TrainingOptions, load_network, save_network, train

TASK = make_task("multi-object")
ALGORITHM = make_algorithm("up-down", TASK)
BATCH, FEW = 128, 16


@dataclass(frozen=True)
class Case:
    """A frozen network and interventions on it.

    Attributes:
        network: the network.
        interventions: the interventions to fit to.
        cached: the same with the states of the network.
        few: a few interventions to validate on, where only steps are timed.
    """

    network: Network
    interventions: Interventions
    cached: CachedInterventions
    few: CachedInterventions


@cache
def untrained_case(kind: str, d: int, device: str, count: int = 2_000) -> Case:
    """A case with fresh weights: the time of a step does not depend on what the network has learned."""
    network = make_network(kind, d, len(TASK.vocabulary), generator(0, "network")).requires_grad_(False).to(device)
    interventions = draw_interventions(ALGORITHM, ["count"], count, generator(0, "interventions"))
    few = draw_interventions(ALGORITHM, ["count"], FEW, generator(0, "few"))
    cached, few_cached = (cache_states(network, drawn, network.default_site) for drawn in (interventions, few))
    return Case(network, interventions, cached, few_cached)


def trained_network(kind: str, d: int, setting: Setting) -> Network:
    """A network that solves the task; it is trained once and kept in a file."""
    path = CACHE / f"{kind}-{d}.safetensors"
    network = make_network(kind, d, len(TASK.vocabulary), generator(0, "network"))
    if path.exists():
        load_network(path, network)
    else:
        torch.set_num_threads(max(setting.threads))
        history = train(network, TASK, seed=0, options=TrainingOptions(learning_rate=1e-3))
        if not history.solved:
            raise RuntimeError(f"the {kind} of d = {d} did not learn {TASK.name}; its searches mean nothing")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_network(path, network, {"task": TASK.name})
    return network.requires_grad_(False).to(setting.device)


def counterfactual_data(variables: Mapping[str, Mapping[str, Interventions]], seed: int) -> CounterfactualData:
    """Interventions by variable and split (train, validation, test) as the data of a fit, without anything else."""
    splits = {
        split: {name: drawn[split] for name, drawn in variables.items()} for split in ("train", "validation", "test")
    }
    return CounterfactualData(
        hypothesis=ALGORITHM.name,
        **splits,
        cause={},
        isolation={},
        seed=seed,
        uncut=None,
        vocabulary=len(TASK.vocabulary),
        value_names={variable.name: () for variable in ALGORITHM.variables},
    )
