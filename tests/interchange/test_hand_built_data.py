"""Counterfactual data without an algorithm: labels, classes, vectors; targets are separate from what is fed."""

from dataclasses import replace

import pytest
import torch
from tests.interchange.examples import (
    PERCEPTRON,
    classified_bits,
    data_of,
    labelled_bits,
    parity_network,
    signs_from_two_sources,
)
from torch.nn.functional import cross_entropy

from symscope.alignment import (
    Oblique,
    PrincipalComponents,
    RandomSubspace,
    SearchOptions,
    TestSet,
    WholeState,
    baselines,
    evaluate,
    fit,
    subspace,
)
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import (
    cache_states,
    counterfactual_losses,
    intervene,
    matches_counterfactual,
)
from symscope.networks import make_network
from symscope.seeds import generator

QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=300, validate_every=50, restarts=2, patience=4)
CONTROLS = [RandomSubspace(), PrincipalComponents(), WholeState()]


@torch.no_grad()
@pytest.mark.parametrize("draw", [labelled_bits, classified_bits])
def test_labels_after_a_swap_agree_with_the_network_run_one_by_one(draw):
    network = parity_network()
    drawn = draw(50, generator(0))
    cached = cache_states(network, drawn, "h")
    parity = network.cell.basis[:, :1]
    states = intervene(cached, lambda base, sources: subspace(parity).swap(base, sources[0]))
    correct = matches_counterfactual(network, cached, states)
    losses = counterfactual_losses(network, cached, states)
    assert correct.all()
    for row in range(50):
        base, source = (
            network.states(run.inputs[row : row + 1, : run.position[row] + 1], "h")[:, -1]
            for run in (drawn.base, drawn.sources[0])
        )
        state = base + (source - base) @ parity @ parity.T
        logits = [network.readout(state)]
        for token in drawn.fed[row]:
            state = network.cell.step(state, network.cell.token_inputs()[token][None])
            logits.append(network.readout(state))
        counts = drawn.target_mask[row]
        expected = cross_entropy(torch.cat(logits)[counts], drawn.targets[row][counts], reduction="sum")
        torch.testing.assert_close(losses[row], expected)


@pytest.mark.parametrize(("draw", "steps"), [(labelled_bits, 5), (classified_bits, 0)])
def test_the_parity_of_bits_is_found_by_its_labels(draw, steps):
    data = data_of(draw, "parity", "parity", vocabulary=2, value_names={"parity": ("even", "odd")})
    assert data.train["parity"].fed.shape[1] == steps
    fitted = fit(parity_network(), data, 1, controls=CONTROLS, options=QUICK)
    (result,) = evaluate(fitted).all
    assert result.iia >= 0.98
    assert result.score.low > result.controls["random_subspace"].high
    assert set(result.metrics.by_value) == {0, 1}
    assert (result.metrics.informative, result.metrics.cause, result.trial_accuracy) == (None, None, None)
    assert result.naturalness.dormant_share is None
    assert result.hypothesis == "parity"
    assert "parity" in repr(result)
    # Without values there is nothing to report by value.
    bare = replace(data, test={"parity": without_values(data.test["parity"])})
    assert evaluate(fitted, bare)["parity"].metrics.by_value == {}
    assert evaluate(fitted, bare)["parity"].iia == result.iia


def without_values(drawn):
    base, *sources = (replace(run, values={}) for run in (drawn.base, *drawn.sources))
    return replace(drawn, base=base, sources=tuple(sources))


def test_without_values_a_search_has_no_closed_form_and_no_latents():
    data = data_of(labelled_bits, "parity", "parity", vocabulary=2, value_names={"parity": ("even", "odd")})
    splits = {
        split: {"parity": without_values(getattr(data, split)["parity"])} for split in ("train", "validation", "test")
    }
    bare, network = replace(data, **splits), parity_network()
    (with_values, without, plain) = (
        fit(network, drawn, 1, controls=controls, options=replace(QUICK, steps=100, latent_weight=weight))
        for drawn, controls, weight in ((data, [], 0.5), (bare, [*CONTROLS, *baselines()], 0.5), (bare, [], 0.0))
    )
    assert with_values.searches["parity", 1].validation_iia == 1
    assert [control.name for control in without.controls] == [control.name for control in CONTROLS]
    # Without latents the weight does not matter: both have taken the same steps.
    (first, second) = (fitted.searches["parity", 1].alignments["parity"].tensors for fitted in (without, plain))
    if without.searches["parity", 1].best_step == plain.searches["parity", 1].best_step:
        for pair in zip(first, second, strict=True):
            torch.testing.assert_close(*pair)
    measured = without.naturalness["parity", 1]
    assert (measured.within_class_distance, measured.class_radius) == (None, None)
    assert measured.far_out_share >= 0


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer-rope", "transformer-nope"])
def test_every_network_can_be_scored_at_the_stop_alone(kind):
    """Classification (no fed tokens) gives what the first target of longer interventions gives."""
    network = make_network(kind, 8, 2, generator(0))
    labelled = labelled_bits(30, generator(0))
    first = torch.zeros_like(labelled.target_mask)
    first[:, 0] = True
    longer = replace(labelled, target_mask=first)
    shorter = replace(labelled, fed=labelled.fed[:, :0], targets=labelled.targets[:, :1], target_mask=first[:, :1])
    for site in network.sites:
        losses = []
        for drawn in (longer, shorter):
            cached = cache_states(network, drawn, site)
            states = cached.source_states[0].clone().requires_grad_()
            loss = counterfactual_losses(network, cached, states)
            losses += [loss.detach(), *torch.autograd.grad(loss.sum(), states)]
        torch.testing.assert_close(losses[:2], losses[2:])


def test_a_classifier_of_vectors_with_two_variables_from_two_sources():
    data = data_of(signs_from_two_sources, "sum+third")
    (result,) = evaluate(fit(PERCEPTRON, data, 1, function=Oblique(), controls=CONTROLS, options=QUICK)).all
    assert result.iia >= 0.98
    assert set(result.controls) == {"random_subspace", "principal_components"}


def test_data_that_does_not_fit_is_refused():
    network, data = parity_network(), data_of(labelled_bits, "parity", vocabulary=2)
    with pytest.raises(UnknownNameError, match="unknown variable of the data 'partiy': did you mean 'parity'"):
        data["partiy"]
    fitted = fit(network, data, 1, controls=[], options=replace(QUICK, steps=1))
    with pytest.raises(UnknownNameError, match="unknown variable of the data 'parity'"):
        evaluate(fitted, data_of(labelled_bits, "sum"))
    with pytest.raises(InvalidArgumentError, match="2 tokens and its task has 7"):
        fit(network, replace(data, vocabulary=7), 1, options=QUICK)
    with pytest.raises(InvalidArgumentError, match="nothing to search"):
        fit(network, data, [], options=QUICK)
    test = TestSet(network, data, "parity", "h")
    known = {"parity": subspace(network.cell.basis[:, :1])}
    assert test.score("known", known).iia == 1
