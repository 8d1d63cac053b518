"""`symscope study plan` and `symscope store` on a small finished study; `study run` with jobs that fail."""

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from symscope.cli import app
from symscope.runner import existing_store
from symscope.studies import query

SMALL = """\
name: small
title: Does a tiny network count to three?
tasks:
  - {name: multi-object, quantities: [1, 3], held_out: [2]}
networks:
  - {kind: gru, sizes: [8]}
seeds: [0]
training: {learning_rate: 3.0e-3, batch: 16, epochs: 4, validate_every: 2, validate_each: 2}
alignments:
  - {algorithm: up-down, variables: [count], k: [2]}
search: {learning_rate: 1.0e-2, batch: 16, steps: 20, validate_every: 10, restarts: 1}
interventions: {train: 60, validation: 30, test: 30}
trial_accuracy: {each: 2}
"""
JOB = "multi-object-gru-d8-seed0"
SEARCH = f"align/{JOB}/up-down-h-oblique-natural-span"


def symscope(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; lines are as in a pipe."""
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def declaration(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def finished(declaration) -> Path:
    (declaration.parent / "out1").mkdir()  # matches the name of the folder as a pattern
    folder = declaration.parent / "out[1]"
    code, _, log = symscope("study", "run", declaration, "--out", folder, "--workers", 1)
    assert code == 0, log
    return folder


def test_a_plan_without_results_lists_all_jobs(declaration) -> None:
    code, output, _ = symscope("study", "plan", declaration)
    assert code == 0
    assert [line.split() for line in output.splitlines() if "gru" in line] == [
        ["train", "gru,", "d", "=", "8", "1", "0", "1"],
        ["align", "gru,", "d", "=", "8", "1", "0", "1"],
        ["ceiling", "gru,", "d", "=", "8", "1", "0", "1"],
    ]
    assert "3 of 3 jobs to do. No job of these kinds has finished" in output
    assert "Memory, roughly: up to 0.6 GB for each job" in output


@pytest.mark.slow
def test_a_plan_can_be_timed_before_anything_has_run(declaration) -> None:
    longer = declaration.with_name("longer.yaml")  # jobs that are as short as shortened ones run only once
    longer.write_text(SMALL.replace("epochs: 4", "epochs: 20").replace("steps: 20", "steps: 100"))
    code, output, log = symscope("study", "plan", longer, "--measure")
    assert code == 0, log
    for job in (f"train/{JOB}", SEARCH):
        assert f"timing {job}, shortened" in log
        assert f"timing {job}, less shortened" in log
    assert "3 of 3 jobs to do, at most" in output


def test_a_plan_of_a_finished_study_has_no_jobs_to_do(declaration, finished) -> None:
    code, output, _ = symscope("study", "plan", declaration, "--out", finished)
    assert code == 0
    assert "All 3 jobs are done" in output


def test_a_plan_of_more_seeds_estimates_the_time_from_finished_jobs(declaration, finished) -> None:
    code, output, _ = symscope(
        "study", "plan", declaration, "--out", finished, "--seed", 0, "--seed", 1, "--workers", 2
    )
    assert code == 0
    assert "3 of 6 jobs to do, about" in output
    assert "with 2 at a time" in output


def test_a_plan_for_the_folder_of_another_study_is_refused(finished) -> None:
    code, _, log = symscope("study", "plan", "quick", "--out", finished)
    assert code == 2
    assert "holds the results of study 'small', not of 'quick'" in log


def test_results_are_listed_shown_and_verified(finished) -> None:
    code, output, _ = symscope("store", "ls", finished)
    assert code == 0
    assert f"train/{JOB}" in output
    assert "small: 3 results" in output
    assert "0 damaged" in output
    code, output, _ = symscope("store", "show", finished, SEARCH)
    assert code == 0
    record = json.loads(output)
    assert record["state"] == "valid"
    assert record["arguments"]["request"]["variables"] == ["count"]
    assert record["packages"]["torch"]
    assert all(file["sha256"] for file in record["files"].values())
    assert json.loads(symscope("store", "show", finished, record["location"])[1]) == record
    code, _, log = symscope("store", "show", finished, "train/multi-object-gru-d8-seed1")
    assert code == 2
    assert f"did you mean 'train/{JOB}'" in log.replace("\n", " ")
    code, output, _ = symscope("store", "verify", finished)
    assert code == 0
    assert "all 3 results are valid" in output


def test_one_query_gives_every_score(finished) -> None:
    results = query(finished)
    assert set(results["name"]) == {f"train/{JOB}", SEARCH, f"ceiling/{JOB}/up-down-h"}
    scores = query(finished, "scores")
    assert set(scores["location"]) < set(results["location"])
    assert {"iia", "control", "seed"} <= set(scores.columns)


def test_damaged_results_are_reported_and_made_again(declaration, finished) -> None:
    store = existing_store(finished)
    (location,) = (row["location"] for row in query(finished).iter_rows(named=True) if row["name"] == SEARCH)
    damaged = store.fetch(location) / "part.scores.parquet"
    before = damaged.read_bytes()
    damaged.write_bytes(before[:-1])
    code, output, _ = symscope("store", "verify", finished)
    assert code == 1
    assert "part.scores.parquet has" in output
    assert "1 damaged" in symscope("store", "ls", finished)[1]
    assert symscope("store", "show", finished, location)[0] == 1
    code, output, _ = symscope("study", "plan", declaration, "--out", finished)
    assert "1 of 3 jobs to do" in output
    code, _, log = symscope("study", "run", declaration, "--out", finished, "--workers", 1)
    assert code == 0
    assert "damaged, runs again" in log
    assert damaged.read_bytes() == before
    assert symscope("store", "verify", finished)[0] == 0


def test_damaged_tables_figures_and_report_are_made_again(declaration, finished) -> None:
    command = ("study", "run", declaration, "--out", finished, "--workers", 0)
    assert "Nothing to do" in symscope(*command)[1]
    table, page = finished / "tables" / "scores.parquet", finished / "report.html"
    before = table.read_bytes()
    table.write_bytes(before[:-1])
    page.unlink()
    code, output, log = symscope(*command)
    assert code == 0, log
    assert "3 cached" in log
    assert "Nothing to do" not in output
    assert table.read_bytes() == before
    assert page.is_file()
    assert "Nothing to do" in symscope(*command)[1]


def test_results_that_no_declaration_needs_are_listed_and_removed_on_request(declaration, finished, tmp_path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(SMALL.replace("seeds: [0]", "seeds: [0, 1]"))
    assert symscope("study", "run", more, "--out", finished, "--workers", 0)[0] == 0
    assert len(query(finished)) == 6
    assert "to free" in symscope("store", "gc", finished)[1]  # the last declaration needs all results
    assert "not needed" not in symscope("store", "gc", finished)[1]
    assert (
        "The store holds 3 results that this study does not need"
        in symscope("study", "plan", declaration, "--out", finished)[1]
    )
    code, output, _ = symscope("store", "gc", finished, declaration)
    assert code == 0
    assert output.count("not needed by the study") == 3
    assert len(query(finished)) == 6
    assert symscope("store", "gc", finished, declaration, "--yes")[0] == 0
    assert len(query(finished)) == 3
    code, output, _ = symscope("study", "run", declaration, "--out", finished, "--workers", 0)
    assert code == 0
    assert "Nothing to do" not in output  # the report was about two seeds
    assert "Nothing to do" in symscope("study", "run", declaration, "--out", finished, "--workers", 0)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("store", "ls", "/nowhere"), "holds no results"),
        (("store", "verify", "nonsense://x/y"), "a URL that fsspec can open"),
        (("study", "run", "quick", "--out", "{tmp}", "--ray", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        (("study", "run", "quick", "--out", "{tmp}", "--gpus", "0.5"), "pass --ray as well"),
        (
            ("study", "run", "quick", "--out", "{tmp}", "--ray", "auto", "--workers", "2"),
            "--workers does not apply to --ray",
        ),
    ],
)
def test_wrong_calls_give_clear_errors(arguments, message, tmp_path) -> None:
    if "127.0.0.1:1" in arguments:
        pytest.importorskip("ray")
    code, _, log = symscope(*(argument.format(tmp=tmp_path / "out") for argument in arguments))
    assert code == 2
    assert message in log


def test_failures_are_printed_with_their_traceback_and_retried_on_request(tmp_path, monkeypatch) -> None:
    (tmp_path / "fragile.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from symscope.networks import make_network\n"
        "def network(d, vocabulary, generator):\n"
        f"    if os.getpid() != {os.getpid()} and Path({str(tmp_path / 'obstacle')!r}).exists():\n"
        "        raise ValueError('the obstacle exists')\n"
        "    return make_network('gru', d, vocabulary, generator)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "obstacle").touch()
    study = tmp_path / "fragile.yaml"
    second_network = "  - {kind: lstm, sizes: [8]}\n"
    study.write_text(SMALL.replace("name: small", "name: fragile").replace("kind: gru", 'kind: "fragile:network"'))
    study.write_text(study.read_text().replace("seeds:", f"{second_network}seeds:"))
    command = ("study", "run", study, "--out", tmp_path / "out", "--workers", 1)
    code, output, log = symscope(*command)
    assert code == 1
    assert "3 done, 1 failed, 2 skipped" in log
    assert "the obstacle exists" in log
    assert "fragile.py" in log
    assert "Report:" in output  # about the remaining jobs
    (tmp_path / "obstacle").unlink()
    code, _, log = symscope(*command)
    assert code == 1
    assert "pass --retry-failed to retry them" in log
    code, _, log = symscope(*command, "--retry-failed")
    assert code == 0, log
    assert "3 done, 3 cached" in log
    sys.modules.pop("fragile", None)


def test_results_can_be_kept_at_a_url(declaration, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SYMSCOPE_CACHE", str(tmp_path / "cache"))
    url = f"file://{tmp_path}/bucket"
    command = ("study", "run", declaration, "--out", tmp_path / "out", "--store", url, "--workers", 0)
    code, _, log = symscope(*command)
    assert code == 0, log
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (tmp_path / "out" / "results").exists()
    assert "3 results" in symscope("store", "ls", url)[1]
    assert "Nothing to do" in symscope(*command)[1]
    assert (tmp_path / "bucket" / "results").is_dir()
