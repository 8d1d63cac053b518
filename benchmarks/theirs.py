"""Our side of pyvene's side: starts `benchmarks/pyvene_server.py` in its own environment and sends it orders.

`make bench` installs pyvene into `.venv-bench`. Where that is not possible there is no such environment, and `pyvene`
gives None: the bench says so and goes on without.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from symscope.interventions import Interventions
from symscope.networks import Network

PYTHON, INSTALLED = Path(".venv-bench/bin/python"), Path(".venv-bench/.stamp-pyvene")
WITHOUT = "pyvene is not installed in .venv-bench: its rows are left out"


class Pyvene:
    """A running process with pyvene. Each order is a method of `pyvene_server.Server`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [PYTHON, Path(__file__).with_name("pyvene_server.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __call__(self, order: str, **arguments: Any) -> Any:
        """Sends an order and waits for the answer."""
        pipes = self.process.stdin, self.process.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        print(json.dumps({"do": order, **arguments}), file=pipes[0], flush=True)
        answer = pipes[1].readline()
        if not answer:
            raise RuntimeError(
                f"pyvene's process ended at {order!r}; run benchmarks/pyvene_server.py by hand to see why"
            )
        return json.loads(answer)["answer"]


@contextmanager
def pyvene(network: Network, sets: dict[str, Interventions], device: str, threads: int) -> Iterator[Pyvene | None]:
    """pyvene with a network's weights and sets of interventions; None where it is not installed."""
    if not INSTALLED.exists():
        yield None
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "case.safetensors"
        save_file(exchanged(network, sets), path)
        server = Pyvene()
        try:
            server("load", path=str(path), device=device, threads=threads)
            yield server
        finally:
            server.process.kill()
            server.process.wait()


def exchanged(network: Network, sets: dict[str, Interventions]) -> dict[str, Tensor]:
    """What pyvene's side is given: the weights, and each set's tokens, cuts and what is scored."""
    tensors = {f"network.{name}": weight.detach().cpu().contiguous() for name, weight in network.state_dict().items()}
    for name, one in sets.items():
        given = {
            "base": one.base, "positions": one.base_positions,
            "source": one.source, "source_positions": one.source_positions,
            "continuation": one.continuation, "lengths": one.lengths, "scored": one.determined,
        }  # fmt: skip
        tensors |= {f"{name}.{key}": value.contiguous() for key, value in given.items()}
    return tensors
