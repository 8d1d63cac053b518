"""Faults of declarations: bounds and strict types, names that tables could not tell apart, and no allocation."""

import resource

import pytest

from symscope.errors import ConfigurationError
from symscope.studies import read_study
from symscope.studies.estimate import memory_of

BASE = """\
name: mine
title: What?
seeds: [0]
tasks:
  - {name: multi-object, quantities: [1, 4], held_out: [3]}
networks:
  - {kind: gru, sizes: [8]}
training: {checkpoint_every: 10}
alignments:
  - {algorithm: up-down, variables: [count], k: [2], functions: [linear]}
development: {checkpoints: 3}
search: {steps: 100}
interventions: {train: 100}
trial_accuracy: {each: 5}
observe: {states: 1}
theory: {sizes: [2]}
calibration: {d: 8}
"""


def faults(*changes: tuple[str, str], text: str = BASE) -> list[str]:
    for right, wrong in changes:
        assert right in text
        text = text.replace(right, wrong)
    with pytest.raises(ConfigurationError) as caught:
        read_study(text, "mine.yaml")
    return caught.value.faults


def test_the_base_has_no_faults() -> None:
    read_study(BASE, "mine.yaml")


@pytest.mark.parametrize(
    ("right", "wrong", "location"),
    [
        ("checkpoint_every: 10", "target_accuracy: 99", "training.target_accuracy"),
        ("checkpoint_every: 10", "target_accuracy: -1", "training.target_accuracy"),
        ("checkpoint_every: 10", "epochs: true", "training.epochs"),
        ("checkpoint_every: 10", "learning_rate: 1e-3", "training.learning_rate"),
        ("checkpoint_every: 10", "learning_rate: .inf", "training.learning_rate"),
        ("checkpoint_every: 10", "batch: 10000000000000", "training.batch"),
        ("checkpoint_every: 10", "checkpoint_every: 7", "training"),
        ("steps: 100", "steps: 0", "search.steps"),
        ("steps: 100", "steps: '100'", "search.steps"),
        ("steps: 100", "target_iia: 1.5", "search.target_iia"),
        ("steps: 100", "init: anywhere", "search.init"),
        ("steps: 100", "latent_weight: -0.1", "search.latent_weight"),
        ("train: 100", "train: 0", "interventions.train"),
        ("train: 100", "test: 1.5", "interventions.test"),
        ("train: 100", "protocol: {extra_demo_tokens: some}", "interventions.protocol.extra_demo_tokens"),
        ("train: 100", "protocol: {position: trigge}", "interventions.protocol.position"),
        ("train: 100", "protocol: {excluded_tokens: [X]}", "interventions.protocol.excluded_tokens"),
        ("each: 5", "extrapolate_to: -1", "trial_accuracy.extrapolate_to"),
        ("states: 1", "states: 'no'", "observe.states"),
        ("theory: {sizes: [2]}", "theory: {layers: [9]}", "theory.layers[0]"),
        ("calibration: {d: 8}", "calibration: {latent_weights: [-1]}", "calibration.latent_weights[0]"),
        ("checkpoints: 3", "checkpoints: 1", "development.checkpoints"),
        ("sizes: [8]}", "sizes: [8], options: {layers: yes}}", "networks[0].options.layers"),
        ("quantities: [1, 4]", "quantities: [1, 100000000000]", "tasks[0].quantities[1]"),
        ("held_out: [3]", "held_out: [3], options: {void_probability: often}", "tasks[0].options.void_probability"),
        ("[linear]", "[{name: linear, options: {bias: 'no'}}]", "alignments[0].functions[0].options.bias"),
        ("[linear]", "[{name: linear, options: {order: papr}}]", "alignments[0].functions[0].options.order"),
        ("[linear]", "[{name: reversible, options: {hidden: 0}}]", "alignments[0].functions[0]"),
        ("[linear]", "[{name: reversible, options: {hidden: 9999999}}]", "alignments[0].functions[0].options.hidden"),
        ("[linear]", "[linear], joint: 1", "alignments[0].joint"),
        ("[linear]", "[linear], mask: {size_penalty: -1}", "alignments[0].mask.size_penalty"),
        ("[linear]", "[linear], mask: {temperatures: [0.1, 1]}", "alignments[0].mask"),
        ("[linear]", "[linear], controls: [shuffled]", "alignments[0].controls"),
        ("[linear]", "[linear, {name: linear, options: {bias: false}}]", "alignments"),
        ("k: [2]", "k: [2.5]", "alignments[0].k[0]"),
    ],
)
def test_a_value_that_cannot_be_meant_is_a_fault_at_its_location(right: str, wrong: str, location: str) -> None:
    found = faults((right, wrong))
    assert all(fault.startswith("line ") for fault in found)
    assert any(fault.partition(", ")[2].startswith(f"{location}: ") for fault in found), found


def test_faults_of_all_sections_are_reported_together() -> None:
    found = faults(("steps: 100", "steps: 0"), ("each: 5", "each: many"), ("[linear]", "[linaer]"), ("gru", "gruu"))
    assert [fault.partition(":")[0] for fault in found] == [
        "line 7, networks[0]", "line 10, alignments[0].functions[0]", "line 12, search.steps",
        "line 14, trial_accuracy.each",
    ]  # fmt: skip


@pytest.mark.parametrize("size", ["1000000000", "10" + "0" * 20, "0", "-3", "8.0", "'8'"])
def test_sizes_are_bounded(size: str) -> None:
    (fault,) = faults(("sizes: [8]", f"sizes: [{size}]"))
    assert fault.startswith("line 7, networks[0].sizes[0]: input should be")


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer-rope", "transformer-nope"])
def test_a_check_of_a_large_network_allocates_nothing(kind: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read_study(BASE.replace("{kind: gru, sizes: [8]}", f"{{kind: {kind}, sizes: [65536]}}"), "mine.yaml")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes; the weights are > 80 GB


def test_two_algorithms_of_one_name_are_a_fault(tmp_path, monkeypatch) -> None:
    (tmp_path / "twin.py").write_text("from symscope.algorithms import UpDown\n\n\nclass Twin(UpDown):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    twin = "\n  - {algorithm: 'twin:Twin', variables: [count], k: [1]}"
    (fault,) = faults(("functions: [linear]}", "functions: [linear]}" + twin))
    assert fault.startswith("line 11, alignments[1].algorithm: 'up-down' and 'twin:Twin' have the same name, 'up-down'")


def test_a_check_changes_no_registry(tmp_path, monkeypatch) -> None:
    from symscope.alignment import FUNCTIONS

    before = dict(FUNCTIONS)
    (tmp_path / "mine.py").write_text(
        "from symscope.alignment import Oblique\n\n\ndef wide(coordinates: str = 'state'):\n    return Oblique()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    read_study(BASE.replace("[linear]", "['mine:wide']"), "mine.yaml")
    assert dict(FUNCTIONS) == before


def test_the_estimate_of_memory_grows_with_sizes_and_checkpoints() -> None:
    small = memory_of(read_study(BASE, "mine.yaml"))
    large = memory_of(read_study(BASE.replace("sizes: [8]", "sizes: [1024]"), "mine.yaml"))
    huge = memory_of(read_study(BASE.replace("sizes: [8]", "sizes: [65536]"), "mine.yaml"))
    more = memory_of(read_study(BASE.replace("checkpoint_every: 10", "checkpoint_every: 5"), "mine.yaml"))
    assert small.job < 0.6e9
    assert small.job < large.job < huge.job
    assert huge.job > 16 * 6 * 65536**2  # two matrices of three gates, each with gradient and moments of Adam
    assert small.disk < more.disk
