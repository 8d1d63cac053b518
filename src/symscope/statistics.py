"""Statistics of shares: confidence intervals, differences between shares, and corrections for multiple tests.

An IIA varies with the sample of interventions and with the sample of networks (seeds). For a single network only the
first source of variation is known (`wilson`), for several networks both are (`hierarchical_bootstrap`). scipy is
imported inside the functions that use it, so that `import symscope` stays fast.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from symscope.errors import InvalidArgumentError

LEVEL = 0.95
"""Confidence level of all intervals."""
RESAMPLES = 10_000
"""Default number of bootstrap resamples."""


class Interval(NamedTuple):
    """A 95% confidence interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """A difference between two shares.

    Attributes:
        value: the difference.
        low: lower end of its 95% interval.
        high: upper end of its 95% interval.
        p: one-sided p-value, the probability of a difference of at least `value` if there is none.
    """

    value: float
    low: float
    high: float
    p: float


def wilson(hits: int, n: int) -> Interval:
    """The Wilson interval of a share of independent trials (Wilson 1927).

    Args:
        hits: number of successes.
        n: number of trials.

    Raises:
        InvalidArgumentError: there are no trials, or more successes than trials.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    if not 0 <= hits <= n or n < 1:
        raise InvalidArgumentError(f"a share needs trials, and at most as many successes; got {hits} of {n}")
    low, high = binomtest(hits, n).proportion_ci(LEVEL, "wilson")
    return Interval(float(low), float(high))


def clustered_wilson(correct: Bool[ndarray, " trials"], clusters: Int[ndarray, " trials"]) -> Interval:
    """The Wilson interval of a share of trials that come in clusters.

    The number of trials is replaced by the effective number p (1 - p) / v, where v is the variance of the share over
    clusters (linearised ratio estimator, Cochran 1977, section 11), limited to the range from the number of clusters to
    the number of trials (Korn & Graubard 1998). Where all trials agree it is the number of clusters.

    Args:
        correct: which trials succeeded.
        clusters: the cluster of each trial.

    Raises:
        InvalidArgumentError: there are no trials.
    """
    n = len(correct)
    if not n:
        raise InvalidArgumentError("a share needs trials, got none")
    share = float(correct.mean())
    _, at = np.unique(clusters, return_inverse=True)
    hits, sizes = np.bincount(at, weights=correct), np.bincount(at)
    count, effective = len(sizes), float(len(sizes))
    if count > 1 and 0 < share < 1:
        variance = count / (count - 1) * float(((hits - share * sizes) ** 2).sum()) / n**2
        effective = min(max(share * (1 - share) / variance, count), n) if variance else float(n)
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    centre = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * math.sqrt(share * (1 - share) / effective + z**2 / (4 * effective**2))
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0))


def paired_difference(first: Bool[ndarray, " trials"], second: Bool[ndarray, " second_trials"]) -> Difference:
    """The share of successes in `first` minus that in `second`, in the same trials (the same test interventions).

    The interval is Newcombe's (1998, method 10), which is valid also for shares of 0 and 1. The p-value is that of the
    one-sided exact McNemar test.

    Raises:
        InvalidArgumentError: the numbers of trials differ.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    if first.shape != second.shape:
        raise InvalidArgumentError(f"paired samples have the same number of trials, got {len(first)} and {len(second)}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    product = (both + only_first) * (neither + only_second) * (both + only_second) * (neither + only_first)
    covariance = both * neither - only_first * only_second
    if covariance > 0:
        covariance = max(covariance - len(first) / 2, 0)  # the method's correction for continuity
    phi = covariance / product**0.5 if product else 0.0
    low, high = _newcombe(first, second, phi)
    unequal = only_first + only_second
    p = float(binomtest(only_first, unequal, alternative="greater").pvalue) if unequal else 1.0
    return Difference(float(first.mean() - second.mean()), low, high, p)


def difference(first: Bool[ndarray, " trials"], second: Bool[ndarray, " second_trials"]) -> Difference:
    """The share of successes in `first` minus that in `second`, in independent samples of trials.

    The interval is Newcombe's (1998, hybrid score). The p-value is that of Fisher's exact test, one-sided.
    """
    from scipy.stats import hypergeom  # noqa: PLC0415

    low, high = _newcombe(first, second, 0.0)
    hits = int(first.sum())
    p = hypergeom.sf(hits - 1, len(first) + len(second), hits + int(second.sum()), len(first))
    return Difference(float(first.mean() - second.mean()), low, high, float(p))


def _newcombe(first: Bool[ndarray, " trials"], second: Bool[ndarray, " second_trials"], phi: float) -> Interval:
    (p1, low1, high1), (p2, low2, high2) = ((s.mean(), *wilson(int(s.sum()), len(s))) for s in (first, second))

    def half(of_first: float, of_second: float) -> float:
        return max(of_first**2 - 2 * phi * of_first * of_second + of_second**2, 0.0) ** 0.5

    value = p1 - p2
    return Interval(float(value - half(p1 - low1, high2 - p2)), float(value + half(high1 - p1, p2 - low2)))


def above_all(differences: Mapping[str, Difference]) -> tuple[str, Difference]:
    """The smallest of several differences, such as those between an alignment and its controls, and its name.

    A share is above all others only if it is above each of them. So the smallest lower end and the largest p-value keep
    their level without a correction (an intersection-union test, Berger 1982). The upper end is that of the smallest
    difference.

    Args:
        differences: the differences, by the name of what is subtracted.

    Raises:
        InvalidArgumentError: there are no differences.
    """
    if not differences:
        raise InvalidArgumentError("nothing to compare with: no differences")
    nearest = min(differences, key=lambda name: differences[name].value)
    low, p = min(d.low for d in differences.values()), max(d.p for d in differences.values())
    return nearest, Difference(differences[nearest].value, low, differences[nearest].high, p)


def hierarchical_bootstrap(
    outcomes: Sequence[Float[ndarray, " _"] | Bool[ndarray, " _"]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The percentile interval of a mean over seeds and over the trials of each seed; all seeds have equal weight.

    Each resample draws S - 1 of the S seeds with replacement, and as many trials of each as it has. So the variance
    over seeds is unbiased for any number of seeds (Rao and Wu 1988); with S draws it would be too small by (S - 1) / S.
    The variance over trials is slightly overestimated. For two seeds, the interval is about the range between them; for
    a single seed, it covers only the variation over trials.

    Args:
        outcomes: the trials of each seed: true or false, or numbers (such as paired differences).
        seed: of the resampling.
        resamples: number of resamples.

    Raises:
        InvalidArgumentError: there are no seeds, or a seed has no trials.
    """
    if not outcomes or any(len(trials) == 0 for trials in outcomes):
        raise InvalidArgumentError("a bootstrap needs at least one seed, and trials of each seed")
    draws, many = np.random.default_rng(seed), len(outcomes)
    times = draws.multinomial(max(many - 1, 1), np.full(many, 1 / many), size=resamples)
    total = np.zeros(resamples)
    for trials, drawn in zip(outcomes, times.T, strict=True):
        values, counts = np.unique(np.asarray(trials, dtype=float), return_counts=True)
        # Trials drawn with replacement are counts of the distinct values, so no trial is copied. The trials of a seed
        # that is drawn several times are drawn independently each time.
        resampled = draws.multinomial(len(trials) * drawn, counts / len(trials))
        total += (resampled @ values) / len(trials)
    low, high = np.quantile(total / max(many - 1, 1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


@cache
def share_over_seeds(hits: tuple[int, ...], trials: tuple[int, ...]) -> Interval:
    """The interval of a share that was measured in several networks, over networks and trials.

    It is the interval of the hierarchical bootstrap, widened where necessary to contain the Wilson interval of all
    trials: for networks that agree perfectly, the bootstrap alone would have no width. For a single network it is the
    Wilson interval, which covers only the variation over trials.

    Args:
        hits: number of successes of each seed.
        trials: number of trials of each seed.

    Raises:
        InvalidArgumentError: there are no seeds, a seed has no trials, or more successes than trials.
    """
    low, high = wilson(sum(hits), sum(trials))
    if len(hits) > 1:
        over_seeds = hierarchical_bootstrap([np.arange(n) < hit for hit, n in zip(hits, trials, strict=True)])
        low, high = min(low, over_seeds.low), max(high, over_seeds.high)
    return Interval(low, high)


class Estimate(NamedTuple):
    """A measurement in one network.

    Attributes:
        value: the measured value.
        variance: its variance over the trials.
    """

    value: float
    variance: float


def bootstrap_of_means(
    groups: Sequence[tuple[float, Sequence[Estimate]]],
    threshold: float,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """A weighted sum of the means of groups of networks, with its bootstrap interval.

    It is for statistics other than shares, such as differences of shares, and slopes. Networks are resampled as in
    `hierarchical_bootstrap`; the variation over the trials of a network is a normal deviate, which is the limit of
    resampling for many trials.

    Args:
        groups: the weight of each group, and the measurements in its networks.
        threshold: the p-value is that of the hypothesis that the sum is not above this number: the share of resamples
            that are not above it, with 1 added to both counts (Davison and Hinkley 1997).
        seed: of the resampling.
        resamples: number of resamples.

    Raises:
        InvalidArgumentError: there are no groups, or a group has no network.
    """
    if not groups or any(not networks for _, networks in groups):
        raise InvalidArgumentError("a bootstrap needs at least one group, and at least one network in each group")
    draws = np.random.default_rng(seed)
    value, total = 0.0, np.zeros(resamples)
    for weight, networks in groups:
        values, variances = np.array(networks, dtype=float).T
        many = len(networks)
        times = draws.multinomial(max(many - 1, 1), np.full(many, 1 / many), size=resamples)
        noise = draws.normal(size=resamples) * np.sqrt(times @ variances)
        total += weight * (times @ values + noise) / max(many - 1, 1)
        value += weight * float(values.mean())
    low, high = np.quantile(total, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    p = (int((total <= threshold).sum()) + 1) / (resamples + 1)
    return Difference(value, float(low), float(high), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values with Holm's correction (1979) for multiple tests, in the same order.

    Rejecting all hypotheses with a corrected p-value of at most 0.05 has a probability of at most 0.05 of any false
    rejection.

    Raises:
        InvalidArgumentError: a p-value is not between 0 and 1.
    """
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InvalidArgumentError(f"p-values lie between 0 and 1, got {list(p_values)}")
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected.tolist()
