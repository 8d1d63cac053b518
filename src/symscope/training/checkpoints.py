"""Files of networks: weights as safetensors, with facts as JSON in the header.

A file is written atomically, and its weights are loaded only into a network of the same architecture. Reading a file
never imports code.
"""

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from symscope.arguments import FilePath
from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.files import atomic_write
from symscope.networks import Network, network_from_config, require_network

RESERVED = ("kind", "architecture", "config")
"""Facts that `save_network` adds."""


def save_tensors(path: FilePath, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes tensors and JSON facts to a safetensors file; a tensor with several names is stored once.

    Args:
        path: the file; its folder is created if necessary.
        tensors: the tensors by name, on any device.
        facts: values that JSON can represent; numbers of numpy and torch are stored as plain numbers.
    """
    stored: dict[str, Tensor] = {}
    first_names: dict[Hashable, str] = {}
    tied: dict[str, str] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        first = first_names.setdefault(_memory(name, tensor), name)
        if first != name:
            tied[name] = first
            continue
        copy = tensor.detach().cpu().contiguous()
        if copy.untyped_storage().data_ptr() in storages:  # a different view of memory that is stored already
            copy = copy.clone()
        storages.add(copy.untyped_storage().data_ptr())
        stored[name] = copy
    header = {"facts": json.dumps(facts, sort_keys=True, default=_plain_number), "tied": json.dumps(tied)}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        save_file(stored, temporary, metadata=header)


def load_tensors(path: FilePath) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads the tensors and the facts that `save_tensors` wrote; tensors that were tied are the same object.

    Raises:
        CheckpointError: the file is missing, damaged, or was not written by symscope.
    """
    facts, tensors = _read(path, with_tensors=True)
    return tensors, facts


def read_facts(path: FilePath) -> dict[str, Any]:
    """Reads only the facts of a file, without its tensors; `CheckpointError` as for `load_tensors`."""
    facts, _ = _read(path, with_tensors=False)
    return facts


def _read(path: FilePath, *, with_tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(Path(path), "pt") as file:
            header = file.metadata() or {}
            facts, tied = json.loads(header["facts"]), json.loads(header.get("tied", "{}"))
            if not isinstance(facts, dict) or not isinstance(tied, dict):
                raise CheckpointError(f"{path} is damaged: its header is not a dictionary")
            if not with_tensors:
                return facts, {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            return facts, tensors | {name: tensors[first] for name, first in tied.items()}
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            f"{path} is damaged, or is not a checkpoint of symscope ({error}); if a run of symscope wrote "
            "it, delete it to start over"
        ) from error


def save_network(path: FilePath, network: nn.Module, facts: Mapping[str, Any] | None = None) -> None:
    """Writes the weights and the architecture of a network.

    Args:
        path: the file; its folder is created if necessary.
        network: the network; `load_network` can rebuild it if `make_network` made it.
        facts: further facts for the header, for example how the network was trained.

    Raises:
        InvalidArgumentError: `network` is not a network, or a fact has the name of one that this function adds.
    """
    network, facts = require_network(network), facts or {}
    reserved = [name for name in RESERVED if name in facts]
    if reserved:
        raise InvalidArgumentError(f"facts cannot have the names {', '.join(RESERVED)}, got {reserved[0]!r}")
    described = {"kind": "network", "architecture": network.architecture, "config": network.config}
    save_tensors(path, network.state_dict(), {**facts, **described})


def load_network(path: FilePath, network: nn.Module | None = None) -> Network:
    """Reads a network that `save_network` wrote.

    Args:
        path: the file.
        network: a network of the same architecture, whose weights are replaced; default: a new network on the CPU,
            which is possible if `make_network` made the network that was saved.

    Returns:
        The network. `read_facts` returns the facts of the file.

    Raises:
        CheckpointError: the file is missing or damaged, its content is not a network, it belongs to a different
            architecture, or it does not describe how to make a new network.
    """
    tensors, facts = load_tensors(path)
    kind = facts.get("kind", "network")
    if kind != "network":
        raise CheckpointError(f"{path} does not contain a network: its kind is {kind!r}")
    target = _rebuild(path, facts, tensors) if network is None else require_network(network)
    architecture = facts.get("architecture", target.architecture)
    if architecture != target.architecture:
        raise CheckpointError(f"{path} is of another architecture: {architecture}, not {target.architecture}")
    load_weights(target, tensors, path)
    return target


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], path: FilePath) -> None:
    """Copies weights into a network.

    Args:
        network: the network.
        tensors: values for all entries of its state dictionary.
        path: the file of the tensors, for error messages.

    Raises:
        CheckpointError: names or shapes differ, or weights that are tied in the network have different values.
    """
    weights = network.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    available = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != available:
        names = expected.keys() | available.keys()
        wrong = sorted(name for name in names if expected.get(name) != available.get(name))
        first = wrong[0]
        raise CheckpointError(
            f"{path} is of another architecture: {len(wrong)} weights differ, the first is {first!r} "
            f"(file: {available.get(first, 'absent')}, network: {expected.get(first, 'absent')})"
        )
    first_names: dict[Hashable, str] = {}
    for name, tensor in weights.items():
        first = first_names.setdefault(_memory(name, tensor), name)
        if first != name and not torch.equal(tensors[first], tensors[name]):
            raise CheckpointError(f"{path}: {first!r} and {name!r} are tied in the network, but differ in the file")
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(tensors[name])


def _rebuild(path: FilePath, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Network:
    """A new network as the facts describe it, with the floating-point type of the tensors."""
    config = facts.get("config")
    if config is None:
        raise CheckpointError(
            f"{path} does not describe how to make its network ({facts.get('architecture', 'no architecture')}): "
            f"make a network of the same architecture and pass it as `network`"
        )
    try:
        network = network_from_config(config)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} describes a network that cannot be made: {error}") from error
    types = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    return network.to(types.pop()) if len(types) == 1 else network


def _memory(name: str, tensor: Tensor) -> Hashable:
    """A key that is equal for tensors with the same memory and layout; a tensor without memory is equal to none."""
    if tensor.numel() == 0 or tensor.is_meta:
        return name
    start = tensor.untyped_storage().data_ptr()
    return tensor.device, start, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


def _plain_number(value: Any) -> Any:
    """A number of numpy or torch as a plain number, for JSON."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"facts must be JSON values, got {value!r} of type {type(value).__name__}")
