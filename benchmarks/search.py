"""A search step of symscope, of pyvene at its best, of the plain reference, and the floor; 1 fit, and 16 in one batch.

Setting: GRU with d = 128, batch 128, an orthogonal frame of k = 16 dimensions, the count of Up-Down.
"""

from collections.abc import Callable, Iterator

import torch

from benchmarks.cases import BATCH, Case, untrained_case
from benchmarks.floor import floor
from benchmarks.measured_search import loss, step_seconds
from benchmarks.plain import Plain
from benchmarks.pyvene_client import NOT_INSTALLED, Pyvene, pyvene
from benchmarks.rows import Row, Setting, in_turns, ratios, reported_in_turns, threads
from symscope.alignment.functions.fixed import random_frame
from symscope.networks import RecurrentNetwork
from symscope.seeds import generator

D, K, MANY = 128, 16, 16
TOLERANCE = 1e-4
"""Largest difference between losses of the same interventions with the same frame, in nats."""


def rows(setting: Setting) -> Iterator[Row]:
    """Milliseconds per step, ratios and the floor, for each number of threads."""
    case = untrained_case("gru", D, setting.device)
    for count in setting.threads:
        with threads(count), pyvene(case.network, {"train": case.interventions}, setting.device, count) as server:
            if count == setting.threads[0]:
                yield agreement(case, K, server)
            yield from _steps(case, server, setting, count)


def agreement(case: Case, k: int, server: Pyvene | None) -> Row:
    """Compares the loss of all methods before anything is timed."""
    states = case.cached.base_states
    frame = random_frame(states.shape[1], k, generator(0, "frame")).to(states.device)
    ours, others = loss(case, frame, BATCH), []
    if isinstance(case.network, RecurrentNetwork):
        others.append(float(Plain(case, frame).loss(torch.arange(BATCH)).detach()))
    if server:
        server("start", k=k, learning_rate=1e-3, seed=0, frame=frame.tolist())
        others.append(server("loss", rows=BATCH))
    differences = [abs(value - ours) for value in others]
    if not all(difference < TOLERANCE for difference in differences):
        raise RuntimeError(f"the methods compute different losses: symscope {ours}, others {others}")
    note = f"symscope {ours:.6f}; plain reference and pyvene, same interventions, same frame"
    return Row.of(
        "largest difference of the losses", [max(differences, default=0.0)], "nats", note if server else NOT_INSTALLED
    )


def _steps(case: Case, server: Pyvene | None, setting: Setting, count: int) -> Iterator[Row]:
    plain = Plain(case, random_frame(D, K, generator(0)).to(setting.device))
    calls: dict[str, Callable[[], float]] = {
        "symscope": lambda: step_seconds(case, K, 1, 40),
        "symscope, 16 fits": lambda: step_seconds(case, K, MANY, 6),
        "plain reference": lambda: in_turns({"": lambda: plain.steps(1)}, 1, setting, warm_up=0)[""][0],
    }
    if server:
        server("start", k=K, learning_rate=1e-3, seed=0)
        calls["pyvene"] = lambda: server("steps", count=10, batch=BATCH)
        calls["pyvene, base states cached outside it"] = lambda: server("steps", count=10, batch=BATCH, cached=True)
    took = reported_in_turns(calls, 9, warm_up=2)
    at_least, sum_in_words = floor(case, K, count, setting.device)
    where = f"threads: {count}"
    for name, seconds in took.items():
        yield Row.of(f"a step, {name}, {where}", [1e3 * value for value in seconds], "ms")
    yield Row.of(f"floor of a step of one fit, {where}", [at_least], "ms", sum_in_words)
    for name, fits in (("symscope", 1), ("symscope, 16 fits", MANY)):
        of_floor = [1e3 * value / fits / at_least for value in took[name]]
        yield Row.of(f"{name}: times the floor, {where}", of_floor, "x", "target: at most 2.5")
        for method, target in (("pyvene", 12 if fits == 1 else 20), ("plain reference", None)):
            if method in took:
                faster = ratios([value / fits for value in took[name]], took[method])
                note = f"target: at least {target}" if target else ""
                yield Row.of(f"{name}: times the fit steps per second of {method}, {where}", faster, "x", note)
