"""Rows of a benchmark: each is a figure, the median over several runs.

A section is a function from a `Setting` to `Row`s, which it yields as they are measured; `__main__.py` lists the
sections. Methods that are compared run in turns within one session (`in_turns`), so a machine that slows down slows
all of them.
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
"""Folder for trained networks."""


@dataclass(frozen=True)
class Setting:
    """Where to measure.

    Attributes:
        device: "cpu" or "cuda".
        threads: numbers of threads to measure with; each row names its number in `what`.
    """

    device: str
    threads: tuple[int, ...]

    def synchronize(self) -> None:
        """Waits until the device has finished its work; a clock is read only after this."""
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
        """The row for the values of several runs."""
        return cls(what, statistics.median(values), min(values), max(values), unit, len(values), note)

    def __str__(self) -> str:
        spread = f"{_figure(self.minimum)} to {_figure(self.maximum)}" if self.runs > 1 else ""
        return f"| {self.what} | {_figure(self.median)} | {spread} | {self.unit} | {self.runs} | {self.note} |"


HEAD = "| what | median | range | unit | runs | note |\n|---|---|---|---|---|---|"


def in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, setting: Setting, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call in each round; a round runs all calls, one after another."""

    def seconds(call: Callable[[], object]) -> float:
        setting.synchronize()
        began = perf_counter()
        call()
        setting.synchronize()
        return perf_counter() - began

    return reported_in_turns({name: partial(seconds, call) for name, call in calls.items()}, rounds, warm_up)


def reported_in_turns(
    calls: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """The same for calls that return their time: the value of each call in each round."""
    reported: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(warm_up + rounds):
        for name, call in calls.items():
            value = call()
            if number >= warm_up:
                reported[name].append(value)
    return reported


def ratios(seconds: Sequence[float], seconds_of_another: Sequence[float]) -> list[float]:
    """How many times longer the second method took, round by round."""
    return [slower / faster for faster, slower in zip(seconds, seconds_of_another, strict=True)]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """The number of threads of torch. (`torch.utils.benchmark.Timer` sets it to one by default, so it is not used.)"""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def peak_memory() -> float:
    """Peak resident memory of this process, in MiB; that of `getrusage` includes the parent process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _figure(value: float) -> str:
    """Three significant digits, without an exponent where possible."""
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e3 else f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.2g}"
