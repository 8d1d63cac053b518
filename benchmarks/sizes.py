"""The same search step for other networks and sizes: the GRU and the two-layer transformer, d and k small and large."""

from collections.abc import Callable, Iterator

from benchmarks.cases import BATCH, Case, untrained_case
from benchmarks.floor import floor
from benchmarks.ours import step_seconds
from benchmarks.rows import Row, Setting, ratios, threads, told_in_turns
from benchmarks.search import agreement
from benchmarks.theirs import Pyvene, pyvene

KINDS = {"gru": "GRU", "transformer-rope": "transformer"}
SIZES = (20, 128, 512)
ROUND = 0.5
"""Seconds that a round of steps is to take, about."""


def rows(setting: Setting) -> Iterator[Row]:
    """Milliseconds a step of one fit, with the ratios to pyvene and to the floor, at the largest number of threads."""
    count = max(setting.threads)
    for kind, name in KINDS.items():
        for d in SIZES:
            case = untrained_case(kind, d, setting.device)
            sets = {"train": case.drawn}
            with threads(count), pyvene(case.network, sets, setting.device, count) as theirs:
                for k in sorted({1, 16, d // 2}):
                    agreement(case, k, theirs)
                    yield _row(f"{name}, d = {d}, k = {k}, threads: {count}", case, k, theirs, setting, count)


def _row(what: str, case: Case, k: int, theirs: Pyvene | None, setting: Setting, count: int) -> Row:
    calls: dict[str, Callable[[], float]] = {"ours": _steps(lambda steps: step_seconds(case, k, 1, steps))}
    if theirs:
        theirs("start", k=k, learning_rate=1e-3, seed=0)
        calls["pyvene"] = _steps(lambda steps: theirs("steps", count=steps, batch=BATCH))
    took = told_in_turns(calls, 5, warm_up=0)  # counting the steps was one
    at_least, _ = floor(case, k, count, setting.device)
    row = Row.of(what, [1e3 * seconds for seconds in took["ours"]], "ms")
    notes = [f"floor {at_least:.3g} ms, {row.median / at_least:.3g} times"]
    if theirs:
        slower = Row.of("", ratios(took["ours"], took["pyvene"]), "x")
        other = Row.of("", [1e3 * seconds for seconds in took["pyvene"]], "ms")
        notes.append(
            f"pyvene {other.median:.3g} ms, {slower.median:.3g} times ({slower.minimum:.3g} to {slower.maximum:.3g})"
        )
    return Row(row.what, row.median, row.minimum, row.maximum, row.unit, row.runs, "; ".join(notes))


def _steps(call: Callable[[int], float]) -> Callable[[], float]:
    """The call with as many steps as fit into a round."""
    call(1)
    steps = min(max(1, round(ROUND / call(1))), 60)
    return lambda: call(steps)
