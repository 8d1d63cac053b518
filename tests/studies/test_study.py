"""A small study from the command line to its report, interrupted and wrong ones included."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from symscope.analysis import CONTROLS
from symscope.cli import app
from symscope.explorer import load_explorer
from symscope.runner import Progress
from symscope.studies.progress import show_search

SMALL = """
name: small
title: Does a tiny network count to four?
tasks:
  - {name: multi-object, quantities: [1, 4], held_out: [3]}
networks:
  - {kind: gru, sizes: [12]}
seeds: [0, 1]
training: {learning_rate: 3.0e-3, batch: 32, epochs: 30, validate_every: 2, validate_each: 4, checkpoint_every: 10}
alignments:
  - {algorithm: up-down, variables: [count, phase], k: [1, d/2]}
search: {learning_rate: 1.0e-2, batch: 32, steps: 60, validate_every: 20, restarts: 2}
interventions: {train: 200, validation: 60, test: 60, gradience: 100}
trial_accuracy: {each: 5, extrapolate_to: 6}
"""


def symscope(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from symscope.cli import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def declaration(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def finished(declaration, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("out") / "small"
    return folder, symscope("study", "run", str(declaration), "--out", str(folder))


def test_a_study_writes_tables_figures_and_a_report(finished) -> None:
    folder, ended = finished
    assert ended.returncode == 0, ended.stderr
    assert str(folder / "report.html") in ended.stdout
    assert f"Explorer: {folder / 'explorer.html'}" in ended.stdout
    scores = pl.read_parquet(folder / "tables" / "scores.parquet")
    named = ["task", "network", "d", "seed", "algorithm", "variable", "site", "function", "k", "control"]
    assert set(named) | {"iia", "low", "high", "n"} <= set(scores.columns)
    assert scores.height == pl.read_csv(folder / "tables" / "scores.csv").height == 2 * (2 * 2 * len(CONTROLS) + 1)
    assert set(scores["control"]) == set(CONTROLS)
    found = scores.filter((pl.col("control") == "none") & (pl.col("variable") != "all"))
    diagnostics = [
        "selectivity",
        "selectivity_p",
        "nearest_control",
        "cause_iia",
        "isolation_iia",
        "off_span_share",
        "nearest",
    ]
    assert sum(found.select(diagnostics).null_count().row(0)) == 0
    assert scores.filter((pl.col("low") > pl.col("iia")) | (pl.col("iia") > pl.col("high"))).is_empty()
    behaviour = pl.read_parquet(folder / "tables" / "trial_accuracy.parquet")
    assert set(behaviour.columns) == {"task", "network", "d", "seed", "quantity", "held_out", "trial_accuracy", "n"}
    assert behaviour.filter(pl.col("held_out"))["quantity"].unique(maintain_order=True).to_list() == [3, 5, 6]
    page = (folder / "report.html").read_text()
    assert "Does a tiny network count to four?" in page
    assert {path.suffix for path in (folder / "figures").iterdir()} >= {".svg", ".png"}


def test_the_networks_of_a_study_are_explored(finished, tmp_path) -> None:
    folder, _ = finished
    both = load_explorer(folder / "explorer.html")
    assert both.subjects == ("gru, d = 12, seed 0", "gru, d = 12, seed 1")
    assert both.document["title"] == "Does a tiny network count to four?"
    assert both.swap(["BOS", "D1", "T"], ["BOS", "D1", "D1"]).predicted == ("R", "R", "EOS")
    one = tmp_path / "one.html"

    def explore(*options: str) -> tuple[int, str]:
        ended = CliRunner().invoke(app, ["explore", str(folder), "--out", str(one), *options])
        return ended.exit_code, ended.output

    code, output = explore("--network", "seed 1")
    assert code == 0, output
    assert f"Explorer: {one} (1 network, " in output
    assert load_explorer(one).subjects == ("gru, d = 12, seed 1",)
    code, output = explore("--megabytes", "0.1")
    assert "(1 of 2 networks, " in output
    assert "Not in the explorer: gru, d = 12, seed 1: the page would be larger than 0.1 MB" in output
    code, output = explore("--network", "lstm")
    assert code == 2
    assert "unknown network of the study 'lstm'" in output


def test_a_finished_study_runs_no_job_and_its_report_can_be_written_again(declaration, finished) -> None:
    folder, _ = finished
    again = symscope("study", "run", str(declaration), "--out", str(folder))
    assert again.returncode == 0, again.stderr
    assert "6 cached" in again.stderr
    assert "Nothing to do" in again.stdout
    assert f"Explorer: {folder / 'explorer.html'}" in again.stdout
    (folder / "report.html").unlink()
    assert symscope("report", str(folder)).returncode == 0
    assert (folder / "report.html").is_file()


def test_an_interrupted_study_continues_to_the_same_results(declaration, finished, tmp_path) -> None:
    reference, _ = finished
    command = [
        sys.executable,
        "-c",
        "from symscope.cli import main; main()",
        "study",
        "run",
        str(declaration),
        "--out",
        str(tmp_path),
    ]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("work/*/*/scratch/latest.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
    _, message = running.communicate(timeout=60)
    assert running.returncode == 130, message
    assert "run the same command to continue" in message
    ended = symscope("study", "run", str(declaration), "--out", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    for table in ("scores", "trial_accuracy", "gradience"):
        one, other = (pl.read_parquet(folder / "tables" / f"{table}.parquet") for folder in (reference, tmp_path))
        assert one.equals(other), table


def test_wrong_calls_give_clear_errors_and_change_no_file(declaration, finished, tmp_path) -> None:
    folder, _ = finished
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    for words, message in (
        (("study", "run", "quik", "--out", str(tmp_path / "a")), "did you mean 'quick'"),
        (("study", "run", "absent.yaml", "--out", str(tmp_path / "a")), "no file absent.yaml"),
        (("study", "run", "quick", "--out", str(folder)), "holds the results of study 'small'"),
        (("study", "run", str(declaration), "--out", str(declaration / "below")), "cannot be written"),
        (("study", "run", str(declaration), "--out", str(tmp_path / "a"), "--device", "abacus"), "abacus"),
        (("report", str(tmp_path)), "holds no results"),
    ):
        ended = symscope(*words)
        assert ended.returncode == 2, words
        assert message in " ".join(ended.stderr.split()), ended.stderr
        assert "Traceback" not in ended.stderr
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before


def test_help_and_list_name_the_presets() -> None:
    assert "symscope study run quick" in symscope("--help").stdout
    listed = symscope("study", "list").stdout
    assert "quick" in listed
    assert "tmlr-gru" in listed
    assert symscope("study", "show", "quick").stdout.startswith("# Minutes on a laptop")


def test_the_progress_of_a_control_has_no_lowest_iia() -> None:
    """An IIA of a control near 0 is right, and must not look like a failed search."""
    reports: list[Progress] = []
    show = show_search(reports.append, 2000)
    show("alignment", {"step": 100, "count.k2": 0.5, "phase.k2": 0.9})
    show("alignment", {"step": 100, "count.k2": 0.5})
    show("untrained", {"step": 100, "count.k2": 0.0, "phase.k2": 0.01})
    assert [report.text for report in reports] == ["search", "search", "control untrained, a low IIA is expected"]
    fields = [{"lowest IIA": 0.5, "highest IIA": 0.9}, {"IIA": 0.5}, {"control IIA": 0.01}]
    assert [report.fields for report in reports] == fields
