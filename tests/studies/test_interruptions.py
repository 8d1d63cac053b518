"""A study with all kinds of jobs that is killed at random moments gives the tables of a study that runs through."""

import random
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from symscope.runner import existing_store
from symscope.studies import query

STUDY = """\
name: small
title: Do kills change the results?
tasks: [{name: multi-object, quantities: [1, 4], held_out: [3]}]
networks:
  - {kind: gru, sizes: [8]}
  - {kind: transformer-nope, sizes: [8]}
seeds: [0]
training: {learning_rate: 1.0e-2, batch: 16, epochs: 6, validate_every: 1, validate_each: 2, checkpoint_every: 2}
alignments:
  - {algorithm: up-down, variables: [count], k: [2], functions: [orthogonal]}
frontier: {latent_weights: [0, 0.1]}
whole_state_swaps: 60
observe: {states: 1, attention: 4, strength: 20}
comparisons:
  - {algorithm: up-down, variables: [count], k: [2], minimal_dimensions: [1, 2], stitching: [2]}
search: {learning_rate: 1.0e-2, batch: 16, steps: 10, validate_every: 2, restarts: 1, more_restarts: 0}
interventions: {train: 60, validation: 30, test: 60}
trial_accuracy: {each: 2}
"""
TABLES = (
    "training",
    "trial_accuracy",
    "scores",
    "frontier",
    "whole_state",
    "comparison",
    "similarity",
    "stitching",
    "dimensions",
)
KILLS = 50


def start(study, folder):
    program = "import sys; from symscope.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "study", "run", str(study), "--out", str(folder), "--workers", "0"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def tables(folder):
    """All rows but the times."""
    found = {}
    for name in TABLES:
        table = query(folder, name)
        kept = [column for column in table.columns if column != "location" and "seconds" not in column]
        found[name] = table.select(kept).sort(pl.all().exclude(pl.List, pl.Struct))
    return found


@pytest.mark.slow
def test_results_do_not_change_when_a_study_of_all_stages_is_killed_at_random_moments(tmp_path):
    """Fifty kills, in jobs of all kinds, while parts are written and while the outputs are made."""
    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    started = time.monotonic()
    assert start(study, tmp_path / "calm").wait() == 0
    seconds, rng, killed = time.monotonic() - started, random.Random(0), 0
    expected = tables(tmp_path / "calm")
    assert all(len(table) for table in expected.values())
    folder, finished = tmp_path / "study0", 0
    while killed < KILLS or not finished:
        program = start(study, folder)
        if killed < KILLS:
            time.sleep(rng.uniform(0.15, 0.7) * seconds)
            program.kill()
        ended = program.wait()
        killed += ended == -signal.SIGKILL
        if ended == 0:
            assert existing_store(folder).verify() == {}
            assert all(table.equals(expected[name]) for name, table in tables(folder).items())
            finished += 1
            folder = tmp_path / f"study{finished}"
        else:
            assert ended == -signal.SIGKILL
