"""Studies of trained networks that the user brings: weights in a file, or a function that returns a trained network."""

import sys

import polars as pl
import pytest

from symscope.errors import CheckpointError, ConfigurationError
from symscope.networks import make_network
from symscope.runner import local, open_store, run
from symscope.seeds import generator
from symscope.studies import collect, plan_study, query, read_study
from symscope.studies.arguments import TrainArguments
from symscope.studies.subject import Subject
from symscope.studies.train import measure_stage
from symscope.tasks import make_task
from symscope.training import TrainingOptions, save_network, train

STUDY = """\
name: brought
title: Does a trained network count?
tasks:
  - {{name: multi-object, quantities: [1, 3], held_out: [2]}}
networks:
  - {network}
seeds: [0]
alignments:
  - {{algorithm: up-down, variables: [count, phase], k: [1, 2], controls: [untrained, random_subspace]}}
search: {{learning_rate: 1.0e-2, batch: 16, steps: 20, validate_every: 10, restarts: 2}}
interventions: {{train: 60, validation: 30, test: 30}}
trial_accuracy: {{each: 4, extrapolate_to: 5}}
"""
FILE = "{kind: gru, sizes: [8], weights: gru.safetensors}"
FUNCTION = "{kind: 'brought:trained', sizes: [8], trained: true, fresh: 'brought:fresh', name: mine}"

MODULE = """\
from pathlib import Path

from symscope.networks import make_network
from symscope.training import load_network


def fresh(d, vocabulary, generator):
    return make_network("gru", d, vocabulary, generator)


def trained(d, vocabulary, generator):
    return load_network(Path(__file__).with_name("gru.safetensors"), fresh(d, vocabulary, generator))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder: a trained network, and a module that loads it."""
    task = make_task("multi-object", quantities=range(1, 4), held_out=(2,))
    network = make_network("gru", 8, len(task.vocabulary), generator(1))
    train(network, task, 0, TrainingOptions(learning_rate=1e-2, batch=16, epochs=4, validate_every=2))
    save_network(tmp_path / "gru.safetensors", network)
    (tmp_path / "brought.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("brought", None)


def read(network: str):
    return read_study(STUDY.format(network=network), "brought.yaml")


@pytest.mark.parametrize("network", [FILE, FUNCTION])
def test_a_trained_network_is_measured_and_searched_but_not_trained(folder, network) -> None:
    study = read(network)
    plan, store = plan_study(study), open_store(folder / "out", study="brought")
    label = "mine" if "mine" in network else "gru"
    assert [job.name for job in plan] == [
        f"measure/multi-object-{label}-d8-seed0",
        f"align/multi-object-{label}-d8-seed0/up-down-h-oblique-natural-span",
        f"ceiling/multi-object-{label}-d8-seed0/up-down-h",
    ]
    outcome = run(plan, store, local(0))
    assert outcome.ok, outcome.failed
    scores = query(folder / "out", "scores").filter(pl.col("variable") == "count", pl.col("k") == 1)
    assert set(scores["control"]) == {"none", "untrained", "random_subspace"}
    assert set(scores["network"]) == {label}
    accuracy = query(folder / "out", "trial_accuracy")
    assert accuracy["quantity"].to_list() == [1, 2, 3, 4, 5]
    inputs = collect(study, plan, store, outcome, "symscope study run brought.yaml")
    (note,) = (note for note in inputs.notes if "measure/" in note)
    assert note.startswith("Networks that did not solve their task: measure/multi-object-")
    assert "(trial accuracy 0." in note
    assert "below the target 0.9999" in note


def test_the_untrained_control_is_not_the_trained_network(folder) -> None:
    """The trained network has the same weights in every purpose, so the control needs the builder of fresh networks."""
    plan = plan_study(read(FUNCTION))
    arguments = next(job.arguments for job in plan if job.name.startswith("align/"))
    subject = Subject.of(TrainArguments.__base__.model_validate({k: arguments[k] for k in SUBJECT}))
    weights = [next(iter(net.parameters())) for net in (*subject.untrained_networks(), subject.new_network("trained"))]
    assert not weights[0].equal(weights[2])
    assert not weights[1].equal(weights[2])
    assert weights[2].equal(subject.new_network("another purpose").get_parameter("cell.embedding"))


SUBJECT = ("seed", "code", "task", "network", "device")


def test_without_a_builder_of_fresh_networks_there_is_no_untrained_control(folder) -> None:
    plan = plan_study(read(FUNCTION.replace("fresh: 'brought:fresh', ", "")))
    arguments = next(job.arguments for job in plan if job.name.startswith("align/"))
    subject = Subject.of(TrainArguments.__base__.model_validate({k: arguments[k] for k in SUBJECT}))
    assert subject.untrained_networks() == []


@pytest.mark.parametrize("network", [FILE, FUNCTION])
def test_other_weights_give_other_keys(folder, network) -> None:
    before = plan_study(read(network))
    unchanged = plan_study(read(network))
    task = make_task("multi-object", quantities=range(1, 4), held_out=(2,))
    save_network(folder / "gru.safetensors", make_network("gru", 8, len(task.vocabulary), generator(2)))
    after = plan_study(read(network))
    for job in before:
        assert unchanged.key(job.name) == before.key(job.name)
        assert after.key(job.name) != before.key(job.name)
    (first, *_) = before
    (folder / "work" / "scratch").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="have changed since the study was planned"):
        measure_stage(first.arguments, {}, folder / "work", lambda _: None)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (FILE.replace("gru.saf", "lstm.saf"), "networks[0].weights: d = 8: there is no file lstm.safetensors"),
        (FILE.replace("[8]", "[16]"), "networks[0].weights: d = 16: gru.safetensors"),
        (FILE.replace("kind: gru", "kind: lstm"), "is of another architecture"),
        (FILE.replace("weights:", "trained: true, weights:"), "'weights' and 'trained' exclude each other"),
        ("{kind: gru, sizes: [8], trained: true}", "'trained' needs the import path of a function"),
        ("{kind: gru, sizes: [8], fresh: 'brought:fresh'}", "'fresh' is an import path, for networks with 'trained"),
        (FUNCTION.replace("brought:fresh", "brought:fres"), "did you mean 'fresh'"),
    ],
)
def test_faults_of_trained_networks(folder, network, message) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(network)
    assert any(message in fault for fault in caught.value.faults), caught.value.faults


def test_a_network_of_another_vocabulary_is_a_fault(folder) -> None:
    (folder / "brought.py").write_text(MODULE.replace("d, vocabulary, generator)\n", "d, 9, generator)\n", 1))
    with pytest.raises(ConfigurationError, match="it has 9 tokens, but the task has 8"):
        read("{kind: 'brought:fresh', sizes: [8]}")
