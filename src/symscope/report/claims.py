"""The claims of the paper on the page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Claim:
    """One claim: statement and source, verdict, the measured effect with its uncertainty, and the rule."""

    statement: str
    source: str
    verdict: str
    measured: str
    value: str
    uncertainty: str
    rule: str


@dataclass(frozen=True)
class Claims:
    """All claims: a summary, those with a measured effect, and those without."""

    summary: str
    measured: tuple[Claim, ...]
    open: tuple[Claim, ...]


def page_claims(claims: pl.DataFrame) -> Claims:
    """The rows of the table `claims`, in their order."""
    known = claims.get_column("value").is_not_null()
    measured, unmeasured = (
        (_claim(row) for row in part.iter_rows(named=True)) for part in map(claims.filter, (known, ~known))
    )
    return Claims(_summary(claims), tuple(measured), tuple(unmeasured))


def _claim(row: dict[str, Any]) -> Claim:
    return Claim(
        statement=row["statement"],
        source=row["source"],
        verdict=row["verdict"],
        measured=row["measure"],
        value="" if row["value"] is None else f"{row['value']:.3f}",
        uncertainty=_uncertainty(row),
        rule=row["rule"],
    )


def _summary(claims: pl.DataFrame) -> str:
    """Numbers of claims by verdict, in a sentence."""
    counts = Counter(claims.get_column("verdict").to_list())
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


def _uncertainty(row: dict[str, Any]) -> str:
    parts = []
    if row["low"] is not None and row["high"] is not None:
        parts.append(f"95% interval {row['low']:.3f} to {row['high']:.3f}")
    if row["seeds"] is not None:
        parts.append(f"{row['seeds']} seed{'s' if row['seeds'] != 1 else ''}")
    if row["p_holm"] is not None:
        p = row["p_holm"]
        parts.append(f"p {'< 0.001' if p < 0.001 else f'= {p:.2g}'} after correction")
    return ", ".join(parts)
