"""A study of a task, an algorithm and a network of the user, named by import paths."""

import shutil
import sys
from pathlib import Path

import pytest

from symscope.errors import ConfigurationError
from symscope.runner import local, open_store, run
from symscope.studies import plan_study, query, read_study

ROOT = Path(__file__).parents[2]

OWN = """\
name: own
title: Does a network of my own hold the size of a group?
tasks:
  - {{name: "{task}:LargerGroup"}}
networks:
  - {{kind: "my_network:plain", sizes: [12]}}
seeds: [0]
training: {{learning_rate: 3.0e-3, batch: 32, epochs: 4, validate_every: 2, validate_each: 4}}
alignments:
  - {{algorithm: "{task}:CountBoth", variables: [a, phase], k: [2]}}
search: {{learning_rate: 1.0e-2, batch: 32, steps: 20, validate_every: 10, restarts: 1}}
interventions: {{train: 100, validation: 40, test: 40}}
whole_state_swaps: 20
trial_accuracy: {{each: 4}}
"""

NETWORK = """\
import torch
from torch import nn

from symscope.networks import Cell, MLPReadout, RecurrentNetwork


class PlainCell(Cell):
    def __init__(self, d, tokens):
        super().__init__()
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.embedding, self.recurrent = nn.Embedding(tokens, d), nn.Linear(d, d)

    def token_inputs(self):
        return self.embedding.weight

    def step(self, states, drives):
        return torch.tanh(self.recurrent(states) + drives)


def plain(d, vocabulary, generator):
    torch.manual_seed(generator.initial_seed() % 2**31)
    return RecurrentNetwork(PlainCell(d, vocabulary), MLPReadout(d, vocabulary, generator))


def nothing(d, vocabulary, generator):
    return None


def broken(d, vocabulary, generator):
    raise RuntimeError("no such luck")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with modules of the user, first on the path."""
    shutil.copy(ROOT / "examples" / "own_task.py", tmp_path / "my_task.py")
    (tmp_path / "my_network.py").write_text(NETWORK)
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("my_task", "my_network", "broken_module"):
        sys.modules.pop(name, None)


def test_a_study_of_the_users_classes_runs(own) -> None:
    plan = plan_study(read_study(OWN.format(task="my_task"), "own.yaml"))
    name = "LargerGroup-plain-d12-seed0"
    search = f"align/{name}/CountBoth-h-oblique-natural-span"
    assert [job.name for job in plan] == [f"train/{name}", search, f"ceiling/{name}/CountBoth-h", f"swap/{name}"]
    store = open_store(own / "out", study="own")
    outcome = run(plan, store, local(1))
    assert outcome.ok, outcome.failed
    scores = query(own / "out", "scores")
    assert {"a", "phase"} <= set(scores["variable"])
    assert set(scores["algorithm"]) == {"count-both"}
    assert set(scores["task"]) == {"LargerGroup"}
    assert query(own / "out", "trial_accuracy")["quantity"].unique().sort().to_list() == list(
        range(1, 9)
    )  # the quantities of the class


def test_changed_code_of_the_user_gives_other_keys(own) -> None:
    study = read_study(OWN.format(task="my_task"), "own.yaml")
    before = plan_study(study)
    assert plan_study(study).key("train/LargerGroup-plain-d12-seed0") == before.key("train/LargerGroup-plain-d12-seed0")
    (own / "my_task.py").write_text((own / "my_task.py").read_text() + "\nNEW = 1\n")
    after = plan_study(study)
    for job in before:
        assert after.key(job.name) != before.key(job.name)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("my_task:LargerGroup", "my_tusk:LargerGroup", "No module named 'my_tusk' (the folder in which you call"),
        ("my_task:LargerGroup", "my_task:LargerGroups", "did you mean 'LargerGroup'"),
        ("my_task:LargerGroup", "my_task:", "is no import path"),
        ("my_task:LargerGroup", "my_task:CountBoth", "cannot be made: TypeError"),
        ("my_network:plain", "my_network:nothing", "makes a NoneType, not a symscope Network"),
        ("my_network:plain", "my_network:broken", "cannot be made: RuntimeError: no such luck"),
        ("my_network:plain", "broken_module:plain", "cannot be imported: ZeroDivisionError"),
        ("my_task:CountBoth", "up-down", "does not solve task"),
    ],
)
def test_faults_of_the_users_classes_have_lines(own, right: str, wrong: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_study(OWN.format(task="my_task").replace(right, wrong), "own.yaml")
    assert any(message in fault and fault.startswith("line ") for fault in caught.value.faults), caught.value.faults


def test_swaps_in_a_task_of_the_user_need_an_algorithm(own) -> None:
    text = "\n".join(
        line for line in OWN.format(task="my_task").splitlines() if "align" not in line and "alg" not in line
    )
    with pytest.raises(ConfigurationError, match="whole-state swaps need an algorithm"):
        read_study(text, "own.yaml")
