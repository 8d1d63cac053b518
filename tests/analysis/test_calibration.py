"""Error rates of a calibration, against counts by hand."""

import polars as pl
import pytest

from symscope.analysis.calibration import RULES, error_rates, null_curve
from symscope.statistics import wilson


def test_rates_count_what_each_rule_gets_wrong(synthetic):
    rows = synthetic.calibration()
    held = rows.filter(pl.col("part") == "known", "held")
    more = pl.concat([rows, held.with_columns(variable=pl.lit("phase"), iia=0.7, low=0.65, high=0.75)])
    rates = error_rates(more)
    assert rates["function"].unique(maintain_order=True).to_list() == ["all", "orthogonal"]
    assert rates.height == 2 * len(RULES)
    high = rates.row(by_predicate=(pl.col("function") == "all") & (pl.col("rule") == "at least 0.9"), named=True)
    assert (high["false_positive"], high["false_positive_of"]) == (0, 1)
    assert (high["false_negative"], high["false_negative_of"], high["false_negative_rate"]) == (1, 2, 0.5)
    assert (high["false_negative_low"], high["false_negative_high"]) == pytest.approx(wilson(1, 2))


def test_what_is_not_asked_has_no_rate(synthetic):
    only_held = synthetic.calibration().filter("held")
    row = error_rates(only_held).row(0, named=True)
    assert (row["false_positive_of"], row["false_positive_rate"]) == (0, None)
    assert error_rates(only_held.clear()).is_empty()


def test_the_null_curve_has_neurons_beside_the_functions(synthetic):
    curve = null_curve(synthetic.calibration())
    assert curve["function"].to_list() == ["orthogonal", "neurons"]
    assert curve["iia"][0] == 0.02
