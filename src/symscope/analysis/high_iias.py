"""Alignments with a high IIA, each with the class of the states that it writes."""

from __future__ import annotations

from typing import Any

import polars as pl

from symscope.analysis.answers import measurements_of, scored_alignments
from symscope.analysis.schemas import HIGH_IIAS
from symscope.analysis.summary import ALIGNMENT, pooled_scores
from symscope.analysis.tables import make_table
from symscope.verdict import HIGH_IIA, least_natural

_DIAGNOSTICS = ("off_span_share", "dormant_share", "far_out_share", "within_class_distance")


def high_iias(scores: pl.DataFrame) -> pl.DataFrame:
    """The table `high_iias`: alignments whose mean IIA over seeds is high, from the table `scores`.

    Each has the naturalness of its least natural seed (`verdict.least_natural`) and its least favourable diagnostics.
    """
    pooled = pooled_scores(scores).filter(pl.col("control") == "none", pl.col("iia") >= HIGH_IIA)
    known = {tuple(row[name] for name in ALIGNMENT): row for row in pooled.iter_rows(named=True)}
    columns = set(HIGH_IIAS.dtypes)
    rows: list[dict[str, Any]] = []
    for alignments in scored_alignments(scores):
        for alignment in alignments:
            row = known.get(tuple(alignment[name] for name in ALIGNMENT))
            if row is not None:
                values = {name: [seed[name] for seed in alignment["seeds"]] for name in _DIAGNOSTICS}
                worst = {name: max((v for v in seeds if v is not None), default=None) for name, seeds in values.items()}
                word = least_natural(measurements_of(alignment))
                rows.append({name: v for name, v in row.items() if name in columns} | worst | {"naturalness": word})
    return make_table("high_iias", rows)
