"""Intervals and corrections: against closed forms, against other routes, and against known truth by simulation."""

import numpy as np
import pytest
from scipy.stats import bootstrap, fisher_exact

from symscope.errors import InvalidArgumentError
from symscope.statistics import (
    Difference,
    Estimate,
    above_all,
    bootstrap_of_means,
    difference,
    hierarchical_bootstrap,
    holm,
    paired_difference,
    wilson,
)

RNG = np.random.default_rng


def trials(hits, n):
    return np.arange(n) < hits


def test_wilson_agrees_with_its_closed_form():
    n, p, z = 1000, 0.9, 1.959964
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert wilson(900, n) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert wilson(0, 20).low == 0
    assert wilson(20, 20).high == 1


def test_differences_agree_with_newcombes_own_examples():
    # Newcombe 1998 (Statist. Med. 17, 873): 56/70 against 48/80; and 17, 2635-2650: a, b, c, d = 36, 12, 2, 0.
    assert difference(trials(56, 70), trials(48, 80))[1:3] == pytest.approx((0.0524, 0.3339), abs=1e-4)
    one, other = (
        np.repeat(pattern, [36, 12, 2, 0]) for pattern in ([True, True, False, False], [True, False, True, False])
    )
    assert paired_difference(one, other)[:3] == pytest.approx((0.2, 0.0569, 0.3404), abs=1e-4)


@pytest.mark.parametrize("agree", [0.0, 0.5, 0.9])
def test_a_paired_difference_agrees_with_the_bootstrap_over_pairs(agree):
    draws = RNG(0)
    one, fresh = draws.random(400) < 0.8, draws.random(400) < 0.6
    other = np.where(draws.random(400) < agree, one, fresh)
    ours = paired_difference(one, other)
    theirs = bootstrap(
        (one.astype(float), other.astype(float)), lambda a, b, axis: a.mean(axis) - b.mean(axis), paired=True,
        vectorized=True, n_resamples=4000, method="percentile", rng=RNG(1),
    ).confidence_interval  # fmt: skip
    assert ours[1:3] == pytest.approx(tuple(theirs), abs=0.012)


def test_pairing_narrows_the_interval_and_the_p_value_tells_direction():
    one = trials(90, 100)
    other = trials(80, 100)
    paired, apart = paired_difference(one, other), difference(one, other)
    assert paired.high - paired.low < apart.high - apart.low
    assert paired.p == pytest.approx(0.5**10)
    assert apart.p == pytest.approx(fisher_exact([[90, 10], [80, 20]], alternative="greater").pvalue)
    assert paired_difference(other, one).p == 1
    assert paired_difference(one, one) == Difference(0, *paired_difference(one, one)[1:3], 1)


@pytest.mark.parametrize("shares", [(0.98, 0.02), (0.6, 0.5)])
def test_differences_hold_their_level(shares):
    draws, inside = RNG(0), {"paired": 0, "apart": 0}
    for _ in range(400):
        chance = draws.random((3, 120))
        one, same, other = chance[0] < shares[0], chance[0] < shares[1], chance[1] < shares[1]
        truth = shares[0] - shares[1]
        inside["paired"] += paired_difference(one, same).low <= truth <= paired_difference(one, same).high
        inside["apart"] += difference(one, other).low <= truth <= difference(one, other).high
    assert min(inside.values()) >= 400 * 0.95 - 3 * (400 * 0.05 * 0.95) ** 0.5


def test_above_all_is_above_the_nearest_with_the_widest_doubt():
    near, sure = Difference(0.2, 0.1, 0.3, 0.01), Difference(0.5, 0.05, 0.9, 0.2)
    assert above_all({"a": sure, "b": near}) == ("b", Difference(0.2, 0.05, 0.3, 0.2))
    with pytest.raises(InvalidArgumentError, match="nothing to compare with"):
        above_all({})


def test_bootstrap_of_one_seed_agrees_with_the_plain_one():
    values = RNG(0).normal(size=300).round(2)
    theirs = bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=RNG(1)).confidence_interval
    assert hierarchical_bootstrap([values]) == pytest.approx(tuple(theirs), abs=0.01)


def test_bootstrap_of_seeds_agrees_with_drawing_them_one_by_one():
    outcomes = [RNG(seed).random(200) < share for seed, share in enumerate((0.9, 0.95, 0.6, 0.99))]
    draws, means = RNG(9), []
    for _ in range(3000):
        chosen = [outcomes[i] for i in draws.integers(4, size=3)]
        means.append(np.mean([draws.choice(seen, len(seen)).mean() for seen in chosen]))
    assert hierarchical_bootstrap(outcomes) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)


@pytest.mark.parametrize("seeds", [5, 10])
def test_bootstrap_covers_the_mean_over_networks(seeds):
    """True IIAs spread with sd 0.1 around 0.7: an interval over trials alone misses it nearly always."""
    draws, inside, flat = RNG(0), 0, 0
    for _ in range(300):
        shares = np.clip(draws.normal(0.7, 0.1, size=seeds), 0, 1)
        outcomes = [draws.random(500) < share for share in shares]
        low, high = hierarchical_bootstrap(outcomes, resamples=1000)
        inside += low <= 0.7 <= high
        low, high = wilson(int(sum(seen.sum() for seen in outcomes)), 500 * seeds)
        flat += low <= 0.7 <= high
    assert inside / 300 > {5: 0.84, 10: 0.89}[seeds]  # percentiles of few seeds fall somewhat short of 0.95
    assert flat / 300 < 0.6


def test_holm_rejects_what_its_steps_reject():
    draws = RNG(0)
    for n in (1, 2, 7):
        p = draws.random(n) ** 3
        corrected = np.array(holm(p.tolist()))
        for alpha in (0.01, 0.05, 0.2):
            rejected = np.zeros(n, dtype=bool)
            for step, index in enumerate(np.argsort(p)):
                if p[index] > alpha / (n - step):
                    break
                rejected[index] = True
            assert (corrected <= alpha).tolist() == rejected.tolist()
    assert holm([]) == []


def test_errors():
    with pytest.raises(InvalidArgumentError, match="got 5 of 4"):
        wilson(5, 4)
    with pytest.raises(InvalidArgumentError, match="got 3 and 4"):
        paired_difference(trials(1, 3), trials(1, 4))
    with pytest.raises(InvalidArgumentError, match="trials of each"):
        hierarchical_bootstrap([trials(1, 3), trials(0, 0)])
    with pytest.raises(InvalidArgumentError, match="between 0 and 1"):
        holm([0.5, 1.5])


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_a_bootstrap_of_means_agrees_with_the_one_over_single_trials(seeds):
    draws = RNG(0)
    outcomes = [draws.random(500) < level for level in draws.uniform(0.6, 0.9, seeds)]
    networks = [Estimate(float(o.mean()), float(o.mean() * (1 - o.mean()) / len(o))) for o in outcomes]
    ours = bootstrap_of_means([(1.0, networks)], threshold=0.0)
    assert ours.value == pytest.approx(np.mean([o.mean() for o in outcomes]))
    assert (ours.low, ours.high) == pytest.approx(hierarchical_bootstrap(outcomes), abs=0.005)
    assert ours.p == pytest.approx(1 / 10_001)


def test_a_weighted_sum_of_means_has_the_spread_of_its_parts():
    one, other = [Estimate(x, 0.0) for x in (0.1, 0.3, 0.4, 0.6)], [Estimate(x, 0.0) for x in (0.2, 0.2, 0.3, 0.5)]
    apart = bootstrap_of_means([(1.0, one), (-1.0, other)], threshold=0.0)
    assert apart.value == pytest.approx(0.05)
    expected = 1.96 * (np.var([0.1, 0.3, 0.4, 0.6], ddof=1) / 4 + np.var([0.2, 0.2, 0.3, 0.5], ddof=1) / 4) ** 0.5
    assert (apart.high - apart.low) / 2 == pytest.approx(expected, rel=0.1)
    assert apart.p == pytest.approx(0.346, abs=0.06)  # 0.4 standard errors above the threshold
    with pytest.raises(InvalidArgumentError, match="at least one group"):
        bootstrap_of_means([(1.0, [])], threshold=0.0)
