"""The rule of the verdict, its words, and the choice among several alignments."""

from dataclasses import replace

import pytest

from symscope.errors import InvalidArgumentError
from symscope.verdict import (
    MAX_FAR_OUT_SHARE,
    MAX_WITHIN_CLASS_DISTANCE,
    VERDICTS,
    Candidate,
    Measurement,
    best_by_naturalness,
    choose,
    joined,
    least_natural,
    naturalness,
    percent,
    summarise,
    verdict,
)

IN_SPAN = Measurement(0.97, 0.95, 0.3, off_span_share=0.03, dormant_share=0.02)
NATURAL = replace(IN_SPAN, far_out_share=0.01, within_class_distance=1.1)
OFF_MANIFOLD = replace(IN_SPAN, off_span_share=0.42)
UNMEASURED = replace(IN_SPAN, off_span_share=None, dormant_share=None)


@pytest.mark.parametrize(
    ("measurement", "word"),
    [
        (NATURAL, "natural"),
        (replace(NATURAL, off_span_share=0.2, dormant_share=0.2), "natural"),
        (replace(NATURAL, dormant_share=None), "natural"),
        (IN_SPAN, "in the span"),
        (replace(NATURAL, far_out_share=None), "in the span"),
        (replace(NATURAL, within_class_distance=None), "in the span"),
        (replace(NATURAL, far_out_share=MAX_FAR_OUT_SHARE + 0.01), "in the span"),
        (replace(NATURAL, within_class_distance=MAX_WITHIN_CLASS_DISTANCE + 0.1), "in the span"),
        (OFF_MANIFOLD, "off-manifold"),
        (replace(NATURAL, dormant_share=0.21), "off-manifold"),
        (UNMEASURED, "not measured"),
    ],
)
def test_naturalness_needs_every_part_within_its_limit(measurement, word):
    assert naturalness(measurement) == word


def test_the_least_natural_seed_decides():
    assert least_natural([NATURAL, IN_SPAN]) == "in the span"
    assert least_natural([NATURAL, UNMEASURED, OFF_MANIFOLD]) == "off-manifold"
    assert least_natural([NATURAL, UNMEASURED]) == "not measured"


@pytest.mark.parametrize(
    ("measurements", "word"),
    [
        ([NATURAL, NATURAL], "holds"),
        ([NATURAL, IN_SPAN], "holds, in the span"),
        ([NATURAL, OFF_MANIFOLD], "off-manifold"),
        ([UNMEASURED], "naturalness not measured"),
        ([NATURAL, replace(NATURAL, low=0.89)], "partly"),
        ([NATURAL, replace(NATURAL, low=0.3)], "in some seeds"),
        ([NATURAL, replace(NATURAL, null_high=0.96)], "not found"),
        ([replace(NATURAL, iia=0.2, low=0.1)], "not found"),
        ([replace(NATURAL, null_high=None)], "no control"),
        ([NATURAL, replace(NATURAL, null_high=None)], "holds"),
    ],
)
def test_a_verdict_is_the_first_word_whose_condition_holds(measurements, word):
    assert verdict(measurements).word == word
    assert word in VERDICTS


def test_a_verdict_needs_a_measurement():
    with pytest.raises(InvalidArgumentError, match="got none"):
        verdict([])


def test_sentences_name_the_numbers_of_the_least_natural_seed():
    assert verdict([IN_SPAN, OFF_MANIFOLD]).sentence == (
        "Overwriting the variable changes behaviour as predicted in 97.0% of interventions, above every null control. "
        "But the rewritten states are unlike any state that the network reaches by itself (42% of their norm outside "
        "the span of its natural states), so this shows that the variable can be steered, not that the network uses it."
    )
    assert "they lie is not part of this verdict" in verdict([IN_SPAN]).sentence
    assert "40% of them lie farther out" in verdict([replace(NATURAL, far_out_share=0.4)]).sentence
    assert "7.5 times as far" in verdict([replace(NATURAL, within_class_distance=7.5)]).sentence
    assert "like states that the network reaches by itself" in verdict([NATURAL]).sentence
    assert "below 0.9 in 1 of 2 seeds" in verdict([NATURAL, replace(NATURAL, low=0.89)]).sentence
    assert "in 1 of 2 seeds only" in verdict([NATURAL, replace(NATURAL, low=0.3)]).sentence


def test_variables_with_the_same_verdict_share_a_sentence():
    assert summarise({"a": "holds", "b": "off-manifold", "c": "holds", "d": "partly"}) == (
        "Yes for a and c. b can be steered, but the rewritten states are unlike any state that the network reaches by "
        "itself: this does not show that the network uses it. d: partly."
    )
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert joined([]) == ""


@pytest.mark.parametrize("share", [0.9755, 0.97549, 0.0005, 1.0, 0.12345])
def test_a_percentage_agrees_with_the_share_at_three_decimals(share):
    assert percent(share) == f"{100 * float(f'{share:.3f}'):.1f}%"


ORTHOGONAL = Candidate(24, "off-manifold", (0.971, 0.975))
OBLIQUE = Candidate(8, "in the span", (0.946, 0.951))


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([ORTHOGONAL, OBLIQUE], 1),  # a higher IIA off the manifold does not win
        ([ORTHOGONAL, OBLIQUE, Candidate(16, "natural", (0.91, 0.91))], 2),
        ([ORTHOGONAL, Candidate(1, "in the span", (0.1, 0.1))], 0),  # a map that changes nothing does not win
        ([OBLIQUE, Candidate(16, "in the span", (0.955, 0.96))], 0),  # within 0.01 of the best: the smaller k
        ([OBLIQUE, Candidate(16, "in the span", (0.96, 0.97))], 1),
        ([Candidate(4, "in the span", (0.97, 0.97)), Candidate(4, "in the span", (0.975, 0.975))], 1),
        ([Candidate(8, "natural", (0.6,)), Candidate(8, "off-manifold", (0.8,))], 1),  # none is high: the best
        ([Candidate(8, "off-manifold", (0.8,)), Candidate(16, "in the span", (0.795,))], 1),
        ([Candidate(8, "natural", (0.95, 0.85)), OBLIQUE], 0),  # not high in every seed, but near the best
        ([Candidate(8, "natural", (0.85, 0.8)), OBLIQUE], 1),  # too far below the best
        ([Candidate(8, "off-manifold", (0.96, 0.9)), Candidate(4, "in the span", (0.96, 0.88))], 1),
        ([Candidate(8, "in the span", ()), Candidate(16, "in the span", ()), Candidate(24, "off-manifold", ())], 1),
        ([Candidate(8, "natural", ()), OBLIQUE], 1),
    ],
)
def test_the_answer_is_a_good_alignment_of_the_most_natural_class(candidates, chosen):
    assert choose(candidates) == chosen


def test_the_best_alignments_under_each_restriction_are_reported_with_the_answer():
    natural = Candidate(16, "natural", (0.91, 0.91))
    assert best_by_naturalness([ORTHOGONAL, OBLIQUE, natural]) == {
        "natural": 2, "in the span": 1, "unrestricted": 0,
    }  # fmt: skip
    assert best_by_naturalness([ORTHOGONAL]) == {"unrestricted": 0}
    with pytest.raises(InvalidArgumentError):
        choose([])
