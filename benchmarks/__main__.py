"""`make bench`: what the hot paths take, as medians over several runs in one process.

Ratios are between rows of one run only. Threads: `OMP_NUM_THREADS`, default all cores.
"""

import platform
from collections.abc import Callable

import torch
from torch.utils.benchmark import Timer

from symscope.algorithms import make_algorithm
from symscope.alignment import Orthogonal, random_subspace
from symscope.alignment.search import _losses
from symscope.interventions import draw_interventions, join, prepare
from symscope.networks import make_network
from symscope.seeds import generator
from symscope.tasks import make_task
from symscope.training import next_token_loss

TASK = make_task("multi-object")
ALGORITHM = make_algorithm("up-down", TASK)
BATCH = 128


def median_ms(statement: Callable[[], object], seconds: float = 2.0) -> float:
    """Milliseconds a call: the median of as many runs as fit into the time."""
    return Timer("statement()", globals={"statement": statement}).blocked_autorange(min_run_time=seconds).median * 1e3


def draws() -> None:
    for name in ("multi-object", "multi-object-void", "same-object"):
        algorithm = make_algorithm("up-down", make_task(name))
        took = median_ms(lambda algorithm=algorithm: draw_interventions(algorithm, ["count"], 12_000, generator(0)))
        print(f"draw 12,000 interventions, {name}: {took:.0f} ms")


def training_updates() -> None:
    sequences = TASK.draw(TASK.draw_quantities(BATCH, generator(0), TASK.trained), generator(0))
    for kind in ("gru", "lstm", "transformer-rope"):
        for d in (20, 48, 128):
            network = make_network(kind, d, len(TASK.vocabulary), generator(0))
            took = median_ms(lambda n=network: next_token_loss(n, sequences, generator(0)).backward())
            print(f"training loss and gradient, {kind} d = {d}, batch {BATCH}: {took:.1f} ms")


def search_steps() -> None:
    for kind in ("gru", "transformer-rope"):
        for d in (20, 48, 128):
            network = make_network(kind, d, len(TASK.vocabulary), generator(0)).requires_grad_(False)
            drawn = draw_interventions(ALGORITHM, ["count"], BATCH, generator(0))
            rows = prepare(network, drawn, network.default_site)
            for fits in (1, 16):
                functions = [Orthogonal(random_subspace(d, 16, generator(fit)).write) for fit in range(fits)]
                many = join([rows] * fits)
                took = median_ms(lambda n=network, f=functions, r=many: _losses(n, f, r).sum().backward())
                print(f"search step, {kind} d = {d}, k = 16, batch {BATCH}, {fits} fits: {took:.1f} ms")


def main() -> None:
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    draws()
    training_updates()
    search_steps()


if __name__ == "__main__":
    main()
