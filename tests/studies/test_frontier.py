"""The frontier: each of its points is the search with that weight."""

from dataclasses import replace

import polars as pl
import pytest
from tests.alignment.examples import ALGORITHM, BRIEF, TINY, hidden

import symscope as sc
from symscope.analysis import validate
from symscope.errors import ConfigurationError, InvalidArgumentError
from symscope.studies import plan_study, read_study
from symscope.studies.frontier import frontier_stage
from symscope.studies.subject import part_file
from symscope.studies.train import train_stage

STUDY = """
name: small
title: How natural can rewritten states be?
tasks: [{name: multi-object, quantities: [1, 4], held_out: [3]}]
networks: [{kind: gru, sizes: [12]}]
seeds: [0]
training: {learning_rate: 1.0e-2, batch: 32, epochs: 4, validate_every: 2, validate_each: 4}
alignments: [{algorithm: up-down, variables: [count, phase], k: [2, 4]}]
frontier: {latent_weights: [0, 1]}
search: {learning_rate: 1.0e-2, batch: 32, steps: 40, validate_every: 20}
interventions: {train: 200, validation: 60, test: 60}
trial_accuracy: {each: 5}
"""
NAME = "multi-object-gru-d12-seed0"


def test_each_point_is_the_search_with_this_weight():
    network, data = hidden().network, sc.counterfactuals(ALGORITHM, ["count", "phase"], **TINY)
    options = replace(BRIEF, init="least-squares")
    points = sc.frontier(network, data, [1, 2], latent_weights=[0.0, 0.5], options=options)
    assert list(points) == [0.0, 0.5]
    for weight, results in points.items():
        alone = sc.evaluate(sc.fit(network, data, [1, 2], controls=[], options=replace(options, latent_weight=weight)))
        for ours, theirs in zip(results.all, alone.all, strict=True):
            assert (ours.variable, ours.k, ours.iia) == (theirs.variable, theirs.k, theirs.iia)
            assert ours.metrics.divergence == theirs.metrics.divergence
            assert ours.naturalness == theirs.naturalness


def test_a_negative_weight_is_refused():
    data = sc.counterfactuals(ALGORITHM, "count", **TINY)
    with pytest.raises(InvalidArgumentError, match="latent_weight"):
        sc.frontier(hidden().network, data, 1, latent_weights=[-1.0], options=BRIEF)


def test_a_study_has_a_row_for_each_weight(tmp_path):
    jobs = {job.name: job for job in plan_study(read_study(STUDY, "small"))}
    train_stage(jobs[f"train/{NAME}"].arguments, {}, tmp_path, lambda _: None)
    job = jobs[f"frontier/{NAME}/up-down-h-oblique-natural-span"]
    frontier_stage(job.arguments, {job.needs[0]: tmp_path}, tmp_path, lambda _: None)
    table = validate("frontier", pl.read_parquet(tmp_path / part_file("frontier")))
    assert table.select("variable", "k", "latent_weight").rows() == [
        (variable, k, weight) for weight in (0.0, 1.0) for variable in ("count", "phase") for k in (2, 4)
    ]
    assert table.get_column("mahalanobis").null_count() == 0


def test_a_frontier_without_searches_is_a_fault():
    without = STUDY.replace("alignments: [{algorithm: up-down, variables: [count, phase], k: [2, 4]}]\n", "")
    with pytest.raises(ConfigurationError, match="name alignments"):
        read_study(without, "small")
