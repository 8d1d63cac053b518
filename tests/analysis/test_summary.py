import numpy as np
import polars as pl
import pytest

from symscope.analysis.answers import answers, chosen_alignments, pooled_margin
from symscope.analysis.gradience import AXES, gradience_along
from symscope.analysis.summary import (
    learning,
    pooled_gradience,
    pooled_scores,
    pooled_whole_state,
    quantity_kinds,
    trial_accuracies,
)
from symscope.statistics import hierarchical_bootstrap, wilson


def level(scores, value, **where):
    """The scores with the IIA of some rows, and their intervals, set to a value."""
    low, high = wilson(round(value * 10_000), 10_000)
    rows = pl.all_horizontal(pl.col(column) == wanted for column, wanted in where.items())
    new = {"iia": value, "low": low, "high": high}
    return scores.with_columns(pl.when(rows).then(pl.lit(v)).otherwise(pl.col(c)).alias(c) for c, v in new.items())


def verdict(scores, variable="Count"):
    return answers(scores).filter(pl.col("variable") == variable)["verdict"].item()


def test_every_seed_weighs_the_same(synthetic):
    scores = synthetic.scores().with_columns(n=pl.when(pl.col("seed") == 0).then(30_000).otherwise(10_000))
    alignment = (pl.col("variable") == "Count") & (pl.col("control") == "none")
    first, second = scores.filter(alignment).sort("seed")["iia"]
    row = pooled_scores(scores).filter(alignment).row(0, named=True)
    assert row["iia"] == pytest.approx((first + second) / 2)
    assert row["low"] < row["iia"] < row["high"]
    assert (row["seeds"], row["n"], row["seed_low"], row["seed_high"]) == (
        2,
        40_000,
        min(first, second),
        max(first, second),
    )


def test_the_interval_is_over_seeds_and_interventions(synthetic):
    alignment = (pl.col("variable") == "Count") & (pl.col("control") == "none")
    scores = synthetic.scores(seeds=(0, 1, 2)).filter(alignment)
    spread = scores.with_columns(iia=pl.Series([0.70, 0.80, 0.99]))
    row = pooled_scores(spread).row(0, named=True)
    trials = [np.random.default_rng(0).permutation(np.arange(10_000) < hits) for hits in (7000, 8000, 9900)]
    assert (row["low"], row["high"]) == pytest.approx(hierarchical_bootstrap(trials), abs=1e-9)
    assert row["high"] - row["low"] > 0.2
    same = pooled_scores(scores.with_columns(iia=1.0)).row(0, named=True)  # never surer than the interventions allow
    assert (same["low"], same["high"]) == pytest.approx(wilson(30_000, 30_000))
    alone = pooled_scores(spread.filter(pl.col("seed") == 1)).row(0, named=True)
    assert (alone["low"], alone["high"]) == pytest.approx(wilson(8000, 10_000))


def test_the_pooled_margin_is_over_the_best_null_control_and_never_over_the_whole_state(synthetic):
    row = pooled_margin(synthetic.scores()).filter(pl.col("variable") == "Count").row(0, named=True)
    assert row["best_null"] == "principal_components"
    assert row["pooled_margin"] == pytest.approx(row["iia"] - row["null_iia"])


def test_the_alignment_is_chosen_on_validation_and_the_smallest_on_a_tie(synthetic):
    scores = synthetic.scores(ks=(4, 16, 24)).with_columns(
        validation_iia=pl.when(pl.col("k") == 24).then(0.5).otherwise(0.8)
    )
    chosen = chosen_alignments(scores)
    assert chosen["variable"].to_list() == ["Count", "Phase"]
    assert chosen["k"].to_list() == [4, 4]
    unknown = scores.with_columns(validation_iia=pl.lit(None, dtype=pl.Float64))
    assert chosen_alignments(unknown)["k"].to_list() == [24, 24]


def test_the_answer_is_in_the_span_where_one_is_high_and_the_best_are_reported_with_it(synthetic):
    alignment, variable = pl.col("control") == "none", pl.col("variable") == "Count"
    wide = level(natural(synthetic.scores(ks=(24,)), 0.42), 0.971, control="none", variable="Count")
    oblique = level(natural(synthetic.scores(ks=(8,)), 0.03), 0.946, control="none", variable="Count")
    oblique = oblique.filter(pl.col("variable") != "all").with_columns(
        function=pl.lit("oblique"), validation_iia=pl.when(alignment).then(0.94)
    )
    scores = pl.concat([wide.with_columns(validation_iia=pl.when(alignment).then(0.97)), oblique])
    row = answers(scores).filter(variable).row(0, named=True)
    assert (row["function"], row["k"], row["iia"]) == ("oblique", 8, pytest.approx(0.946))
    assert row["verdict"] == "holds, in the span"
    assert (row["natural_iia"], row["span_iia"]) == (None, pytest.approx(0.946))
    assert row["unrestricted_iia"] == pytest.approx(0.971)


def test_a_natural_alignment_answers_and_its_three_numbers_are_beside_it(synthetic):
    (row,) = answers(synthetic.three_alignments()).iter_rows(named=True)
    assert (row["verdict"], row["function"], row["iia"]) == ("holds", "oblique", pytest.approx(0.93))
    three = (row["natural_iia"], row["span_iia"], row["unrestricted_iia"])
    assert three == pytest.approx((0.93, 0.95, 0.97))
    assert (row["far_out_share"], row["within_class_distance"]) == (0.03, 1.5)
    far_out = pl.when(pl.col("seed") == 0).then(pl.col("far_out_share")).alias("far_out_share")
    (row,) = answers(synthetic.three_alignments().with_columns(far_out)).iter_rows(named=True)
    assert row["verdict"] == "holds, in the span"  # one seed was not measured
    assert (row["natural_iia"], row["far_out_share"]) == (None, None)


def natural(scores, off_span, dormant=0.0):
    """The scores with these shares for their alignments."""
    alignment = pl.col("control") == "none"
    values = {"off_span_share": off_span, "dormant_share": dormant}
    return scores.with_columns(
        pl.when(alignment).then(pl.lit(v, dtype=pl.Float64)).otherwise(pl.col(c)).alias(c) for c, v in values.items()
    )


def test_the_verdict_of_an_answer_uses_the_least_natural_seed(synthetic):
    scores = synthetic.scores()
    assert verdict(natural(scores, 0.2, 0.2)) == "holds, in the span"
    assert verdict(natural(scores, 0.05, None)) == "holds, in the span"
    assert verdict(natural(scores, 0.43, 0.1)) == "off-manifold"
    assert verdict(natural(scores, 0.1, 0.35)) == "off-manifold"
    assert verdict(natural(scores, None)) == "naturalness not measured"
    one_seed_is = pl.when(pl.col("seed") == 1).then(0.3).otherwise(pl.col("off_span_share")).alias("off_span_share")
    assert verdict(natural(scores, 0.1).with_columns(one_seed_is)) == "off-manifold"
    not_everywhere = pl.when(pl.col("seed") == 0).then(pl.col("off_span_share")).alias("off_span_share")
    assert verdict(natural(scores, 0.1).with_columns(not_everywhere)) == "naturalness not measured"


def test_verdicts_follow_the_stated_rule(synthetic):
    count = {"variable": "Count", "control": "none"}
    scores = synthetic.scores()
    assert verdict(level(scores, 0.89, **count)) == "partly"
    assert verdict(level(scores, 0.30, seed=0, **count)) == "in some seeds"
    assert verdict(level(scores, 0.30, **count)) == "not found"
    assert verdict(level(scores, 0.97, variable="Count", control="untrained")) == "not found"
    assert verdict(scores.filter(pl.col("control") == "none")) == "no control"


def test_a_study_without_parts_has_no_answers(synthetic):
    assert answers(synthetic.scores().filter(pl.col("variable") == "all")).is_empty()


def test_quantities_beyond_training_are_extrapolated(synthetic):
    kinds = quantity_kinds(synthetic.trial_accuracy(seeds=(0,), largest=22))
    named = dict(kinds.select("quantity", "kind").iter_rows())
    assert (named[3], named[17], named[21]) == ("trained", "held out", "extrapolated")
    assert trial_accuracies(kinds.drop("kind")).filter(pl.col("kind") == "held out")["n"].to_list() == [60]


def test_gradience_is_pooled_over_seeds(synthetic):
    table = synthetic.gradience(variables=("Count",))
    pooled = pooled_gradience(table)
    assert pooled["n"].sum() == table["n"].sum()
    assert (pooled["iia"] * pooled["n"]).sum() == pytest.approx((table["iia"] * table["n"]).sum())


def test_learning_has_a_row_a_network_with_its_last_update(synthetic):
    tables = synthetic.zoo()
    rows = learning(tables["trial_accuracy"], tables["training"])
    assert rows.height == 40
    assert rows.select("task", "network").row(0) == ("multi-object", "gru")
    first = rows.row(0, named=True)
    assert (first["trained"], first["held_out"], first["extrapolated"]) == (1.0, 1.0, 0.0)
    assert (first["trained_n"], first["held_out_n"], first["extrapolated_n"]) == (16 * 15, 4 * 15, 10 * 15)
    assert (first["updates"], first["seconds"]) == (880, pytest.approx(880 * 0.016))
    assert rows.filter(pl.col("trained") < 0.9).select("task", "network").rows() == [
        ("multi-object", "transformer-nope"),
        ("square", "transformer-nope"),
        ("arithmetic", "transformer-nope"),
    ]


def test_learning_agrees_with_the_trials_counted_one_by_one(synthetic):
    table = synthetic.trial_accuracy(largest=30)
    row = learning(table, None).filter(pl.col("seed") == 1).row(0, named=True)
    trials = table.filter(seed=1).rows(named=True)
    for name, chosen in (
        ("trained", [t for t in trials if not t["held_out"]]),
        ("held_out", [t for t in trials if t["held_out"] and t["quantity"] <= 20]),
        ("extrapolated", [t for t in trials if t["quantity"] > 20]),
    ):
        assert row[name] == pytest.approx(sum(t["trial_accuracy"] * t["n"] for t in chosen) / row[f"{name}_n"])
    assert row["updates"] is None


def test_a_network_without_behaviour_or_training_has_a_row_all_the_same(synthetic):
    rows = learning(synthetic.trial_accuracy(seeds=(0,)), synthetic.training(seeds=(1,)))
    assert rows.select("seed", "updates").rows() == [(0, None), (1, 1600)]
    assert rows["trained"].null_count() == 1
    assert rows["extrapolated"].to_list() == [None, None]
    empty = learning(None, None)
    assert empty.is_empty()
    assert empty.columns == rows.columns


def test_whole_state_swaps_are_pooled_over_seeds(synthetic):
    table = synthetic.whole_state()
    row = pooled_whole_state(table).filter(pl.col("outcome") == "source").row(0, named=True)
    assert row["share"] == pytest.approx(table.filter(pl.col("outcome") == "source")["share"].mean())
    assert (row["seeds"], row["n"]) == (2, 2000)
    assert row["low"] < row["share"] <= row["high"]


def test_the_sites_of_whole_state_swaps_go_from_the_embedding_upwards(synthetic):
    table = synthetic.whole_state(network="transformer-rope", seeds=(0,))
    ten = table.filter(pl.col("site") == "layer2").with_columns(site=pl.lit("layer10"))
    rows = pooled_whole_state(pl.concat([synthetic.whole_state(), ten, table[::-1]]))
    assert rows["site"].unique(maintain_order=True).to_list() == ["h", "embedding", "layer1", "layer2", "layer10"]
    assert rows["outcome"].to_list() == ["source", "base"] * 5


def test_claims_are_corrected_for_their_number_and_the_worst_seed_speaks(synthetic):
    scores = synthetic.scores()
    p = {("Count", 0): 0.001, ("Count", 1): 0.02, ("Phase", 0): 0.03, ("Phase", 1): 0.004}
    alignment = (pl.col("control") == "none") & (pl.col("variable") != "all")
    of = pl.concat_str("variable", pl.lit("/"), "seed").replace_strict(
        {f"{variable}/{seed}": value for (variable, seed), value in p.items()}, default=None, return_dtype=pl.Float64
    )
    scores = scores.with_columns(
        selectivity_p=pl.when(alignment).then(of),
        off_span_share=pl.when(alignment).then(pl.col("seed") * 0.25),
        dormant_share=None,
    )
    rows = answers(scores)
    assert rows["p"].to_list() == [0.02, 0.03]
    assert rows["p_holm"].to_list() == pytest.approx([0.04, 0.04])
    assert rows["off_span_share"].to_list() == [0.25, 0.25]
    assert rows["dormant_share"].to_list() == [None, None]
    assert answers(synthetic.scores())["p_holm"].to_list() == [None, None]


def test_gradience_along_an_axis_counts_every_intervention_once(synthetic):
    cells = synthetic.gradience(seeds=(0, 1, 2))
    along = gradience_along(cells)
    for axis in AXES:
        for kind in ("pooled", "seed"):
            rows = along.filter((pl.col("axis") == axis) & (pl.col("kind") == kind))
            assert rows["n"].sum() == cells["n"].sum()
    cells_of_seed = cells.filter(variable="Count", seed=1).filter(
        (pl.col("base_value") - pl.col("source_value")).abs() == 3
    )
    row = along.filter(variable="Count", axis="difference", at=3, seed=1).row(0, named=True)
    assert row["iia"] == pytest.approx((cells_of_seed["iia"] * cells_of_seed["n"]).sum() / cells_of_seed["n"].sum())
    pooled = along.filter(variable="Count", axis="difference", at=3, kind="pooled").row(0, named=True)
    of_seeds = along.filter(variable="Count", axis="difference", at=3, kind="seed")["iia"]
    assert pooled["iia"] == pytest.approx(of_seeds.mean())
    assert pooled["low"] < pooled["iia"] < pooled["high"]
