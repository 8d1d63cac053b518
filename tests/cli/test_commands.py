"""Commands as a user types them: help without heavy imports, plans of all presets, default folders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from symscope.cli import app
from symscope.studies import preset_names

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "polars", "altair", "ray", "scipy", "symscope.studies")

PROGRAM = """
import sys
from symscope.cli import main
try:
    main(sys.argv[1:])
except SystemExit as exit:
    assert not exit.code, exit.code
import json, os
print(json.dumps({"modules": sorted(sys.modules), "environment": dict(os.environ)}))
"""


@pytest.mark.parametrize("arguments", ["--help", "study --help", "study run --help", "list --help", "--version"])
def test_help_imports_no_heavy_package(arguments):
    names = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments.split()],
        env={**environment, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    state = json.loads(ended.stdout.splitlines()[-1])
    assert not set(HEAVY) & set(state["modules"])
    assert [state["environment"][name] for name in names] == ["PASSIVE", "0"]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_a_plan(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["study", "plan", name])
    assert ended.exit_code == 0, ended.output
    assert "jobs to do" in ended.output
    assert not list(tmp_path.iterdir())


def test_results_are_in_the_folder_out_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out" / "quick").mkdir(parents=True)
    (tmp_path / "out" / "quick" / "thesis.tex").touch()
    ended = CliRunner().invoke(app, ["study", "run", "quick"])
    assert ended.exit_code == 2
    assert f"{Path('out') / 'quick'} holds other files" in ended.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("tasks", "same-object-void"),
        ("algorithms", "up-down"),
        ("variables", "phase"),
        ("networks", "transformer-rope"),
        ("functions", "oblique"),
        ("controls", "shuffled_labels"),
        ("presets", "quick"),
    ],
)
def test_names_are_listed_with_descriptions(kind, name):
    ended = CliRunner().invoke(app, ["list", kind])
    assert ended.exit_code == 0, ended.output
    (line,) = [line for line in ended.output.splitlines() if line.startswith(name)][:1]
    assert len(line.split()) > 3


def test_an_unknown_kind_of_names_is_refused():
    ended = CliRunner().invoke(app, ["list", "tables"])
    assert ended.exit_code == 2
    assert "presets" in ended.output
