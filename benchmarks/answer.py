"""From a trained network to an answer: seconds until the count is found with a test IIA of 0.95.

The clock starts with a trained GRU (d = 128) and stops when the test IIA is known. The time includes drawing the
interventions (10,000 to fit to, 1,000 to choose by, 1,000 to test on), the states, the search with its validations, and
the test. Each method has three learning rates. Searches start at random unless the row names another start.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from statistics import median
from time import perf_counter
from typing import Any

import torch

from benchmarks.cases import ALGORITHM, BATCH, trained_network
from benchmarks.measured_search import Answer, answer
from benchmarks.pyvene_client import NOT_INSTALLED, Pyvene, pyvene
from benchmarks.rows import Row, Setting, ratios, threads
from symscope.interchange import Interventions, draw_interventions
from symscope.networks import Network
from symscope.seeds import generator

D, K, TARGET_IIA = 128, 16, 0.95
COUNTS = {"train": 10_000, "validation": 1_000, "test": 1_000}
RATES = (1e-3, 1e-2, 3e-2)
SEEDS = range(3)
VALIDATION_TARGET, EVERY = 0.96, 25
"""symscope stops at this validation IIA, a little above the target, because it tests once; it validates every 25
steps."""
STARTS: dict[str, dict[str, Any]] = {
    "3 restarts, the first at principal components": {"restarts": 3, "init": "principal-components"},
    "1 restart at principal components": {"restarts": 1, "init": "principal-components"},
    "1 restart at random": {"restarts": 1, "init": "random"},
}
WARM_UP, PYVENE = "1 restart at random", "pyvene"


def draw(variable: str, seed: int) -> dict[str, Interventions]:
    """The interventions to fit to, to choose by and to test on."""
    return {
        name: draw_interventions(ALGORITHM, [variable], count, generator(seed, "answer", variable, name))
        for name, count in COUNTS.items()
    }


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds for each method and learning rate, at the largest number of threads, and the ratios of the best."""
    count = max(setting.threads)
    network = trained_network("gru", D, setting)
    with threads(count):
        _session(network, setting, range(-1, 0), {"warm-up": STARTS[WARM_UP]}, (max(RATES),))
        answers = _session(network, setting, SEEDS, STARTS, RATES)
    best: dict[str, list[float]] = {}
    for (name, rate), by_seed in answers.items():
        seconds, missed = [run.seconds for run in by_seed], sum(run.iia < TARGET_IIA for run in by_seed)
        note = f"steps {[run.steps for run in by_seed]}, test IIA {[round(run.iia, 3) for run in by_seed]}"
        if missed:
            note += f"; {missed} below {TARGET_IIA}: excluded"
        elif name not in best or median(seconds) < median(best[name]):
            best[name] = seconds
        yield Row.of(f"{name}, learning rate {rate:g}, threads: {count}", seconds, "s", note)
    of_pyvene = best.pop(PYVENE, None)
    if of_pyvene is None:
        yield Row.of(PYVENE, [nan], "s", NOT_INSTALLED)
        return
    for name, seconds in best.items():
        what = f"{name}: times fewer seconds than pyvene, each at its best rate"
        yield Row.of(what, ratios(seconds, of_pyvene), "x", "target: 20")


def _session(
    network: Network, setting: Setting, seeds: range, starts: Mapping[str, Mapping[str, Any]], rates: Sequence[float]
) -> dict[tuple[str, float], list[Answer]]:
    """Answers by method and learning rate, one for each seed; all methods run for one seed before the next seed."""
    answers: dict[tuple[str, float], list[Answer]] = {}
    for seed in seeds:
        began = perf_counter()
        sets = draw("count", seed)
        drawing = perf_counter() - began
        with pyvene(network, sets, setting.device, torch.get_num_threads()) as server:
            for rate in rates:
                runs = {name: _symscope(network, sets, seed, rate, options) for name, options in starts.items()}
                if server:
                    runs[PYVENE] = _pyvene(server, seed, rate)
                for name, run in runs.items():
                    answers.setdefault((name, rate), []).append(run._replace(seconds=run.seconds + drawing))
    return dict(sorted(answers.items(), key=lambda entry: [*starts, PYVENE].index(entry[0][0])))


def _symscope(
    network: Network, sets: Mapping[str, Interventions], seed: int, rate: float, options: Mapping[str, Any]
) -> Answer:
    return answer(
        network,
        sets,
        "count",
        K,
        seed,
        learning_rate=rate,
        target_iia=VALIDATION_TARGET,
        validate_every=EVERY,
        **options,
    )


def _pyvene(server: Pyvene, seed: int, rate: float) -> Answer:
    server("start", k=K, learning_rate=rate, seed=seed)
    return Answer(**server("search", batch=BATCH, max_steps=1500, every=50, target_iia=TARGET_IIA))
