"""Declarations: the presets are right, and all faults of a wrong one are told together."""

import pytest

from symscope.errors import ConfigurationError, InvalidArgumentError, UnknownNameError
from symscope.studies import declared_text, plan_study, preset, preset_names, preset_text, read_study
from symscope.studies.declaration import subspace_size


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_right_and_planned(name: str) -> None:
    study = preset(name)
    assert study.name == name
    plan = plan_study(study)
    networks = len(study.tasks) * sum(len(network.sizes) for network in study.networks) * len(study.seeds)
    assert sum(job.name.startswith("train/") for job in plan) == networks


def test_quick_and_tmlr_have_the_sizes_that_they_claim() -> None:
    quick, tmlr = preset("quick"), preset("tmlr-gru")
    for study in (quick, tmlr):
        assert study.tasks[0].quantities == (1, 20)
        assert study.tasks[0].held_out == (4, 9, 14, 17)
        assert (study.interventions.train, study.interventions.validation, study.interventions.test) == (
            10_000,
            1000,
            1000,
        )
    assert (quick.networks[0].sizes, quick.seeds) == ((48,), (0, 1))
    assert (tmlr.networks[0].sizes, len(tmlr.seeds)) == ((128,), 5)
    assert tmlr.training.learning_rate == 1e-4
    assert (min(tmlr.alignments[0].k), max(tmlr.alignments[0].k)) == (1, 64)


def test_all_faults_are_told_together() -> None:
    text = preset_text("quick")
    for right, wrong in (
        ("name: multi-object", "name: multi-objects"),
        ("- kind: gru", "- {kind: grru, sizes: [48]}\n  - kind: gru"),
        ("variables: [count, phase]", "variables: [coumt, phase]"),
        ("k: [d/2]", "k: [d/2, 0, 99, half]"),
        ("seeds: [0, 1]", "seeds: [1, 1]"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    with pytest.raises(ConfigurationError) as caught:
        read_study(text.replace("multi-objects", "multi-object"), "mine.yaml")
    told = str(caught.value)
    for part in ("did you mean 'gru'", "did you mean 'count'", "k = 0", "k = 99", "'half'", "seeds: each once"):
        assert part in told
    with pytest.raises(ConfigurationError, match="unknown task 'multi-objects': did you mean 'multi-object'"):
        read_study(text, "mine.yaml")


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("seeds:", "seed:", "line 9, seed: unknown key: did you mean 'seeds'?"),
        ("epochs: 600", "epochs: -1", "epochs must be above 0"),
        ("epochs: 600", "epoch: 600", "epoch"),
        (
            "name: multi-object",
            "name: multi-object\n    held_out: [1, 2]\n    quantities: [1, 2]",
            "leaves nothing to train on",
        ),
        ("name: multi-object", "name: multi-object\n    quantities: [5, 4]", "quantities is empty"),
        ("sizes: [48]", "sizes: [0]", "d is at least 1"),
        ("seeds: [0, 1]", "seeds: []", "seeds"),
        ("name: quick", "name: [", "no valid YAML"),
        ("algorithm: up-down", "algorithm: up-down\n    site: nowhere", "unknown site 'nowhere'"),
        ("- name: multi-object", "- name: multi-object\n  - name: multi-object", "tasks: each once"),
        ("sizes: [48]", "sizes: [48, 48]", "networks: each once"),
        ("kind: gru", "kind: lstm\n    options: {heads: 2}", "unknown option of network 'lstm' 'heads'"),
        ("- name: multi-object", "- {name: modulo, options: {modulus: 1}}", "whole number"),
        ("name: quick", "name: quick\ndevice: abacus", "'abacus' cannot be used here"),
    ],
)
def test_single_faults(right: str, wrong: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_study(preset_text("quick").replace(right, wrong, 1), "mine.yaml")
    assert told in str(caught.value)


def test_subspace_sizes() -> None:
    assert [subspace_size(k, 48) for k in (1, "d", "d/2", "d / 4", "7")] == [1, 48, 24, 12, 7]
    for wrong in ("d/0", "e/2", "", "-1", 49, "d/99"):
        with pytest.raises(InvalidArgumentError):
            subspace_size(wrong, 48)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        preset("quik")


def test_a_declaration_is_written_out_the_same_however_it_is_declared() -> None:
    quick = preset("quick")
    written = declared_text(quick)
    assert read_study(written, "copy") == quick
    assert declared_text(read_study(written, "copy")) == written
    assert declared_text(quick.model_copy(update={"seeds": (0,)})) != written
