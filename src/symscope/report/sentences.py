"""Sentences above a figure: what its test means, and what its table says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from symscope.analysis.calibration import error_rates, null_curve
from symscope.analysis.schemas import WHOLE_STATE_OUTCOMES
from symscope.analysis.summary import pooled_whole_state, site_depth

_WHOLE_STATE = (
    "The whole state of one sequence (the source) replaces that of another sequence (the base) in the same phase, and "
    "the network continues. A network whose state holds everything that its answer needs continues as the source; a "
    "network that recomputes its answer from the context continues as the base."
)
_CALIBRATION = (
    "Constructed networks, whose variables are known, are searched for variables that they hold and for variables that "
    "they do not hold. A false positive reports a variable that is not there; a false negative misses a variable that "
    "is there. Brackets: 95% intervals."
)


@dataclass(frozen=True)
class Explanation:
    """The meaning of a test, and its results in sentences."""

    meaning: str
    results: tuple[str, ...]


def explanations(tables: Mapping[str, pl.DataFrame]) -> dict[str, Explanation]:
    """Explanations by the name of the figure below them."""
    made = {}
    if "whole_state" in tables:
        swaps = tables["whole_state"]
        made["whole_state"] = Explanation(_whole_state_meaning(swaps), tuple(whole_state_sentences(swaps)))
    if "calibration" in tables:
        made["calibration"] = Explanation(_CALIBRATION, tuple(calibration_sentences(tables["calibration"])))
    return made


def _whole_state_meaning(whole_state: pl.DataFrame) -> str:
    several = whole_state.select("task", "d", "algorithm").n_unique() > 1
    pooled = " Tasks and sizes are pooled; brackets: lowest and highest." if several else ""
    return f"{_WHOLE_STATE}{pooled}"


def whole_state_sentences(whole_state: pl.DataFrame) -> list[str]:
    """One sentence for each kind of network, site by site, over all tasks, sizes and seeds, with their range."""
    rows = pooled_whole_state(whole_state)
    return [_network_sentence(str(network), part) for (network,), part in rows.group_by("network", maintain_order=True)]


def _network_sentence(network: str, rows: pl.DataFrame) -> str:
    rows = rows.sort(site_depth(), maintain_order=True)
    sites = [(str(site), part) for (site,), part in rows.group_by("site", maintain_order=True)]
    parts = [f"{f'at {site} ' if len(sites) > 1 else ''}{_outcomes(part)}" for site, part in sites]
    return f"{network}: {'; '.join(parts)}."


def _outcomes(part: pl.DataFrame) -> str:
    """The shares of the outcomes at one site; a table may hold one outcome only."""
    texts = []
    for outcome, label in WHOLE_STATE_OUTCOMES.items():
        rows = part.filter(pl.col("outcome") == outcome)
        if rows.is_empty():
            continue
        shares = rows.get_column("share")
        pooled = rows.select((pl.col("share") * pl.col("n")).sum() / pl.col("n").sum()).item()
        span = f" ({shares.min():.3f} to {shares.max():.3f})" if rows.height > 1 else ""
        texts.append(f"{label} in {pooled:.3f}{span}")
    return ", ".join(texts)


def calibration_sentences(calibration: pl.DataFrame) -> list[str]:
    """One sentence for each rule that could decide, and one on untrained networks."""
    rates = error_rates(calibration)
    known = rates.filter(pl.col("function") == "all") if rates.height else rates
    sentences = [_rule_sentence(row) for row in known.iter_rows(named=True)]
    null = null_curve(calibration).drop_nulls("iia")  # neurons may not have been measured
    if null.height:
        highest = null.group_by("function", maintain_order=True).agg(pl.col("iia").max())
        parts = [f"{function} {iia:.3f}" for function, iia in highest.iter_rows()]
        sentences.append(f"Highest IIA of untrained networks, which hold no variable: {', '.join(parts)}.")
    return sentences


def _rule_sentence(row: dict[str, Any]) -> str:
    rule = row["rule"]
    kinds = [
        f"{row[kind]} of {row[f'{kind}_of']} {kind.replace('_', ' ')}s"
        f" ({row[f'{kind}_rate']:.0%}, {row[f'{kind}_low']:.0%} to {row[f'{kind}_high']:.0%})"
        for kind in ("false_positive", "false_negative")
        if row[f"{kind}_of"]
    ]
    return f"{rule[0].upper()}{rule[1:]}: {', '.join(kinds) or 'no such question'}."
