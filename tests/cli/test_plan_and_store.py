"""`symscope study plan` and `symscope store`, on a small study that was run; `study run` where jobs fail."""

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from symscope.cli import app
from symscope.runner import existing_store
from symscope.studies import preset_names, query

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
SEARCH = f"align/{JOB}/up-down-h-orthogonal"


def symscope(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; lines are as in a pipe."""
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def declaration(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def finished(declaration) -> Path:
    folder = declaration.parent / "out"
    code, _, told = symscope("study", "run", declaration, "--out", folder, "--workers", 1)
    assert code == 0, told
    return folder


def test_a_plan_without_results_says_what_would_run(declaration) -> None:
    code, said, _ = symscope("study", "plan", declaration)
    assert code == 0
    assert [line.split() for line in said.splitlines() if "gru" in line] == [
        ["train", "gru,", "d", "=", "8", "1", "0", "1"],
        ["align", "gru,", "d", "=", "8", "1", "0", "1"],
        ["ceiling", "gru,", "d", "=", "8", "1", "0", "1"],
    ]
    assert "3 of 3 jobs to do. None of their kinds has ended yet" in said
    assert "Memory, roughly: up to 0.4 GB for each job" in said


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_a_plan(name) -> None:
    code, said, _ = symscope("study", "plan", name, "--workers", 2)
    assert code == 0
    assert "jobs to do" in said


@pytest.mark.slow
def test_a_plan_can_be_timed_before_anything_has_run(declaration) -> None:
    code, said, told = symscope("study", "plan", declaration, "--measure")
    assert code == 0, told
    assert f"timing train/{JOB}, shortened" in told
    assert f"timing {SEARCH}, less shortened" in told
    assert "3 of 3 jobs to do, at most" in said


def test_a_plan_of_a_finished_study_says_that_all_is_there(declaration, finished) -> None:
    code, said, _ = symscope("study", "plan", declaration, "--out", finished)
    assert code == 0
    assert "All 3 jobs are done" in said


def test_a_plan_of_more_seeds_knows_the_time_from_what_has_ended(declaration, finished) -> None:
    code, said, _ = symscope("study", "plan", declaration, "--out", finished, "--seed", 0, "--seed", 1, "--workers", 2)
    assert code == 0
    assert "3 of 6 jobs to do, about" in said
    assert "with 2 at a time" in said


def test_a_plan_for_the_folder_of_another_study_is_refused(finished) -> None:
    code, _, told = symscope("study", "plan", "quick", "--out", finished)
    assert code == 2
    assert "holds the results of study 'small', not of 'quick'" in told


def test_results_are_listed_shown_and_verified(finished) -> None:
    code, said, _ = symscope("store", "ls", finished)
    assert code == 0
    assert f"train/{JOB}" in said
    assert "small: 3 results" in said
    assert "0 damaged" in said
    code, said, _ = symscope("store", "show", finished, SEARCH)
    assert code == 0
    shown = json.loads(said)
    assert shown["state"] == "whole"
    assert shown["arguments"]["request"]["variables"] == ["count"]
    assert shown["packages"]["torch"]
    assert all(record["sha256"] for record in shown["files"].values())
    assert json.loads(symscope("store", "show", finished, shown["location"])[1]) == shown
    code, _, told = symscope("store", "show", finished, "train/multi-object-gru-d8-seed1")
    assert code == 2
    assert f"did you mean 'train/{JOB}'" in told.replace("\n", " ")
    code, said, _ = symscope("store", "verify", finished)
    assert code == 0
    assert "all 3 results are whole" in said


def test_one_query_gives_every_score(finished) -> None:
    results = query(finished)
    assert set(results["name"]) == {f"train/{JOB}", SEARCH, f"ceiling/{JOB}/up-down-h"}
    scores = query(finished, "scores")
    assert set(scores["location"]) < set(results["location"])
    assert {"iia", "control", "seed"} <= set(scores.columns)


def test_damage_is_told_and_mended(declaration, finished) -> None:
    store = existing_store(finished)
    (location,) = (row["location"] for row in query(finished).iter_rows(named=True) if row["name"] == SEARCH)
    damaged = store.fetch(location) / "part.scores.parquet"
    before = damaged.read_bytes()
    damaged.write_bytes(before[:-1])
    code, said, _ = symscope("store", "verify", finished)
    assert code == 1
    assert "part.scores.parquet has" in said
    assert "1 damaged" in symscope("store", "ls", finished)[1]
    assert symscope("store", "show", finished, location)[0] == 1
    code, said, _ = symscope("study", "plan", declaration, "--out", finished)
    assert "1 of 3 jobs to do" in said
    code, _, told = symscope("study", "run", declaration, "--out", finished, "--workers", 1)
    assert code == 0
    assert "damaged, done again" in told
    assert damaged.read_bytes() == before
    assert symscope("store", "verify", finished)[0] == 0


def test_what_no_declaration_needs_is_listed_and_only_then_removed(declaration, finished, tmp_path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(SMALL.replace("seeds: [0]", "seeds: [0, 1]"))
    assert symscope("study", "run", more, "--out", finished, "--workers", 1)[0] == 0
    assert len(query(finished)) == 6
    assert "to free" in symscope("store", "gc", finished)[1]  # what was last run needs all
    assert "not needed" not in symscope("store", "gc", finished)[1]
    assert "3 other results are in the store" in symscope("study", "plan", declaration, "--out", finished)[1]
    code, said, _ = symscope("store", "gc", finished, declaration)
    assert code == 0
    assert said.count("not needed by the study") == 3
    assert len(query(finished)) == 6
    assert symscope("store", "gc", finished, declaration, "--yes")[0] == 0
    assert len(query(finished)) == 3
    code, said, _ = symscope("study", "run", declaration, "--out", finished, "--workers", 1)
    assert code == 0
    assert "Nothing was to be done" not in said  # the report was of two seeds, and is written again
    assert "Nothing was to be done" in symscope("study", "run", declaration, "--out", finished, "--workers", 1)[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("store", "ls", "/nowhere"), "holds no results"),
        (("store", "verify", "nonsense://x/y"), "a URL that fsspec knows"),
        (("study", "run", "quick", "--out", "{tmp}", "--ray", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        (("study", "run", "quick", "--out", "{tmp}", "--gpus", "0.5"), "give --ray as well"),
        (
            ("study", "run", "quick", "--out", "{tmp}", "--ray", "auto", "--workers", "2"),
            "--workers is for this machine",
        ),
    ],
)
def test_wrong_calls_say_what_is_wrong(words, told, tmp_path) -> None:
    if "127.0.0.1:1" in words:
        pytest.importorskip("ray")
    code, _, said = symscope(*(word.format(tmp=tmp_path / "out") for word in words))
    assert code == 2
    assert told in said


def test_failures_are_told_with_their_traceback_and_retried_when_asked(tmp_path, monkeypatch) -> None:
    (tmp_path / "fragile.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from symscope.networks import make_network\n"
        "def network(d, vocabulary, generator):\n"
        f"    if os.getpid() != {os.getpid()} and Path({str(tmp_path / 'obstacle')!r}).exists():\n"
        "        raise ValueError('the obstacle is there')\n"
        "    return make_network('gru', d, vocabulary, generator)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "obstacle").touch()
    study = tmp_path / "fragile.yaml"
    other = "  - {kind: lstm, sizes: [8]}\n"
    study.write_text(SMALL.replace("name: small", "name: fragile").replace("kind: gru", 'kind: "fragile:network"'))
    study.write_text(study.read_text().replace("seeds:", f"{other}seeds:"))
    command = ("study", "run", study, "--out", tmp_path / "out", "--workers", 1)
    code, said, told = symscope(*command)
    assert code == 1
    assert "3 done, 1 failed, 2 skipped" in told
    assert "the obstacle is there" in told
    assert "fragile.py" in told
    assert "Report:" in said  # the rest went on, and is reported
    (tmp_path / "obstacle").unlink()
    code, _, told = symscope(*command)
    assert code == 1
    assert "--retry-failed does" in told
    code, _, told = symscope(*command, "--retry-failed")
    assert code == 0, told
    assert "3 done, 3 already there" in told
    sys.modules.pop("fragile", None)


def test_results_can_be_kept_at_a_url(declaration, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SYMSCOPE_CACHE", str(tmp_path / "cache"))
    url = f"file://{tmp_path}/bucket"
    command = ("study", "run", declaration, "--out", tmp_path / "out", "--store", url, "--workers", 1)
    code, _, told = symscope(*command)
    assert code == 0, told
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (tmp_path / "out" / "results").exists()
    assert "3 results" in symscope("store", "ls", url)[1]
    assert "Nothing was to be done" in symscope(*command)[1]
    assert (tmp_path / "bucket" / "results").is_dir()
