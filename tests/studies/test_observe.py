"""Measurements without a search: principal components against scikit-learn, attention of a constructed network."""

import numpy as np
import polars as pl
import torch
from sklearn.decomposition import PCA

from symscope.analysis import make_table
from symscope.networks import CONSTRUCTED
from symscope.seeds import generator
from symscope.studies import plan_study, read_study
from symscope.studies.observe import attention_rows, principal_coordinates
from symscope.tasks import make_task

WHERE = {"task": "x", "network": "averaging", "d": 16, "seed": 0, "quantity": 5}


def test_coordinates_are_those_of_scikit_learn_but_for_signs():
    states = torch.randn(200, 6, generator=generator(0)) @ torch.randn(6, 6, generator=generator(1))
    ours, variance = principal_coordinates(states, 3)
    reference = PCA(3).fit(states.double().numpy())
    expected = reference.transform(states.double().numpy())
    assert np.allclose(np.abs(ours.numpy()), np.abs(expected), atol=1e-8)
    assert np.isclose(variance, reference.explained_variance_ratio_.sum())


def test_the_averaging_transformer_attends_evenly_wherever_the_trigger_is():
    task = make_task("multi-object-void")
    network = CONSTRUCTED["averaging"](**task.roles).network
    sequences = task.draw(torch.full((20,), 5), generator(0))
    trigger = task.named_position("trigger", sequences)
    assert len(set(trigger.tolist())) > 1
    weights = network.attention(sequences.tokens)
    table = make_table("attention", ({**WHERE, **row} for row in attention_rows(weights, sequences, trigger)))
    pairs = table.filter(pl.col("query") >= 0, pl.col("key") == 0)
    for query, weight, n in pairs.select("query", "weight", "n").iter_rows():
        assert n == len(sequences)  # from the trigger on, all sequences are alike
        assert np.isclose(weight, float((1 / (trigger + query + 1)).mean()), atol=1e-5)
    first = table.filter(pl.col("query") == table["query"].min()).row(0, named=True)
    assert first["query"] == -int(trigger.max())
    assert np.isclose(first["weight"], 1, atol=1e-5)
    assert first["n"] == int((trigger == trigger.max()).sum())


def test_declared_measurements_are_made_where_a_network_has_them():
    text = (
        "{name: x, title: What, tasks: [{name: multi-object}, {name: modulo}, {name: arithmetic}], seeds: [0], "
        "networks: [{kind: gru, sizes: [8]}, {kind: transformer-nope, sizes: [8], options: {layers: 1}}, "
        "{kind: transformer-nope, sizes: [8]}], observe: {states: 1, attention: 5, strength: 20}}"
    )
    jobs = [job.name for job in plan_study(read_study(text, "x"))]
    assert len([name for name in jobs if name.startswith("states/")]) == 2 * 3
    assert len([name for name in jobs if name.startswith("attention/")]) == 2 * 2
    assert [name for name in jobs if name.startswith("strength/")] == [
        "strength/multi-object-transformer-nope-layers1-d8-seed0"
    ]
