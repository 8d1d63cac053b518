"""Effects behind the claims on comparisons of networks: transfer of values, similarity of states, and dimensions.

A network is a unit: its value is the mean over its partners of a kind. A kind is named by both networks, so that
`gru with lstm` are GRUs whose partners are LSTMs.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from symscope.analysis.effects import UP_DOWN, Effect, Tables, contrast, estimates, mean_of_kinds, solved_networks
from symscope.analysis.summary import NETWORK, PARTNER, both_orders

WHOLE = "count+phase"
"""All variables of Up-Down, overwritten together."""
SUFFICIENT_K = 4
"""Dimensions that suffice for a counting GRU (Grant et al. 2025)."""
STITCHING_RANK = 2
CORRELATIONAL = ("cka", "rsa")

_GRU, _TRANSFORMER = (pl.col("network").str.starts_with(name) for name in ("gru", "transformer"))
_PARTNER_GRU, _PARTNER_TRANSFORMER = (
    pl.col("partner_network").str.starts_with(name) for name in ("gru", "transformer")
)
_GRUS = _GRU & _PARTNER_GRU
_GRU_AND_TRANSFORMER = (_GRU & _PARTNER_TRANSFORMER) | (_TRANSFORMER & _PARTNER_GRU)
_PAIR = [*NETWORK, *PARTNER.values()]


def _of_solved_pairs(tables: Tables, name: str) -> pl.DataFrame | None:
    """The rows on pairs of networks that both solved their task; None where there are none."""
    if name not in tables or "trial_accuracy" not in tables:
        return None
    solved = solved_networks(tables["trial_accuracy"])
    rows = tables[name].join(solved, on=NETWORK, how="semi", maintain_order="left")
    rows = rows.join(solved.rename(PARTNER), on=["task", *PARTNER.values()], how="semi", maintain_order="left")
    return None if rows.is_empty() else rows


def _transfers(tables: Tables) -> pl.DataFrame | None:
    """Transfers of all variables of Up-Down from a partner: of several k and functions the best on validation."""
    rows = _of_solved_pairs(tables, "comparison")
    if rows is None:
        return None
    rows = rows.filter(direction="across", algorithm=UP_DOWN, variable=WHOLE)
    return rows.sort("validation_iia", descending=True, maintain_order=True).unique(_PAIR, maintain_order=True)


def _units(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a network and kind of partner: the mean of `iia` over its partners, with its variance."""
    named = rows.with_columns(network=pl.concat_str("network", pl.lit(" with "), "partner_network"))
    return estimates(named, 1 / pl.len().over(NETWORK))


def between_grus(tables: Tables) -> Effect | None:
    """IIA of values that are taken from one GRU and written into another."""
    rows = _transfers(tables)
    return None if rows is None else contrast(_units(rows.filter(_GRUS)), mean_of_kinds)


def _within_task(first: str, second: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Weights of the mean of kinds whose name matches one pattern minus that of others, in tasks that have both."""

    def weights(kinds: pl.DataFrame) -> pl.DataFrame:
        name = pl.col("network").str
        side = pl.when(name.contains(first)).then(1).when(name.contains(second)).then(-1)
        signed = kinds.with_columns(side=side).drop_nulls("side")
        signed = signed.filter(pl.col("side").n_unique().over("task") == 2)
        return signed.with_columns(weight=pl.col("side") / pl.len().over("task", "side") / pl.col("task").n_unique())

    return weights


def grus_over_transformers(tables: Tables) -> Effect | None:
    """IIA between GRUs minus IIA between GRUs and transformers, in both directions."""
    rows = _transfers(tables)
    if rows is None:
        return None
    units = _units(rows.filter(_GRUS | _GRU_AND_TRANSFORMER))
    return contrast(units, _within_task("^gru.* with gru", "^gru.* with transformer|^transformer.* with gru"))


def similarity_to_transformers(tables: Tables) -> Effect | None:
    """The lower of CKA and RSA between GRUs and transformers, whose values have no interval of their own."""
    rows = _of_solved_pairs(tables, "similarity")
    if rows is None:
        return None
    rows = (
        rows.filter(pl.col("measure").is_in(CORRELATIONAL))
        .group_by(_PAIR, maintain_order=True)
        .agg(pl.col("value").min(), measures=pl.len())
    )
    pairs = both_orders(rows).filter(_GRU_AND_TRANSFORMER, measures=len(CORRELATIONAL))
    named = pairs.with_columns(network=pl.concat_str("network", pl.lit(" with "), "partner_network"))
    units = named.group_by(NETWORK, maintain_order=True).agg(pl.col("value").mean(), variance=pl.lit(0.0))
    return contrast(units, mean_of_kinds)


def in_four_dimensions(tables: Tables) -> Effect | None:
    """IIA when all variables of Up-Down are swapped in four dimensions of a GRU."""
    if "dimensions" not in tables or "trial_accuracy" not in tables:
        return None
    rows = tables["dimensions"].join(solved_networks(tables["trial_accuracy"]), on=NETWORK, how="semi")
    rows = rows.filter(_GRU, algorithm=UP_DOWN, k=SUFFICIENT_K).unique(NETWORK, maintain_order=True)
    return contrast(estimates(rows, pl.lit(1.0)), mean_of_kinds)


def stitched_grus(tables: Tables) -> Effect | None:
    """Share of sequences that a GRU continues correctly from states of another GRU, mapped by a map of rank 2."""
    rows = _of_solved_pairs(tables, "stitching")
    if rows is None:
        return None
    return contrast(_units(rows.filter(_GRUS, rank=STITCHING_RANK)), mean_of_kinds)
