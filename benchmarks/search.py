"""A search step: ours, pyvene's at its best, the plain reference, and the floor; for one fit, and for 16 side by side.

Setting: GRU with d = 128, batch 128, an orthogonal frame of k = 16 dimensions, the count of Up-Down.
"""

from collections.abc import Callable, Iterator

import torch

from benchmarks.cases import BATCH, Case, untrained_case
from benchmarks.floor import floor
from benchmarks.ours import loss, step_seconds
from benchmarks.plain import Plain
from benchmarks.rows import Row, Setting, in_turns, ratios, threads, told_in_turns
from benchmarks.theirs import WITHOUT, Pyvene, pyvene
from symscope.alignment import random_subspace
from symscope.networks import RecurrentNetwork
from symscope.seeds import generator

D, K, MANY = 128, 16, 16
SAME = 1e-4
"""Losses of the same interventions with the same frame differ by less than this, in nats."""


def rows(setting: Setting) -> Iterator[Row]:
    """Milliseconds a step, ratios and the floor, for each number of threads."""
    case = untrained_case("gru", D, setting.device)
    for count in setting.threads:
        with threads(count), pyvene(case.network, {"train": case.drawn}, setting.device, count) as theirs:
            if count == setting.threads[0]:
                yield agreement(case, K, theirs)
            yield from _steps(case, theirs, setting, count)


def agreement(case: Case, k: int, theirs: Pyvene | None) -> Row:
    """The same loss on every route, before anything is timed."""
    device = case.prepared.source.device
    frame = random_subspace(case.prepared.source.shape[1], k, generator(0, "frame")).write.to(device)
    own, others = loss(case, frame, BATCH), []
    if isinstance(case.network, RecurrentNetwork):
        others.append(float(Plain(case, frame).loss(torch.arange(BATCH)).detach()))
    if theirs:
        theirs("start", k=k, learning_rate=1e-3, seed=0, frame=frame.tolist())
        others.append(theirs("loss", rows=BATCH))
    apart = [abs(other - own) for other in others]
    if not all(one < SAME for one in apart):
        raise RuntimeError(f"the routes compute different losses: ours {own}, others {others}")
    note = f"ours {own:.6f}; plain reference and pyvene, same interventions, same frame" if theirs else WITHOUT
    return Row.of("largest difference of the losses", [max(apart, default=0.0)], "nats", note)


def _steps(case: Case, theirs: Pyvene | None, setting: Setting, count: int) -> Iterator[Row]:
    plain = Plain(case, random_subspace(D, K, generator(0)).write.to(setting.device))
    told: dict[str, Callable[[], float]] = {
        "ours": lambda: step_seconds(case, K, 1, 40),
        "ours, 16 fits": lambda: step_seconds(case, K, MANY, 6),
        "plain reference": lambda: in_turns({"": lambda: plain.steps(1)}, 1, setting, warm_up=0)[""][0],
    }
    if theirs:
        theirs("start", k=K, learning_rate=1e-3, seed=0)
        told["pyvene"] = lambda: theirs("steps", count=10, batch=BATCH)
        told["pyvene, base states cached outside it"] = lambda: theirs("steps", count=10, batch=BATCH, cached=True)
    took = told_in_turns(told, 9, warm_up=2)
    at_least, sum_in_words = floor(case, K, count, setting.device)
    where = f"threads: {count}"
    for name, seconds in took.items():
        yield Row.of(f"a step, {name}, {where}", [1e3 * value for value in seconds], "ms")
    yield Row.of(f"floor of a step of one fit, {where}", [at_least], "ms", sum_in_words)
    for name, fits in (("ours", 1), ("ours, 16 fits", MANY)):
        of_floor = [1e3 * value / fits / at_least for value in took[name]]
        yield Row.of(f"{name}: times the floor, {where}", of_floor, "x", "target: at most 2.5")
        for other, target in (("pyvene", 12 if fits == 1 else 20), ("plain reference", None)):
            if other in took:
                faster = ratios([value / fits for value in took[name]], took[other])
                note = f"target: at least {target}" if target else ""
                yield Row.of(f"{name}: times the fit steps a second of {other}, {where}", faster, "x", note)
