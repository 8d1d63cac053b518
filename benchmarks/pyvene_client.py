"""Starts `benchmarks/pyvene_server.py` in the environment of pyvene and sends requests to it.

`make bench` installs pyvene into `.venv-bench`. Where that is not possible, the environment does not exist and `pyvene`
gives None: the benchmark prints a message and leaves out the rows of pyvene.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from symscope.interchange import Interventions
from symscope.networks import Network

PYTHON, INSTALLED = Path(".venv-bench/bin/python"), Path(".venv-bench/.stamp-pyvene")
NOT_INSTALLED = "pyvene is not installed in .venv-bench: its rows are left out"


class Pyvene:
    """A running process with pyvene. Each request calls a method of the `Server` of a program of this folder."""

    def __init__(self, program: str = "pyvene_server.py") -> None:
        self.program = program
        self.process = subprocess.Popen(
            [PYTHON, Path(__file__).with_name(program)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __call__(self, method: str, **arguments: Any) -> Any:
        """Sends a request and waits for the result."""
        pipes = self.process.stdin, self.process.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        print(json.dumps({"method": method, **arguments}), file=pipes[0], flush=True)
        line = pipes[1].readline()
        if not line:
            raise RuntimeError(
                f"the process of pyvene ended at {method!r}; run benchmarks/{self.program} by hand to see why"
            )
        return json.loads(line)["result"]


@contextmanager
def pyvene(network: Network, sets: Mapping[str, Interventions], device: str, threads: int) -> Iterator[Pyvene | None]:
    """A process with pyvene, the weights of a network and sets of interventions; None where it is not installed."""
    if not INSTALLED.exists():
        yield None
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "case.safetensors"
        save_file(tensors_for_pyvene(network, sets), path)
        server = Pyvene()
        try:
            server("load", path=str(path), device=device, threads=threads)
            yield server
        finally:
            server.process.kill()
            server.process.wait()


def tensors_for_pyvene(network: Network, sets: Mapping[str, Interventions]) -> dict[str, Tensor]:
    """The weights, and the tokens, positions and targets of each set of interventions."""
    tensors = {f"network.{name}": weight.detach().cpu().contiguous() for name, weight in network.state_dict().items()}
    for name, interventions in sets.items():
        (source,) = interventions.sources
        given = {
            "base": interventions.base.inputs, "base_positions": interventions.base.position,
            "source": source.inputs, "source_positions": source.position, "fed": interventions.fed,
            "targets": interventions.targets, "target_mask": interventions.target_mask,
            "lengths": interventions.lengths,
        }  # fmt: skip
        tensors |= {f"{name}.{key}": value.contiguous() for key, value in given.items()}
    return tensors
