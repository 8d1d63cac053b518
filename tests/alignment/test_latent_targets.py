"""Counterfactual-latent loss in the standardised natural span."""

from dataclasses import replace

import pytest
import torch
from symscope.alignment.latent_targets import StandardisedSpan, counterfactual_means

from symscope.alignment.least_squares import InterventionStates
from symscope.alignment.state_classes import NEVER_OCCURS
from symscope.seeds import generator


def cloud(n, d=5, seed=0):
    draws = generator(seed, "cloud")
    return torch.randn(n, d, generator=draws) @ torch.randn(d, d + 2, generator=generator(9))


def test_natural_states_are_white_in_standardised_coordinates():
    natural = cloud(4000) + 3
    span = StandardisedSpan.of(natural)
    assert span.encode.shape == (5, 7)
    torch.testing.assert_close(span.encode @ span.decode, torch.eye(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(((natural - span.mean) @ span.encode.T).T), torch.eye(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        (natural - span.mean) @ span.encode.T @ span.decode.T + span.mean, natural, atol=1e-3, rtol=0
    )


def test_orthogonal_swaps_in_standardised_coordinates_keep_the_natural_covariance():
    base, source = cloud(20_000, seed=1), cloud(20_000, seed=2)
    span = StandardisedSpan.of(torch.cat([base, source]))
    frame = torch.linalg.qr(torch.randn(5, 2, generator=generator(0))).Q
    swapped = base + (source - base) @ span.encode.T @ frame @ frame.T @ span.decode.T
    distances = ((swapped - span.mean) @ span.encode.T).square().mean()
    assert float(distances) == pytest.approx(1, abs=0.02)


def test_losses_are_mean_squared_distances_and_rows_without_a_target_have_no_gradient():
    span = StandardisedSpan.of(cloud(1000))
    targets = cloud(3, seed=1)
    targets[1] = torch.nan
    rewritten = cloud(3, seed=2).requires_grad_()
    losses = span.latent_losses(rewritten, targets)
    expected = [0.5 * (span.encode @ (rewritten[row] - targets[row])).square().mean() for row in (0, 2)]
    torch.testing.assert_close(losses[[0, 2]], torch.stack(expected))
    assert losses[1].isnan()
    losses.nansum().backward()
    assert rewritten.grad.isfinite().all()
    assert (rewritten.grad[1] == 0).all()
    assert (rewritten.grad[0] != 0).any()


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
