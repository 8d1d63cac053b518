"""The parts of the verdict rule, checked one by one for an answer: high IIA, above the controls, natural states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from symscope.analysis.schemas import CONTROLS
from symscope.verdict import HIGH_IIA, MAX_DIVERGENCE, MAX_FAR_OUT_SHARE, MAX_WITHIN_CLASS_DISTANCE, is_high, is_in_span


@dataclass(frozen=True)
class Check:
    """One check of an answer.

    Attributes:
        state: `yes`, `no`, `some` (a weaker form holds), `open` (not measured), or `note` (no part of the rule).
        name: name of the check, the heading of its column.
        value: the measured value, short enough for a cell.
        text: the measurements in words.
    """

    state: str
    name: str
    value: str
    text: str


HIGH, ABOVE, NATURAL_STATES, SELECTIVE = (
    f"at least {HIGH_IIA:g}",
    "above controls",
    "natural states",
    "cause, isolation",
)
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        HIGH: f"lower end of the 95% interval in every seed at least {HIGH_IIA:g}",
        ABOVE: "above the best null control in every seed; the number is the distance",
        NATURAL_STATES: "whether the rewritten states are like states that the network reaches by itself",
        SELECTIVE: "IIA where base and source differ in the variable alone, and where they agree on it",
    }
)
"""The checks in the order of their columns, and their meanings."""


def number_of(row: dict[str, object], name: str) -> float:
    """A number of a row of `analysis.answers.answers` that is not null."""
    return float(str(row[name]))


def checks(row: dict[str, object]) -> tuple[Check, ...]:
    """The parts of the rule in `verdict.VERDICTS`, then cause and isolation where they were measured."""
    return (_high(row), _above(row), _natural(row), _selective(row))


def _selective(row: dict[str, object]) -> Check:
    if row["cause"] is None or row["isolation"] is None:
        return Check("open", SELECTIVE, "not measured", "Cause and isolation were not measured.")
    cause, isolation = f"{number_of(row, 'cause'):.3f}", f"{number_of(row, 'isolation'):.3f}"
    text = f"IIA {cause} where base and source differ in the variable alone, {isolation} where they agree on it"
    return Check("note", SELECTIVE, f"{cause}, {isolation}", f"{text}{_worst(row)}.")


def _worst(row: dict[str, object]) -> str:
    return " (worst seed each)" if row["seeds"] != 1 else ""


def _high(row: dict[str, object]) -> Check:
    text = f"95% interval {number_of(row, 'low'):.3f} to {number_of(row, 'high'):.3f}"
    interventions = f"{int(str(row['n'])):,} interventions"
    if row["seeds"] == 1:
        text += f" over {interventions} in one network; the variation between networks is unknown."
    else:
        span = f"{number_of(row, 'seed_low'):.3f} to {number_of(row, 'seed_high'):.3f}"
        text += f" over {interventions} and {row['seeds']} seeds ({span})."
    state = "yes" if is_high(number_of(row, "lowest")) else "no"
    return Check(state, HIGH, f"{number_of(row, 'iia'):.3f}", text)


def _above(row: dict[str, object]) -> Check:
    if row["best_null"] is None:
        return Check("open", ABOVE, "no control", "No null control was measured.")
    text = f"The best is {CONTROLS[str(row['best_null'])]}, {number_of(row, 'null_iia'):.3f}"
    seeds, above = int(str(row["seeds"])), int(str(row["seeds_above"]))
    if above < seeds:
        text += f"; {above or 'none'} of {seeds} seed{'s' if seeds > 1 else ''} above all"
    if row["p_holm"] is not None:
        p = number_of(row, "p_holm")
        text += f"; p {'< 0.001' if p < 0.001 else f'= {p:.2g}'} after correction"
    margin = number_of(row, "iia") - number_of(row, "null_iia")
    return Check("yes" if above == seeds else "some" if above else "no", ABOVE, f"{margin:+.3f}", f"{text}.")


def _natural(row: dict[str, object]) -> Check:
    if row["off_span_share"] is None:
        return Check("open", NATURAL_STATES, "not measured", "How natural the rewritten states are was not measured.")
    off_span = number_of(row, "off_span_share")
    dormant = None if row["dormant_share"] is None else number_of(row, "dormant_share")
    text = f"{off_span:.0%} of the rewritten states' norm outside the natural span"
    if dormant is not None:
        text += f", {dormant:.0%} of the effect dormant"
    text += f"{_worst(row)}; limit {MAX_DIVERGENCE:.0%} each"
    if row["far_out_share"] is not None:
        text += f". {number_of(row, 'far_out_share'):.0%} of them farther out than natural states (limit "
        text += f"{MAX_FAR_OUT_SHARE:.0%})"
    if row["within_class_distance"] is not None:
        text += f", {number_of(row, 'within_class_distance'):.1f} times the natural distance from states with the same "
        text += f"values (limit {MAX_WITHIN_CLASS_DISTANCE:g})"
    if not is_in_span(off_span, dormant):
        return Check("no", NATURAL_STATES, f"off-manifold, {max(off_span, dormant or 0.0):.0%} off", f"{text}.")
    far_out, distance = row["far_out_share"], row["within_class_distance"]
    natural = (
        far_out is not None
        and distance is not None
        and number_of(row, "far_out_share") <= MAX_FAR_OUT_SHARE
        and number_of(row, "within_class_distance") <= MAX_WITHIN_CLASS_DISTANCE
    )
    return Check("yes" if natural else "some", NATURAL_STATES, "natural" if natural else "in the span", f"{text}.")
