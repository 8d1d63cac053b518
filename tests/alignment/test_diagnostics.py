"""Naturalness of alignments on networks whose exact swap is known, and in results of `align` with its defaults."""

from dataclasses import replace

import pytest
import torch
from tests.alignment.examples import ALGORITHM, BRIEF, PLAIN, TASK, TINY, hidden

import symscope as sc
from symscope.alignment import Oblique, Results, SearchOptions, align, evaluate, fit, subspace, whole_state
from symscope.alignment._diagnostics import NaturalReference
from symscope.interchange import cache_states, counterfactuals
from symscope.networks import change_basis, magnitude_network, make_network, random_invertible, random_orthogonal
from symscope.seeds import generator
from symscope.training import TrainingOptions, train
from symscope.verdict import MAX_DIVERGENCE, MAX_FAR_OUT_SHARE, MAX_WITHIN_CLASS_DISTANCE

D = 6


def measured(network, alignment, variable="count", variables=("count", "phase"), counts=(1000, 400)):
    data = counterfactuals(ALGORITHM, variable, n_train=counts[0], n_validation=counts[1], n_test=1)
    train, validation = (cache_states(network, part[variable], "h") for part in (data.train, data.validation))
    reference = NaturalReference(network, train, validation, data.validation[variable], variables)
    return reference.measure({variable: alignment})


@pytest.mark.parametrize("variable", ["count", "phase"])
@pytest.mark.parametrize("change", [random_orthogonal, lambda d, draws: random_invertible(d, 3.0, draws)])
def test_the_exact_swap_is_natural_in_every_part(variable, change):
    constructed = change_basis(magnitude_network(**TASK.roles, d=D), change(D, generator(0)))
    exact = subspace(constructed.writes[variable], constructed.reads[variable])
    natural = measured(constructed.network, exact, variable)
    assert natural.off_span_share == pytest.approx(0, abs=1e-3)
    assert natural.dormant_share == 0
    assert natural.far_out_share <= MAX_FAR_OUT_SHARE
    assert natural.far_out_floor <= 0.03
    assert natural.within_class_distance <= MAX_WITHIN_CLASS_DISTANCE
    assert natural.class_radius < 1
    for part in (
        "of the norm off the natural span",
        "farther out than natural",
        "states of the same values",
        "dormant",
    ):
        assert part in str(natural)


def test_a_swap_of_the_whole_state_is_natural_and_of_another_class():
    natural = measured(magnitude_network(**TASK.roles, d=D).network, whole_state(D))
    assert natural.off_span_share == pytest.approx(0, abs=1e-3)
    assert natural.far_out_share == pytest.approx(natural.far_out_floor, abs=0.02)
    assert natural.within_class_distance > MAX_WITHIN_CLASS_DISTANCE  # the phase is that of the source


def test_a_swap_that_goes_too_far_is_far_out():
    constructed = magnitude_network(**TASK.roles, d=D)
    network, count = constructed.network, constructed.writes["count"]
    # Writes as much into the phase as into the count.
    away = subspace(count + constructed.writes["phase"], count.T)
    natural = measured(network, away)
    assert natural.off_span_share == pytest.approx(0, abs=1e-3)
    assert natural.far_out_share > MAX_FAR_OUT_SHARE
    assert natural.within_class_distance > MAX_WITHIN_CLASS_DISTANCE


@pytest.mark.parametrize("changed_basis", [False, True])
def test_dormant_directions_are_detected(changed_basis):
    """A network that would read a count off a spare axis too, on which no natural state has anything."""
    constructed, matrix = magnitude_network(**TASK.roles, d=D), torch.eye(D)
    with torch.no_grad():
        constructed.network.output.weight[:, 2] = constructed.network.output.weight[:, 0]
    if changed_basis:
        matrix = random_orthogonal(D, generator(0))
        constructed = change_basis(constructed, matrix)
    count, spare = matrix[:, :1], matrix[:, 2:3]
    known = measured(constructed.network, subspace(count))
    assert known.dormant_share == 0
    assert known.off_span_share == pytest.approx(0, abs=1e-3)
    # The difference of the counts is read where it is, and all of it is written where no state has been.
    dormant = measured(constructed.network, subspace(spare, (count + spare).T))
    assert dormant.dormant_share == 1
    assert dormant.off_span_share > 0.5


def test_the_off_span_share_is_a_share_of_the_norm_of_changed_states():
    constructed = magnitude_network(**TASK.roles, d=D)
    count, spare = constructed.writes["count"], torch.eye(D)[:, 2:3]
    natural = measured(constructed.network, subspace(count + 0.75 * spare, count.T))
    assert MAX_DIVERGENCE < natural.off_span_share < 0.75
    assert natural.far_out_share <= MAX_FAR_OUT_SHARE  # what lies off the span does not count as far out
    assert natural.within_class_distance > MAX_WITHIN_CLASS_DISTANCE


def test_parts_that_are_not_known_are_none():
    network = hidden(D).network
    random = subspace(torch.linalg.qr(torch.randn(D, 1, generator=generator(0))).Q)
    for variables in ((), ("count", "parity")):
        natural = measured(network, random, variables=variables)
        assert (natural.within_class_distance, natural.class_radius) == (None, None)
        assert natural.far_out_share >= 0
        assert "same values" not in str(natural)
    zero = subspace(torch.eye(D)[:, :1])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert measured(network, zero) is None  # natural states are all the same
    assert measured(hidden(D).network, random, counts=(1, 2)) is None  # two natural states


def test_results_without_naturalness_have_an_open_verdict_and_are_saved(tmp_path):
    data = counterfactuals(ALGORITHM, "count", **TINY)
    fitted = fit(
        hidden(D).network, data, 1, function=Oblique(), controls=[sc.alignment.RandomSubspace()], options=BRIEF
    )
    assert set(fitted.naturalness) == {("count", 1)}
    for naturalness in ({}, {("count", 1): None}):
        (result,) = evaluate(replace(fitted, naturalness=naturalness)).all
        assert result.naturalness is None
        assert result.measurement.off_span_share is None
        Results([result]).save(tmp_path / "results.safetensors")
        assert sc.load(tmp_path / "results.safetensors")["count"].naturalness is None
        columns = ("off_span_share", "dormant_share", "far_out_share", "within_class_distance", "class_radius")
        assert not set(columns) & set(Results([result]).table().columns)


def test_the_table_has_the_parts_of_naturalness():
    data = counterfactuals(ALGORITHM, "count", **TINY)
    (result,) = evaluate(fit(hidden(D).network, data, 1, function=Oblique(), controls=[], options=BRIEF)).all
    row = Results([result]).table().row(0, named=True)
    for name in ("off_span_share", "dormant_share", "far_out_share", "far_out_floor", "within_class_distance",
                 "class_radius"):  # fmt: skip
        assert row[name] == getattr(result.naturalness, name)


def test_align_with_its_defaults_on_a_small_trained_network(tmp_path):
    small = sc.make_task("multi-object", quantities=range(1, 4), held_out=[])
    network = make_network("gru", 12, len(small.vocabulary), generator(0))
    train(network, small, 0, TrainingOptions(learning_rate=1e-2, batch=32, epochs=15))
    algorithm = sc.make_algorithm("up-down", small)
    options = SearchOptions(steps=50)
    results = align(
        network, algorithm, "count", options=options, n_train=200, n_validation=100, n_test=100, progress=False
    )
    assert [(result.function, result.k) for result in results.all] == [
        (function, k)
        for function in ("oblique-natural-span", "orthogonal-natural-span", "orthogonal")
        for k in (2, 4, 8)
    ]
    for result in results.all:
        assert result.naturalness is not None
        if result.function != "orthogonal":
            assert result.naturalness.off_span_share <= MAX_DIVERGENCE
    table = results.table().filter(control="none")
    assert table["within_class_distance"].null_count() == table["far_out_share"].null_count() == 0
    results.save(tmp_path / "results.safetensors")
    loaded = sc.load(tmp_path / "results.safetensors")
    assert [result.naturalness for result in loaded.all] == [result.naturalness for result in results.all]
    assert loaded.table().equals(results.table())


def test_the_reference_of_the_defaults_has_no_latent_loss(monkeypatch):
    seen = []

    def recorded(*arguments, function, options, **further):
        seen.append((function.label, options.latent_weight))
        return fit(*arguments, function=function, options=options, **further)

    monkeypatch.setattr("symscope.alignment._align.fit", recorded)
    options = SearchOptions(steps=1, validate_every=1, **{**PLAIN, "latent_weight": 0.2})
    align(hidden(D).network, ALGORITHM, "count", 1, options=options, controls=[], progress=False, **TINY)
    assert seen == [("oblique-natural-span", 0.2), ("orthogonal-natural-span", 0.2), ("orthogonal", 0.0)]
