"""Error rates of the instrument on networks whose answer is known, for each rule that could decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import polars as pl

from symscope.analysis.schemas import NULL_CONTROLS
from symscope.analysis.tables import validate
from symscope.statistics import wilson
from symscope.verdict import HIGH_IIA, SUPPORTED, Measurement, is_high, seeds_above_controls, verdict


def _measurement(row: Mapping[str, Any]) -> Measurement:
    """The measurement of one row; the intervals of its controls are over the row's test interventions."""
    null = [row[f"{name}_iia"] for name in NULL_CONTROLS if row[f"{name}_iia"] is not None]
    null_high = max((wilson(round(iia * row["n"]), row["n"]).high for iia in null), default=None)
    natural = ("off_span_share", "dormant_share", "far_out_share", "within_class_distance")
    return Measurement(row["iia"], row["low"], null_high, *(row[name] for name in natural))


def _at_least(column: str, limit: float) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: row[column] is not None and row[column] >= limit


def _is_high(row: Mapping[str, Any]) -> bool:
    return is_high(row["low"])


def _is_above_controls(row: Mapping[str, Any]) -> bool:
    return bool(seeds_above_controls([_measurement(row)]))


RULES: Mapping[str, Callable[[Mapping[str, Any]], bool]] = MappingProxyType(
    {
        "lower end of the IIA at least 0.5": _at_least("low", 0.5),
        "at least 0.7": _at_least("low", 0.7),
        f"at least {HIGH_IIA:g}": _is_high,
        "above every null control": _is_above_controls,
        f"at least {HIGH_IIA:g} and above every null control": lambda row: _is_high(row) and _is_above_controls(row),
        "the verdict of a report": lambda row: verdict([_measurement(row)]).word in SUPPORTED,
        "lower end of the IIA on informative interventions at least 0.5": _at_least("informative_low", 0.5),
        f"cause and isolation at least {HIGH_IIA:g}": lambda row: (
            _at_least("cause_iia", HIGH_IIA)(row) and _at_least("isolation_iia", HIGH_IIA)(row)
        ),
    }
)
"""Rules by which a variable could be declared present, from the columns of one row of the table `calibration`."""


def error_rates(calibration: pl.DataFrame) -> pl.DataFrame:
    """Error rates of each rule of `RULES` on constructed networks, for each alignment function and for all of them.

    Columns: function (`all` for all together), rule, and for `false_positive` (the rule says yes of a variable that the
    network does not hold) and `false_negative` (it says no of a variable that the network holds): the number of errors,
    `..._of` the number of questions, `..._rate` and its 95% Wilson interval, `..._low` and `..._high`; null where there
    is no such question.
    """
    known = validate("calibration", calibration).filter(pl.col("part") == "known")
    rows = list(known.iter_rows(named=True))
    functions = {"all": rows} if rows else {}
    for row in rows:
        functions.setdefault(row["function"], []).append(row)
    return pl.DataFrame(
        [_error_rate(function, rule, of_function) for function, of_function in functions.items() for rule in RULES],
        infer_schema_length=None,
    )


def _error_rate(function: str, rule: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    held = [RULES[rule](row) for row in rows if row["held"]]
    not_held = [RULES[rule](row) for row in rows if not row["held"]]
    return {
        "function": function,
        "rule": rule,
        **_rate("false_positive", sum(not_held), len(not_held)),
        **_rate("false_negative", len(held) - sum(held), len(held)),
    }


def _rate(kind: str, errors: int, of: int) -> dict[str, float | int | None]:
    low, high = wilson(errors, of) if of else (None, None)
    figures = {"": errors, "_of": of, "_rate": errors / of if of else None, "_low": low, "_high": high}
    return {f"{kind}{name}": value for name, value in figures.items()}


def null_curve(calibration: pl.DataFrame) -> pl.DataFrame:
    """IIA of untrained networks by state size: one row a function, variable and size; single neurons are one function.

    Columns: function, variable, d, k, iia, best_control (the highest IIA of its null controls).
    """
    null = validate("calibration", calibration).filter(pl.col("part") == "null")
    null = null.with_columns(best_control=pl.max_horizontal(f"{name}_iia" for name in NULL_CONTROLS))
    neurons = null.unique(["d", "variable"], keep="first", maintain_order=True).with_columns(
        function=pl.lit("neurons"), iia=pl.col("neurons_iia")
    )
    columns = ["function", "variable", "d", "k", "iia", "best_control"]
    return pl.concat([null.select(columns), neurons.select(columns)])
