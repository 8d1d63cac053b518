"""The verdict on a variable: the only place of its rule, its limits and its words.

The rule has two parts. *High*: the IIA is high in every network and above every null control. *Natural*: the states
that the interventions write are like states that the network reaches by itself. `verdict` combines both over the
networks (seeds) of one alignment; `choose` selects the alignment that answers a question among several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from symscope.errors import InvalidArgumentError

HIGH_IIA = 0.9
"""An IIA is high when the lower end of its 95% interval is at least this."""

MAX_DIVERGENCE = 0.2
"""Largest off-span share and largest dormant share of states that lie in the span of natural states."""

# Both limits are 1.2 times the largest value over 108 exact alignments of constructed networks: magnitude, two counts
# and angle, in orthogonal and invertible changes of basis, without nuisance and with zero-mean nuisance at two scales.
MAX_FAR_OUT_SHARE = 0.08
"""Largest share of rewritten states beyond the 99% Mahalanobis quantile of natural states; natural states have 0.01."""
MAX_WITHIN_CLASS_DISTANCE = 6.0
"""Largest distance to the nearest natural state with the values after the swap; natural states have 1."""

IIA_TOLERANCE = 0.01
"""Validation IIAs that differ by at most this count as equal, and the smaller subspace is preferred."""

NATURALNESS_MARGIN = 0.1
"""A more natural alignment is preferred to one whose validation IIA is at most so much higher."""

Naturalness: TypeAlias = Literal["natural", "in the span", "off-manifold", "not measured"]

NATURALNESS: tuple[Naturalness, ...] = ("natural", "in the span", "off-manifold", "not measured")
"""Words for how natural rewritten states are, from the most natural."""
NATURAL, IN_THE_SPAN, OFF_MANIFOLD, NOT_MEASURED = NATURALNESS


@dataclass(frozen=True)
class Measurement:
    """Measurements of one alignment in one network.

    Attributes:
        iia: IIA on test interventions.
        low: lower end of its 95% interval.
        null_high: highest upper end of the intervals of its null controls; None: no null control was measured.
        off_span_share: share of the norm of the rewritten states outside the span of natural states.
        dormant_share: share of the effect that is lost when only that span is written; None also where the swap
            changes no continuation.
        far_out_share: share of rewritten states beyond the 99% Mahalanobis quantile of natural states.
        within_class_distance: distance to the nearest natural state with the values after the swap, in units of the
            same distance between natural states.
    """

    iia: float
    low: float
    null_high: float | None
    off_span_share: float | None
    dormant_share: float | None
    far_out_share: float | None = None
    within_class_distance: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A verdict: its word, a key of `VERDICTS`, and a sentence for readers."""

    word: str
    sentence: str


@dataclass(frozen=True)
class VerdictWord:
    """Meaning of a verdict: a short answer to "does the network compute with this variable?", and its rule."""

    short: str
    rule: str


VERDICTS: Mapping[str, VerdictWord] = MappingProxyType(
    {
        "holds": VerdictWord(
            "Yes",
            f"In every seed the lower end of the 95% interval of the IIA is at least {HIGH_IIA:g} and above the upper "
            "end of every null control, and the rewritten states are natural: at most "
            f"{MAX_DIVERGENCE:.0%} of their norm lies outside the span of natural states, at most {MAX_DIVERGENCE:.0%} "
            f"of the effect is dormant (lost when only that span is written), at most {MAX_FAR_OUT_SHARE:.0%} of them "
            "lie beyond the 99% Mahalanobis quantile of natural states, and their distance to the nearest natural "
            f"state with the same values is at most {MAX_WITHIN_CLASS_DISTANCE:g} times the natural distance.",
        ),
        "holds, in the span": VerdictWord(
            "Yes, in the span",
            "The IIA is as high, and the off-span share and the dormant share are within these limits. The other two "
            "measurements exceed their limits or were not made.",
        ),
        "off-manifold": VerdictWord(
            "Steerable only",
            "The IIA is as high, but in some seed the off-span share or the dormant share exceeds its limit. The "
            "variable can be steered; this does not show that the network uses it.",
        ),
        "naturalness not measured": VerdictWord(
            "Open",
            "The IIA is as high, but in some seed it was not measured how natural the rewritten states are.",
        ),
        "partly": VerdictWord(
            "Partly", f"The IIA is above every null control in every seed, but below {HIGH_IIA:g} in some seed."
        ),
        "in some seeds": VerdictWord("In some seeds", "The IIA is above every null control in some seeds only."),
        "not found": VerdictWord("Not found", "The IIA is above every null control in no seed."),
        "no control": VerdictWord("Undecided", "No null control was measured, so no conclusion follows."),
    }
)
"""Every verdict with its meaning, in the order in which the rule tries them."""

SUPPORTED = ("holds", "holds, in the span")
"""Verdicts that say that the network computes with the variable."""

_VERDICT_WHEN_HIGH: Mapping[str, str] = {
    NATURAL: "holds",
    IN_THE_SPAN: "holds, in the span",
    OFF_MANIFOLD: "off-manifold",
    NOT_MEASURED: "naturalness not measured",
}


def naturalness(measurement: Measurement) -> Naturalness:
    """How natural the rewritten states of one alignment in one network are.

    States are natural only when all four parts were measured and are within their limits (a dormant share that is
    None counts as within).
    """
    if measurement.off_span_share is None:
        return "not measured"
    if not is_in_span(measurement.off_span_share, measurement.dormant_share):
        return "off-manifold"
    if measurement.far_out_share is None or measurement.within_class_distance is None:
        return "in the span"
    far_out = measurement.far_out_share > MAX_FAR_OUT_SHARE
    far_from_class = measurement.within_class_distance > MAX_WITHIN_CLASS_DISTANCE
    return "in the span" if far_out or far_from_class else "natural"


def least_natural(measurements: Sequence[Measurement]) -> Naturalness:
    """Naturalness of an alignment over seeds: that of its least natural seed.

    One off-manifold seed decides, even where other seeds were not measured.
    """
    words: list[Naturalness] = [naturalness(measurement) for measurement in measurements]
    return "off-manifold" if OFF_MANIFOLD in words else max(words, key=NATURALNESS.index)


def seeds_above_controls(measurements: Sequence[Measurement]) -> int | None:
    """Number of seeds whose interval lies above the null controls of all seeds; None: no null control was measured."""
    null = [measurement.null_high for measurement in measurements if measurement.null_high is not None]
    return sum(measurement.low > max(null) for measurement in measurements) if null else None


def is_high(low: float) -> bool:
    """Whether an IIA is high, from the lower end of its 95% interval."""
    return low >= HIGH_IIA


def is_in_span(off_span_share: float, dormant_share: float | None) -> bool:
    """Whether rewritten states lie in the span of natural states; a dormant share of None counts as 0."""
    return off_span_share <= MAX_DIVERGENCE and (dormant_share or 0.0) <= MAX_DIVERGENCE


def verdict(measurements: Sequence[Measurement]) -> Verdict:
    """Verdict on one alignment, from its measurements in one network or several (seeds).

    Raises:
        InvalidArgumentError: there are no measurements.
    """
    if not measurements:
        raise InvalidArgumentError("a verdict needs the measurements of at least one network, got none")
    above, seeds = seeds_above_controls(measurements), len(measurements)
    if above is None:
        word = "no control"
    elif above == seeds and all(is_high(measurement.low) for measurement in measurements):
        word = _VERDICT_WHEN_HIGH[least_natural(measurements)]
    elif above == seeds:
        word = "partly"
    else:
        word = "in some seeds" if above else "not found"
    return Verdict(word, _sentence(word, measurements, above or 0))


def _sentence(word: str, measurements: Sequence[Measurement], above: int) -> str:
    seeds = len(measurements)
    mean = sum(measurement.iia for measurement in measurements) / seeds
    effect = f"Overwriting the variable changes behaviour as predicted in {percent(mean)} of interventions"
    in_seeds = f"{above} of {seeds} seeds"
    match word:
        case "no control":
            return f"{effect}, but no null control was measured, so no conclusion follows."
        case "not found":
            return f"{effect}, which is not above the null controls{' in any seed' if seeds > 1 else ''}."
        case "in some seeds":
            return f"{effect}, which is above every null control in {in_seeds} only."
        case "partly":
            low = sum(not is_high(measurement.low) for measurement in measurements)
            where = f" in {low} of {seeds} seeds" if seeds > 1 else ""
            below = f"the lower end of the interval is below {HIGH_IIA:g}{where}"
            return f"{effect}, above every null control, but {below}."
        case _:
            return f"{effect}, above every null control. {_sentence_on_states(measurements)}"


def _sentence_on_states(measurements: Sequence[Measurement]) -> str:
    """What is known of the rewritten states, each number that of the least natural seed."""
    word = least_natural(measurements)
    if word == NOT_MEASURED:
        return "How natural the rewritten states are was not measured, so the use of the variable stays open."
    off_span, dormant = _largest(measurements, "off_span_share") or 0.0, _largest(measurements, "dormant_share") or 0.0
    lost = f", {dormant:.0%} of the effect dormant" if dormant > MAX_DIVERGENCE else ""
    if word == OFF_MANIFOLD:
        return (
            "But the rewritten states are unlike any state that the network reaches by itself "
            f"({off_span:.0%} of their norm outside the span of its natural states{lost}), so this shows that the "
            "variable can be steered, not that the network uses it."
        )
    if word == NATURAL:
        return "The rewritten states are like states that the network reaches by itself."
    inside = f"The rewritten states lie in the span of the network's natural states ({off_span:.0%} outside it)"
    far_out = _largest(measurements, "far_out_share")
    distance = _largest(measurements, "within_class_distance")
    if far_out is not None and far_out > MAX_FAR_OUT_SHARE:
        return f"{inside}, but {far_out:.0%} of them lie farther out than natural states do."
    if distance is not None and distance > MAX_WITHIN_CLASS_DISTANCE:
        return f"{inside}, but {distance:.1f} times as far from states with the same values as natural states are."
    return f"{inside}; how far out within the span they lie is not part of this verdict, because it was not measured."


def _largest(measurements: Sequence[Measurement], name: str) -> float | None:
    return max((value for m in measurements if (value := getattr(m, name)) is not None), default=None)


def percent(share: float) -> str:
    """A share in percent that agrees with the same share at three decimals: 0.9755 is 97.6% and 0.976."""
    return f"{float(f'{share:.3f}'):.1%}"


def summarise(words: Mapping[str, str]) -> str:
    """Verdict words of several variables in one text; variables with the same word share a sentence.

    Args:
        words: variable to verdict word.
    """
    texts = {
        "holds": "Yes for {}.",
        "holds, in the span": "Yes, in the span of natural states, for {}.",
        "off-manifold": "{} can be steered, but the rewritten states are unlike any state that the network reaches by "
        "itself: this does not show that the network uses {}.",
    }
    parts = []
    for word, meaning in VERDICTS.items():
        variables = [variable for variable, given in words.items() if given == word]
        if variables:
            text = texts.get(word, f"{{}}: {meaning.short.lower()}.")
            parts.append(text.format(joined(variables), "it" if len(variables) == 1 else "them"))
    return " ".join(parts)


def joined(names: Sequence[str]) -> str:
    """Names as a list in words: `a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


@dataclass(frozen=True)
class Candidate:
    """One of several alignments searched for the same variable.

    Attributes:
        k: dimensions of its subspace.
        naturalness: of its least natural seed.
        validation: validation IIA of each seed; empty: some seed has none.
    """

    k: int
    naturalness: str
    validation: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean validation IIA over seeds; below 0 where it is unknown."""
        return sum(self.validation) / len(self.validation) if self.validation else -1.0

    @property
    def is_high(self) -> bool:
        """Whether the validation IIA is high in every seed."""
        return bool(self.validation) and min(self.validation) >= HIGH_IIA

    @property
    def rank(self) -> int:
        """Rank of its naturalness; 0 is natural."""
        return NATURALNESS.index(self.naturalness)


def choose(candidates: Sequence[Candidate]) -> int:
    """Index of the alignment that answers the question whether a network computes with a variable.

    Candidates are the alignments with a high validation IIA in every seed, and those whose mean is at most
    `NATURALNESS_MARGIN` below the best. Without this condition a map that changes almost nothing would win, because the
    states that it writes are natural. Among the candidates the natural ones come first, then those in the span, then
    those off the manifold; in the first of these classes the answer is the smallest k whose validation IIA is within
    `IIA_TOLERANCE` of the best of the class. Where no validation IIA is known, the largest k of the most natural class
    is chosen.

    Raises:
        InvalidArgumentError: there are no candidates.
    """
    if not candidates:
        raise InvalidArgumentError("no alignment to choose from")
    numbered = list(enumerate(candidates))
    if not any(candidate.validation for candidate in candidates):
        return min(numbered, key=lambda pair: (pair[1].rank, -pair[1].k, pair[0]))[0]
    least = max(candidate.mean for candidate in candidates) - NATURALNESS_MARGIN - 1e-9
    good = [pair for pair in numbered if pair[1].is_high or pair[1].mean >= least]
    most_natural = min(candidate.rank for _, candidate in good)
    pool = [pair for pair in good if pair[1].rank == most_natural]
    best = max(candidate.mean for _, candidate in pool)
    near = [pair for pair in pool if pair[1].mean >= best - IIA_TOLERANCE - 1e-9]
    return min(near, key=lambda pair: (pair[1].k, -pair[1].mean, pair[0]))[0]


def best_by_naturalness(candidates: Sequence[Candidate]) -> dict[str, int]:
    """Indices of the alignments that are reported with the answer: best on validation under three restrictions.

    `natural`: among natural alignments; `in the span`: among these and those in the span; `unrestricted`: among all.
    A restriction that no alignment meets is left out.
    """
    best = {}
    for name, largest_rank in ((NATURAL, 0), (IN_THE_SPAN, 1), ("unrestricted", len(NATURALNESS))):
        allowed = [(i, c) for i, c in enumerate(candidates) if c.rank <= largest_rank and c.validation]
        if allowed:
            best[name] = max(allowed, key=lambda pair: (pair[1].mean, -pair[1].k, -pair[0]))[0]
    return best
