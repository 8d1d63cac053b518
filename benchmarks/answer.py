"""From a trained network to an answer: seconds until the count is found with a test IIA of 0.95.

The clock starts with a trained GRU (d = 128) and stops when the test IIA is known. The time includes drawing the
interventions (to fit to, 1,000 to choose by, 1,000 to test on), the states, the start, the search with its validations,
how natural the rewritten states are, and the test. Each method has several learning rates, and its best one counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import nan
from statistics import median
from time import perf_counter
from typing import Any

import torch

from benchmarks.cases import ALGORITHM, BATCH, trained_network
from benchmarks.measured_search import Answer, answer
from benchmarks.pyvene_client import NOT_INSTALLED, Pyvene, pyvene
from benchmarks.rows import Row, Setting, ratios, threads
from benchmarks.stages import cost_of_controls, stages
from symscope.alignment import AlignmentFunction, Oblique, Orthogonal
from symscope.interchange import Interventions, draw_interventions
from symscope.networks import Network
from symscope.seeds import generator

D, K, TARGET_IIA = 128, 16, 0.95
SEEDS = range(3)
VALIDATION_TARGET, EVERY = 0.955, 30
"""symscope stops at this validation IIA, a little above the target, because it tests once; it validates every 30
steps."""
FEW, MANY = 2_000, 10_000
"""Interventions to fit to: the default of `align`, and the paper's number."""
N_VALIDATION = N_TEST = 1_000


@dataclass(frozen=True)
class Method:
    """A way from the network to an answer.

    Attributes:
        n_train: number of interventions to fit to.
        rates: learning rates, of which the best counts.
        function: the alignment function of symscope; `None`: pyvene.
        options: of the search of symscope.
    """

    n_train: int
    rates: tuple[float, ...]
    function: AlignmentFunction | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


SPAN, UNRESTRICTED = "in the natural span", "unrestricted"
PLAIN = {"target_iia": VALIDATION_TARGET, "validate_every": EVERY, "latent_weight": 0.0, "steps": 600}
METHODS = {
    SPAN: Method(FEW, (1e-2, 1.5e-2), Oblique(coordinates="natural-span"), PLAIN),
    f"{UNRESTRICTED}, 2,000 interventions": Method(FEW, (1e-2, 3e-2), Orthogonal(), PLAIN),
    f"{UNRESTRICTED}, as before": Method(MANY, (1e-2, 3e-2), Orthogonal(), {**PLAIN, "init": "principal-components"}),
    "pyvene, 2,000 interventions": Method(FEW, (1e-2, 2e-2)),
    "pyvene, 10,000 interventions": Method(MANY, (1e-2, 2e-2)),
}
DEFAULTS = {
    "oblique in the natural span": Oblique(coordinates="natural-span"),
    "orthogonal in the natural span": Orthogonal(coordinates="natural-span"),
}
"""The searches of `align` with its default options, which have a counterfactual-latent loss and no target."""


def draw(variable: str, seed: int, n_train: int = FEW) -> dict[str, Interventions]:
    """The interventions to fit to, to choose by and to test on."""
    counts = {"train": n_train, "validation": N_VALIDATION, "test": N_TEST}
    return {
        name: draw_interventions(ALGORITHM, [variable], count, generator(seed, "answer", variable, name))
        for name, count in counts.items()
    }


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds of each method, at the largest number of threads; ratios of the best; and where the seconds go."""
    count = max(setting.threads)
    network = trained_network("gru", D, setting)
    with threads(count):
        _session(network, setting, range(-1, 0))  # the first calls of a process take longer
        answers = _session(network, setting, SEEDS)
        yield from _by_rate(answers, count)
        yield from _defaults(network, count)
        yield from stages(network, draw, K, SEEDS)
        yield cost_of_controls(network, ALGORITHM, (4, 8), range(2))


def _by_rate(answers: Mapping[tuple[str, float], list[Answer]], count: int) -> Iterator[Row]:
    best: dict[str, list[float]] = {}
    for (name, rate), by_seed in answers.items():
        seconds, missed = [run.seconds for run in by_seed], sum(run.iia < TARGET_IIA for run in by_seed)
        note = f"steps {[run.steps for run in by_seed]}, test IIA {[round(run.iia, 3) for run in by_seed]}"
        if run_off := [run.off_span for run in by_seed if run.off_span is not None]:
            note += f", off-span share {max(run_off):.0%}"
        if missed:
            note += f"; {missed} below {TARGET_IIA}"
        if name not in best or median(seconds) < median(best[name]):
            best[name] = seconds if 2 * missed < len(by_seed) else best.get(name, seconds)
        yield Row.of(f"{name}, learning rate {rate:g}, threads: {count}", seconds, "s", note)
    of_pyvene = [seconds for name, seconds in best.items() if name.startswith("pyvene")]
    if not of_pyvene:
        yield Row.of("pyvene", [nan], "s", NOT_INSTALLED)
        return
    fastest = min(of_pyvene, key=median)
    for name, seconds in best.items():
        if not name.startswith("pyvene"):
            what = f"{name}: times fewer seconds than pyvene, each at its best"
            yield Row.of(what, ratios(seconds, fastest), "x", "target: 12, aim 20" if name == SPAN else "")


def _session(network: Network, setting: Setting, seeds: range) -> dict[tuple[str, float], list[Answer]]:
    """Answers by method and learning rate, one for each seed; all methods run for one seed before the next seed.

    pyvene draws no interventions: it gets those of symscope, and the time of drawing is added.
    """
    answers: dict[tuple[str, float], list[Answer]] = {}
    for seed in seeds:
        for n_train in sorted({method.n_train for method in METHODS.values()}):
            began = perf_counter()
            sets = draw("count", seed, n_train)
            drawing = perf_counter() - began
            with pyvene(network, sets, setting.device, torch.get_num_threads()) as server:
                for name, method in METHODS.items():
                    if method.n_train == n_train and (method.function is not None or server is not None):
                        for rate in method.rates if seed >= 0 else method.rates[:1]:
                            run = _run(network, sets, method, rate, seed, server)
                            done = answers.setdefault((name, rate), [])
                            done.append(run._replace(seconds=run.seconds + drawing))
    order = list(METHODS)
    return dict(sorted(answers.items(), key=lambda entry: order.index(entry[0][0])))


def _run(
    network: Network, sets: Mapping[str, Interventions], method: Method, rate: float, seed: int, server: Pyvene | None
) -> Answer:
    if method.function is not None:
        options = {**method.options, "learning_rate": rate}
        return answer(network, sets, "count", K, seed, function=method.function, **options)
    assert server is not None
    server("start", k=K, learning_rate=rate, seed=seed)
    return Answer(**server("search", batch=BATCH, max_steps=600, every=25, target_iia=TARGET_IIA))


def _defaults(network: Network, count: int) -> Iterator[Row]:
    """Seconds and IIA of the default searches, which look for natural alignments."""
    for name, function in DEFAULTS.items():
        runs = []
        for seed in SEEDS:
            began = perf_counter()
            sets = draw("count", seed)
            drawing = perf_counter() - began
            run = answer(network, sets, "count", K, seed, function=function)
            runs.append(run._replace(seconds=run.seconds + drawing))
        note = f"steps {[run.steps for run in runs]}, test IIA {[round(run.iia, 3) for run in runs]}; {runs[0].natural}"
        yield Row.of(f"default search, {name}, threads: {count}", [run.seconds for run in runs], "s", note)
