"""Gradience along one axis: IIA by the difference of the values in base and source, by their mean, by source value."""

from __future__ import annotations

import polars as pl

from symscope.analysis.summary import ALIGNMENT
from symscope.analysis.tables import validate
from symscope.statistics import share_over_seeds

AXES = {"difference": "difference between base and source", "quantity": "mean of base and source"}
"""Axes of `gradience_along` and their titles."""


def gradience_along(gradience: pl.DataFrame) -> pl.DataFrame:
    """IIA by the difference between the values in base and source, and by their mean, over seeds and of each seed.

    Columns: those of `ALIGNMENT`, axis (one of `AXES`), at (the difference; the mean, rounded down), kind (`pooled`,
    or `seed` for a row of one seed), seed (null where pooled), iia, low, high (95%, over seeds and interventions where
    pooled), n.
    """
    cells = validate("gradience", gradience).with_columns(hits=(pl.col("iia") * pl.col("n")).round().cast(pl.Int64))
    base, source = pl.col("base_value"), pl.col("source_value")
    positions = {"difference": (base - source).abs(), "quantity": (base + source) // 2}
    parts = []
    where = [*ALIGNMENT, "axis", "at"]
    for axis, position in positions.items():
        along = cells.with_columns(axis=pl.lit(axis), at=position)
        parts.append(along.group_by(*where, "seed", maintain_order=True).agg(pl.col("hits", "n").sum()))
    return _over_and_of_seeds(pl.concat(parts), where)


def iia_by_source_value(values: pl.DataFrame) -> pl.DataFrame:
    """IIA by the value of the variable after the intervention, over seeds and of each seed.

    Columns: those of `ALIGNMENT`, value, and kind, seed, iia, low, high and n as in `gradience_along`.
    """
    of_seeds = validate("values", values).with_columns(hits=(pl.col("iia") * pl.col("n")).round().cast(pl.Int64))
    return _over_and_of_seeds(of_seeds, [*ALIGNMENT, "value"])


def _over_and_of_seeds(of_seeds: pl.DataFrame, where: list[str]) -> pl.DataFrame:
    """The rows of each seed (`hits` of `n`) and the same pooled over seeds, with their intervals."""
    of_seeds = of_seeds.with_columns(iia=pl.col("hits") / pl.col("n"))
    pooled = of_seeds.group_by(where, maintain_order=True).agg(pl.col("hits", "n"), pl.col("iia").mean())
    single = of_seeds.with_columns(pl.concat_list("hits"), pl.concat_list("n"), kind=pl.lit("seed"))
    none = pl.lit(None, dtype=pl.Int64).alias("seed")
    columns = [*where, "kind", "seed", "iia", "hits", "n"]
    rows = pl.concat([pooled.with_columns(none, kind=pl.lit("pooled")).select(columns), single.select(columns)])
    ends = [share_over_seeds(tuple(hits), tuple(n)) for hits, n in rows.select("hits", "n").iter_rows()]
    intervals = pl.DataFrame(ends, schema={"low": pl.Float64, "high": pl.Float64}, orient="row")
    figures = pl.concat([rows.with_columns(pl.col("n").list.sum()).drop("hits"), intervals], how="horizontal")
    return figures.sort(*where, "kind", "seed", maintain_order=True)
