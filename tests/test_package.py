"""The package: one version, dependencies that are used, and a wheel that works in an empty environment."""

import ast
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import symscope as sc

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MODULES = {"PyYAML": "yaml", "vl-convert-python": "vl_convert", "ray[default]": "ray"}
"""Modules of packages whose names differ."""
LOADED_BY_LIBRARIES = {"vl-convert-python", "gguf", "accelerate"}
"""Packages that altair and transformers import for us."""


def imported() -> set[str]:
    """Every top-level module that a source file imports."""
    names: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
                names |= {"tensorboard"} if node.module == "torch.utils.tensorboard" else set()
    return names


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~! ]", requirement)[0] for requirement in requirements}


def test_the_version_is_in_one_place_and_documents_follow() -> None:
    assert "version" in PROJECT["dynamic"]
    for page, text in (
        ("CITATION.cff", f"\nversion: {sc.__version__}\n"),
        ("README.md", f"version = {{{sc.__version__}}}"),
    ):
        assert text in (ROOT / page).read_text("utf-8"), page
    assert f"dist/symscope-{sc.__version__}-py3-none-any.whl" in (ROOT / "README.md").read_text("utf-8")


def test_every_dependency_is_imported_and_every_import_is_a_dependency() -> None:
    extras = PROJECT["optional-dependencies"]
    core, modules = names_of(PROJECT["dependencies"]), imported()
    optional = {name for extra in ("cluster", "hf", "tracking") for name in names_of(extras[extra])}
    for name in (core | optional) - LOADED_BY_LIBRARIES:
        assert MODULES.get(name, name) in modules, f"no source file imports {name}"
    declared = {MODULES.get(name, name) for name in core | optional} | {"symscope", "wandb", "mlflow"}
    assert modules - sys.stdlib_module_names - {"markupsafe"} <= declared  # it comes with jinja2


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (source,) = folder.glob("*.tar.gz")
    (built,) = folder.glob("*.whl")
    assert built.name == f"symscope-{sc.__version__}-py3-none-any.whl"
    assert source.name == f"symscope-{sc.__version__}.tar.gz"
    return built


@pytest.mark.slow
def test_the_wheel_runs_the_quick_study_in_an_empty_environment(wheel, tmp_path) -> None:
    """Every public name loads, the command runs, and the quick study ends with its report."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "-c", ROOT / "constraints.txt"]
    torch = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    subprocess.run([*pip, torch], check=True)  # by name and version first, so that no other build is chosen
    subprocess.run([*pip, wheel], check=True)

    code = "import symscope as sc; print(len([getattr(sc, name) for name in sc.__all__]), sc.__file__)"
    loaded = subprocess.run([python, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert loaded.split()[0] == str(len(sc.__all__))
    assert str(tmp_path) in loaded
    command = tmp_path / "venv" / "bin" / "symscope"
    version = subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout
    assert version.split() == ["symscope", sc.__version__]
    subprocess.run([command, "study", "run", "quick"], cwd=tmp_path, check=True)
    assert (tmp_path / "out" / "quick" / "report.html").stat().st_size > 100_000
