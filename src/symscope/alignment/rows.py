"""Results as rows of the table `scores`."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from symscope.alignment.controls import control_kind
from symscope.alignment.result import AlignmentResult
from symscope.alignment.score import Score

Row = dict[str, Any]


def figures(score: Score) -> Row:
    """The columns that every table has for a score."""
    return {"iia": score.iia, "low": score.low, "high": score.high, "n": score.n}


def alignment_row(result: AlignmentResult) -> Row:
    """The names and figures of an alignment, by column."""
    metrics, selectivity = result.metrics, result.selectivity
    row: Row = {
        **_names(result),
        "control": "none",
        **figures(metrics.score),
        "restart": result.restart,
        "restarts": result.restarts,
        "total_steps": result.total_steps,
        "validation_iia": result.validation_iia,
        "rejection_rate": result.rejection_rate,
        "probe": metrics.probe,
        "length_error": metrics.mean_length_error,
        **asdict(metrics.divergence),
        **({} if result.naturalness is None else asdict(result.naturalness)),
    }
    if result.excluded is not None:
        row |= {"excluded_pairs": result.excluded.pairs, "all_pairs": result.excluded.of}
    parts = {name: getattr(metrics, name) for name in ("informative", "cause", "isolation", "held_out")}
    for name, part in {**parts, "complement": result.complement}.items():
        if part is not None:
            row |= {f"{name}_{key}": value for key, value in figures(part).items()}
    if selectivity is not None:
        nearest, above = selectivity
        row |= {"selectivity": above.value, "selectivity_low": above.low, "selectivity_high": above.high}
        row |= {"selectivity_p": above.p, "nearest_control": control_kind(nearest)}
    return row


def score_rows(result: AlignmentResult) -> Iterator[Row]:
    """An alignment and each kind of control; of several untrained networks the one with the highest score."""
    yield alignment_row(result)
    best: dict[str, Score] = {}
    for name, score in result.controls.items():
        kind = control_kind(name)
        best[kind] = max(best.get(kind, score), score, key=lambda candidate: candidate.iia)
    for kind, score in best.items():
        yield {**_names(result), "control": kind, **figures(score)}


def value_rows(result: AlignmentResult) -> Iterator[Row]:
    """IIA by source value, as rows of the table `values`."""
    for value, score in result.metrics.by_value.items():
        yield {**_names(result), "value": value, **figures(score)}


def _names(result: AlignmentResult) -> Row:
    return {
        "algorithm": result.hypothesis,
        "variable": result.variable,
        "site": result.site,
        "function": result.function,
        "k": result.k,
    }
