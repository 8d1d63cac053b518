"""Intervals and corrections agree with closed forms, with independent computations, and with known truth."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, fisher_exact

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


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (1, 1), (7, 30), (499, 1000), (1000, 1000)])
def test_wilson_agrees_with_scipy(hits, n):
    assert wilson(hits, n) == pytest.approx(tuple(binomtest(hits, n).proportion_ci(0.95, "wilson")), rel=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1), (30, 30), (1000, 1000)])
@pytest.mark.parametrize("shares", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (0.95, 0.9), (1.0, 0.0), (0.1, 0.8)])
def test_p_values_agree_with_scipy(sizes, shares):
    rng = np.random.default_rng(0)
    first, second = (rng.random(n) < share for n, share in zip(sizes, shares, strict=True))
    table = [[int(s.sum()), int((~s).sum())] for s in (first, second)]
    assert difference(first, second).p == pytest.approx(fisher_exact(table, "greater").pvalue, rel=1e-8, abs=1e-300)
    better, worse = int((first & ~second).sum()), int((second & ~first).sum())
    expected = binomtest(better, better + worse, alternative="greater").pvalue if better + worse else 1.0
    assert paired_difference(first, second).p == pytest.approx(expected, rel=1e-8, abs=1e-300)


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
    first, second = (
        np.repeat(pattern, [36, 12, 2, 0]) for pattern in ([True, True, False, False], [True, False, True, False])
    )
    assert paired_difference(first, second)[:3] == pytest.approx((0.2, 0.0569, 0.3404), abs=1e-4)


@pytest.mark.parametrize("agree", [0.0, 0.5, 0.9])
def test_a_paired_difference_agrees_with_the_bootstrap_over_pairs(agree):
    draws = RNG(0)
    first, fresh = draws.random(400) < 0.8, draws.random(400) < 0.6
    second = np.where(draws.random(400) < agree, first, fresh)
    ours = paired_difference(first, second)
    expected = bootstrap(
        (first.astype(float), second.astype(float)), lambda a, b, axis: a.mean(axis) - b.mean(axis), paired=True,
        vectorized=True, n_resamples=4000, method="percentile", rng=RNG(1),
    ).confidence_interval  # fmt: skip
    assert ours[1:3] == pytest.approx(tuple(expected), abs=0.012)


def test_pairing_narrows_the_interval_and_p_values_are_one_sided():
    first = trials(90, 100)
    second = trials(80, 100)
    paired, independent = paired_difference(first, second), difference(first, second)
    assert paired.high - paired.low < independent.high - independent.low
    assert paired.p == pytest.approx(0.5**10)
    assert independent.p == pytest.approx(fisher_exact([[90, 10], [80, 20]], alternative="greater").pvalue)
    assert paired_difference(second, first).p == 1
    assert paired_difference(first, first) == Difference(0, *paired_difference(first, first)[1:3], 1)


@pytest.mark.parametrize("shares", [(0.98, 0.02), (0.6, 0.5)])
def test_differences_hold_their_level(shares):
    draws, inside = RNG(0), {"paired": 0, "independent": 0}
    for _ in range(400):
        chance = draws.random((3, 120))
        first, paired, independent = chance[0] < shares[0], chance[0] < shares[1], chance[1] < shares[1]
        truth = shares[0] - shares[1]
        inside["paired"] += paired_difference(first, paired).low <= truth <= paired_difference(first, paired).high
        inside["independent"] += difference(first, independent).low <= truth <= difference(first, independent).high
    assert min(inside.values()) >= 400 * 0.95 - 3 * (400 * 0.05 * 0.95) ** 0.5


def test_above_all_has_the_smallest_difference_and_the_largest_uncertainty():
    small, uncertain = Difference(0.2, 0.1, 0.3, 0.01), Difference(0.5, 0.05, 0.9, 0.2)
    assert above_all({"a": uncertain, "b": small}) == ("b", Difference(0.2, 0.05, 0.3, 0.2))
    with pytest.raises(InvalidArgumentError, match="nothing to compare with"):
        above_all({})


def test_bootstrap_of_a_single_seed_agrees_with_scipy():
    values = RNG(0).normal(size=300).round(2)
    expected = bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=RNG(1)).confidence_interval
    assert hierarchical_bootstrap([values]) == pytest.approx(tuple(expected), abs=0.01)


def test_bootstrap_of_seeds_agrees_with_explicit_resampling():
    outcomes = [RNG(seed).random(200) < share for seed, share in enumerate((0.9, 0.95, 0.6, 0.99))]
    draws, means = RNG(9), []
    for _ in range(3000):
        chosen = [outcomes[i] for i in draws.integers(4, size=3)]
        means.append(np.mean([draws.choice(seen, len(seen)).mean() for seen in chosen]))
    assert hierarchical_bootstrap(outcomes) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)


@pytest.mark.parametrize("seeds", [5, 10])
def test_bootstrap_covers_the_mean_over_networks(seeds):
    """True IIAs have mean 0.7 and sd 0.1; an interval over trials alone rarely contains the mean."""
    draws, inside, flat = RNG(0), 0, 0
    for _ in range(300):
        shares = np.clip(draws.normal(0.7, 0.1, size=seeds), 0, 1)
        outcomes = [draws.random(500) < share for share in shares]
        low, high = hierarchical_bootstrap(outcomes, resamples=1000)
        inside += low <= 0.7 <= high
        low, high = wilson(int(sum(seen.sum() for seen in outcomes)), 500 * seeds)
        flat += low <= 0.7 <= high
    assert inside / 300 > {5: 0.84, 10: 0.89}[seeds]  # percentile intervals of few seeds cover a little less than 0.95
    assert flat / 300 < 0.6


def test_holm_agrees_with_its_stepwise_definition():
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
    with pytest.raises(InvalidArgumentError, match="trials of each seed"):
        hierarchical_bootstrap([trials(1, 3), trials(0, 0)])
    with pytest.raises(InvalidArgumentError, match="between 0 and 1"):
        holm([0.5, 1.5])


@pytest.mark.parametrize("seeds", [1, 3, 6])
def test_a_bootstrap_of_means_agrees_with_the_bootstrap_over_trials(seeds):
    draws = RNG(0)
    outcomes = [draws.random(500) < level for level in draws.uniform(0.6, 0.9, seeds)]
    networks = [Estimate(float(o.mean()), float(o.mean() * (1 - o.mean()) / len(o))) for o in outcomes]
    ours = bootstrap_of_means([(1.0, networks)], threshold=0.0)
    assert ours.value == pytest.approx(np.mean([o.mean() for o in outcomes]))
    assert (ours.low, ours.high) == pytest.approx(hierarchical_bootstrap(outcomes), abs=0.005)
    assert ours.p == pytest.approx(1 / 10_001)


def test_a_weighted_sum_of_means_has_the_spread_of_its_parts():
    first, second = [Estimate(x, 0.0) for x in (0.1, 0.3, 0.4, 0.6)], [Estimate(x, 0.0) for x in (0.2, 0.2, 0.3, 0.5)]
    result = bootstrap_of_means([(1.0, first), (-1.0, second)], threshold=0.0)
    assert result.value == pytest.approx(0.05)
    expected = 1.96 * (np.var([0.1, 0.3, 0.4, 0.6], ddof=1) / 4 + np.var([0.2, 0.2, 0.3, 0.5], ddof=1) / 4) ** 0.5
    assert (result.high - result.low) / 2 == pytest.approx(expected, rel=0.1)
    assert result.p == pytest.approx(0.346, abs=0.06)  # 0.4 standard errors above the threshold
    with pytest.raises(InvalidArgumentError, match="at least one group"):
        bootstrap_of_means([(1.0, [])], threshold=0.0)
