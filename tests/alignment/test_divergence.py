"""Divergence: against closed forms, other libraries and networks where the rewritten states are known."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.stats import wasserstein_distance, wasserstein_distance_nd
from sklearn.covariance import EmpiricalCovariance

from symscope.algorithms import UpDown
from symscope.alignment import Subspace, score, whole_state
from symscope.alignment.divergence import NaturalStates, divergence, earth_mover, sliced_earth_mover
from symscope.errors import InvalidArgumentError
from symscope.interventions import draw_interventions, prepare
from symscope.networks import change_basis, magnitude_network, random_invertible
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)


def cloud(n, d, seed=0, shift=0.0):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.double) * torch.linspace(1, 3, d) + shift


def test_earth_movers_distances_agree_with_scipys():
    one, other = cloud(60, 3), cloud(60, 3, 1, 0.5)
    assert earth_mover(one, other) == pytest.approx(wasserstein_distance_nd(one.numpy(), other.numpy()), rel=1e-6)
    slices = torch.randn(3, 7, generator=generator(2), dtype=torch.double)
    lines = (slices / slices.norm(dim=0)).T
    theirs = [wasserstein_distance((one @ line).numpy(), (other @ line).numpy()) for line in lines]
    assert sliced_earth_mover(one, other, slices) == pytest.approx(np.mean(theirs))
    assert sliced_earth_mover(one, other, slices) <= earth_mover(one, other)
    # A shift moves every state by its length, and along a random line of the plane by 2/pi of it on average.
    flat = cloud(50, 2)
    assert earth_mover(flat, flat + torch.tensor([3.0, 4.0])) == pytest.approx(5)
    around = torch.linspace(0, np.pi, 721, dtype=torch.double)[:-1]
    slices = torch.stack([around.cos(), around.sin()])
    assert sliced_earth_mover(flat, flat + torch.tensor([3.0, 4.0]), slices) == pytest.approx(5 * 2 / np.pi, rel=1e-4)


def test_mahalanobis_and_nearest_agree_with_scikit_learn_and_scipy():
    natural, states = cloud(800, 4), cloud(300, 4, 1, 1.0)
    found = divergence(NaturalStates.of(natural), states, generator(0))
    theirs = EmpiricalCovariance().fit(natural.numpy()).mahalanobis(states.numpy())
    assert found.mahalanobis == pytest.approx((theirs.mean() / 4) ** 0.5, rel=2e-3)
    tree = cKDTree(natural.numpy())
    near = np.median(tree.query(states.numpy())[0]) / np.median(tree.query(natural.numpy(), k=2)[0][:, 1])
    assert found.nearest == pytest.approx(near, rel=0.01)
    assert found.outside == pytest.approx(0, abs=1e-6)


def test_natural_states_do_not_diverge_from_themselves():
    natural = cloud(2000, 6)
    found = divergence(NaturalStates.of(natural[:1500]), natural[1500:], generator(0))
    assert found.mahalanobis == pytest.approx(1, abs=0.05)
    assert found.nearest == pytest.approx(1, abs=0.15)
    assert found.earth_mover == pytest.approx(found.earth_mover_natural, rel=0.5)
    own = divergence(NaturalStates.of(natural), natural, generator(0))
    assert own.nearest == pytest.approx(0, abs=1e-6)


def test_what_lies_outside_the_span_is_a_share_of_the_norm():
    natural = torch.cat([cloud(500, 3), torch.zeros(500, 2)], 1)
    away = natural.clone()
    away[:, 3] = 4 * natural.square().sum(1).mean().sqrt() / 3  # a triangle of sides 3, 4, 5, root mean square
    found = divergence(NaturalStates.of(natural), away, generator(0))
    assert found.outside == pytest.approx(0.8, abs=1e-3)
    assert found.nearest > 3
    seen = NaturalStates.of(natural)
    assert seen.directions.shape == (5, 3)
    change = torch.randn(5, 5, generator=generator(3))
    torch.testing.assert_close(seen.within(change), torch.cat([change[:, :3], torch.zeros(5, 2)], 1), atol=1e-5, rtol=0)


def test_spacing_leaves_out_repetitions():
    lattice = torch.cartesian_prod(torch.arange(9.0), torch.arange(2.0)).repeat(20, 1)
    assert NaturalStates.of(lattice).spacing == pytest.approx(1)
    between = divergence(NaturalStates.of(lattice), torch.tensor([[2.5, 0.0], [4.5, 1.0]]), generator(0))
    assert between.nearest == pytest.approx(0.5)


@pytest.mark.parametrize("condition", [1.0, 5.0])
def test_a_swap_that_writes_where_no_state_lies_is_seen_and_the_known_one_is_clean(condition):
    matrix = random_invertible(6, condition, generator(0))
    constructed = change_basis(magnitude_network(**TASK.roles, d=6), matrix)
    prepared = prepare(constructed.network, draw_interventions(ALGORITHM, ["count"], 800, generator(0)), "h")
    natural = NaturalStates.of(prepared.natural_states())
    assert natural.directions.shape[1] == 2
    known = Subspace(constructed.writes["count"], constructed.reads["count"])
    spare = matrix @ torch.eye(6)[:, 2:3]
    # Writes the count, and as much into a spare direction: the network does the same, the state is like no other.
    away = Subspace(constructed.writes["count"] + 3 * spare, constructed.reads["count"])
    for function, wanted in ((known, 0), (away, 1)):
        rewritten = function.swap(prepared.base.states, prepared.source)
        assert score(constructed.network, function, prepared).iia == 1
        found = divergence(natural, rewritten, generator(1))
        assert (found.outside > 0.5) == wanted
        assert (found.nearest > 1) == wanted
        assert (found.earth_mover > 10 * found.earth_mover_natural) == wanted
        if condition == 1:  # the split is orthogonal, so in other disguises the part within the span is another change
            inside = prepared.base.states + natural.within(rewritten - prepared.base.states)
            torch.testing.assert_close(inside, known.swap(prepared.base.states, prepared.source), atol=2e-3, rtol=0)
    everything = whole_state(6).swap(prepared.base.states, prepared.source)
    assert divergence(natural, everything, generator(1)).nearest == pytest.approx(0, abs=1e-3)


def test_states_that_are_all_the_same_are_refused():
    with pytest.raises(InvalidArgumentError, match="all the same"):
        NaturalStates.of(torch.ones(50, 3))
