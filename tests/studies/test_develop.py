"""Development: checkpoints in order, and at the last of them what a search in the trained network finds."""

import polars as pl
import pytest

from symscope.algorithms import make_algorithm
from symscope.alignment import Oblique, SearchOptions, align
from symscope.analysis import validate
from symscope.errors import ConfigurationError
from symscope.studies import plan_study, read_study
from symscope.studies.arguments import TrainArguments
from symscope.studies.develop import checkpoints, develop_stage
from symscope.studies.subject import Subject, part_file
from symscope.studies.train import train_stage

STUDY = """
name: small
title: How does a tiny network learn to count?
tasks:
  - {name: multi-object, quantities: [1, 4], held_out: [3]}
networks:
  - {kind: gru, sizes: [12]}
seeds: [0]
training: {learning_rate: 1.0e-2, batch: 32, epochs: 30, validate_every: 5, validate_each: 4, checkpoint_every: 10}
alignments:
  - {algorithm: up-down, variables: [count, phase], k: [d/2]}
development: {checkpoints: 6, steps: 60}
search: {learning_rate: 1.0e-2, batch: 32, validate_every: 20}
interventions: {train: 200, validation: 60, test: 60}
trial_accuracy: {each: 5}
"""


TRAIN = "train/multi-object-gru-d12-seed0"
DEVELOP = "develop/multi-object-gru-d12-seed0/up-down-h-oblique-natural-span"


@pytest.fixture(scope="module")
def jobs():
    return {job.name: job for job in plan_study(read_study(STUDY, "small"))}


@pytest.fixture(scope="module")
def trained(jobs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    train_stage(jobs[TRAIN].arguments, {}, folder, lambda _: None)
    return folder


def developed(job, trained, folder):
    folder.mkdir()
    develop_stage(job.arguments, {"train": trained}, folder, lambda _: None)
    return validate("development", pl.read_parquet(folder / part_file("development")))


def test_checkpoints_go_from_the_fresh_to_the_trained_network(trained):
    assert [epoch for epoch, _ in checkpoints(trained)] == [0, 10, 20, 30]
    assert [path and path.name for _, path in checkpoints(trained)] == [
        None, "epoch-00010.safetensors", "epoch-00020.safetensors", "network.safetensors",
    ]  # fmt: skip


def test_each_checkpoint_is_searched_once_and_the_last_is_the_trained_network(jobs, trained, tmp_path):
    parts = [developed(jobs[f"{DEVELOP}/{number}"], trained, tmp_path / str(number)) for number in range(6)]
    epochs = [epoch for part in parts for epoch in part["epoch"].unique().to_list()]
    assert sorted(epochs) == [0, 10, 20, 30]  # two of the six jobs name a checkpoint that another job searches
    table = validate("development", pl.concat(parts))
    assert table.height == 4 * 2
    first, last = parts[0], parts[-1]
    assert first["trial_accuracy"][0] < last["trial_accuracy"][0]
    subject = Subject.of(TrainArguments.read(jobs[TRAIN].arguments))
    network = subject.trained_network({"train": trained})
    results = align(
        network,
        make_algorithm("up-down", subject.task),
        ["count", "phase"],
        6,
        n_train=200,
        n_validation=60,
        n_test=60,
        controls=(),
        function=Oblique(coordinates="natural-span"),
        options=SearchOptions(learning_rate=1e-2, batch=32, validate_every=20, restarts=1, steps=60),
    )
    assert last["iia"].to_list() == [result.iia for result in results.all]


def test_development_without_checkpoints_is_a_fault():
    with pytest.raises(ConfigurationError, match="development needs checkpoints"):
        read_study(STUDY.replace("checkpoint_every: 10", "checkpoint_every: 0"), "small")
    with pytest.raises(ConfigurationError, match="known: checkpoints, restarts, steps"):
        read_study(STUDY.replace("checkpoints", "chekpoints"), "small")
