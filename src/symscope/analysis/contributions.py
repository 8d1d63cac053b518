"""Contributions of single tokens: how far each token moves a network's state along an aligned subspace."""

from __future__ import annotations

import polars as pl

from symscope.analysis.summary import NETWORK
from symscope.analysis.tables import validate

SUBSPACE = (*NETWORK, "algorithm", "protocol", "variable", "function", "k")
"""Columns that identify one aligned subspace of one network."""


def token_contributions(aligned_states: pl.DataFrame) -> pl.DataFrame:
    """The movement along the first aligned coordinate when a network reads one token, from the table `aligned_states`.

    In units of the mean movement by a demo token: a count that rises by one with each demo token and falls by one with
    each response has the movements 1 and -1. Ends of sequences are left out.

    Returns:
        One row for each subspace, phase and token: the columns of `SUBSPACE`, phase, token, movement (mean), spread
        (standard deviation) and n (tokens). Subspaces in which demo tokens do not move the state are left out.
    """
    trajectory = [*SUBSPACE, "sequence"]
    states = validate("aligned_states", aligned_states).sort(*trajectory, "step", maintain_order=True)
    moved = pl.col("c1") - pl.col("c1").shift(1).over(trajectory)
    steps = states.with_columns(moved=moved).drop_nulls(["moved", "phase"])
    steps = steps.filter(pl.col("token") != "EOS", pl.col("token") != "T")
    unit = pl.col("moved").filter(pl.col("phase") == "demo").mean().over(SUBSPACE)
    steps = steps.with_columns(unit=unit).filter(pl.col("unit").abs() > 0)
    by_token = steps.with_columns(moved=pl.col("moved") / pl.col("unit")).group_by(
        *SUBSPACE, "phase", "token", maintain_order=True
    )
    return by_token.agg(movement=pl.col("moved").mean(), spread=pl.col("moved").std(ddof=0), n=pl.len())
