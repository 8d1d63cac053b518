"""The public face: every name loads, and importing symscope is cheap."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import symscope as sc


def run_python(code):
    """What a fresh Python process prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", sc.__all__)
def test_every_public_name_loads(name):
    value = getattr(sc, name)
    assert value is not None
    assert name in dir(sc)


def test_the_stub_lists_each_public_name_once():
    stub = ast.parse(Path(sc.__file__).with_suffix(".pyi").read_text("utf-8"))
    names = [
        alias.asname or alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert sorted(names) == sorted(set(names)) == sorted(sc.__all__)
    assert sc.__version__


def test_importing_symscope_loads_neither_torch_nor_polars_nor_its_own_packages():
    code = "import sys, json, symscope; symscope.__all__; print(json.dumps(sorted(sys.modules)))"
    loaded = set(run_python(code))
    assert not loaded & {"torch", "numpy", "polars", "altair", "scipy", "pydantic", "ray"}
    assert [name for name in loaded if name.startswith("symscope.")] == []


def test_a_name_loads_its_package_on_first_use():
    code = "import sys, json, symscope as sc; sc.SymscopeError; before = 'torch' in sys.modules; sc.Oblique(); "
    code += "print(json.dumps([before, 'torch' in sys.modules]))"
    assert run_python(code) == [False, True]


def test_names_that_do_not_exist_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'symscope' has no attribute 'find'"):
        sc.find  # noqa: B018
    assert not hasattr(sc, "interventions")


def test_no_public_function_has_the_name_of_a_module():
    """Otherwise the import of one hides the other."""
    for package in ("alignment", "interchange", "tasks", "algorithms", "training", "checks"):
        module = __import__(f"symscope.{package}", fromlist=["_"])
        modules = {path.stem for path in Path(module.__file__).parent.glob("*.py")}
        folders = {path.name for path in Path(module.__file__).parent.iterdir() if (path / "__init__.py").exists()}
        assert set(module.__all__) & (modules | folders) == set(), package
