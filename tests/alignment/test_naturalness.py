"""Naturalness within the span: against plain loops, and on constructed networks whose exact swap is known."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from symscope.algorithms import make_algorithm
from symscope.alignment import subspace
from symscope.alignment.naturalness import far_out_share, nearest_of_class, within_class_distance
from symscope.alignment.state_classes import class_ids
from symscope.errors import InvalidArgumentError
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import CONSTRUCTED, change_basis, random_invertible
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()


def cloud(n, d=4, seed=0):
    return torch.randn(n, d, generator=generator(seed, "cloud"), dtype=torch.double) * torch.linspace(1, 3, d)


def test_natural_states_are_far_out_as_often_as_the_quantile_says():
    natural = cloud(20_000)
    measured = far_out_share(cloud(20_000, seed=1), natural, cloud(20_000, seed=2))
    for share in (measured.share, measured.floor, measured.expected):
        assert share == pytest.approx(0.01, abs=0.004)
    # Twice as far in every direction: what a chi-squared distribution has beyond a quarter of its 99% quantile.
    assert far_out_share(2 * cloud(20_000, seed=1), natural).share == pytest.approx(
        chi2.sf(chi2.ppf(0.99, 4) / 4, 4), abs=0.02
    )
    assert far_out_share(torch.full((5, 4), 100.0).double(), natural).share == 1


def test_directions_outside_the_span_do_not_count_as_far_out():
    natural = torch.cat([cloud(4000), torch.zeros(4000, 2)], 1).float()
    away = natural[:500].clone()
    away[:, 4] = 1000
    assert far_out_share(away, natural).share < 0.03


def test_distances_within_classes_agree_with_a_plain_loop():
    draws = generator(0)
    natural, classes = cloud(300), torch.randint(5, (300,), generator=draws)
    rewritten, wanted = cloud(90, seed=1), torch.randint(-1, 7, (90,), generator=draws)
    measured = within_class_distance(rewritten, wanted, natural, classes)

    order = torch.randperm(300, generator=generator(0, "naturalness")).tolist()

    def nearest(state, label):
        members = [natural[row] for row in order[:150] if classes[row] == label]
        return min((float((state - member).norm()) for member in members), default=None)

    means = {label: natural[[row for row in order[:150] if classes[row] == label]].mean(0) for label in range(5)}
    radius_floor = np.median([float((natural[row] - means[int(classes[row])]).norm()) for row in order[150:]])
    radii = [
        float((state - means[int(label)]).norm())
        for state, label in zip(rewritten, wanted, strict=True)
        if int(label) in means
    ]
    assert measured.radius_floor == pytest.approx(radius_floor)
    assert measured.radius == pytest.approx(np.median(radii) / radius_floor)
    floor = np.median([nearest(natural[row], classes[row]) for row in order[150:]])
    distances = [nearest(state, label) for state, label in zip(rewritten, wanted, strict=True)]
    known = [distance for distance in distances if distance is not None]
    assert measured.floor == pytest.approx(floor)
    assert measured.distance == pytest.approx(np.median(known) / floor)
    assert measured.high == pytest.approx(np.quantile(known, 0.9) / floor)
    assert measured.left_out_share == pytest.approx(1 - len(known) / 90)
    assert 0 < measured.left_out_share < 0.6


def test_distances_class_by_class_are_those_of_all_pairs():
    natural, classes = cloud(200), torch.arange(200) % 7
    rewritten, wanted = cloud(50, seed=1), torch.arange(50) % 9 - 1
    pairs = (rewritten[:, None].double() - natural[None].double()).norm(dim=2)
    pairs[wanted[:, None] != classes] = torch.inf
    torch.testing.assert_close(nearest_of_class(rewritten, wanted, natural, classes), pairs.min(1).values)


def test_blocks_do_not_change_distances():
    natural, classes = cloud(200), torch.arange(200) % 3
    rewritten, wanted = cloud(50, seed=1), torch.arange(50) % 4
    whole = nearest_of_class(rewritten, wanted, natural, classes)
    assert torch.equal(nearest_of_class(rewritten, wanted, natural, classes, block_bytes=4000), whole)
    assert torch.equal(whole.isinf(), wanted == 3)


def test_states_of_a_class_that_coincide_have_the_smallest_floor():
    natural = torch.arange(10.0).repeat(40)[:, None]
    classes = torch.arange(10).repeat(40)
    measured = within_class_distance(torch.tensor([[3.0], [5.0], [4.4]]), torch.tensor([3, 5, 4]), natural, classes)
    assert measured.floor == pytest.approx(0.01 * float(natural.double().std()), rel=0.1)
    assert measured.distance == pytest.approx(0, abs=1e-6)
    assert measured.high > 10


@pytest.mark.parametrize("variable", ["count", "phase"])
@pytest.mark.parametrize("name", ["magnitude", "angle"])
def test_the_exact_swap_is_natural_and_one_that_goes_too_far_is_not(name, variable):
    constructed = change_basis(CONSTRUCTED[name](**TASK.roles, d=8), random_invertible(8, 5.0, generator(0)))
    algorithm = make_algorithm("up-down", TASK)
    drawn = draw_interventions(algorithm, [variable], 1000, generator(0, variable))
    cached = cache_states(constructed.network, drawn, "h")
    base, natural = cached.base_states, cached.natural_states()

    def columns(values):
        return torch.stack([values[entry.name] for entry in algorithm.variables], 1)

    ids, requested = class_ids(columns(cached.values), columns(cached.counterfactual_values))
    write, read = constructed.writes[variable], constructed.reads[variable]
    exact = subspace(write, read).swap(base, cached.source_states[0])
    far = base + 4 * (exact - base)
    changed = requested != ids[:1000]
    near, away = (within_class_distance(states[changed], requested[changed], natural, ids) for states in (exact, far))
    assert near.distance < 0.1
    assert near.high < 0.1
    assert near.radius < 0.1
    assert away.radius > 5
    assert near.left_out_share < 0.15
    assert away.high > 10
    assert far_out_share(exact[changed], natural).share < 0.05
    assert far_out_share(far[changed], natural).share > 0.2


def test_what_cannot_be_compared_is_refused():
    natural = cloud(20)
    with pytest.raises(InvalidArgumentError, match="at least 4 natural states, got 3"):
        far_out_share(natural, natural[:3])
    with pytest.raises(InvalidArgumentError, match="all the same"):
        far_out_share(natural, torch.ones(10, 4).double())
    with pytest.raises(InvalidArgumentError, match="no state has natural states of its class"):
        within_class_distance(natural, torch.full((20,), -1), natural, torch.arange(20) % 2)
    with pytest.raises(InvalidArgumentError, match="no state has natural states of its class"):
        within_class_distance(natural, torch.arange(20) % 2, natural, torch.arange(20))
