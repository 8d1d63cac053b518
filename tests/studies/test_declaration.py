"""Declarations: presets are valid, and all faults of a declaration are reported together."""

import pytest

from symscope.errors import ConfigurationError, InvalidArgumentError, UnknownNameError
from symscope.studies import declared_text, plan_study, preset, preset_names, preset_text, read_study
from symscope.studies.declaration import subspace_size
from symscope.studies.settings import read_setting


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid_and_have_a_plan(name: str) -> None:
    study = preset(name)
    assert study.name == name
    plan = plan_study(study)
    networks = len(study.tasks) * sum(len(network.sizes) for network in study.networks) * len(study.seeds)
    assert sum(job.name.startswith("train/") for job in plan) == networks


def test_quick_and_tmlr_have_the_sizes_that_they_claim() -> None:
    quick, tmlr = preset("quick"), preset("tmlr-gru")
    for study, train in ((quick, 2_000), (tmlr, 10_000)):
        assert study.tasks[0].quantities == (1, 20)
        assert study.tasks[0].held_out == (4, 9, 14, 17)
        assert (study.interventions.train, study.interventions.validation, study.interventions.test) == (
            train,
            1000,
            1000,
        )
    assert (quick.networks[0].sizes, quick.seeds) == ((48,), (0, 1, 2))
    assert (tmlr.networks[0].sizes, len(tmlr.seeds)) == ((128,), 5)
    assert tmlr.training.learning_rate == 1e-4
    assert (min(tmlr.alignments[0].k), max(tmlr.alignments[0].k)) == (1, 64)


def test_all_faults_are_reported_together() -> None:
    text = preset_text("quick")
    for right, wrong in (
        ("name: multi-object", "name: multi-objects"),
        ("- kind: gru", "- {kind: grru, sizes: [48]}\n  - kind: gru"),
        ("variables: [count, phase]", "variables: [coumt, phase]"),
        ("k: [8]", "k: [8, 0, 99, half]"),
        ("seeds: [0, 1, 2]", "seeds: [1, 1]"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    with pytest.raises(ConfigurationError) as caught:
        read_study(text.replace("multi-objects", "multi-object"), "mine.yaml")
    message = str(caught.value)
    for part in ("did you mean 'gru'", "did you mean 'count'", "k = 0", "k = 99", "'half'", "seeds: each once"):
        assert part in message
    with pytest.raises(ConfigurationError, match="unknown task 'multi-objects': did you mean 'multi-object'"):
        read_study(text, "mine.yaml")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("seeds:", "seed:", "line 10, seed: unknown key: did you mean 'seeds'?"),
        ("epochs: 600", "epochs: -1", "input should be greater than or equal to 1"),
        ("epochs: 600", "epoch: 600", "epoch"),
        (
            "name: multi-object",
            "name: multi-object\n    held_out: [1, 2]\n    quantities: [1, 2]",
            "leaves nothing to train on",
        ),
        ("name: multi-object", "name: multi-object\n    quantities: [5, 4]", "quantities is empty"),
        ("sizes: [48]", "sizes: [0]", "input should be greater than or equal to 1"),
        ("seeds: [0, 1, 2]", "seeds: []", "seeds"),
        ("name: quick", "name: [", "not valid YAML"),
        ("algorithm: up-down", "algorithm: up-down\n    sites: [nowhere]", "unknown site 'nowhere'"),
        ("functions: [orthogonal]", "functions: [linea]", "did you mean 'linear'"),
        (
            "functions: [orthogonal]",
            "functions: [{name: linear, options: {coordinates: flat}}]",
            "option 'coordinates' of alignment function 'linear': input should be 'state'",
        ),
        ("functions: [orthogonal]", "functions: [oblique, oblique]", "alignments: each once"),
        ("- name: multi-object", "- name: multi-object\n  - name: multi-object", "tasks: each once"),
        ("sizes: [48]", "sizes: [48, 48]", "networks: each once"),
        ("kind: gru", "kind: lstm\n    options: {heads: 2}", "unknown option of network 'lstm' 'heads'"),
        ("- name: multi-object", "- {name: modulo, options: {modulus: 1}}", "modulus must be at least 2"),
        ("name: quick", "name: quick\ndevice: abacus", "'abacus' cannot be used here"),
    ],
)
def test_single_faults(right: str, wrong: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_study(preset_text("quick").replace(right, wrong, 1), "mine.yaml")
    assert message in str(caught.value)


def test_subspace_sizes() -> None:
    assert [subspace_size(k, 48) for k in (1, "d", "d/2", "d / 4", "7")] == [1, 48, 24, 12, 7]
    for wrong in ("d/0", "e/2", "", "-1", 49, "d/99"):
        with pytest.raises(InvalidArgumentError):
            subspace_size(wrong, 48)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        preset("quik")


def test_equal_declarations_have_equal_texts() -> None:
    quick = preset("quick")
    written = declared_text(quick)
    assert read_study(written, "copy") == quick
    assert declared_text(read_study(written, "copy")) == written
    assert declared_text(quick.model_copy(update={"seeds": (0,)})) != written


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_study(text, "mine.yaml")
    return caught.value.faults


def test_every_fault_has_its_line_and_all_kinds_are_reported_together() -> None:
    text = """\
name: Mine
title: Wrong in many ways
tasks:
  - name: multi-object
  - {name: single-objects}
networks:
  - kind: gru
    sizes: [16, zero]
  - kind: lstmm
    sizes: [16]
seed: [1]
seeds: [0]
training:
  epochs: 10
  learning_rates: 1.0e-3
alignments:
  - algorithm: up-down
    variables: [count, fase]
    k: [99]
"""
    message = faults(text)
    begun = [
        "line 1, name: string should match",
        "line 5, tasks[1]: unknown task 'single-objects': did you mean 'single-object'",
        "line 8, networks[0].sizes[1]: input should be a valid integer",
        "line 9, networks[1]: d = 16: unknown network 'lstmm'",
        "line 11, seed: unknown key: did you mean 'seeds'?",
        "line 15, training.learning_rates: unknown key: did you mean 'learning_rate'?",
        "line 18, alignments[0].variables: unknown variable of up-down 'fase'",
    ]
    for fault, expected in zip(message, begun, strict=True):
        assert fault.startswith(expected)


def test_a_repeated_key_is_a_fault() -> None:
    text = preset_text("quick") + "seeds: [7]\n"
    (fault,) = faults(text)
    assert "seeds: 'seeds' is given twice, first on line" in fault
    assert fault.startswith(f"line {len(text.splitlines())},")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ntasks: &a [*a]\n", "line 2, tasks[0]: this contains itself"),
        ("name: x\ntitle: &a {b: *a}\n", "line 2, title.b: this contains itself"),
        ("name: [\n", "not valid YAML"),
        ("name: x\n\ttitle: y\n", "line 2, the declaration: not valid YAML: found character"),
        ("name: !!python/object:os.system x\n", "not valid YAML: could not determine a constructor"),
        ("? [a]\n: b\n", "not valid YAML: found unhashable key"),
        ("a: 1\n---\nb: 2\n", "found another document"),
        ("just words", "the declaration: input should be a section"),
        ("- a list", "the declaration: input should be a section"),
        ("", "is empty"),
    ],
)
def test_texts_that_are_not_a_declaration(text: str, message: str) -> None:
    assert any(message in fault for fault in faults(text)), faults(text)


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert any("aliases of aliases" in fault for fault in faults("\n".join(lines)))


def test_an_alignment_is_for_its_tasks_and_at_its_sites() -> None:
    text = """\
name: mine
title: Where?
tasks: [{name: multi-object}, {name: modulo}]
networks: [{kind: gru, sizes: [8]}, {kind: transformer-rope, sizes: [8]}]
seeds: [0]
alignments:
  - {algorithm: up-down, tasks: [multi-object], variables: [count], k: [2], sites: [h, layer1, layer2]}
  - {algorithm: up-down-modulo, tasks: [modulo], variables: [count], k: [2]}
"""
    plan = plan_study(read_study(text, "mine.yaml"))
    assert [job.name.removeprefix("align/") for job in plan if job.name.startswith("align/")] == [
        "multi-object-gru-d8-seed0/up-down-h-oblique-natural-span",
        "modulo-gru-d8-seed0/up-down-modulo-h-oblique-natural-span",
        "multi-object-transformer-rope-d8-seed0/up-down-layer1-oblique-natural-span",
        "multi-object-transformer-rope-d8-seed0/up-down-layer2-oblique-natural-span",
        "modulo-transformer-rope-d8-seed0/up-down-modulo-layer1-oblique-natural-span",
    ]
    wrong = text.replace("tasks: [modulo]", "tasks: [modula]").replace("layer2", "layer9")
    message = faults(wrong)
    assert any("line 7, alignments[0].sites: unknown site 'layer9'" in fault for fault in message)
    assert any(
        "line 8, alignments[1].tasks: 'modula' is neither a built-in task nor one of this study" in fault
        for fault in message
    )


@pytest.mark.parametrize(
    ("name", "networks", "size", "rate"),
    [("iclr", 144, 20, 1e-3), ("iclr-sizes", 36, 8, 1e-3), ("tmlr", 18, 128, 1e-4)],
)
def test_the_papers_presets_have_its_values(name: str, networks: int, size: int, rate: float) -> None:
    study = preset(name)
    plan = plan_study(study)
    assert sum(job.name.startswith("train/") for job in plan) == networks
    assert study.networks[0].sizes[0] == size
    assert (study.training.learning_rate, study.training.batch, study.training.epochs) == (rate, 128, 2500)
    assert len(study.seeds) == (3 if name == "tmlr" else 6)
    assert all(task.held_out == (4, 9, 14, 17) and task.quantities == (1, 20) for task in study.tasks)
    searched = {job.needs[0] for job in plan if job.name.startswith("align/")}
    assert len(searched) == networks  # every network is searched


def test_a_job_searches_all_variables_and_sizes_with_one_function() -> None:
    text = preset_text("quick").replace("k: [8]", "k: [1, d/2, 24]").replace("[orthogonal]", "[orthogonal, linear]")
    plan = plan_study(read_study(text, "mine.yaml"))
    searches = [job for job in plan if job.name.startswith("align/")]
    assert len(searches) == 3 * (2 + 2)  # seeds and functions
    requests = [job.arguments["request"] for job in searches]
    assert all(request["variables"] == ["count", "phase"] for request in requests)
    in_the_span = {"coordinates": "natural-span"}
    sizes = [[2, 4, 8] if request["function"]["options"] == in_the_span else [1, 24] for request in requests]
    assert [request["k"] for request in requests] == sizes  # d/2 is 24
    fewer = plan_study(read_study(text.replace(", linear", ""), "mine.yaml"))
    assert {fewer.location(job.name) for job in fewer} < {plan.location(job.name) for job in plan}
    (fault,) = faults(text.replace("linear", "linea"))
    assert "functions[1]: unknown alignment function 'linea': did you mean 'linear'" in fault
    (fault,) = faults(text.replace("linear", "{name: linear, options: {biass: true}}"))
    assert "unknown option of alignment function 'linear' 'biass'" in fault


def test_the_options_of_an_alignment_replace_those_of_the_study() -> None:
    text = preset_text("quick").replace("search:\n  steps: 200\n", "search: {restarts: 3}\n")
    plan = plan_study(read_study(text, "mine.yaml"))
    searches = {
        job.name: job.arguments["search"] for job in plan if job.name.startswith("align/") and "seed0" in job.name
    }
    assert {
        name.split("-h-")[1]: (search["restarts"], search["latent_weight"]) for name, search in searches.items()
    } == {
        "oblique-natural-span": (3, 0.05),
        "orthogonal-natural-span": (3, 0.05),
        "orthogonal": (1, 0.0),
    }
    (fault,) = faults(text.replace("search: {latent_weight: 0,", "search: {latent_weigth: 0,"))
    assert "alignments[2].search.latent_weigth: unknown key: did you mean 'latent_weight'?" in fault


def test_a_task_can_be_given_by_its_name() -> None:
    by_name = preset_text("quick").replace("- name: multi-object", "- multi-object")
    assert read_study(by_name, "mine.yaml") == preset("quick")


def test_a_value_in_place_of_a_section_is_explained() -> None:
    assert faults("name: x\ntitle: q\ntasks: [multi-object]\nnetworks: [gru]\nseeds: [0]\ntraining: 3\n") == [
        "line 4, networks[0]: input should be a section with the keys kind, sizes, options, name, weights, trained, "
        "fresh; it needs 'kind' and 'sizes' (got 'gru')",
        "line 6, training: input should be a section with the keys learning_rate, batch, epochs, min_epochs, "
        "target_accuracy, consecutive, validate_every, validate_each, checkpoint_every (got 3)",
    ]


def test_a_study_runs_on_some_of_its_tasks_though_its_alignments_name_others() -> None:
    plan = plan_study(read_study(preset_text("iclr"), "mine.yaml", [read_setting("tasks=[multi-object-void]")]))
    study = read_study(preset_text("further-tasks"), "mine.yaml", [read_setting("tasks=[modulo]")])
    assert {job.name.split("/")[1].partition("-gru")[0] for job in plan if "-gru" in job.name} == {"multi-object-void"}
    assert not [job for job in plan if "paper-code" in job.name]
    assert read_study(declared_text(study), "again.yaml") == study
    searched = {job.name.split("/")[2].partition("-h-")[0] for job in plan_study(study) if "align/" in job.name}
    assert searched == {"up-down-modulo"}


def test_settings_add_sections_and_entries_and_leave_the_rest() -> None:
    texts = ["training.epochs=40", "networks.1.kind=lstm", "networks.1.sizes=[8]", "frontier.latent_weights=[0.0, 1.0]"]
    study = read_study(preset_text("quick"), "mine.yaml", [read_setting(text) for text in texts])
    assert study.training == preset("quick").training.model_copy(update={"epochs": 40})
    assert [(network.kind, network.sizes) for network in study.networks] == [("gru", (48,)), ("lstm", (8,))]
    assert study.frontier is not None
    assert study.seeds == preset("quick").seeds
