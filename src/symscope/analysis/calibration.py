"""How often the instrument is wrong where the answer is known, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from symscope.analysis.schemas import NULL_CONTROLS
from symscope.analysis.tables import validate
from symscope.statistics import wilson
from symscope.verdict import HIGH_IIA, MAX_DIVERGENCE

_HIGH = pl.col("low") >= HIGH_IIA
_ABOVE = pl.col("selectivity_low") > 0
_NATURAL = (pl.col("off_span_share") <= MAX_DIVERGENCE) & (pl.col("dormant_share").fill_null(0) <= MAX_DIVERGENCE)

RULES: Mapping[str, pl.Expr] = MappingProxyType(
    {
        "lower end of the IIA at least 0.5": pl.col("low") >= 0.5,
        "at least 0.7": pl.col("low") >= 0.7,
        f"at least {HIGH_IIA:g}": _HIGH,
        "above every null control": _ABOVE,
        f"at least {HIGH_IIA:g} and above every null control": _HIGH & _ABOVE,
        "that, on natural states": _HIGH & _ABOVE & _NATURAL,
        "lower end of the IIA on interventions that matter at least 0.5": pl.col("informative_low") >= 0.5,
        f"cause and isolation at least {HIGH_IIA:g}": pl.min_horizontal("cause_iia", "isolation_iia") >= HIGH_IIA,
    }
)
"""When one would say that a variable is there. The last but two is the verdict `holds` of a report."""


def error_rates(calibration: pl.DataFrame) -> pl.DataFrame:
    """How often each rule of `RULES` is wrong, of questions to constructed networks, by function and for all of them.

    Columns: function (`all` for all together), rule, and for `false_positive` (the rule says yes of a variable that is
    not held) and `false_negative` (it says no of one that is): how many, `..._of` how many questions, `..._rate` and
    its 95% Wilson interval, `..._low` and `..._high`; null where there is no such question.
    """
    known = validate("calibration", calibration).filter(pl.col("part") == "known")
    everything = known.with_columns(function=pl.lit("all"))
    rows = []
    for (function,), asked in pl.concat([everything, known]).group_by("function", maintain_order=True):
        for rule, says_yes in RULES.items():
            said = asked.select("held", yes=says_yes.fill_null(value=False))
            wrong = {
                "false_positive": said.filter(~pl.col("held")).get_column("yes"),
                "false_negative": ~said.filter(pl.col("held")).get_column("yes"),
            }
            row: dict[str, object] = {"function": function, "rule": rule}
            for kind, errors in wrong.items():
                row |= _rate(kind, int(errors.sum()), len(errors))
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def null_curve(calibration: pl.DataFrame) -> pl.DataFrame:
    """The IIA of untrained networks by size: one row a function, variable and size, single neurons among them.

    Columns: function, variable, d, k, iia, best_control (the best of the null controls beside it).
    """
    null = validate("calibration", calibration).filter(pl.col("part") == "null")
    controls = [f"{name}_iia" for name in NULL_CONTROLS]
    null = null.with_columns(best_control=pl.max_horizontal(controls))
    neurons = null.unique(["d", "variable"], keep="first", maintain_order=True).with_columns(
        function=pl.lit("neurons"), iia=pl.col("neurons_iia")
    )
    columns = ["function", "variable", "d", "k", "iia", "best_control"]
    return pl.concat([null.select(columns), neurons.select(columns)])


def _rate(kind: str, errors: int, of: int) -> dict[str, float | int | None]:
    low, high = wilson(errors, of) if of else (None, None)
    shown = {"": errors, "_of": of, "_rate": errors / of if of else None, "_low": low, "_high": high}
    return {f"{kind}{name}": value for name, value in shown.items()}
