"""Closed forms on networks: starts of searches, the counterfactual-latent loss, and baselines beside a search."""

import itertools
from dataclasses import replace

import pytest
import torch
from tests.alignment.examples import (
    ALGORITHM,
    BRIEF,
    FEW,
    PLAIN,
    QUICK,
    TASK,
    TINY,
    cached,
    hidden,
    scrambled,
    searched,
)
from tests.interchange.examples import data_of, two_sources

import symscope as sc
from symscope.algorithms import UpUp, make_algorithm
from symscope.alignment import Oblique, Orthogonal, Reversible, SearchOptions, ShuffledLabels, Untrained, evaluate, fit
from symscope.alignment._closed_form import ClosedForms, start_in_closed_form
from symscope.alignment.least_squares import in_one_map
from symscope.errors import InvalidArgumentError
from symscope.interchange import counterfactuals
from symscope.networks import CONSTRUCTED, change_basis, gru, random_invertible, random_orthogonal
from symscope.seeds import generator

START = SearchOptions(steps=1, validate_every=1, batch=2)
SPAN = "natural-span"
NAMES = ("count", "phase")


def constructed(name, change, d=8):
    return change_basis(CONSTRUCTED[name](**TASK.roles, d=d), change(d, generator(0, "basis"))).network


def invertible(d, draws):
    return random_invertible(d, 5.0, draws)


@pytest.mark.parametrize("change", [random_orthogonal, invertible])
@pytest.mark.parametrize(
    ("network", "algorithm", "held"),
    [
        ("magnitude", "up-down", ["count", "phase"]),
        ("angle", "up-down", ["count", "phase"]),
        ("two-counts", "up-up", ["demo_count", "resp_count", "phase"]),
        ("two-counts", "up-down", ["count", "phase"]),
    ],
)
def test_an_oblique_search_is_exact_at_step_0_for_held_variables(network, algorithm, held, change):
    data = counterfactuals(make_algorithm(algorithm, TASK), held, **FEW)
    # Two of these projectors have rank 2.
    fitted = fit(constructed(network, change), data, 2, function=Oblique(coordinates=SPAN), controls=[], options=START)
    for variable in held:
        result = fitted.searches[variable, 2]
        assert result.validation_iia == 1, variable
    without_latents = replace(START, latent_weight=0.0)
    fitted = fit(
        constructed(network, change), data, 2, function=Oblique(coordinates=SPAN), controls=[], options=without_latents
    )
    for variable in held:
        assert (fitted.searches[variable, 2].validation_iia, fitted.searches[variable, 2].total_steps) == (1, 0)


@pytest.mark.parametrize("change", [random_orthogonal, invertible])
@pytest.mark.parametrize(
    ("network", "algorithm", "ranks"),
    [
        ("magnitude", "up-down", {"count": 1, "phase": 1}),
        ("angle", "up-down", {"count": 2, "phase": 1}),
        ("two-counts", "up-up", {"demo_count": 1, "resp_count": 1, "phase": 1}),
    ],
)
def test_a_joint_map_of_held_variables_starts_exact(network, algorithm, ranks, change):
    """Two counts as Up-Down are not here: count and phase have rank 2 each, in a natural span of 3 dimensions."""
    data, net = counterfactuals(make_algorithm(algorithm, TASK), list(ranks), **FEW), constructed(network, change)
    # An orthogonal map of the state has the answer where the change of basis is orthogonal.
    for function in [Oblique(coordinates=SPAN), *([Orthogonal()] if change is random_orthogonal else [])]:
        fitted = fit(net, data, max(ranks.values()), function=function, joint=True, controls=[], options=START)
        assert min(result.validation_iia for result in fitted.searches.values()) == 1, function
        parts = {name: fitted.alignments[name, max(ranks.values())][name] for name in ranks}
        assert {name: part.k for name, part in parts.items()} == ranks
        for first, second in itertools.permutations(parts.values(), 2):
            assert (second.tensors[1] @ first.tensors[0]).abs().max() < 1e-3


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("change", [random_orthogonal, invertible])
def test_two_variables_from_two_sources_start_exact(change, joint):
    algorithm, names = UpUp(TASK), ("demo_count", "resp_count")
    values = {variable.name: () for variable in algorithm.variables}

    def draw(count, draws):
        return two_sources(algorithm, names, count, draws)

    data = data_of(draw, "both", vocabulary=len(TASK.vocabulary), value_names=values)
    function = Oblique(coordinates=SPAN)
    fitted = fit(constructed("two-counts", change), data, 1, function=function, joint=joint, controls=[], options=START)
    assert fitted.searches["both", 1].validation_iia == 1
    assert set(fitted.alignments["both", 1]) == set(names)


def test_projectors_that_share_a_direction_fit_in_no_map():
    train, validation = (cached(hidden().network, "count", 200, purpose) for purpose in ("train", "validation"))
    forms = ClosedForms(hidden().network, train, validation, NAMES, 1)
    assert in_one_map(forms.problem, [forms.largest("oblique", "class-mean", 1)] * 2) is None
    assert start_in_closed_form([forms, forms], "oblique", [1, 1], hidden().network, [validation]) is None


@pytest.mark.parametrize("coordinates", ["state", "centred", "standardised", SPAN])
def test_starts_are_the_same_projector_in_all_coordinates(coordinates):
    network, data = hidden().network, counterfactuals(ALGORITHM, "count", **FEW)
    fitted = fit(network, data, 1, function=Oblique(coordinates=coordinates), controls=[], options=START)
    assert fitted.searches["count", 1].validation_iia == 1
    if coordinates in ("state", "centred"):
        fitted = fit(network, data, 1, function=Orthogonal(coordinates=coordinates), controls=[], options=START)
        assert fitted.searches["count", 1].validation_iia == 1


def test_a_rank_below_k_is_used_and_reported():
    data = counterfactuals(ALGORITHM, ["count", "phase"], **FEW)
    results = evaluate(fit(hidden().network, data, [1, 4], function=Oblique(), controls=[], options=START))
    assert [result.k for result in results.all] == [1, 4, 1, 4]
    fitted = fit(hidden().network, data, 4, function=Oblique(), controls=[], options=START)
    for variable in ("count", "phase"):
        (start,) = fitted.searches[variable, 4].starts.values()
        assert (start.form, start.requested_rank, start.span) == ("oblique", 2, 2)
        assert 0 <= start.left_out_share < 0.5
        assert start.error < 1e-4
        assert results[variable, 4].alignment.k <= 2  # the dimensions of the natural span
        assert f"k = {results[variable, 4].alignment.k} (oblique)" in str(results[variable, 4])
        assert results[variable, 4].iia == 1
    assert results.table().filter(variable="count")["k"].unique().sort().to_list() == [1, 4]


def test_controls_start_in_closed_form_too(monkeypatch):
    calls = []

    def recorded(forms, form, k, network, validation):
        calls.append((network, form, k))
        return start_in_closed_form(forms, form, k, network, validation)

    monkeypatch.setattr("symscope.alignment._searches.start_in_closed_form", recorded)
    network, fresh = hidden().network, scrambled(0)
    data = counterfactuals(ALGORITHM, "count", **TINY)
    fit(network, data, 2, function=Oblique(), controls=[ShuffledLabels(), Untrained(fresh)], options=START)
    assert [(net is network, form, k) for net, form, k in calls] == [
        (True, "oblique", [2]),  # the alignment
        (True, "oblique", [2]),  # shuffled labels
        (False, "oblique", [2]),
    ]
    assert calls[2][0] is fresh


def test_controls_with_closed_form_starts_stay_low():
    controls = [ShuffledLabels(), Untrained(scrambled(0))]
    options = replace(QUICK, init="least-squares", latent_weight=0.05, steps=100)
    data = counterfactuals(ALGORITHM, "count", **FEW)
    (result,) = evaluate(fit(hidden().network, data, 1, function=Oblique(), controls=controls, options=options)).all
    assert result.iia == 1
    assert max(control.high for control in result.controls.values()) < 0.5


@pytest.mark.parametrize(
    "arguments",
    [{"function": Reversible()}, {"mask": sc.BoundaryMask()}, {"initial_frame": torch.eye(6)[:, :1]}],
)
def test_what_has_no_closed_form_starts_elsewhere(arguments, monkeypatch):
    monkeypatch.setattr(
        "symscope.alignment._searches.start_in_closed_form", lambda *_: pytest.fail("no closed form may be used")
    )
    data = counterfactuals(ALGORITHM, "count" if "mask" in arguments else ["count", "phase"], **TINY)
    options = replace(BRIEF, init="least-squares", latent_weight=0.05)
    fitted = fit(hidden().network, data, 1, **{"function": Orthogonal(), **arguments}, controls=[], options=options)
    assert fitted.searches["count", 1].total_steps > 0


def test_a_joint_map_starts_at_the_closed_forms_of_all_variables():
    data = counterfactuals(ALGORITHM, ["count", "phase"], **FEW)
    options = replace(BRIEF, init="least-squares", latent_weight=0.05)
    function = Oblique(coordinates="natural-span")
    results = evaluate(fit(hidden().network, data, 1, function=function, joint=True, controls=[], options=options))
    assert results["count"].iia == results["phase"].iia == 1.0


def test_values_that_never_occur_after_a_swap_have_no_closed_form():
    network = hidden().network
    train, validation = (cached(network, "count", count, purpose) for count, purpose in ((50, "train"), (20, "val")))
    never = {name: values + 100 for name, values in train.counterfactual_values.items()}
    with pytest.raises(InvalidArgumentError, match="none of 50 interventions has counterfactual values that occur"):
        ClosedForms(network, replace(train, counterfactual_values=never), validation, NAMES, 1)


def test_the_best_closed_form_has_the_smallest_rank_of_the_best_ones():
    network = hidden().network
    train, validation = cached(network, "count", 1000, "train"), cached(network, "count", 300, "validation")
    forms = ClosedForms(network, train, validation, NAMES, 6)
    best = forms.best("oblique", 6)
    assert best.rank == 1
    assert forms.best("oblique", 1).rank == 1
    (start,) = start_in_closed_form([forms], "oblique", [6], network, [validation])
    assert start.rank >= best.rank
    (start,) = start_in_closed_form([forms], "orthogonal", [1], network, [validation])
    assert start.form == "orthogonal"


def test_the_latent_loss_lowers_the_far_out_share():
    """In an untrained network the search finds what it can, far out, unless the loss prevents it."""
    network = gru(16, len(TASK.vocabulary), generator(0, "network"))
    data = counterfactuals(ALGORITHM, "count", n_train=500, n_validation=200, n_test=10)
    options = SearchOptions(learning_rate=3e-2, steps=150, validate_every=150, batch=64)
    shares = []
    for weight in (0.0, 1.0):
        # Neither search may choose its start, which is natural.
        fitted = fit(network, data, 4, controls=[], options=replace(options, latent_weight=weight, init="random"))
        shares.append(fitted.naturalness["count", 4].far_out_share)
    assert shares[1] < 0.5 * shares[0], shares


BASELINES = ["least_squares", "diff_means", "linear_probe", "lda", "leace"]


def test_baselines_are_in_results_beside_controls():
    data = counterfactuals(ALGORITHM, ["count", "phase"], **FEW)
    fitted = fit(hidden().network, data, [1, 3], function=Oblique(), controls=sc.baselines(), options=START)
    results = evaluate(fitted)
    assert [control.name for control in fitted.controls] == BASELINES
    for result in results.all:
        assert list(result.controls) == BASELINES
        assert (result.null_controls, result.verdict.word) == ((), "no control")
        assert set(result.paired_controls) == set(BASELINES)
    assert [results[name, 3].controls["least_squares"].iia for name in NAMES] == [1, 1]
    ranks = {
        (control.name, *key): alignment.k
        for control in fitted.controls
        for key, alignments in control.alignments.items()
        for alignment in alignments.values()
    }
    assert all(ranks[name, variable, 1] == 1 for name in BASELINES for variable in NAMES)
    for name in ("diff_means", "lda", "leace", "linear_probe"):
        assert ranks[name, "phase", 3] == 1  # of two classes
    assert ranks["least_squares", "count", 3] == 1
    assert set(results.table()["control"]) == {"none", *BASELINES}


def test_joint_maps_have_baselines_of_each_variable():
    data = counterfactuals(ALGORITHM, ["count", "phase"], **TINY)
    fitted = fit(hidden().network, data, 1, function=Orthogonal(), joint=True, controls=sc.baselines(), options=BRIEF)
    assert [control.name for control in fitted.controls] == BASELINES
    assert set(fitted.controls[0].alignments) == {("count", 1), ("phase", 1)}


def test_a_search_from_the_closed_form_is_no_worse_on_validation_than_the_closed_form():
    network = gru(16, len(TASK.vocabulary), generator(0, "network"))
    sets = {"count": (cached(network, "count", 400, "train"), cached(network, "count", 200, "validation"))}
    forms = ClosedForms(network, *sets["count"], NAMES, 4)
    (first,) = start_in_closed_form([forms], "oblique", [4], network, [sets["count"][1]])
    from_start = sc.alignment.AlignmentProblem(
        ("count",),
        sc.alignment.FixedMask((("count", first.rank),)),
        Oblique(),
        0,
        start=(first.write, first.read),
    )
    options = SearchOptions(steps=20, validate_every=10, batch=32, **PLAIN)
    (at_start,) = searched(network, [from_start], sets, replace(options, steps=1, target_iia=1e-9))
    (result,) = searched(network, [from_start], sets, options)
    assert result.validation_iia >= at_start.validation_iia
