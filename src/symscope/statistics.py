"""How sure is a share? Intervals, differences between shares, and the correction for many claims at once.

Two sources of chance stand behind every IIA: which interventions were drawn, and which networks (seeds) there are. A
single run has only the first (`wilson`), several seeds have both (`hierarchical_bootstrap`). scipy is imported where it
is used: it takes a second, and `import symscope` should not.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from symscope.errors import InvalidArgumentError

LEVEL = 0.95
"""Of every interval."""
RESAMPLES = 10_000


class Interval(NamedTuple):
    """A 95% interval."""

    low: float
    high: float


class Difference(NamedTuple):
    """How much higher one share is than another, and how likely at least so much is where there is no difference."""

    value: float
    low: float
    high: float
    p: float


def wilson(hits: int, n: int) -> Interval:
    """The Wilson interval of a share of `n` independent trials (Wilson 1927)."""
    from scipy.stats import binomtest  # noqa: PLC0415

    if not 0 <= hits <= n or n < 1:
        raise InvalidArgumentError(f"a share is of at least one trial, and of at most all; got {hits} of {n}")
    low, high = binomtest(hits, n).proportion_ci(LEVEL, "wilson")
    return Interval(float(low), float(high))


def paired_difference(one: Bool[ndarray, " trials"], other: Bool[ndarray, " others"]) -> Difference:
    """How much more often `one` succeeded than `other` in the same trials (the same test interventions).

    The interval is Newcombe's (1998, method 10), which holds its level also where a share is 0 or 1; p is that of the
    one-sided exact McNemar test.
    """
    from scipy.stats import binomtest  # noqa: PLC0415

    if one.shape != other.shape:
        raise InvalidArgumentError(f"paired trials are the same ones; got {len(one)} and {len(other)}")
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    both, neither = int((one & other).sum()), int((~one & ~other).sum())
    product = (both + only_one) * (neither + only_other) * (both + only_other) * (neither + only_one)
    covariance = both * neither - only_one * only_other
    if covariance > 0:
        covariance = max(covariance - len(one) / 2, 0)  # the method's correction for continuity
    phi = covariance / product**0.5 if product else 0.0
    low, high = _newcombe(one, other, phi)
    unequal = only_one + only_other
    p = float(binomtest(only_one, unequal, alternative="greater").pvalue) if unequal else 1.0
    return Difference(float(one.mean() - other.mean()), low, high, p)


def difference(one: Bool[ndarray, " trials"], other: Bool[ndarray, " others"]) -> Difference:
    """How much more often `one` succeeded than `other` in trials drawn apart.

    The interval is Newcombe's (1998, hybrid score); p is that of Fisher's exact test, one-sided.
    """
    from scipy.stats import hypergeom  # noqa: PLC0415

    low, high = _newcombe(one, other, 0.0)
    hits = int(one.sum())
    p = hypergeom.sf(hits - 1, len(one) + len(other), hits + int(other.sum()), len(one))
    return Difference(float(one.mean() - other.mean()), low, high, float(p))


def _newcombe(one: Bool[ndarray, " trials"], other: Bool[ndarray, " others"], phi: float) -> Interval:
    (p1, low1, high1), (p2, low2, high2) = ((s.mean(), *wilson(int(s.sum()), len(s))) for s in (one, other))

    def half(of_one: float, of_other: float) -> float:
        return max(of_one**2 - 2 * phi * of_one * of_other + of_other**2, 0.0) ** 0.5

    value = p1 - p2
    return Interval(float(value - half(p1 - low1, high2 - p2)), float(value + half(high1 - p1, p2 - low2)))


def above_all(differences: Mapping[str, Difference]) -> tuple[str, Difference]:
    """The least of several differences: how far something is above the best of what it is held against, and which.

    It is above all of them only if it is above each, so the lowest of the lower ends and the highest p hold their level
    without any correction (an intersection-union test, Berger 1982). The upper end is that of the nearest.

    Raises:
        InvalidArgumentError: there is nothing to be above.
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
    """The percentile interval of a mean over seeds and, within each, trials; each seed weighs the same.

    Of S seeds, S - 1 are drawn with replacement, and of each as many trials as it has: so the spread over seeds is
    right on average however few there are (Rao and Wu 1988); drawing all S would make it too small by (S - 1) / S. The
    chance in the trials is counted a little too high. Of two seeds, the interval is about from one to the other; of
    one, it speaks of the trials only.

    Args:
        outcomes: one entry a seed: its trials, true or false, or any numbers (such as paired differences).
        seed: of the resampling.
        resamples: how often.

    Raises:
        InvalidArgumentError: no seeds, or one without a trial.
    """
    if not outcomes or any(len(trials) == 0 for trials in outcomes):
        raise InvalidArgumentError("a bootstrap needs at least one seed, and trials of each")
    draws, many = np.random.default_rng(seed), len(outcomes)
    times = draws.multinomial(max(many - 1, 1), np.full(many, 1 / many), size=resamples)
    total = np.zeros(resamples)
    for trials, drawn in zip(outcomes, times.T, strict=True):
        values, counts = np.unique(np.asarray(trials, dtype=float), return_counts=True)
        # Trials drawn with replacement are counts of the distinct values: no trial is ever copied. A seed that is drawn
        # several times has its trials drawn anew each time.
        resampled = draws.multinomial(len(trials) * drawn, counts / len(trials))
        total += (resampled @ values) / len(trials)
    low, high = np.quantile(total / max(many - 1, 1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


@cache
def share_over_seeds(hits: tuple[int, ...], trials: tuple[int, ...]) -> Interval:
    """The interval of a share that was measured in several networks, over networks and trials.

    That of the hierarchical bootstrap, and never narrower than the trials alone would make it (Wilson's, over all of
    them): a bootstrap of networks that agree perfectly would claim to know without any doubt. Of one network it is
    Wilson's, and speaks of the trials only.

    Args:
        hits: successes, one entry a seed.
        trials: of how many, one entry a seed.

    Raises:
        InvalidArgumentError: no seeds, one without a trial, or more successes than trials.
    """
    low, high = wilson(sum(hits), sum(trials))
    if len(hits) > 1:
        over_seeds = hierarchical_bootstrap([np.arange(n) < hit for hit, n in zip(hits, trials, strict=True)])
        low, high = min(low, over_seeds.low), max(high, over_seeds.high)
    return Interval(low, high)


class Estimate(NamedTuple):
    """What was measured in one network (one seed), and the variance of that over its trials."""

    value: float
    variance: float


def bootstrap_of_means(
    groups: Sequence[tuple[float, Sequence[Estimate]]],
    threshold: float,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """A weighted sum of the means of groups of networks, by the scheme of `hierarchical_bootstrap`; p is of its excess.

    For what is no plain share: differences of shares, slopes over many of them. The trials of a network enter as a
    normal deviate of their variance, which is what resampling many of them comes to.

    Args:
        groups: the weight of each group, and its networks.
        threshold: p is the share of resamples that are not above it, one counted on top (Davison and Hinkley 1997).
        seed: of the resampling.
        resamples: how often.

    Raises:
        InvalidArgumentError: no groups, or one without a network.
    """
    if not groups or any(not networks for _, networks in groups):
        raise InvalidArgumentError("a bootstrap needs at least one group, and a network in each")
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
    """p-values corrected for their number, in the same order (Holm 1979): at most one in twenty tables errs at 0.05.

    Raises:
        InvalidArgumentError: a p-value outside 0 to 1.
    """
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InvalidArgumentError(f"p-values lie between 0 and 1, got {list(p_values)}")
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected.tolist()
