"""Answers: for each variable the alignment that is reported, its margin over null controls, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from symscope.analysis.schemas import ALL_VARIABLES, NULL_CONTROLS
from symscope.analysis.summary import ALIGNMENT, GROUP, pooled_scores
from symscope.statistics import holm
from symscope.verdict import (
    IN_THE_SPAN,
    NATURAL,
    Candidate,
    Measurement,
    best_by_naturalness,
    choose,
    least_natural,
    seeds_above_controls,
    verdict,
)

_MEASURED = (
    "iia",
    "low",
    "null_high",
    "off_span_share",
    "dormant_share",
    "far_out_share",
    "within_class_distance",
)


def pooled_margin(scores: pl.DataFrame) -> pl.DataFrame:
    """The rows of `pooled_scores` that are alignments, each with its best null control.

    Adds best_null (name of that control), null_iia, and pooled_margin (iia - null_iia); null where no null control was
    measured. The column `selectivity` of the table `scores` is the same margin in one network.
    """
    pooled = pooled_scores(scores)
    best = (
        pooled.filter(pl.col("control").is_in(NULL_CONTROLS))
        .sort("iia", descending=True, maintain_order=True)
        .group_by(ALIGNMENT, maintain_order=True)
        .agg(best_null=pl.col("control").first(), null_iia=pl.col("iia").first())
    )
    alignments = pooled.filter(pl.col("control") == "none").drop("control")
    joined = alignments.join(best, on=ALIGNMENT, how="left", maintain_order="left")
    return joined.with_columns(pooled_margin=pl.col("iia") - pl.col("null_iia"))


def chosen_alignments(scores: pl.DataFrame) -> pl.DataFrame:
    """For each question the alignment to report, by `verdict.choose`; IIAs on test interventions play no part.

    Returns the columns of `ALIGNMENT`, one row a question, in order of appearance; whole-state swaps are no candidates.
    """
    rows = [alignments[choose(_candidates(alignments))] for alignments in scored_alignments(scores)]
    schema = {name: scores.schema[name] for name in ALIGNMENT}
    return pl.DataFrame([{name: row[name] for name in ALIGNMENT} for row in rows], schema=schema)


def of_chosen_alignments(frame: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table that belong to the alignments that `scores` reports, in their order."""
    return of_alignments(frame, chosen_alignments(scores))


def of_alignments(frame: pl.DataFrame, alignments: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table that belong to some alignments, rows of `chosen_alignments`, in their order."""
    alignment = [column for column in ALIGNMENT if column in frame.columns]
    order = alignments.select(alignment)
    return order.join(frame, on=alignment, maintain_order="left_right").select(frame.columns)


def answers(scores: pl.DataFrame) -> pl.DataFrame:
    """One row a question: the chosen alignment with its IIA, interval, best null control, ceiling, and the verdict.

    Columns: those of `pooled_margin`; ceiling (IIA of the whole-state swap in the same networks, null when not
    measured); seeds_above (seeds whose interval lies above every null control); lowest (lower end of the lowest seed's
    interval); cause, isolation, off_span_share, dormant_share, far_out_share and
    within_class_distance of the least favourable seed (null when not measured);
    natural_iia, span_iia and unrestricted_iia (the IIA of the alignment that is best on validation among the natural
    ones, among these and those in the span, and among all; null where there is none); verdict (a key of
    `verdict.VERDICTS`) and sentence (the verdict in words); p (of being above every null control in every seed) and
    p_holm (p corrected for the number of questions).
    """
    rows = pl.DataFrame(
        [_answer(alignments) for alignments in scored_alignments(scores)], schema=_answer_schema(scores)
    )
    pooled = pooled_margin(scores)
    whole = pooled.filter(pl.col("variable") == ALL_VARIABLES)
    network = [column for column in GROUP if column != "variable"]
    ceiling = whole.group_by(network).agg(ceiling=pl.col("iia").max())
    joined = rows.select(ALIGNMENT).join(pooled, on=ALIGNMENT, how="left", maintain_order="left")
    joined = joined.join(ceiling, on=network, how="left", maintain_order="left")
    joined = joined.join(rows, on=ALIGNMENT, how="left", maintain_order="left")
    return joined.with_columns(p_holm=_corrected(joined.get_column("p")))


def scored_alignments(scores: pl.DataFrame) -> list[list[dict[str, Any]]]:
    """The alignments of each question, in order of appearance: the columns of `ALIGNMENT` and `seeds`, a row a seed."""
    alignments = scores.filter(pl.col("variable") != ALL_VARIABLES)
    null = alignments.filter(pl.col("control").is_in(NULL_CONTROLS)).group_by(ALIGNMENT)
    null_high = null.agg(null_high=pl.col("high").max())
    scored = alignments.filter(pl.col("control") == "none")
    scored = scored.join(null_high, on=ALIGNMENT, how="left", maintain_order="left")
    questions: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for key, seeds in scored.group_by(ALIGNMENT, maintain_order=True):
        named = dict(zip(ALIGNMENT, key, strict=True))
        questions.setdefault(key[: len(GROUP)], []).append({**named, "seeds": seeds.to_dicts()})
    return list(questions.values())


def measurements_of(alignment: Mapping[str, Any]) -> list[Measurement]:
    """The measurements of an alignment of `scored_alignments`, one a seed."""
    return [Measurement(**{name: seed[name] for name in _MEASURED}) for seed in alignment["seeds"]]


def _candidates(alignments: list[dict[str, Any]]) -> list[Candidate]:
    candidates = []
    for alignment in alignments:
        validation = tuple(seed["validation_iia"] for seed in alignment["seeds"])
        known = () if None in validation else validation
        candidates.append(Candidate(alignment["k"], least_natural(measurements_of(alignment)), known))
    return candidates


def _answer_schema(scores: pl.DataFrame) -> dict[str, Any]:
    numbers = ("lowest", "cause", "isolation", "off_span_share", "dormant_share", "far_out_share")
    numbers += ("within_class_distance",)
    numbers += ("natural_iia", "span_iia", "unrestricted_iia", "p")
    return {
        **{name: scores.schema[name] for name in ALIGNMENT},
        "seeds_above": pl.Int64(),
        **dict.fromkeys(numbers, pl.Float64()),
        "verdict": pl.String(),
        "sentence": pl.String(),
    }


def _answer(alignments: list[dict[str, Any]]) -> dict[str, Any]:
    """What `answers` reports of one question, without the columns of `pooled_margin`."""
    candidates = _candidates(alignments)
    chosen, best = alignments[choose(candidates)], best_by_naturalness(candidates)
    measurements, seeds = measurements_of(chosen), chosen["seeds"]
    given = verdict(measurements)

    def extreme(name: str, pick: Any, *, complete: bool) -> float | None:
        values = [seed[name] for seed in seeds if seed[name] is not None]
        return pick(values) if values and (len(values) == len(seeds) or not complete) else None

    def mean_iia(restriction: str) -> float | None:
        if restriction not in best:
            return None
        iias = [seed["iia"] for seed in alignments[best[restriction]]["seeds"]]
        return sum(iias) / len(iias)

    return {
        **{name: chosen[name] for name in ALIGNMENT},
        "seeds_above": seeds_above_controls(measurements),
        "lowest": min(measurement.low for measurement in measurements),
        "cause": extreme("cause_iia", min, complete=False),
        "isolation": extreme("isolation_iia", min, complete=False),
        "off_span_share": extreme("off_span_share", max, complete=True),
        "dormant_share": extreme("dormant_share", max, complete=False),
        "far_out_share": extreme("far_out_share", max, complete=True),
        "within_class_distance": extreme("within_class_distance", max, complete=True),
        "natural_iia": mean_iia(NATURAL),
        "span_iia": mean_iia(IN_THE_SPAN),
        "unrestricted_iia": mean_iia("unrestricted"),
        # The claim is about every seed, so the highest p needs no correction for the number of seeds.
        "p": extreme("selectivity_p", max, complete=True),
        "verdict": given.word,
        "sentence": given.sentence,
    }


def _corrected(p: pl.Series) -> pl.Series:
    """p-values with Holm's correction; null where there is none."""
    known = p.is_not_null()
    corrected = iter(holm(p.filter(known).to_list()))
    return pl.Series([next(corrected) if measured else None for measured in known], dtype=pl.Float64)
