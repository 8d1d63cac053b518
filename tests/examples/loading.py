"""Loads an example, which is a script and no module of a package."""

import importlib.util
from pathlib import Path
from types import ModuleType


def load_example(name: str) -> ModuleType:
    """The example as a module, by the name of its file."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[2] / f"examples/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
