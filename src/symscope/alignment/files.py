"""Alignment functions on disk: safetensors, what they are in the header. What is read swaps as before, bit for bit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from symscope.alignment.functions import KINDS, AlignmentFunction
from symscope.errors import CheckpointError, SymscopeError
from symscope.training.checkpoints import load_tensors, save_tensors


def save_functions(path: Path, functions: Mapping[str, AlignmentFunction], facts: Mapping[str, Any] = {}) -> None:
    """Writes alignment functions by name, their tensors as `<name>.<tensor>` (such as `count.write`), and facts."""
    tensors, described = {}, {}
    for name, function in functions.items():
        own = {id(entry): key for key, entry in (*function.named_parameters(), *function.named_buffers())}
        keys = [f"{name}.{own[id(tensor)]}" for tensor in function.tensors()]
        tensors |= dict(zip(keys, function.tensors(), strict=True))
        settings = dict(function.settings())
        described[name] = {
            "kind": type(function).__name__,
            "name": function.name,
            "settings": settings,
            "tensors": keys,
        }
    save_tensors(path, tensors, {**facts, "functions": described})


def load_functions(path: Path) -> tuple[dict[str, AlignmentFunction], dict[str, Any]]:
    """The functions in a file, fixed, and the facts that were kept with them.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else.
    """
    tensors, facts = load_tensors(path)
    try:
        functions = {}
        for name, entry in facts.pop("functions").items():
            own = [tensors[key] for key in entry["tensors"]]
            functions[name] = KINDS[entry["kind"]].from_tensors(entry["settings"], own).requires_grad_(False)
            functions[name].name = entry["name"]
    except (KeyError, TypeError, ValueError, SymscopeError) as error:
        raise CheckpointError(f"{path} does not hold alignment functions that can be read ({error!r})") from error
    return functions, facts
