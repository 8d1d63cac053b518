"""What both stages of a study share: the network that a job is about, and the tables that it leaves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from symscope.analysis import make_table
from symscope.analysis.files import read_parquet
from symscope.errors import CheckpointError
from symscope.networks import Network
from symscope.seeds import generator
from symscope.studies.declaration import TaskChoice, build_network
from symscope.tasks import Task
from symscope.training import load_network, read_facts

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Subject:
    """The network that a job is about, and the columns that name it in every table."""

    task: Task
    task_label: str
    network: Mapping[str, Any]
    seed: int
    device: str

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> "Subject":
        """The subject of a job, from its arguments."""
        choice = TaskChoice.model_validate(arguments["task"])
        return cls(choice.make(), choice.label, arguments["network"], arguments["seed"], arguments["device"])

    @property
    def d(self) -> int:
        """Size of the state."""
        return self.network["d"]

    def fresh_network(self, purpose: str) -> Network:
        """A network with new weights, others for each purpose."""
        draws = generator(self.seed, "network", purpose)
        tokens, options = len(self.task.vocabulary), self.network["options"]
        return build_network(self.network["kind"], self.d, tokens, draws, options).to(self.device)

    def trained_network(self, needs: Mapping[str, Path]) -> Network:
        """The network with the weights that the training stage left."""
        path = next(iter(needs.values())) / WEIGHTS
        facts = read_facts(path)
        if self.columns.items() <= facts.items():
            return load_network(path, self.fresh_network("trained"))
        raise CheckpointError(f"{path} holds another network: {facts}, not {self.columns}")

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of every row about this network."""
        return {"task": self.task_label, "network": self.network["label"], "d": self.d, "seed": self.seed}

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest keeps about where a job ran."""
        name = torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else "cpu"
        return {"device": name, "threads": torch.get_num_threads()}


def part_file(name: str) -> str:
    """The file in which a job leaves its rows of a table."""
    return f"part.{name}.parquet"


def save_part(name: str, rows: Iterable[Mapping[str, object]], folder: Path) -> None:
    """Writes the rows that one job adds to a table of the study."""
    make_table(name, rows).write_parquet(folder / part_file(name))


def read_parts(name: str, folders: Iterable[Path]) -> pl.DataFrame | None:
    """A table of the study from the parts in these folders; `None` when none has one."""
    parts = [folder / part_file(name) for folder in folders]
    frames = [read_parquet(part) for part in parts if part.is_file()]
    return pl.concat(frames) if frames else None
