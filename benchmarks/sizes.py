"""The same search step for more networks and sizes: the GRU and the two-layer transformer, d and k small and large."""

from collections.abc import Callable, Iterator

from benchmarks.cases import BATCH, Case, untrained_case
from benchmarks.floor import floor
from benchmarks.measured_search import step_seconds
from benchmarks.pyvene_client import Pyvene, pyvene
from benchmarks.rows import Row, Setting, ratios, reported_in_turns, threads
from benchmarks.search import agreement

KINDS = {"gru": "GRU", "transformer-rope": "transformer"}
SIZES = (20, 128, 512)
ROUND = 0.5
"""Seconds that a round of steps takes, approximately."""


def rows(setting: Setting) -> Iterator[Row]:
    """Milliseconds per step of one fit, with ratios to pyvene and to the floor, at the largest number of threads."""
    count = max(setting.threads)
    for kind, name in KINDS.items():
        for d in SIZES:
            case = untrained_case(kind, d, setting.device)
            sets = {"train": case.interventions}
            with threads(count), pyvene(case.network, sets, setting.device, count) as server:
                for k in sorted({1, 16, d // 2}):
                    agreement(case, k, server)
                    yield _row(f"{name}, d = {d}, k = {k}, threads: {count}", case, k, server, setting, count)


def _row(what: str, case: Case, k: int, server: Pyvene | None, setting: Setting, count: int) -> Row:
    calls: dict[str, Callable[[], float]] = {"symscope": _steps(lambda steps: step_seconds(case, k, 1, steps))}
    if server:
        server("start", k=k, learning_rate=1e-3, seed=0)
        calls["pyvene"] = _steps(lambda steps: server("steps", count=steps, batch=BATCH))
    took = reported_in_turns(calls, 5, warm_up=0)  # counting the steps was the warm-up
    at_least, _ = floor(case, k, count, setting.device)
    row = Row.of(what, [1e3 * seconds for seconds in took["symscope"]], "ms")
    notes = [f"floor {at_least:.3g} ms, {row.median / at_least:.3g} times"]
    if server:
        ratio = Row.of("", ratios(took["symscope"], took["pyvene"]), "x")
        slower = Row.of("", [1e3 * seconds for seconds in took["pyvene"]], "ms")
        notes.append(
            f"pyvene {slower.median:.3g} ms, {ratio.median:.3g} times ({ratio.minimum:.3g} to {ratio.maximum:.3g})"
        )
    return Row(row.what, row.median, row.minimum, row.maximum, row.unit, row.runs, "; ".join(notes))


def _steps(call: Callable[[int], float]) -> Callable[[], float]:
    """The call with as many steps as fit into a round."""
    call(1)
    steps = min(max(1, round(ROUND / call(1))), 60)
    return lambda: call(steps)
