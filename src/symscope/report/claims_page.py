"""The page of claims: claim by claim with one figure each, and the class of each high IIA; also as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from symscope.analysis.claims import decided_claims
from symscope.analysis.high_iias import high_iias
from symscope.analysis.schemas import CLAIM_VERDICTS
from symscope.report.claims import kinds_above
from symscope.report.inputs import ReportInputs

CLAIMS_FILE = "claims.md"
"""The Markdown of a page of claims, in its folder."""

HOLDS, FAILS, OPEN = CLAIM_VERDICTS


def claims_inputs(inputs: ReportInputs, title: str) -> ReportInputs:
    """The contents of a page of claims, decided from all tables of some studies, with Holm's correction over all.

    Claims that hold come first, then those that do not, those that the paper does not make, and those not decided.
    """
    claims, values = decided_claims(inputs.tables)
    order = pl.when(pl.col("verdict") == OPEN).then(3).when("beyond").then(2).when(pl.col("verdict") == FAILS).then(1)
    tables = {"claims": claims.sort(order.otherwise(0), maintain_order=True), "claim_values": values}
    if "scores" in inputs.tables:
        tables["high_iias"] = high_iias(inputs.tables["scores"])
    return replace(inputs, title=title, tables=tables)


def claims_markdown(tables: Mapping[str, pl.DataFrame], title: str, figures: str = "figures") -> str:
    """The page as Markdown: what agrees with the paper, what does not, what it could not see, and what is undecided.

    Args:
        tables: `claims` and, where there are some, `high_iias`.
        title: heading of the page.
        figures: folder of the figures, relative to the page.
    """
    claims = tables["claims"]
    decided, beyond = pl.col("verdict") != OPEN, pl.col("beyond").fill_null(value=False)
    sections = {
        "What agrees with the paper": claims.filter(~beyond, verdict=HOLDS),
        "What does not": claims.filter(~beyond, verdict=FAILS),
        "What the paper could not see": claims.filter(beyond, decided),
        "Not decided": claims.filter(~decided),
    }
    counts = ", ".join(f"{heading[:1].lower()}{heading[1:]}: {len(part)}" for heading, part in sections.items())
    lines = [f"# {title}", "", f"Of {claims.height} claims: {counts}.", ""]
    lines += _overview(claims)
    for heading, part in sections.items():
        if len(part):
            lines += [f"## {heading}", ""]
            for row in part.iter_rows(named=True):
                lines += _claim(row, figures)
    if "high_iias" in tables:
        lines += _high(tables["high_iias"])
    return "\n".join(lines).rstrip() + "\n"


def _overview(claims: pl.DataFrame) -> list[str]:
    lines = [
        "| claim | effect (95% interval) | p (Holm) | kinds above the threshold | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in claims.iter_rows(named=True):
        p = "" if row["p_holm"] is None else "< 0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.2g}"
        kinds = kinds_above(row)
        lines.append(f"| {row['claim']} | {_number(row)} | {p} | {kinds} | {row['verdict']} |")
    return [*lines, ""]


def _claim(row: Mapping[str, Any], figures: str) -> Iterator[str]:
    """A heading, the verdict with its number or reason, what was measured, and the figure."""
    yield from (f"### {row['statement'].removesuffix('.')}", "", *_wrapped(f"Source: {row['source']}."), "")
    verdict = f"**{row['verdict'].capitalize()}**"
    number = f", effect {_number(row)}" if row["value"] is not None else ""
    reason = f" Reason: {row['reason']}." if row["reason"] else ""
    seeds = f" At least {row['seeds']} networks of each kind." if row["seeds"] is not None else ""
    kinds = f" Above the threshold in {part} kinds of network." if (part := kinds_above(row)) else ""
    yield from (*_wrapped(f"{verdict}{number}.{reason}{seeds}{kinds}"), "")
    yield from (*_wrapped(f"Measure: {row['measure']}."), "")
    if row["networks"]:
        yield from (*_wrapped(f"Networks: {row['networks']}."), "")
    yield from (*_wrapped(f"Rule: {row['rule']}"), "")
    if row["value"] is not None:
        yield from (f"![{row['claim']}]({figures}/claim-{row['claim']}.svg)", "")


def _number(row: Mapping[str, Any]) -> str:
    return "not measured" if row["value"] is None else f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _high(rows: pl.DataFrame) -> list[str]:
    """The alignments with a high IIA, in the order of the studies; those that differ in their k alone in one row."""
    counts = rows.group_by("naturalness", maintain_order=True).len().rows()
    text = ", ".join(f"{count} {word}" for word, count in counts) or "none"
    lines = ["## Alignments with a high IIA", "", f"{rows.height} alignments: {text}.", ""]
    if rows.is_empty():
        return lines
    where = ["task", "network", "d", "algorithm", "protocol", "variable", "function"]
    lines += [f"| {' | '.join(where)} | k | IIA | states |", "|" + "---|" * (len(where) + 3)]
    alike = rows.group_by([*where, "naturalness"], maintain_order=True).agg("k", "iia")
    for *names, states, k, iia in alike.iter_rows():
        span = f"{min(iia):.3f}" + (f" to {max(iia):.3f}" if len(iia) > 1 else "")
        lines.append(f"| {' | '.join(map(str, names))} | {', '.join(map(str, k))} | {span} | {states} |")
    return [*lines, ""]


def _wrapped(text: str) -> list[str]:
    """The text in lines of at most 120 characters, as far as its words allow."""
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)
