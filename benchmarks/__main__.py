"""`make bench`: time and memory of the hot paths, beside other routes to the same result. See `docs/benchmarks.md`.

`make bench ARGS="search"` runs one section, `ARGS="search --threads 1 2"` says with how many threads.
"""

import argparse
import importlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.rows import HEAD, Setting

SECTIONS = {
    "drawing": "drawing 12,000 interventions",
    "training": "training",
}
"""Section to its title; module `benchmarks.SECTION` has a function `rows(setting)` that gives its rows."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="What the hot paths take.")
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, os.cpu_count() or 1)}))
    given = parser.parse_args(arguments)
    unknown = [name for name in given.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    setting = Setting(given.device, tuple(given.threads))
    print(f"{machine(setting)}\n")
    for name in given.sections or SECTIONS:
        print(f"## {SECTIONS[name]}\n\n{HEAD}", flush=True)
        for row in importlib.import_module(f"benchmarks.{name}").rows(setting):
            print(row, flush=True)
        print()


def machine(setting: Setting) -> str:
    """The machine and the versions, in words."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
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
