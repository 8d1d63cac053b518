"""symscope: does this neural network compute with this variable?

What a user subclasses, calls, saves, checks and catches is here. The stub `__init__.pyi` lists the names; each loads on
first use, so `import symscope` is fast.
"""

import ast
import importlib
from pathlib import Path
from typing import Any

__version__ = "0.2.0"
"""The version of the package; `pyproject.toml` reads it here."""

_MODULE_OF = {
    alias.name: node.module
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text("utf-8")).body
    if isinstance(node, ast.ImportFrom) and node.module
    for alias in node.names
}


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_MODULE_OF)
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'symscope' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*_MODULE_OF, "__version__"]
