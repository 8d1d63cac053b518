"""The checks behind an answer, one by one: is the IIA high, above every control, and had with natural states?"""

from __future__ import annotations

from dataclasses import dataclass

from symscope.analysis.schemas import CONTROLS
from symscope.verdict import HIGH_IIA, MAX_DIVERGENCE


@dataclass(frozen=True)
class Check:
    """One of the tests that an answer must pass: `state` is `yes`, `no`, or `open` where it was not measured."""

    state: str
    name: str
    text: str


def number_of(row: dict[str, object], name: str) -> float:
    """A column of a row of `analysis.summary.answers` that is a number, and there."""
    return float(str(row[name]))


def checks(row: dict[str, object]) -> tuple[Check, ...]:
    """What `analysis.summary.VERDICTS` goes by, one by one, then what a reader must know beside it."""
    found = [_high(row), _above(row), _natural(row)]
    if row["cause"] is not None and row["isolation"] is not None:
        text = f"IIA {number_of(row, 'cause'):.3f} where only the variable differs, "
        text += f"{number_of(row, 'isolation'):.3f} where only the rest does"
        found.append(Check("told", "Cause and isolation", f"{text}{_worst(row)}."))
    return tuple(found)


def _worst(row: dict[str, object]) -> str:
    return " (worst seed each)" if row["seeds"] != 1 else ""


def _high(row: dict[str, object]) -> Check:
    """Is every seed's interval high?"""
    text = f"95% interval {number_of(row, 'low'):.3f} to {number_of(row, 'high'):.3f}"
    interventions = f"{int(str(row['n'])):,} interventions"
    if row["seeds"] == 1:
        text += f" over {interventions} in one network; how far others lie from it is not known."
    else:
        span = f"{number_of(row, 'seed_low'):.3f} to {number_of(row, 'seed_high'):.3f}"
        text += f" over {interventions} and {row['seeds']} seeds ({span})."
    return Check("yes" if number_of(row, "lowest") >= HIGH_IIA else "no", f"At least {HIGH_IIA:g}", text)


def _above(row: dict[str, object]) -> Check:
    """Is every seed above every null control?"""
    if row["best_null"] is None:
        return Check("open", "Above all controls", "No null control was measured.")
    text = f"The best is {CONTROLS[str(row['best_null'])]}, {number_of(row, 'null_iia'):.3f}"
    seeds, above = int(str(row["seeds"])), int(str(row["seeds_above"]))
    if above < seeds:
        text += f"; of {seeds} seed{'s' if seeds > 1 else ''} {above or 'none'} above all"
    if row["p_holm"] is not None:
        p = number_of(row, "p_holm")
        text += f"; p {'< 0.001' if p < 0.001 else f'= {p:.2g}'} after correction"
    return Check("yes" if above == seeds else "no", "Above all controls", f"{text}.")


def _natural(row: dict[str, object]) -> Check:
    """Are rewritten states like natural ones in every seed?"""
    if row["off_span_share"] is None:
        return Check("open", "With natural states", "How far rewritten states lie from them was not measured.")
    outside, dormant = (
        number_of(row, "off_span_share"),
        None if row["dormant_share"] is None else number_of(row, "dormant_share"),
    )
    text = f"{outside:.0%} of the rewritten states' norm outside the natural span"
    if dormant is not None:
        text += f", {dormant:.0%} of the effect lost within it"
    natural = outside <= MAX_DIVERGENCE and (dormant or 0.0) <= MAX_DIVERGENCE
    return Check(
        "yes" if natural else "no",
        "With natural states",
        f"{text}{_worst(row)}; at most {MAX_DIVERGENCE:.0%} counts as natural.",
    )
