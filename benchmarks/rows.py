"""What a benchmark gives: rows, each a figure as the median over several runs.

A section of the bench is a function from a `Setting` to `Row`s, given one by one as they are measured; `__main__.py`
lists them. Whatever is compared is run in turns within one session (`in_turns`), so that a machine that slows down
slows all of them alike.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

CACHE = Path("out/bench")
"""Where a bench keeps what takes long to make: trained networks."""


@dataclass(frozen=True)
class Setting:
    """Where to measure.

    Attributes:
        device: "cpu" or "cuda".
        threads: numbers of threads to measure with, one after the other; each row says which in its `what`.
    """

    device: str
    threads: tuple[int, ...]

    def synchronize(self) -> None:
        """Waits until the device has done what it was told to do; a clock is read only after this."""
        if self.device == "cuda":
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Row:
    """One figure."""

    what: str
    median: float
    minimum: float
    maximum: float
    unit: str
    runs: int
    note: str = ""

    @classmethod
    def of(cls, what: str, values: Sequence[float], unit: str, note: str = "") -> "Row":
        """The row of several runs' values."""
        return cls(what, statistics.median(values), min(values), max(values), unit, len(values), note)

    def __str__(self) -> str:
        spread = f"{_figure(self.minimum)} to {_figure(self.maximum)}" if self.runs > 1 else ""
        return f"| {self.what} | {_figure(self.median)} | {spread} | {self.unit} | {self.runs} | {self.note} |"


HEAD = "| what | median | range | unit | runs | note |\n|---|---|---|---|---|---|"


def in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, setting: Setting, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call in each round; a round runs all of them, one after the other."""

    def seconds(call: Callable[[], object]) -> float:
        setting.synchronize()
        began = perf_counter()
        call()
        setting.synchronize()
        return perf_counter() - began

    return told_in_turns({name: partial(seconds, call) for name, call in calls.items()}, rounds, warm_up)


def told_in_turns(calls: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """The same for calls that time themselves: what each says in each round."""
    told: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(warm_up + rounds):
        for name, call in calls.items():
            value = call()
            if number >= warm_up:
                told[name].append(value)
    return told


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """How many times longer theirs took, round by round."""
    return [other / own for own, other in zip(ours, theirs, strict=True)]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for torch. (`torch.utils.benchmark.Timer` takes one unless told otherwise: not used here.)"""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _figure(value: float) -> str:
    """Three significant digits, without an exponent where a reader can do without."""
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e3 else f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.2g}"
