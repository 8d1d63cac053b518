"""What is searched in: networks, and interventions on the count of Up-Down, drawn once for every side."""

from dataclasses import dataclass
from functools import cache

import torch

from benchmarks.rows import CACHE, Setting
from symscope.algorithms import make_algorithm
from symscope.interventions import Interventions, Prepared, draw_interventions, prepare
from symscope.networks import Network, make_network
from symscope.seeds import generator
from symscope.tasks import make_task
from symscope.training import TrainingOptions, load_network, save_network, train

TASK = make_task("multi-object")
ALGORITHM = make_algorithm("up-down", TASK)
BATCH, FEW = 128, 16


@dataclass(frozen=True)
class Case:
    """A frozen network, interventions to fit to, and a few to validate on where only steps are timed."""

    network: Network
    drawn: Interventions
    prepared: Prepared
    few: Prepared


@cache
def untrained_case(kind: str, d: int, device: str, count: int = 2_000) -> Case:
    """Fresh weights: what a step takes does not depend on what the network has learned."""
    network = make_network(kind, d, len(TASK.vocabulary), generator(0, "network")).requires_grad_(False).to(device)
    drawn = draw_interventions(ALGORITHM, ["count"], count, generator(0, "interventions"))
    few = draw_interventions(ALGORITHM, ["count"], FEW, generator(0, "few"))
    return Case(network, drawn, *(prepare(network, one, network.default_site) for one in (drawn, few)))


def trained_network(kind: str, d: int, setting: Setting) -> Network:
    """A network that solves the task; trained once and kept."""
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
