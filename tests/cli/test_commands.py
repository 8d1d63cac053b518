"""Commands as a user types them: help without heavy imports, plans of all presets, default folders."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
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


@pytest.mark.parametrize("arguments", ["--help", "study --help", "study run -h", "list --help", "-h", "--version"])
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


def test_settings_replace_values_of_a_declaration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["--set", "training.epochs=40", "--set", "networks.0.sizes=[12, 16]", "--set", "seeds=[5]"]
    shown = CliRunner().invoke(app, ["study", "show", "quick", *settings])
    assert shown.exit_code == 0, shown.output
    study = yaml.safe_load(shown.stdout)
    assert (study["training"]["epochs"], study["networks"][0]["sizes"], study["seeds"]) == (40, [12, 16], [5])
    planned = CliRunner().invoke(app, ["study", "plan", "quick", *settings])
    assert "gru, d = 16" in planned.output


def test_faults_of_settings_are_reported_together():
    settings = ("training.epochs=many", "training.epoch=4", "networks.3.sizes=[1]", "seeds", "seeds=[", "name.0=cpu")
    ended = CliRunner().invoke(app, ["study", "plan", "quick", *(word for s in settings for word in ("--set", s))])
    assert ended.exit_code == 2
    output = " ".join(ended.output.split())
    for message in (
        "6 faults",
        "--set, training.epochs: input should be a valid integer (got 'many')",
        "--set, training.epoch: unknown key: did you mean 'epochs'?",
        "--set, networks[3]: this list has 1 entry, so an index from 0 to 1 must follow, got 3",
        "--set, seeds: --set takes KEY=VALUE, such as training.epochs=40 or seeds=[0]",
        "--set, seeds: not valid YAML: expected the node content, but found '<stream end>' (got '[')",
        "--set, name[0]: 'quick' is a single value without parts: set the whole value",
    ):
        assert message in output, (message, output)


@pytest.mark.parametrize(("shell", "word"), [("bash", "qui"), ("zsh", "zo")])
def test_the_shell_completes_names_of_studies(shell, word, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "_SYMSCOPE_COMPLETE": f"complete_{shell}"}
    line = f"symscope study run {word}"
    environment |= {"COMP_WORDS": line, "COMP_CWORD": "3", "_TYPER_COMPLETE_ARGS": line}
    (tmp_path / "quiet.yaml").touch()
    program = "import sys; sys.argv[0] = 'symscope'; from symscope.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True,
                           text=True, check=False)  # fmt: skip
    found = {"qui": ["quick", "quiet.yaml"], "zo": ["zoo"]}[word]
    assert all(name in ended.stdout for name in found), (ended.stdout, ended.stderr)
    assert "tmlr" not in ended.stdout
