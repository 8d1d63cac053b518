"""Checkpoints: weights and training state as safetensors, with what they belong to in the header.

A checkpoint is written whole or not at all, and read only into what it was written from.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from symscope.errors import CheckpointError
from symscope.networks import Network


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes tensors and JSON facts to one safetensors file, under a temporary name first."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        temporary,
        metadata={"facts": json.dumps(facts, sort_keys=True)},
    )
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_tensors` wrote; `CheckpointError` when it is missing, truncated or something else."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118  (not a mapping)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint of symscope ({error}); delete it to start over"
        ) from error


def save_network(path: Path, network: Network, facts: Mapping[str, Any]) -> None:
    """Writes a network's weights, its architecture, and facts about it (how it was trained, say)."""
    save_tensors(path, network.state_dict(), {**facts, "architecture": network.architecture})


def load_network(path: Path, network: Network) -> dict[str, Any]:
    """Reads weights into a network of the same architecture and returns the facts kept with them.

    Raises:
        CheckpointError: the file is damaged, or its weights are those of another architecture.
    """
    tensors, facts = load_tensors(path)
    theirs = facts.get("architecture", network.architecture)  # weights from elsewhere may not say
    if theirs != network.architecture:
        raise CheckpointError(f"{path} is of another architecture: {theirs}, not {network.architecture}")
    load_weights(network, tensors, path)
    return facts


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copies weights into a network; `CheckpointError` names what does not fit."""
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if own != theirs:
        wrong = sorted(name for name in own.keys() | theirs.keys() if own.get(name) != theirs.get(name))
        first = wrong[0]
        raise CheckpointError(
            f"{path} is of another architecture: {len(wrong)} weights differ, the first is {first!r} "
            f"(file: {theirs.get(first, 'absent')}, network: {own.get(first, 'absent')})"
        )
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(tensors[name])
