"""The qualitative claims of the paper, each decided by the measurements of a study and a rule fixed beforehand.

A claim names an effect (`effects.py`) and a threshold. It holds where the whole 95% interval of the effect lies above
the threshold, does not hold where the interval ends at or below it, and is not decided otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from symscope.analysis import comparison_effects, effects
from symscope.analysis.effects import LEAST_SEEDS, SOLVED, Effect, Tables
from symscope.analysis.schemas import CLAIM_VERDICTS
from symscope.analysis.tables import make_table
from symscope.statistics import bootstrap_of_means, holm
from symscope.verdict import HIGH_IIA

HOLDS, FAILS, OPEN = CLAIM_VERDICTS

SOURCE = "Grant, Goodman, McClelland, TMLR 2025"
MAS_SOURCE = "Grant et al. 2025, model alignment search"

AT_ALL, CLEARLY, FAR, MOSTLY = 0.01, 0.1, 0.25, 0.9
"""Thresholds of any difference, of a clear one, of a large one, and of a share close to 1."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        name: short name.
        statement: the claim in words.
        section: section of the paper.
        measured: the effect in words.
        threshold: value that the effect must exceed.
        needs: tables that the effect is computed from.
        effect: computes the effect from the tables; None where they have no suitable networks.
        source: the paper.
    """

    name: str
    statement: str
    section: str
    measured: str
    threshold: float
    needs: tuple[str, ...]
    effect: Callable[[Tables], Effect | None]
    source: str = SOURCE

    @property
    def rule(self) -> str:
        """The rule of the verdict, in words."""
        return (
            f"Holds if the whole 95% interval lies above {self.threshold:g}; does not hold if the interval ends at or "
            f"below {self.threshold:g}; otherwise not decided. Needs {LEAST_SEEDS} networks of a kind that solved "
            "their task."
        )


CLAIMS = (
    Claim(
        "recurrent-prefer-up-down",
        "Recurrent networks align best with Up-Down, better than with Up-Up.",
        "IIA by architecture and algorithm",
        "IIA of the variables of Up-Down minus that of Up-Up in the same network",
        AT_ALL,
        ("scores", "trial_accuracy"),
        partial(effects.over_up_up, counts_only=False),
    ),
    Claim(
        "up-up-clearly-worse",
        "The counts of Up-Up are aligned clearly worse than the count of Up-Down.",
        "IIA by architecture and algorithm",
        "IIA of the count of Up-Down minus the mean IIA of the two counts of Up-Up in the same recurrent network",
        CLEARLY,
        ("scores", "trial_accuracy"),
        partial(effects.over_up_up, counts_only=True),
    ),
    Claim(
        "not-in-same-object",
        "Recurrent networks align with Up-Down far better on Multi- and Single-Object than on Same-Object.",
        "IIA by task",
        "IIA of the variables of Up-Down on Multi- and Single-Object minus that on Same-Object",
        FAR,
        ("scores", "trial_accuracy"),
        effects.over_same_object,
    ),
    Claim(
        "recurrent-follow-swaps",
        "Recurrent networks follow a swapped whole state; transformers do not.",
        "whole-state swaps",
        "share of whole-state swaps that recurrent networks follow minus that of transformers on the same task, each "
        "at the site with the largest share",
        0.5,
        ("whole_state", "trial_accuracy"),
        effects.follows_whole_state,
    ),
    Claim(
        "transformers-recompute",
        "Transformers continue as if no state had been swapped: they recompute from the context (Ctx-Distr).",
        "whole-state swaps",
        "share of whole-state swaps after layer 1 after which a transformer continues exactly as the base",
        0.5,
        ("whole_state", "trial_accuracy"),
        effects.continues_as_base,
    ),
    Claim(
        "bigger-align-better",
        "Networks with larger states align better.",
        "state size",
        "rise of the IIA of the variables of Up-Down with each doubling of the state of a recurrent network",
        AT_ALL,
        ("scores", "trial_accuracy"),
        effects.by_size,
    ),
    Claim(
        "bigger-less-graded",
        "Networks with larger states are less graded.",
        "gradience",
        "decrease, with each doubling of the state, of the fall of IIA when the counts of base and source differ "
        "by ten more",
        AT_ALL,
        ("gradience", "scores", "trial_accuracy"),
        effects.gradedness_by_size,
    ),
    Claim(
        "rises-with-accuracy",
        "IIA rises with task accuracy in training.",
        "development",
        "rise of the IIA of the variables of Up-Down as trial accuracy rises from 0 to 1, over the checkpoints of a "
        "network",
        CLEARLY,
        ("development", "trial_accuracy"),
        effects.with_accuracy,
    ),
    Claim(
        "larger-quantities-worse",
        "Larger quantities align worse.",
        "gradience",
        "fall of IIA when the mean of the counts of base and source rises by ten and their difference is fixed",
        AT_ALL,
        ("gradience", "scores", "trial_accuracy"),
        partial(effects.by_value, which="quantity"),
    ),
    Claim(
        "larger-differences-worse",
        "Larger differences between base and source align worse.",
        "gradience",
        "fall of IIA when the difference of the counts of base and source rises by ten and their mean is fixed",
        AT_ALL,
        ("gradience", "scores", "trial_accuracy"),
        partial(effects.by_value, which="difference"),
    ),
    Claim(
        "linear-reaches-further",
        "The linear alignment function (LAF) aligns variables that the orthogonal one (OAF) does not.",
        "alignment functions",
        f"IIA of LAF minus that of OAF for the variables of Up-Down that OAF aligns below {HIGH_IIA:g} on validation, "
        "each function with its chosen k",
        CLEARLY,
        ("scores", "trial_accuracy"),
        effects.linear_over_orthogonal,
    ),
    Claim(
        "linear-basis-change-needs-linear",
        "After a linear change of basis without spare dimensions LAF isolates the variables and OAF cannot.",
        "theory",
        "IIA of LAF minus that of OAF in constructed networks after a linear change of basis; a seed is a change of "
        "basis",
        CLEARLY,
        ("theory",),
        partial(effects.linear_basis_change, function="linear", coordinates="state"),
    ),
    Claim(
        "linear-basis-change-needs-oblique",
        "After a linear change of basis without spare dimensions Oblique isolates the variables and OAF cannot.",
        "theory",
        "IIA of Oblique, within the span of natural states, minus that of OAF in constructed networks after a linear "
        "change of basis; a seed is a change of basis",
        CLEARLY,
        ("theory",),
        partial(effects.linear_basis_change, function="oblique", coordinates="natural-span"),
    ),
    Claim(
        "nope-sums",
        "Transformers without position encoding sum +1 for each demo token and -1 for each response.",
        "strength values",
        "share of trials in which adding or removing the contribution of one token to the attention sum moves EOS by "
        "exactly one step",
        MOSTLY,
        ("strength", "trial_accuracy"),
        effects.sums_one_each,
    ),
    Claim(
        "grus-share-variables",
        "Two GRUs compute with the same variables: values transfer from one to the other.",
        "transfer between networks",
        "IIA when count and phase together are taken from one GRU and written into another that differs in its seed",
        HIGH_IIA,
        ("comparison", "trial_accuracy"),
        comparison_effects.between_grus,
        MAS_SOURCE,
    ),
    Claim(
        "transformers-do-not-share-them",
        "Values transfer far worse between a GRU and a transformer than between two GRUs.",
        "transfer between networks",
        "IIA between GRUs minus IIA between GRUs and transformers in both directions, for count and phase together",
        FAR,
        ("comparison", "trial_accuracy"),
        comparison_effects.grus_over_transformers,
        MAS_SOURCE,
    ),
    Claim(
        "similar-states-without-transfer",
        "CKA and RSA between GRUs and transformers are high all the same.",
        "similarity of states",
        "the lower of CKA and RSA between a GRU and a transformer",
        0.5,
        ("similarity", "trial_accuracy"),
        comparison_effects.similarity_to_transformers,
        MAS_SOURCE,
    ),
    Claim(
        "four-dimensions-suffice",
        "About four dimensions suffice for a GRU that counts.",
        "number of dimensions",
        "IIA when count and phase are swapped together in four dimensions of a GRU",
        HIGH_IIA,
        ("dimensions", "trial_accuracy"),
        comparison_effects.in_four_dimensions,
        MAS_SOURCE,
    ),
    Claim(
        "stitching-at-rank-two",
        "A map of rank 2 between the states of two GRUs is enough to continue almost every sequence correctly.",
        "stitching",
        "share of sequences that a GRU completes from mapped states of another GRU, with a map of rank 2 trained on "
        "behaviour",
        MOSTLY,
        ("stitching", "trial_accuracy"),
        comparison_effects.stitched_grus,
        MAS_SOURCE,
    ),
)
"""Every claim, in the order of a report."""


def claims(tables: Tables, *, decide: tuple[Claim, ...] = CLAIMS) -> pl.DataFrame:
    """The table `claims`: a row for each claim, with its effect in these tables, the interval, and the verdict.

    As in the paper, effects use networks that solved their task: trial accuracy of at least `SOLVED` on trained and on
    held-out quantities each, in the table `trial_accuracy`. Intervals are from `bootstrap_of_means`, over seeds and,
    within each seed, trials. `p_holm` is corrected for the number of decided claims.
    """
    present = {name: frame for name, frame in tables.items() if not frame.is_empty()}
    rows = [_row(claim, present) for claim in decide]
    decided = [row for row in rows if row["verdict"] != OPEN]
    for row, p in zip(decided, holm([row["p"] for row in decided]), strict=True):
        row["p_holm"] = p
    return make_table("claims", rows)


def _row(claim: Claim, tables: Tables) -> dict[str, Any]:
    row: dict[str, Any] = {
        "claim": claim.name,
        "statement": claim.statement,
        "source": f"{claim.source}: {claim.section}",
        "measure": f"{claim.measured}. Not measured: {_missing(claim, tables)}.",
        "rule": claim.rule,
        "verdict": OPEN,
    }
    effect = claim.effect(tables) if all(name in tables for name in claim.needs) else None
    if effect is None:
        return row
    value, low, high, p = bootstrap_of_means(effect.groups, claim.threshold)
    measure = f"{claim.measured}. Networks (seeds): {effect.networks}. Interval: bootstrap over seeds, then trials."
    figures = {"value": value, "low": low, "high": high, "p": p, "seeds": effect.seeds, "measure": measure}
    return {**row, **figures, "verdict": verdict(low, high, claim.threshold, effect.seeds)}


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
