"""Divergence: against closed forms, other libraries, and networks where the rewritten states are known."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.stats import wasserstein_distance, wasserstein_distance_nd
from sklearn.covariance import EmpiricalCovariance

from symscope.algorithms import UpDown
from symscope.alignment import follows_swap, subspace, whole_state
from symscope.alignment.natural import NaturalStates, divergence, sliced_earth_mover
from symscope.errors import InvalidArgumentError
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import change_basis, magnitude_network, random_invertible
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)


def earth_mover(sample, reference):
    """The exact earth mover's distance (Wasserstein-1) between two samples of one size: the best pairing."""
    distance = torch.cdist(sample, reference).numpy()
    return float(distance[linear_sum_assignment(distance)].mean())


def cloud(n, d, seed=0, shift=0.0):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.double) * torch.linspace(1, 3, d) + shift


def test_the_sliced_earth_movers_distance_agrees_with_scipy_and_with_the_exact_distance():
    sample, reference = cloud(60, 3), cloud(60, 3, 1, 0.5)
    exact = earth_mover(sample, reference)
    assert exact == pytest.approx(wasserstein_distance_nd(sample.numpy(), reference.numpy()), rel=1e-6)
    slices = torch.randn(3, 7, generator=generator(2), dtype=torch.double)
    lines = (slices / slices.norm(dim=0)).T
    along_lines = [wasserstein_distance((sample @ line).numpy(), (reference @ line).numpy()) for line in lines]
    assert sliced_earth_mover(sample, reference, slices) == pytest.approx(np.mean(along_lines))
    assert sliced_earth_mover(sample, reference, slices) <= exact
    # A shift moves every state by its length, and along a random line of the plane by 2/pi of it on average.
    flat = cloud(50, 2)
    shifted = flat + torch.tensor([3.0, 4.0])
    assert earth_mover(flat, shifted) == pytest.approx(5)
    angles = torch.linspace(0, np.pi, 721, dtype=torch.double)[:-1]
    slices = torch.stack([angles.cos(), angles.sin()])
    assert sliced_earth_mover(flat, shifted, slices) == pytest.approx(5 * 2 / np.pi, rel=1e-4)


def test_mahalanobis_and_nearest_agree_with_scikit_learn_and_scipy():
    natural, states = cloud(800, 4), cloud(300, 4, 1, 1.0)
    measured = divergence(NaturalStates(natural), states, generator(0))
    reference = EmpiricalCovariance().fit(natural.numpy()).mahalanobis(states.numpy())
    assert measured.mahalanobis == pytest.approx((reference.mean() / 4) ** 0.5, rel=2e-3)
    tree = cKDTree(natural.numpy())
    nearest = np.median(tree.query(states.numpy())[0]) / np.median(tree.query(natural.numpy(), k=2)[0][:, 1])
    assert measured.nearest == pytest.approx(nearest, rel=0.01)


def test_natural_states_do_not_diverge_from_natural_states():
    natural = cloud(2000, 6)
    measured = divergence(NaturalStates(natural[:1500]), natural[1500:], generator(0))
    assert measured.mahalanobis == pytest.approx(1, abs=0.05)
    assert measured.nearest == pytest.approx(1, abs=0.15)
    assert measured.earth_mover == pytest.approx(measured.earth_mover_natural, rel=0.5)
    assert divergence(NaturalStates(natural), natural, generator(0)).nearest == pytest.approx(0, abs=1e-6)


def test_the_part_of_a_change_within_the_natural_span():
    natural = NaturalStates(torch.cat([cloud(500, 3), torch.zeros(500, 2)], 1))
    assert natural.axes.directions.shape == (5, 3)
    change = torch.randn(5, 5, generator=generator(3))
    torch.testing.assert_close(natural.within(change), torch.cat([change[:, :3], torch.zeros(5, 2)], 1), atol=1e-5,
                               rtol=0)  # fmt: skip


def test_spacing_leaves_out_repetitions():
    lattice = NaturalStates(torch.cartesian_prod(torch.arange(9.0), torch.arange(2.0)).repeat(20, 1))
    assert lattice.spacing == pytest.approx(1)
    between = divergence(lattice, torch.tensor([[2.5, 0.0], [4.5, 1.0]]), generator(0))
    assert between.nearest == pytest.approx(0.5)


@pytest.mark.parametrize("condition", [1.0, 5.0])
def test_a_swap_that_writes_off_the_span_is_detected_and_the_known_swap_stays_within(condition):
    matrix = random_invertible(6, condition, generator(0))
    constructed = change_basis(magnitude_network(**TASK.roles, d=6), matrix)
    drawn = draw_interventions(ALGORITHM, ["count"], 800, generator(0))
    cached = cache_states(constructed.network, drawn, "h")
    natural = NaturalStates(cached.natural_states())
    assert natural.axes.directions.shape[1] == 2
    known = subspace(constructed.writes["count"], constructed.reads["count"])
    spare = matrix @ torch.eye(6)[:, 2:3]
    # Writes the count, and as much into an unused direction: the network does the same, the state is like no other.
    away = subspace(constructed.writes["count"] + 3 * spare, constructed.reads["count"])
    base, source = cached.base_states, cached.source_states[0]
    for alignment, off_span in ((known, False), (away, True)):
        rewritten = alignment.swap(base, source)
        assert follows_swap(constructed.network, {"count": alignment}, cached).all()
        measured = divergence(natural, rewritten, generator(1))
        assert (measured.nearest > 1) == off_span
        assert (measured.earth_mover > 10 * measured.earth_mover_natural) == off_span
        if condition == 1:  # the split is orthogonal; in another basis the part within the span is another change
            within = base + natural.within(rewritten - base)
            torch.testing.assert_close(within, known.swap(base, source), atol=2e-3, rtol=0)
    everything = whole_state(6).swap(base, source)
    assert divergence(natural, everything, generator(1)).nearest == pytest.approx(0, abs=1e-3)


def test_natural_states_that_are_all_the_same_are_refused():
    with pytest.raises(InvalidArgumentError, match="all the same"):
        divergence(NaturalStates(torch.ones(50, 3)), torch.ones(5, 3), generator(0))
