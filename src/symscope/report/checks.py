"""The parts of the verdict rule, checked one by one for an answer: high IIA, above the controls, natural states."""

from __future__ import annotations

from dataclasses import dataclass

from symscope.analysis.schemas import CONTROLS
from symscope.verdict import HIGH_IIA, MAX_DIVERGENCE, MAX_FAR_OUT_SHARE, MAX_WITHIN_CLASS_DISTANCE, is_high, is_in_span


@dataclass(frozen=True)
class Check:
    """One check of an answer: `state` is `yes`, `no`, `open` (not measured), or `note` (no part of the rule)."""

    state: str
    name: str
    text: str


def number_of(row: dict[str, object], name: str) -> float:
    """A number of a row of `analysis.answers.answers` that is not null."""
    return float(str(row[name]))


def checks(row: dict[str, object]) -> tuple[Check, ...]:
    """The parts of the rule in `verdict.VERDICTS`, then cause and isolation where they were measured."""
    made = [_high(row), _above(row), _natural(row)]
    if row["cause"] is not None and row["isolation"] is not None:
        text = f"IIA {number_of(row, 'cause'):.3f} where base and source differ in the variable alone, "
        text += f"{number_of(row, 'isolation'):.3f} where they agree on it"
        made.append(Check("note", "Cause and isolation", f"{text}{_worst(row)}."))
    return tuple(made)


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
    return Check("yes" if is_high(number_of(row, "lowest")) else "no", f"At least {HIGH_IIA:g}", text)


def _above(row: dict[str, object]) -> Check:
    if row["best_null"] is None:
        return Check("open", "Above all controls", "No null control was measured.")
    text = f"The best is {CONTROLS[str(row['best_null'])]}, {number_of(row, 'null_iia'):.3f}"
    seeds, above = int(str(row["seeds"])), int(str(row["seeds_above"]))
    if above < seeds:
        text += f"; {above or 'none'} of {seeds} seed{'s' if seeds > 1 else ''} above all"
    if row["p_holm"] is not None:
        p = number_of(row, "p_holm")
        text += f"; p {'< 0.001' if p < 0.001 else f'= {p:.2g}'} after correction"
    return Check("yes" if above == seeds else "no", "Above all controls", f"{text}.")


def _natural(row: dict[str, object]) -> Check:
    if row["off_span_share"] is None:
        return Check("open", "In the span of natural states", "How natural the rewritten states are was not measured.")
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
    return Check("yes" if is_in_span(off_span, dormant) else "no", "In the span of natural states", f"{text}.")
