"""Comparisons in a study: which pairs, what is stored for each, and faults of their declaration."""

import polars as pl
import pytest

from symscope.errors import ConfigurationError
from symscope.runner import local, open_store, run
from symscope.studies import plan_study, preset, query, read_study
from symscope.studies.comparisons import ComparisonGrid, Member
from symscope.studies.estimate import by_measuring, kind_of, memory_of

STUDY = """\
name: small
title: Do two networks compute with the same variable?
tasks: [{name: multi-object, quantities: [1, 4], held_out: [3]}]
networks:
  - {kind: gru, sizes: [8]}
  - {kind: transformer-nope, sizes: [8]}
seeds: [0]
training: {learning_rate: 1.0e-2, batch: 16, epochs: 1, validate_every: 1, validate_each: 2}
comparisons:
  - {algorithm: up-down, variables: [count, count+phase], k: [2], minimal_dimensions: [1, 2], stitching: [2]}
search: {learning_rate: 1.0e-2, batch: 16, steps: 4, validate_every: 2, restarts: 1, more_restarts: 0}
interventions: {train: 60, validation: 30, test: 60}
trial_accuracy: {each: 2}
"""
GRU, NOPE = ("gru", 8, 0), ("transformer-nope", 8, 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of the small study, after all its jobs."""
    folder, study = tmp_path_factory.mktemp("study"), read_study(STUDY, "small.yaml")
    outcome = run(plan_study(study), open_store(folder, study=study.name), local(0))
    assert outcome.ok, outcome.failed
    return folder


def test_a_study_has_a_row_for_each_direction_variable_and_network(finished):
    table = query(finished, "comparison")
    where = table.select("network", "d", "seed").rows()
    partners = table.select("partner_network", "partner_d", "partner_seed").rows()
    assert set(zip(where, partners, strict=True)) == {(GRU, NOPE), (NOPE, GRU)}
    assert sorted(table.select("network", "direction", "variable").rows()) == sorted(
        (name, direction, variable)
        for name in ("gru", "transformer-nope")
        for direction in ("within", "across")
        for variable in ("count", "count+phase")
    )
    assert set(table["site"].to_list()) == {"h", "layer1"}
    measured = table.select("shuffled_labels_iia", "random_frame_iia", "mahalanobis", "accuracy", "partner_accuracy")
    assert set(measured.null_count().row(0)) == {0}
    assert table["untrained_iia"].null_count() == 0
    assert table["low"].le(table["iia"]).all()


def test_measures_with_a_direction_have_both_directions(finished):
    table = query(finished, "similarity")
    orders = {measure: sorted(rows["network"].to_list()) for (measure,), rows in table.group_by("measure")}
    assert orders["cka"] == ["gru"]
    assert orders["state_stitching_rank_2"] == ["gru", "transformer-nope"]
    assert table["untrained"].null_count() == 0
    assert table["p"].is_between(0, 1).all()


def test_each_compared_network_has_its_dimension_curve(finished):
    table = query(finished, "dimensions").sort("network", "k")
    assert table.select("network", "k").rows() == [(n, k) for n in ("gru", "transformer-nope") for k in (1, 2)]
    assert set(table["variable"].to_list()) == {"count+phase"}
    assert table.group_by("network").agg(pl.col("smallest").sum())["smallest"].to_list() == [1, 1]


def test_stitching_has_a_row_for_each_direction_and_rank(finished):
    table = query(finished, "stitching")
    assert sorted(table.select("network", "partner_network", "rank").rows()) == [
        ("gru", "transformer-nope", 2),
        ("transformer-nope", "gru", 2),
    ]
    assert table["untrained"].null_count() == 0


MEMBERS = [Member(name, d, seed) for name, d in (("gru", 8), ("gru", 16), ("lstm", 8)) for seed in (0, 1)]


def pairs(**options) -> set[tuple[Member, Member]]:
    grid = ComparisonGrid(algorithm="up-down", variables=("count",), **options)
    return {(MEMBERS[i], MEMBERS[j]) for i, j in grid.chosen(MEMBERS)}


def test_pairs_are_all_or_of_some_kinds_or_of_equal_seeds():
    every = pairs()
    assert len(every) == 15
    assert pairs(pairs=(("lstm", "gru"),)) == {(a, b) for a, b in every if {a.network, b.network} == {"gru", "lstm"}}
    assert pairs(pairs=(("gru", "gru"),)) == {(a, b) for a, b in every if a.network == b.network == "gru"}
    equal = pairs(seeds="equal")
    assert equal == {(a, b) for a, b in every if a.seed == b.seed or (a.network, a.d) == (b.network, b.d)}
    assert len(equal) == 9


GRID = "{algorithm: up-down, variables: [count, count+phase], k: [2], minimal_dimensions: [1, 2], stitching: [2]}"


@pytest.mark.parametrize(
    ("right", "wrong", "location", "message"),
    [
        ("k: [2]", "k: [9]", "comparisons[0].k", "d = 8"),
        ("[1, 2]", "[1, 9]", "comparisons[0].minimal_dimensions", "d = 8"),
        ("k: [2]", "k: [d/2]", "comparisons[0].k[0]", "integer"),
        ("count+phase", "count+phases", "comparisons[0].variables", "phases"),
        ("algorithm: up-down", "algorithm: up-dwn", "comparisons[0].algorithm", "up-down"),
        ("k: [2]", "functions: [reversible]", "comparisons[0].functions[0]", "linear"),
        ("k: [2]", "functions: [obliqe]", "comparisons[0].functions[0]", "oblique"),
        ("k: [2]", "pairs: [[gru, lstm]]", "comparisons[0].pairs", "'lstm' is not a network of this study"),
        ("k: [2]", "pairs: [[gru, gru]]", "comparisons[0]", "no two networks"),
        ("k: [2]", "pairs: some", "comparisons[0].pairs", "all"),
        ("k: [2]", "seeds: some", "comparisons[0].seeds", "equal"),
        ("k: [2]", "tasks: [one-object]", "comparisons[0].tasks", "'one-object' is neither a built-in task"),
        (GRID, f"{GRID}\n  - {{algorithm: up-down, variables: [phase]}}", "comparisons", "each once"),
    ],
)
def test_what_cannot_be_compared_is_a_fault_at_its_line(right, wrong, location, message):
    assert right in STUDY
    with pytest.raises(ConfigurationError) as caught:
        read_study(STUDY.replace(right, wrong), "small.yaml")
    (fault,) = [fault for fault in caught.value.faults if f", {location}: " in fault]
    assert fault.startswith("line ")
    assert message in fault


def test_faults_of_several_comparisons_are_reported_together():
    wrong = STUDY.replace("k: [2]", "k: [9]").replace("variables: [count,", "variables: [colour,")
    with pytest.raises(ConfigurationError) as caught:
        read_study(wrong, "small.yaml")
    assert len(caught.value.faults) == 2
    assert all(fault.startswith("line 10, comparisons[0].") for fault in caught.value.faults)


def test_the_estimate_of_memory_counts_comparisons():
    """Both networks' states; the preset's largest comparisons take 3.0 to 3.4 GB."""
    larger = STUDY.replace("train: 60", "train: 60_000")
    assert memory_of(read_study(larger, "small.yaml")).job > 1.1 * memory_of(read_study(STUDY, "small.yaml")).job
    assert 2.5e9 < memory_of(preset("comparison")).job < 4e9


@pytest.mark.slow
def test_jobs_of_comparisons_can_be_timed():
    plan = plan_study(read_study(STUDY.replace("epochs: 1,", "epochs: 6,").replace("steps: 4", "steps: 12"), "s.yaml"))
    timed = by_measuring(plan, [job.name for job in plan], threads=1, log=lambda _: None)
    assert {kind_of(job) for job in plan} == set(timed)
    assert all(estimate.seconds > 0 for estimate in timed.values())
    kinds = {job.name.split("/")[0] for job in plan if timed[kind_of(job)].at_most}
    assert kinds == {"train", "compare", "dimensions"}
