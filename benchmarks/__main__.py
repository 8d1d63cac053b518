"""`make bench`: time and memory of the main computations, compared with other methods. See `docs/benchmarks.md`.

`make bench ARGS="search"` runs one section; `ARGS="search --threads 1 2"` sets the numbers of threads.
"""

import argparse
import importlib
import os
import platform
from collections.abc import Sequence
from math import nan
from pathlib import Path
from time import perf_counter

import torch

from benchmarks.rows import HEAD, Setting

SECTIONS = {
    "search": "a search step, GRU, d = 128, k = 16, orthogonal, batch 128",
    "answer": "from a trained network to a test IIA of 0.95 for the count",
    "starts": "effect of the start of a search",
    "causal_lm": "a search step in SmolLM2-135M, layer 15, last of 9 tokens, k = 16, orthogonal, batch 32",
    "sizes": "a search step of one fit at several sizes, orthogonal, batch 128",
    "drawing": "drawing 12,000 interventions",
    "training": "an update of training, batch 128",
    "memory": "peak memory of a fresh process",
    "explorer": "swaps in the page of the explorer, and its size",
    "runner": "the runner, with jobs that do no work",
}
"""Section and its title; the function `rows(setting)` of module `benchmarks.SECTION` yields its rows."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Time and memory of the main computations.")
    parser.add_argument("sections", nargs="*", help=f"any of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, os.cpu_count() or 1)}))
    given = parser.parse_args(arguments)
    unknown = [name for name in given.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]!r}; choose from {', '.join(SECTIONS)}")
    setting = Setting(given.device, tuple(given.threads))
    print(f"{machine(setting)}\n")
    for name in given.sections or SECTIONS:
        print(f"## {SECTIONS[name]}\n\n{HEAD}", flush=True)
        began, busy, ours = perf_counter(), _busy(), _this_process()
        for row in importlib.import_module(f"benchmarks.{name}").rows(setting):
            print(row, flush=True)
        took, others = perf_counter() - began, _busy() - busy - (_this_process() - ours)
        share = max(others, 0) / (took * (os.cpu_count() or 1))
        print(f"\n{took:.0f} s; other processes used {share:.0%} of the processors meanwhile\n", flush=True)


def _busy() -> float:
    """Busy seconds of all processors since the start of the machine; NaN where the system does not report them."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return nan
    user, nice, system = stat.read_text().split(maxsplit=4)[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def _this_process() -> float:
    """Processor seconds of this process and of its ended children."""
    times = os.times()
    return sum(times[:4])


def machine(setting: Setting) -> str:
    """The processor, the number of cores and the versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    words = [
        f"{processor}, {os.cpu_count()} cores",
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
    ]
    if setting.device == "cuda":
        words.insert(0, torch.cuda.get_device_name())
    return ", ".join(words)


if __name__ == "__main__":
    main()
