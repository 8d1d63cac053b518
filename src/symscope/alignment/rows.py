"""Results as rows of the table `scores`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from symscope.alignment._records import InterventionRecord, assignments, value_text
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


def length_error_rows(result: AlignmentResult) -> Iterator[Row]:
    """Test interventions by error of the answer's length, as rows of the table `length_errors`."""
    for error, count in result.metrics.length_errors.items():
        yield {**_names(result), "error": error, "count": count, "n": result.score.n}


def failure_rows(result: AlignmentResult) -> Iterator[Row]:
    """Failing test interventions, as rows of the table `failures`."""
    return _record_rows(result, result.metrics.failures)


def example_rows(result: AlignmentResult) -> Iterator[Row]:
    """The worked example, as a row of the table `examples`; none where no informative intervention succeeds."""
    example = result.metrics.example
    return _record_rows(result, () if example is None else (example,))


def _record_rows(result: AlignmentResult, records: Sequence[InterventionRecord]) -> Iterator[Row]:
    variables = list(result.alignments)
    for record in records:
        tokens = ("base", "source", "predicted", "produced", "unswapped")
        yield {
            **_names(result),
            **{name: getattr(record, name) for name in ("row", "error", "base_position", "source_position")},
            **{name: json.dumps(getattr(record, name), ensure_ascii=False) for name in tokens},
            "determined": json.dumps([int(known) for known in record.determined]),
            "base_value": value_text(record.base_values, variables),
            "source_value": value_text(record.source_values, variables),
            "base_values": assignments(record.base_values),
            "source_values": assignments(record.source_values),
            "failing": result.failure_count,
            "n": result.score.n,
        }


def _names(result: AlignmentResult) -> Row:
    return {
        "algorithm": result.hypothesis,
        "variable": result.variable,
        "site": result.site,
        "function": result.function,
        "k": result.k,
        "protocol": result.protocol,
    }
