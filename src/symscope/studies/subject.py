"""The network that a job concerns, and the table parts that a job leaves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from symscope.analysis import make_table
from symscope.analysis.tables import read_parquet, validate
from symscope.errors import CheckpointError
from symscope.networks import Network
from symscope.seeds import generator
from symscope.studies.arguments import NetworkArguments, SubjectArguments
from symscope.studies.choices import build_network
from symscope.tasks import Task
from symscope.training import load_network, read_facts

WEIGHTS = "network.safetensors"


@dataclass(frozen=True)
class Subject:
    """The network that a job concerns, on its task, with the columns that identify it in every table."""

    task: Task
    task_label: str
    network: NetworkArguments
    seed: int
    device: str

    @classmethod
    def of(cls, arguments: SubjectArguments) -> "Subject":
        """The subject of a job, from its arguments."""
        task = arguments.task
        return cls(task.make(), task.label, arguments.network, arguments.seed, arguments.device)

    def new_network(self, purpose: str) -> Network:
        """A network as its builder returns it; each purpose draws other initial weights."""
        return self._build(self.network.kind, purpose)

    def untrained_networks(self) -> list[Network]:
        """Two networks with initial weights, for the control; none where the builder returns a trained network."""
        builder = self.network.fresh or (None if self.network.trained else self.network.kind)
        purposes = () if builder is None else ("untrained", "untrained, another")
        return [self._build(str(builder), purpose) for purpose in purposes]

    def trained_network(self, needs: Mapping[str, Path]) -> Network:
        """The network with the weights that the training stage, or the measuring stage, has stored."""
        path = next(iter(needs.values())) / WEIGHTS
        facts = read_facts(path)
        if self.columns.items() <= facts.items():
            return load_network(path, self.new_network("trained"))
        raise CheckpointError(f"{path} holds another network: {facts}, not {self.columns}")

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of every row about this network."""
        return {"task": self.task_label, "network": self.network.label, "d": self.network.d, "seed": self.seed}

    @property
    def facts(self) -> dict[str, Any]:
        """Device and threads of a job, for its manifest."""
        return device_facts(self.device)

    def _build(self, kind: str, purpose: str) -> Network:
        draws = generator(self.seed, "network", purpose)
        tokens, options = len(self.task.vocabulary), self.network.options
        return build_network(kind, self.network.d, tokens, draws, options).to(self.device)


def device_facts(device: str) -> dict[str, Any]:
    """Device and threads of a job, for its manifest."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
    return {"device": name, "threads": torch.get_num_threads()}


def part_file(name: str) -> str:
    """The file with the rows that a job adds to a table."""
    return f"part.{name}.parquet"


def save_part(name: str, rows: Iterable[Mapping[str, object]], folder: Path) -> None:
    """Writes the rows that a job adds to a table of the study."""
    make_table(name, rows).write_parquet(folder / part_file(name))


def read_parts(name: str, folders: Iterable[Path]) -> pl.DataFrame | None:
    """A table of the study, from the parts in these folders; `None` where no folder has a part."""
    parts = [folder / part_file(name) for folder in folders]
    frames = [validate(name, read_parquet(part)) for part in parts if part.is_file()]
    return pl.concat(frames) if frames else None
