"""What a declaration names: one of ours by its name, or anyone's by import path, `package.module:Name`."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from symscope.errors import InvalidArgumentError, UnknownNameError


def is_import_path(name: str) -> bool:
    """Whether a name means something of the user's own."""
    return ":" in name


def imported(path: str, what: str) -> Callable[..., Any]:
    """The class or function at an import path.

    Args:
        path: `package.module:Name`.
        what: what it is, for errors.

    Raises:
        InvalidArgumentError: the module cannot be imported, or its import fails.
        UnknownNameError: there is nothing callable of that name in it.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name.isidentifier():
        raise InvalidArgumentError(f"{what} {path!r} is no import path: write 'package.module:Name'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InvalidArgumentError(
            f"{what} {path!r} cannot be imported: {error} (the folder in which you call symscope is searched first)"
        ) from error
    except Exception as error:
        raise InvalidArgumentError(f"{what} {path!r} cannot be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UnknownNameError(f"{what} in {module_name}", name, known)
    return found


def fingerprint(path: str) -> str:
    """A hash of the source file of what an import path names: with other code, results are others.

    What that file imports itself is not looked at.
    """
    module = importlib.import_module(path.partition(":")[0])
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else ""
