"""The matrices of a comparison: means over pairs of kinds, in every task, beside the similarity of states."""

import polars as pl
import pytest
from tests.analysis import comparisons

from symscope.figures import draw_figures
from symscope.figures._comparison import ITSELF, comparison
from symscope.figures.theme import chart_spec


def cells(chart) -> dict[tuple[str, str, str], float]:
    """The value of each panel, row and column."""
    rows = [row for data in chart_spec(chart)["datasets"].values() for row in data]
    return {(row["panel"], row["kind"], row["partner"]): row["value"] for row in rows}


def test_a_cell_is_the_mean_over_pairs_of_its_kinds():
    table = comparisons.comparison()
    found = cells(comparison(table, similarity=comparisons.similarity()))
    assert {panel for panel, _, _ in found} == {"MAS, count", "MAS, count+phase", "CKA", "RSA"}
    rows = table.filter(variable="count", direction="across", network="gru", partner_network="transformer-nope")
    assert found["MAS, count", "gru", "transformer-nope"] == pytest.approx(rows["iia"].mean(), abs=1e-4)
    within = table.filter(variable="count", direction="within", network="gru")
    assert found["MAS, count", "gru", ITSELF] == pytest.approx(within["iia"].mean(), abs=1e-4)
    assert found["CKA", "gru", "transformer-nope"] == found["CKA", "transformer-nope", "gru"]
    assert ("CKA", "gru", ITSELF) not in found


def test_of_several_sizes_of_a_subspace_the_best_on_validation_is_shown():
    table = comparisons.comparison().filter(variable="count")
    worse = table.with_columns(k=2, validation_iia=pl.col("validation_iia") / 2, iia=pl.lit(0.0), low=pl.lit(0.0))
    both = pl.concat([worse.with_columns(pl.col("k").cast(pl.Int64)), table])
    assert cells(comparison(both)) == cells(comparison(table))


def test_tasks_have_panels_and_sizes_are_named_where_a_kind_has_several():
    table = comparisons.comparison()
    tasks = pl.concat([table, table.with_columns(task=pl.lit("same-object"))])
    assert {panel.partition(", ")[0] for panel, _, _ in cells(comparison(tasks))} == {"multi-object", "same-object"}
    large = table.with_columns(d=pl.col("d") * 2, partner_d=pl.col("partner_d") * 2)
    kinds = {kind for _, kind, _ in cells(comparison(pl.concat([table, large])))}
    assert {kind.replace("\u00a0", " ") for kind in kinds} == {
        f"{name}, d = {d}" for name in ("gru", "transformer-nope") for d in (16, 32)
    }


def test_a_comparison_without_similarity_has_its_matrix():
    assert set(draw_figures({"comparison": comparisons.comparison()})) == {"comparison"}
    assert draw_figures({"similarity": comparisons.similarity(), "stitching": comparisons.stitching()}) == {}
