"""Interventions in which each of two variables takes its value from a source of its own."""

from dataclasses import replace

import pytest
import torch
from tests.interchange.examples import data_of, two_sources
from tests.interchange.test_intervene import logits_by_torchs_cell

from symscope.algorithms import UpUp
from symscope.alignment import (
    BoundaryMask,
    Orthogonal,
    SearchOptions,
    evaluate,
    fit,
    follows_swap,
    neurons,
    random_subspace,
    subspace,
)
from symscope.alignment.score import swap_of
from symscope.errors import InvalidArgumentError
from symscope.interchange import cache_states, counterfactual_losses, draw_interventions, intervene, join_interventions
from symscope.networks import change_basis, gru, random_orthogonal, two_counts_network
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object(quantities=range(1, 9), held_out=[4])
ALGORITHM = UpUp(TASK)
COUNTS = ("demo_count", "resp_count")
QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=300, validate_every=50, restarts=2, patience=4)


def draw(count, draws):
    return two_sources(ALGORITHM, COUNTS, count, draws)


def draw_one(count, draws):
    return draw_interventions(ALGORITHM, ["demo_count"], count, draws)


def together(*parts):
    """The sets of several data in one."""
    splits = {}
    for split in ("train", "validation", "test"):
        splits[split] = {name: drawn for data in parts for name, drawn in getattr(data, split).items()}
    return replace(parts[0], **splits)


@torch.no_grad()
def test_the_swaps_of_two_sources_agree_with_swaps_one_by_one():
    network = gru(12, len(TASK.vocabulary), generator(0))
    drawn = draw(40, generator(0))
    assert drawn.name == "demo_count+resp_count"
    first, second = neurons(12, range(4)), random_subspace(12, 3, generator(1))
    first_and_second = {"demo_count": neurons(12, range(4)), "resp_count": neurons(12, range(4, 8))}
    cached = cache_states(network, drawn, "h")
    passed = follows_swap(network, first_and_second, cached)
    for row in range(len(drawn)):

        def swap(base, sources):
            state = base.clone()
            state[:, :4], state[:, 4:8] = sources[0][:, :4], sources[1][:, 4:8]
            return state

        counts = drawn.target_mask[row, : drawn.lengths[row]]
        logits = logits_by_torchs_cell(network, drawn, row, swap)[counts]
        assert bool(passed[row]) == bool((logits.argmax(-1) == drawn.targets[row, : drawn.lengths[row]][counts]).all())
    # The order of the variables is that of the swaps, where subspaces are not orthogonal to each other.
    base, sources = cached.base_states, cached.source_states
    swapped = second.swap(first.swap(base, sources[0]), sources[1])
    both = {"demo_count": first, "resp_count": second}
    losses = counterfactual_losses(network, cached, swapped)
    torch.testing.assert_close(counterfactual_losses(network, cached, intervene(cached, swap_of(both, cached))), losses)


def test_known_subspaces_take_each_count_from_its_source():
    constructed = two_counts_network(**TASK.roles)
    drawn = draw(500, generator(0))
    values = drawn.counterfactual_values
    assert torch.equal(values["demo_count"], drawn.sources[0].values["demo_count"])
    assert torch.equal(values["resp_count"], drawn.sources[1].values["resp_count"])
    known = {name: subspace(constructed.writes[name], constructed.reads[name]) for name in COUNTS}
    cached = cache_states(constructed.network, drawn, "h")
    assert follows_swap(constructed.network, known, cached).all()
    # The wrong source, or the wrong variable from a source, is not what must follow.
    for wrong in (replace(cached, source_of=(1, 0)), replace(cached, source_of=(0, 0))):
        assert follows_swap(constructed.network, known, wrong).double().mean() < 0.6


@pytest.fixture(scope="module")
def constructed():
    return change_basis(two_counts_network(**TASK.roles, d=6), random_orthogonal(6, generator(0)))


def test_two_counts_from_two_sources_are_found_in_one_map(constructed):
    data = data_of(draw, "+".join(COUNTS), vocabulary=len(TASK.vocabulary))
    fitted = fit(constructed.network, data, 1, function=Orthogonal(), options=QUICK)
    (result,) = evaluate(fitted).all
    assert result.iia >= 0.98
    assert set(result.alignments) == set(COUNTS)
    first, second = (result.alignments[name] for name in COUNTS)
    assert (first.read(torch.eye(6)).T @ second.read(torch.eye(6))).abs().max() < 1e-4
    # No labels to shuffle, and no whole state or neurons where values come from two sources; the rest is measured.
    assert set(result.controls) == {"random_subspace", "principal_components"}
    (control,) = (control for control in fitted.controls if control.name == "random_subspace")
    (parts,) = control.alignments.values()
    whole = random_subspace(6, 2, generator(0, "random subspace", 1))
    cached = cache_states(constructed.network, data.test["demo_count+resp_count"], "h")
    base, sources = cached.base_states, cached.source_states
    for number, name in enumerate(COUNTS):
        write, read = (tensor for tensor in whole.tensors)
        block = subspace(write[:, number : number + 1], read[number : number + 1])
        torch.testing.assert_close(parts[name].swap(base, sources[number]), block.swap(base, sources[number]))


def test_sets_with_one_source_and_with_two_share_one_map(constructed):
    """`joint`: the demo count from one source, and both counts from two sources, in the same map."""

    both, alone = data_of(draw, "both", vocabulary=len(TASK.vocabulary)), data_of(draw_one, "demo_count")
    sets = together(both, alone)
    fitted = fit(constructed.network, sets, 1, function=Orthogonal(), joint=True, controls=[], options=QUICK)
    results = evaluate(fitted)
    assert list(results) == ["both", "demo_count"]
    assert min(result.iia for result in results.all) >= 0.98
    in_both, in_one = results["both"].alignments["demo_count"], results["demo_count"].alignment
    states = torch.randn(2, 5, 6, generator=generator(1))
    assert torch.equal(in_both.swap(*states), in_one.swap(*states))


def test_a_fit_on_one_source_is_the_same_beside_a_set_with_two_sources(constructed):
    alone, both = data_of(draw_one, "demo_count"), data_of(draw, "both")
    options = replace(QUICK, steps=50)
    first, beside = (
        fit(constructed.network, data, 1, controls=[], options=options) for data in (alone, together(alone, both))
    )
    pair = [fitted.alignments["demo_count", 1]["demo_count"].tensors for fitted in (first, beside)]
    torch.testing.assert_close(*pair, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mask", [None, BoundaryMask()])
def test_a_source_that_no_variable_uses_changes_nothing(constructed, mask):
    def draw_resp_count(count, draws):
        return draw_interventions(ALGORITHM, ["resp_count"], count, draws)

    def behind_an_unused_source(count, draws):
        drawn = draw_resp_count(count, draws)
        unused = drawn.base.select(torch.arange(len(drawn)).flip(0))
        return replace(drawn, sources=(unused, *drawn.sources), source_of=(1,))

    results = []
    for draws in (draw_resp_count, behind_an_unused_source):
        data = data_of(draws, "resp_count")
        # Principal components see all sources, and a closed form and latents need a single one.
        options = replace(QUICK, steps=50, init="random", latent_weight=0.0)
        fitted = fit(constructed.network, data, 3, function=Orthogonal(), mask=mask, options=options)
        results.append(evaluate(fitted)["resp_count"])
    first, second = results
    torch.testing.assert_close(first.alignment.tensors, second.alignment.tensors, atol=1e-6, rtol=1e-5)
    assert torch.equal(first.score.correct, second.score.correct)
    assert {name: score.iia for name, score in first.controls.items()}.items() >= {
        name: score.iia for name, score in second.controls.items() if name != "principal_components"
    }.items()
    assert "neurons" in second.controls


def test_a_learned_mask_is_for_one_variable_from_one_source(constructed):
    with pytest.raises(InvalidArgumentError, match="demo_count of source 0, resp_count of source 1"):
        fit(constructed.network, data_of(draw, "both"), 2, mask=BoundaryMask(), options=QUICK)


def test_joined_interventions_keep_both_sources():
    parts = [draw(count, generator(count)) for count in (20, 30)]
    joined = join_interventions(parts)
    assert (len(joined.sources), joined.source_of, len(joined)) == (2, (0, 1), sum(map(len, parts)))
    assert torch.equal(
        joined.sources[1].values["resp_count"], torch.cat([p.sources[1].values["resp_count"] for p in parts])
    )
