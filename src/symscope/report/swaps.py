"""Whole-state swaps in words: what each kind of network does after one."""

from __future__ import annotations

import polars as pl

from symscope.analysis.summary import pooled_whole_state, site_depth

MEANING = (
    "The whole state of one sequence (the source) is put in place of that of another (the base) in the same phase, and "
    "the network goes on from there. If the state holds all that matters, it goes on as the source would; if it "
    "recomputes its answer from the context, it goes on as the base, as if nothing had been swapped."
)
"""What the test means, for a reader who meets it here."""


def whole_state_sentences(whole_state: pl.DataFrame) -> list[str]:
    """One sentence a kind of network, site by site, over all tasks, sizes and seeds; their range in brackets."""
    rows = pooled_whole_state(whole_state)
    return [_sentence(str(network), part) for (network,), part in rows.group_by("network", maintain_order=True)]


def meaning(whole_state: pl.DataFrame) -> str:
    """What the test means, and what the sentences pool where there is something to pool."""
    several = whole_state.select("task", "d", "algorithm").n_unique() > 1
    return (
        f"{MEANING} Below, all tasks and sizes together, in brackets the lowest and the highest."
        if several
        else MEANING
    )


def _sentence(network: str, rows: pl.DataFrame) -> str:
    rows = rows.sort(site_depth(), maintain_order=True)
    sites = [(str(site), part) for (site,), part in rows.group_by("site", maintain_order=True)]
    parts = [f"{f'at {site} ' if len(sites) > 1 else ''}{_told(part)}" for site, part in sites]
    return f"{network}: {'; '.join(parts)}."


def _told(part: pl.DataFrame) -> str:
    """The shares of one site; a table may hold one outcome only."""
    words = {"source": "follows the source in", "base": "goes on as the base in"}
    told = []
    for outcome, verb in words.items():
        rows = part.filter(pl.col("outcome") == outcome)
        if rows.is_empty():
            continue
        shares = rows.get_column("share")
        pooled = rows.select((pl.col("share") * pl.col("n")).sum() / pl.col("n").sum()).item()
        span = f" ({shares.min():.3f} to {shares.max():.3f})" if rows.height > 1 else ""
        told.append(f"{verb} {pooled:.3f}{span}")
    return ", ".join(told)
