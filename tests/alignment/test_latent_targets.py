"""The counterfactual-latent loss, and coordinates of the natural span, in which natural states have unit variance."""

from dataclasses import replace

import pytest
import torch

from symscope.alignment._closed_form import counterfactual_means
from symscope.alignment._pool import latent_loss_of
from symscope.alignment.functions import coordinates_of
from symscope.alignment.natural import NaturalStates
from symscope.alignment.state_classes import NEVER_OCCURS, InterventionStates
from symscope.seeds import generator


def cloud(n, d=5, seed=0):
    draws = generator(seed, "cloud")
    return torch.randn(n, d, generator=draws) @ torch.randn(d, d + 2, generator=generator(9))


def test_natural_states_have_the_identity_as_covariance_in_coordinates_of_the_natural_span():
    natural = cloud(4000) + 3
    encode, decode, mean = coordinates_of("natural-span", natural)
    assert encode.shape == (5, 7)
    torch.testing.assert_close(encode @ decode, torch.eye(5), atol=1e-4, rtol=0)
    white = (natural - mean) @ encode.T
    torch.testing.assert_close(torch.cov(white.T), torch.eye(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(white @ decode.T + mean, natural, atol=1e-3, rtol=0)


@pytest.mark.parametrize("whitening", [0.0, 0.5])
def test_coordinates_of_the_natural_span_keep_a_power_of_the_spreads(whitening):
    natural = cloud(4000) + 3
    encode, decode, mean = coordinates_of("natural-span", natural, whitening)
    torch.testing.assert_close(encode @ decode, torch.eye(5), atol=1e-4, rtol=0)
    spreads = NaturalStates(natural).axes.spreads
    ratios = ((natural - mean) @ encode.T).std(0).double()
    torch.testing.assert_close(ratios / ratios[0], (spreads / spreads[0]) ** (1 - whitening), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close((natural - mean) @ encode.T @ decode.T + mean, natural, atol=1e-3, rtol=0)


def test_the_loss_is_half_the_mean_squared_distance_and_rows_without_a_latent_have_no_gradient():
    """Two fits with natural states of their own, of which one varies in fewer dimensions."""
    natural = [NaturalStates(cloud(1000)), NaturalStates(cloud(1000)[:, :1] * torch.ones(7))]
    latents = torch.stack([cloud(3, seed=1), cloud(3, seed=2)])
    latents[0, 1] = torch.nan
    states = torch.stack([cloud(3, seed=3), cloud(3, seed=4)]).requires_grad_()
    losses = latent_loss_of(natural, 0.3)(states, latents)
    for fit, rows in ((0, [0, 2]), (1, [0, 1, 2])):
        white = (states[fit, rows] - latents[fit, rows]).double() @ natural[fit].whitening
        assert white.shape[1] == (5, 1)[fit]
        torch.testing.assert_close(losses[fit], 0.3 * 0.5 * white.square().mean().float(), rtol=1e-4, atol=1e-4)
    losses.sum().backward()
    assert states.grad.isfinite().all()
    assert (states.grad[0, 1] == 0).all()
    assert (states.grad[0, 0] != 0).any()
    nothing = latent_loss_of(natural, 0.3)(states.detach(), torch.full_like(latents, torch.nan))
    assert nothing.tolist() == [0, 0]


def test_counterfactual_means_are_those_of_the_natural_states_without_the_intervention_itself():
    natural = torch.arange(8.0)[:, None].repeat(1, 2)
    classes = torch.tensor([0, 1, 0, 1, 0, 1, 2, 2])
    rows = torch.tensor([0, 1, 6]), torch.tensor([1, 2, 7])
    states = InterventionStates(
        natural[rows[0]], natural[rows[1]], classes[rows[0]], torch.tensor([1, 0, 2]), natural, classes, rows
    )
    means = counterfactual_means(states)[:, 0]
    assert means[:2].tolist() == pytest.approx([4, 2])  # of 3 and 5, and of 0 and 4
    assert means[2].isnan()
    unknown = torch.tensor([1, NEVER_OCCURS, 2])
    means = counterfactual_means(replace(states, members=None, counterfactual_class=unknown))[:, 0]
    assert means[[0, 2]].tolist() == pytest.approx([3, 6.5])
    assert means[1].isnan()
