"""Calibration in words: how often the instrument says what is so."""

from __future__ import annotations

from typing import Any

import polars as pl

from symscope.analysis.calibration import error_rates, null_curve

MEANING = (
    "Networks written by hand are asked for variables that they hold and for variables that they do not. A false "
    "positive says of a variable that it is there when it is not; a false negative says that it is not there when it "
    "is. In brackets, 95% intervals."
)
"""What a calibration is, for a reader who meets it here."""


def calibration_sentences(calibration: pl.DataFrame) -> list[str]:
    """One sentence for each rule by which one would say that a variable is there, and one on untrained networks."""
    rates = error_rates(calibration)
    told = [_sentence(row) for row in rates.filter(pl.col("function") == "all").iter_rows(named=True)]
    null = null_curve(calibration).drop_nulls("iia")  # neurons may not have been asked
    if null.height:
        highest = null.group_by("function", maintain_order=True).agg(pl.col("iia").max())
        parts = [f"{function} {iia:.3f}" for function, iia in highest.iter_rows()]
        told.append(f"Untrained networks, which hold nothing, reach at most: {', '.join(parts)}.")
    return told


def _sentence(row: dict[str, Any]) -> str:
    rule = row["rule"]
    kinds = [
        f"{row[kind]} of {row[f'{kind}_of']} {kind.replace('_', ' ')}s"
        f" ({row[f'{kind}_rate']:.0%}, {row[f'{kind}_low']:.0%} to {row[f'{kind}_high']:.0%})"
        for kind in ("false_positive", "false_negative")
        if row[f"{kind}_of"]
    ]
    return f"{rule[0].upper()}{rule[1:]}: {', '.join(kinds) or 'nothing was asked'}."
