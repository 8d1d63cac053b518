"""The qualitative claims of the paper, each decided by the measurements of a study and a rule fixed beforehand.

A claim names an effect (`effects.py`) and a threshold. It holds where the whole 95% interval of the effect lies above
the threshold, does not hold where the interval ends at or below it, and is not decided otherwise.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import polars as pl

from symscope.analysis.claim import Claim
from symscope.analysis.claim_list import CLAIMS
from symscope.analysis.effects import LEAST_SEEDS, SOLVED, Effect, Tables
from symscope.analysis.schemas import CLAIM_VERDICTS
from symscope.analysis.tables import make_table
from symscope.statistics import bootstrap_of_means, holm

HOLDS, FAILS, OPEN = CLAIM_VERDICTS
LEVEL = 0.05
"""Largest p-value, after Holm's correction, of a claim that holds."""


def claims(tables: Tables, *, decide: tuple[Claim, ...] = CLAIMS) -> pl.DataFrame:
    """The table `claims`: a row for each claim, with its effect in these tables, the interval, and the verdict.

    As in the paper, effects use networks that solved their task: trial accuracy of at least `SOLVED` on trained and on
    held-out quantities each, in the table `trial_accuracy`. Intervals are from `bootstrap_of_means`, over seeds and,
    within each seed, trials. `p_holm` is corrected for the number of claims that are measured in enough networks, and a
    claim holds only where it is at most `LEVEL`.
    """
    return decided_claims(tables, decide=decide)[0]


def decided_claims(tables: Tables, *, decide: tuple[Claim, ...] = CLAIMS) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The table `claims`, and the table `claim_values` with the networks that each claim is measured in."""
    present = {name: frame for name, frame in tables.items() if not frame.is_empty()}
    found = {claim: claim.effect(present) for claim in decide if all(name in present for name in claim.needs)}
    rows = [_row(claim, found.get(claim), present) for claim in decide]
    measured = [row for row in rows if row.get("seeds", 0) >= LEAST_SEEDS]
    for row, p in zip(measured, holm([row["p"] for row in measured]), strict=True):
        row["p_holm"] = p
    for claim, row in zip(decide, rows, strict=True):
        row.update(_decision(row, claim.threshold))
    values = [value for claim, effect in found.items() if effect is not None for value in _values(claim, effect)]
    return make_table("claims", rows), make_table("claim_values", values)


def _row(claim: Claim, effect: Effect | None, tables: Tables) -> dict[str, Any]:
    row: dict[str, Any] = {
        "claim": claim.name,
        "statement": claim.statement,
        "source": f"{claim.source}: {claim.section}",
        "beyond": claim.is_beyond,
        "threshold": claim.threshold,
        "measure": claim.measured,
        "rule": claim.rule,
    }
    if effect is None:
        return {**row, "reason": _missing(claim, tables)}
    value, low, high, p = bootstrap_of_means(effect.groups, claim.threshold)
    interval = {"value": value, "low": low, "high": high, "p": p}
    above = effect.kinds_above(claim.threshold)
    kinds = {"seeds": effect.seeds, "kinds": len(effect.kinds), "kinds_above": above, "networks": effect.networks}
    return {**row, **interval, **kinds}


def _decision(row: dict[str, Any], threshold: float) -> dict[str, Any]:
    """The verdict of a measured claim, and why it is not decided, if so."""
    if row.get("value") is None:
        return {"verdict": OPEN}
    decided = verdict(row["low"], row["high"], threshold, row["seeds"])
    reason = None
    if decided == HOLDS and row["p_holm"] > LEVEL:
        decided, reason = OPEN, f"p = {row['p_holm']:.2g} after correction for the number of claims"
    elif decided == OPEN and row["seeds"] < LEAST_SEEDS:
        reason = f"a kind of network has {row['seeds']} of the {LEAST_SEEDS} seeds that are needed"
    elif decided == OPEN:
        reason = f"the interval contains the threshold {threshold:g}"
    return {"verdict": decided, "reason": reason}


def _values(claim: Claim, effect: Effect) -> list[dict[str, Any]]:
    """One row for each network that an effect is measured in."""
    groups = zip(effect.groups, effect.kinds, effect.seeds_of, strict=True)
    return [
        {
            "claim": claim.name,
            "kind": str(kind),
            "seed": seed,
            "weight": weight,
            "value": estimate.value,
            "error": sqrt(estimate.variance),
        }
        for (weight, estimates), kind, seeds in groups
        for estimate, seed in zip(estimates, seeds, strict=True)
    ]


def _missing(claim: Claim, tables: Tables) -> str:
    missing = [f"`{name}`" for name in claim.needs if name not in tables]
    if missing:
        return f"no table {', '.join(missing)}"
    return f"no suitable networks with a trial accuracy of at least {SOLVED:g}"


def verdict(low: float, high: float, threshold: float, seeds: int) -> str:
    """One of `CLAIM_VERDICTS`, from the interval of an effect and the number of networks in its smallest group."""
    if seeds < LEAST_SEEDS or low <= threshold < high:
        return OPEN
    return HOLDS if low > threshold else FAILS
