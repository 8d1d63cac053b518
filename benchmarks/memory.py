"""Peak memory: the resident set of a fresh process, and the part that was resident before.

`tracemalloc` does not see the tensors of torch, so each figure is measured in a separate process. The process makes its
networks and interventions, notes the resident memory, runs, and reads the peak (`VmHWM`) from the system; the peak that
`getrusage` reports includes that of the parent process. On a GPU the peak is that of the allocator of torch.
"""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.cases import ALGORITHM, BATCH, TASK, untrained_case
from benchmarks.measured_search import step_seconds
from benchmarks.plain import Plain
from benchmarks.pyvene_client import NOT_INSTALLED, pyvene
from benchmarks.rows import Row, Setting, peak_memory
from symscope.alignment.functions.fixed import random_frame
from symscope.interchange import draw_interventions
from symscope.networks import make_network
from symscope.seeds import generator
from symscope.training import TrainingOptions, train

D, K, TIMES = 128, 16, 3
MIB = 2**20


def rows(setting: Setting) -> Iterator[Row]:
    """MiB at the peak; in the note the memory that was resident before."""
    for name in MEASURED:
        measured = [_of_a_process(name, setting.device) for _ in range(TIMES)]
        before = sorted(before for _, before in measured)[len(measured) // 2]
        note = f"{before:,.0f} of it before" if setting.device == "cpu" else "allocator of torch on the GPU"
        yield Row.of(f"peak memory, {name}", [peak for peak, _ in measured], "MiB", note)
    case = untrained_case("gru", D, setting.device)
    with pyvene(case.network, {"train": case.interventions}, setting.device, 1) as server:
        if not server:
            yield Row.of("peak memory, pyvene", [float("nan")], "MiB", NOT_INSTALLED)
            return
        before = server("memory")["now"]
        server("start", k=K, learning_rate=1e-3, seed=0)
        server("steps", count=20, batch=BATCH)
        yield Row.of("peak memory, search, pyvene", [server("memory")["peak"]], "MiB", f"{before:,.0f} of it before")


def _of_a_process(name: str, device: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.memory", name, device]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak, before = printed.split()
    return float(peak), float(before)


def _search(fits: int) -> Callable[[str], Callable[[], object]]:
    def prepare(device: str) -> Callable[[], object]:
        case = untrained_case("gru", D, device)
        return lambda: step_seconds(case, K, fits, 20)

    return prepare


def _plain(device: str) -> Callable[[], object]:
    search = Plain(untrained_case("gru", D, device), random_frame(D, K, generator(0)).to(device))
    return lambda: search.steps(20)


def _training(device: str) -> Callable[[], object]:
    network = make_network("gru", D, len(TASK.vocabulary), generator(0)).to(device)
    return lambda: train(network, TASK, 0, TrainingOptions(epochs=5))


def _drawing(_: str) -> Callable[[], object]:
    return lambda: draw_interventions(ALGORITHM, ["count"], 12_000, generator(0))


MEASURED: dict[str, Callable[[str], Callable[[], object]]] = {
    "search, symscope, 1 fit": _search(1),
    "search, symscope, 16 fits": _search(16),
    "search, plain reference": _plain,
    "training, GRU, d = 128": _training,
    "drawing 12,000 interventions": _drawing,
}
"""The measured calls: each function prepares everything on a device and returns the call."""


def main(name: str, device: str) -> None:
    torch.set_num_threads(1)
    run = MEASURED[name](device)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize() / MIB
    run()
    print(torch.cuda.max_memory_allocated() / MIB if device == "cuda" else peak_memory(), before)


if __name__ == "__main__":
    main(*sys.argv[1:])
