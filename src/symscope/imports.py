"""Import paths: classes and functions of the user, named in text as `package.module:Name`."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from symscope.errors import ImportPathError, InvalidArgumentError, UnknownNameError


def is_import_path(name: str) -> bool:
    """Whether a name is an import path, and not the name of a member of symscope."""
    return ":" in name


def import_object(path: str, what: str) -> Callable[..., Any]:
    """Imports the class or function at an import path. This runs the code of its module.

    Args:
        path: `package.module:Name`.
        what: the kind of object, for error messages.

    Raises:
        InvalidArgumentError: the text is not an import path, or the module raises an error while it is imported.
        ImportPathError: the module, or a module that it imports, does not exist here.
        UnknownNameError: the module has no class or function of that name.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name.isidentifier():
        raise InvalidArgumentError(f"{what} {path!r} is no import path: write 'package.module:Name'")
    module = _import_module(module_name, f"{what} {path!r} cannot be imported")
    value = getattr(module, name, None)
    if not callable(value):
        known = [key for key, entry in vars(module).items() if callable(entry) and not key.startswith("_")]
        raise UnknownNameError(f"{what} in {module_name}", name, known)
    return value


def _import_module(name: str, failure: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportPathError(
            f"{failure}: {error} (the folder in which you call symscope is searched first)"
        ) from error
    except Exception as error:
        raise InvalidArgumentError(f"{failure}: {type(error).__name__}: {error}") from error


def source_digest(path: str) -> str:
    """Hash of the source file that an import path names, for detecting changed code; "" if there is no such file.

    Files that this file imports are not included.
    """
    module = _import_module(path.partition(":")[0], f"{path!r} cannot be imported")
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else ""
