"""The search stage: one job equals its searches one by one, further tables never lose a search, all options arrive."""

from pathlib import Path

import polars as pl
import pytest

from symscope.alignment import fit, read_alignments, read_results
from symscope.errors import NonFiniteError
from symscope.runner import local, open_store, run
from symscope.studies import collect, plan_study, query, read_study
from symscope.studies.align import ALIGNMENT, align_stage
from symscope.studies.subject import part_file
from symscope.studies.train import train_stage

STUDY = """\
name: small
title: Does a tiny network count?
tasks:
  - {name: multi-object, quantities: [1, 3], held_out: [2]}
networks:
  - {kind: gru, sizes: [8]}
seeds: [0]
training: {learning_rate: 3.0e-3, batch: 16, epochs: 4, validate_every: 2, validate_each: 2}
alignments:
  - {algorithm: up-down, variables: [count, phase], k: [1, 2], functions: [orthogonal]}
search: {learning_rate: 1.0e-2, batch: 16, steps: 20, validate_every: 10, restarts: 2}
interventions: {train: 60, validation: 30, test: 30, gradience: 40}
trial_accuracy: {each: 2}
"""


def searches(text: str) -> list:
    return [job for job in plan_study(read_study(text, "small")) if job.name.startswith("align/")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    (job, *_) = plan_study(read_study(STUDY, "small"))
    train_stage(job.arguments, {}, folder, lambda _: None)
    return folder


def aligned(text: str, trained: Path, folder: Path) -> Path:
    (job,) = searches(text)
    (folder / "scratch").mkdir(parents=True)
    align_stage(job.arguments, {"train": trained}, folder, lambda _: None)
    return folder


def scores(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / part_file("scores"))


def test_a_failing_further_table_does_not_lose_the_search(trained, tmp_path, monkeypatch) -> None:
    def broken(*arguments: object) -> None:
        raise IndexError("no such label")

    monkeypatch.setattr("symscope.studies.align.labelled_states", broken)
    study = read_study(STUDY, "small")
    plan, store = plan_study(study), open_store(tmp_path, study="small")
    outcome = run(plan, store, local(0))
    assert outcome.ok
    (search,) = (job for job in plan if job.name.startswith("align/"))
    notes = store.manifest(plan.location(search.name)).facts["notes"]
    assert notes == ["the table aligned_states could not be made: IndexError: no such label"]
    assert query(tmp_path, "gradience").height > 0
    inputs = collect(study, plan, store, outcome, "symscope study run small.yaml")
    assert f"In the job {search.name}, {notes[0]}." in inputs.notes
    assert "aligned_states" not in inputs.tables


def test_phases_have_the_labels_of_the_algorithm(trained, tmp_path, monkeypatch) -> None:
    (tmp_path / "labels.py").write_text(
        "from symscope.algorithms import Category, UpDown\n\n\n"
        "class Named(UpDown):\n"
        "    name = 'named'\n"
        "    variables = (UpDown.variables[0], Category('phase', ('showing', 'answering')))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = aligned(STUDY.replace("up-down", "'labels:Named'"), trained, tmp_path / "out")
    phases = pl.read_parquet(folder / part_file("aligned_states"))["phase"]
    assert set(phases) == {"showing", "answering"}


def test_a_diverged_search_keeps_its_best_alignments(trained, tmp_path, monkeypatch) -> None:
    def diverged(*arguments: object, **options: object) -> None:
        raise NonFiniteError("a loss is not finite", list(fit(*arguments, **options).searches.values()))

    monkeypatch.setattr("symscope.studies.align.fit", diverged)
    with pytest.raises(NonFiniteError):
        aligned(STUDY, trained, tmp_path)
    best = read_alignments(tmp_path / "scratch" / ALIGNMENT)
    assert list(best) == ["count.1", "count.2", "phase.1", "phase.2"]


def test_a_protocol_changes_the_interventions(trained, tmp_path) -> None:
    protocol = "gradience: 40, protocol: {position: trigger, excluded_tokens: [], extra_demo_tokens: 0}"
    text = STUDY.replace("gradience: 40", protocol).replace("[count, phase]", "[count]")  # there, the phase is constant
    folder = aligned(text, trained, tmp_path / "trigger")
    gradience = pl.read_parquet(folder / part_file("gradience"))
    assert set(gradience["base_value"]) <= {1, 2, 3}  # at the trigger, the count is the quantity
    (job,) = searches(text)
    assert job.arguments["interventions"]["protocol"]["position"] == "trigger"
    ceiling = next(job for job in plan_study(read_study(text, "small")) if job.name.startswith("ceiling/"))
    assert ceiling.arguments["protocol"]["position"] == "trigger"


def test_a_learned_mask_may_take_fewer_dimensions(trained, tmp_path) -> None:
    text = STUDY.replace("k: [1, 2]", "k: [8], mask: {size_penalty: 50.0, temperatures: [1.0, 0.1]}")
    results = read_results(aligned(text, trained, tmp_path) / ALIGNMENT)
    assert {result.k for result in results} == {8}
    assert min(result.alignment.k for result in results) < 8
    assert set(scores(tmp_path)["k"]) == {8}


def test_a_joint_map_gives_each_variable_its_own_block(trained, tmp_path) -> None:
    results = read_results(aligned(STUDY.replace("k: [1, 2]", "k: [2], joint: true"), trained, tmp_path) / ALIGNMENT)
    count, phase = (result.alignment for result in results)
    write, read = count.tensors[0], phase.tensors[1]
    assert float((read @ write).abs().max()) < 1e-5  # the blocks of one orthogonal map


def test_a_control_of_the_user_is_a_row(trained, tmp_path, monkeypatch) -> None:
    (tmp_path / "controls.py").write_text(
        "from symscope.alignment import ComputedControl, neurons\n\n\n"
        "class FirstNeurons(ComputedControl):\n"
        "    name, is_null = 'first_neurons', True\n\n"
        "    def alignment(self, interventions, k, generator):\n"
        "        states = interventions.train.base_states\n"
        "        return neurons(states.shape[1], range(k)).to(states)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = STUDY.replace("k: [1, 2]", "k: [1], controls: [random_subspace, 'controls:FirstNeurons']")
    found = scores(aligned(text, trained, tmp_path / "out"))
    assert set(found["control"]) == {"none", "random_subspace", "first_neurons"}
