"""The claims of the paper on the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from symscope.analysis.schemas import CLAIM_VERDICTS


@dataclass(frozen=True)
class Claim:
    """A claim: statement, source, verdict, the measured effect with its uncertainty and networks, rule, and figure."""

    statement: str
    source: str
    verdict: str
    measured: str
    value: str
    uncertainty: str
    rule: str
    networks: str
    figure: str


@dataclass(frozen=True)
class Claims:
    """The claims of a page, and a summary of them."""

    summary: str
    listed: tuple[Claim, ...]


def page_claims(claims: pl.DataFrame, *, undecided: bool = False, figures: bool = False) -> Claims | None:
    """The claims that the run decides, or all with `undecided`, in their order; `None` where there are none.

    `figures` says whether the page has a figure for each measured claim.
    """
    listed = claims if undecided else claims.filter(pl.col("verdict") != CLAIM_VERDICTS[-1])
    if listed.is_empty():
        return None
    return Claims(_summary(claims, listed), tuple(_claim(row, figures=figures) for row in listed.iter_rows(named=True)))


def _claim(row: dict[str, Any], *, figures: bool) -> Claim:
    reason = f" Not decided: {row['reason']}." if row["reason"] else ""
    return Claim(
        statement=row["statement"],
        source=row["source"],
        verdict=row["verdict"],
        measured=f"Measure: {row['measure']}.{reason}",
        value="" if row["value"] is None else f"{row['value']:.3f}",
        uncertainty=_uncertainty(row),
        rule=row["rule"],
        networks=row["networks"] or "",
        figure=f"claim-{row['claim']}" if figures and row["value"] is not None else "",
    )


def _summary(claims: pl.DataFrame, listed: pl.DataFrame) -> str:
    """Numbers of the listed claims by verdict, in a sentence."""
    counts = Counter(listed.get_column("verdict").to_list())
    words = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "not decided by this run": ("is not decided by this run", "are not decided by this run"),
    }
    parts = [
        f"{counts[name]} {singular if counts[name] == 1 else plural}"
        for name, (singular, plural) in words.items()
        if counts[name]
    ]
    return f"Of {claims.height} claims {', '.join(parts)}."


def kinds_above(row: Mapping[str, Any]) -> str:
    """In how many of several kinds the mean is above the threshold, since a mean over kinds hides opposite signs."""
    if row["kinds_above"] is None or row["kinds"] < 2:
        return ""
    return f"{row['kinds_above']} of {row['kinds']}"


def _uncertainty(row: dict[str, Any]) -> str:
    parts = []
    if row["low"] is not None and row["high"] is not None:
        parts.append(f"95% interval {row['low']:.3f} to {row['high']:.3f}")
    if row["seeds"] is not None:
        parts.append(f"{row['seeds']} seed{'s' if row['seeds'] != 1 else ''}")
    if kinds := kinds_above(row):
        parts.append(f"above the threshold in {kinds} kinds of network")
    if row["p_holm"] is not None:
        p = row["p_holm"]
        parts.append(f"p {'< 0.001' if p < 0.001 else f'= {p:.2g}'} after correction")
    return ", ".join(parts)
