"""From the table of scores to what a reader asks first: how high, how sure, against which controls, and so what.

Seeds are pooled: the IIA of several networks is the share of right interventions over all of them, with a Wilson
interval on the pooled counts. That interval speaks for these networks only; how far networks differ from each other is
said by the lowest and highest seed, which stand beside it everywhere.
"""

from __future__ import annotations

import polars as pl

from symscope.analysis.tables import ALL_VARIABLES, make_table, validate
from symscope.statistics import holm, wilson

GROUP = ("task", "network", "d", "algorithm", "variable")
"""What a question is asked about: a variable of an algorithm in one kind of network."""

ALIGNMENT = (*GROUP, "site", "function", "k")
"""What an answer is given with: a question and one way of aligning."""

NULL_CONTROLS = ("untrained", "shuffled-values", "random-subspace", "principal-components")
"""Controls that an alignment must beat: what one gets without having found the variable in the trained network."""

HIGH_IIA = 0.9
"""An IIA counts as high when the lower end of its interval reaches this."""

NETWORK = ("task", "network", "d", "seed")
"""What names one trained network."""

VERDICTS = ("holds", "partly", "in some seeds", "not found", "no control")

VERDICT_RULE = (
    f"holds: in every seed the lower end of the 95% interval of the IIA is at least {HIGH_IIA:g} and lies above the "
    "upper end of every null control; partly: above every null control in every seed, but not "
    f"{HIGH_IIA:g} in every one; in some seeds: above every null control in some seeds only; not found: in none; "
    "no control: no null control was measured, so nothing is concluded."
)
"""How `answers` decides, in words for a reader."""


def pooled_scores(scores: pl.DataFrame) -> pl.DataFrame:
    """One row for each alignment and control, over its seeds.

    Columns: those of `ALIGNMENT`, control, iia (share of right interventions over all seeds), low and high (Wilson on
    the pooled counts), seed_low and seed_high (lowest and highest seed), seeds (how many), n (interventions in all) and
    validation_iia (mean over seeds, null where a seed has none).
    """
    pooled = (
        validate("scores", scores)
        .group_by([*ALIGNMENT, "control"], maintain_order=True)
        .agg(
            iia=(pl.col("iia") * pl.col("n")).sum() / pl.col("n").sum(),
            seed_low=pl.col("iia").min(),
            seed_high=pl.col("iia").max(),
            seeds=pl.col("seed").n_unique(),
            validation_iia=pl.when(pl.col("validation_iia").null_count() == 0).then(pl.col("validation_iia").mean()),
            n=pl.col("n").sum(),
        )
    )
    order = [*ALIGNMENT, "control", "iia", "low", "high", "seed_low", "seed_high", "seeds", "n", "validation_iia"]
    return _with_interval(pooled, "iia").select(order)


def _with_interval(pooled: pl.DataFrame, share: str) -> pl.DataFrame:
    """The frame with `low` and `high`, the Wilson interval of its column of shares of `n`."""
    intervals = [wilson(round(value * n), n) for value, n in pooled.select(share, "n").iter_rows()]
    ends = pl.DataFrame(intervals, schema={"low": pl.Float64, "high": pl.Float64}, orient="row")
    return pl.concat([pooled, ends], how="horizontal")


def selectivity(scores: pl.DataFrame) -> pl.DataFrame:
    """The rows of `pooled_scores` that are found alignments, each with its best null control.

    Adds best_null (which control), null_iia, and selectivity (iia - null_iia); null where no null control was measured.
    """
    pooled = pooled_scores(scores)
    best = (
        pooled.filter(pl.col("control").is_in(NULL_CONTROLS))
        .sort("iia", descending=True, maintain_order=True)
        .group_by(ALIGNMENT, maintain_order=True)
        .agg(best_null=pl.col("control").first(), null_iia=pl.col("iia").first())
    )
    found = pooled.filter(pl.col("control") == "none").drop("control")
    joined = found.join(best, on=ALIGNMENT, how="left", maintain_order="left")
    return joined.with_columns(selectivity=pl.col("iia") - pl.col("null_iia"))


def chosen_alignments(scores: pl.DataFrame) -> pl.DataFrame:
    """For each question the alignment to report: best on validation, on a tie the smallest k; never chosen on test.

    Where no alignment of a question has a validation IIA, the one with the largest k is taken. Returns the columns of
    `ALIGNMENT`, one row a question, in order of appearance; whole-state swaps are no candidates.
    """
    found = pooled_scores(scores).filter((pl.col("control") == "none") & (pl.col("variable") != ALL_VARIABLES))
    unknown = pl.col("validation_iia").is_null().all().over(GROUP)
    tie_break = pl.when(unknown).then(-pl.col("k")).otherwise(pl.col("k"))
    return (
        found.with_columns(order=pl.int_range(pl.len()), tie_break=tie_break)
        .with_columns(question=pl.col("order").min().over(GROUP))
        .sort(
            "question",
            "validation_iia",
            "tie_break",
            "order",
            descending=[False, True, False, False],
            nulls_last=True,
        )
        .group_by(GROUP, maintain_order=True)
        .first()
        .select(ALIGNMENT)
    )


def answers(scores: pl.DataFrame) -> pl.DataFrame:
    """One row a question: the chosen alignment with its IIA, interval, best null control, ceiling, and the verdict.

    Columns: those of `selectivity`, ceiling (IIA of the whole-state swap in the same networks, null when not measured),
    seeds_above (seeds whose interval lies above every null control), the least favourable seed's cause, isolation,
    outside and dormant (null when not measured), p (of being above every null control in every seed) and p_holm (that,
    corrected for the number of questions), and verdict (one of `VERDICTS`, by `VERDICT_RULE`).
    """
    chosen = chosen_alignments(scores)
    rows = chosen.join(selectivity(scores), on=ALIGNMENT, how="left", maintain_order="left")
    whole = pooled_scores(scores).filter((pl.col("control") == "none") & (pl.col("variable") == ALL_VARIABLES))
    network = [column for column in GROUP if column != "variable"]
    ceiling = whole.group_by(network).agg(ceiling=pl.col("iia").max())
    rows = rows.join(ceiling, on=network, how="left", maintain_order="left")
    rows = rows.join(_seed_facts(scores), on=ALIGNMENT, how="left", maintain_order="left")
    rows = rows.with_columns(p_holm=_corrected(rows.get_column("p")))
    return rows.with_columns(
        verdict=pl.when(pl.col("null_high").is_null())
        .then(pl.lit("no control"))
        .when((pl.col("seeds_above") == pl.col("seeds")) & (pl.col("lowest") >= HIGH_IIA))
        .then(pl.lit("holds"))
        .when(pl.col("seeds_above") == pl.col("seeds"))
        .then(pl.lit("partly"))
        .when(pl.col("seeds_above") > 0)
        .then(pl.lit("in some seeds"))
        .otherwise(pl.lit("not found"))
    ).drop("null_high", "lowest")


def _seed_facts(scores: pl.DataFrame) -> pl.DataFrame:
    """For each alignment: the highest end of its null controls' intervals, its seeds above that, its worst seed."""
    null = scores.filter(pl.col("control").is_in(NULL_CONTROLS)).group_by(ALIGNMENT).agg(null_high=pl.col("high").max())
    return (
        scores.filter(pl.col("control") == "none")
        .join(null, on=ALIGNMENT, how="left")
        .group_by(ALIGNMENT)
        .agg(
            null_high=pl.col("null_high").first(),
            seeds_above=(pl.col("low") > pl.col("null_high")).sum(),
            lowest=pl.col("low").min(),
            cause=pl.col("cause_iia").min(),
            isolation=pl.col("isolation_iia").min(),
            outside=pl.col("outside").max(),
            dormant=pl.col("dormant").max(),
            # Above in every seed only if above in each: the highest p needs no correction for the seeds.
            p=pl.when(pl.col("selectivity_p").null_count() == 0).then(pl.col("selectivity_p").max()),
        )
    )


def _corrected(p: pl.Series) -> pl.Series:
    """Holm's correction over the claims that have a p-value."""
    known = p.is_not_null()
    corrected = iter(holm(p.filter(known).to_list()))
    return pl.Series([next(corrected) if there else None for there in known], dtype=pl.Float64)


def pooled_gradience(gradience: pl.DataFrame) -> pl.DataFrame:
    """Gradience over seeds: columns of `ALIGNMENT`, base_value, source_value, iia (share over all seeds), seeds, n."""
    return (
        validate("gradience", gradience)
        .group_by([*ALIGNMENT, "base_value", "source_value"], maintain_order=True)
        .agg(
            iia=(pl.col("iia") * pl.col("n")).sum() / pl.col("n").sum(),
            seeds=pl.col("seed").n_unique(),
            n=pl.col("n").sum(),
        )
        .sort(*ALIGNMENT, "base_value", "source_value")
    )


def quantity_kinds(behaviour: pl.DataFrame) -> pl.DataFrame:
    """Behaviour with a column kind: `trained`, `held out`, or `extrapolated` (beyond every trained quantity)."""
    behaviour = validate("behaviour", behaviour)
    largest = pl.col("quantity").filter(~pl.col("held_out")).max().over(NETWORK)
    return behaviour.with_columns(
        kind=pl.when(~pl.col("held_out"))
        .then(pl.lit("trained"))
        .when(pl.col("quantity") > largest)
        .then(pl.lit("extrapolated"))
        .otherwise(pl.lit("held out"))
    )


def trial_accuracies(behaviour: pl.DataFrame) -> pl.DataFrame:
    """Trial accuracy for each network, seed and kind of quantity.

    Columns: task, network, d, seed, kind, trial_accuracy (share of trials), worst (lowest accuracy of a quantity), n.
    """
    return (
        quantity_kinds(behaviour)
        .group_by([*NETWORK, "kind"], maintain_order=True)
        .agg(
            trial_accuracy=(pl.col("trial_accuracy") * pl.col("n")).sum() / pl.col("n").sum(),
            worst=pl.col("trial_accuracy").min(),
            n=pl.col("n").sum(),
        )
    )


def learning(behaviour: pl.DataFrame | None, training: pl.DataFrame | None) -> pl.DataFrame:
    """What learned what: one row for each network of either table, in order of appearance.

    Columns: those of `NETWORK`; trained, held_out and extrapolated, the trial accuracies on these kinds of quantity
    (null where none was measured), each with its number of trials (trained_n, held_out_n, extrapolated_n); updates and
    seconds at the end of training (null where training left no table).
    """
    accuracies = trial_accuracies(make_table("behaviour", []) if behaviour is None else behaviour)
    training = validate("training", make_table("training", []) if training is None else training)
    rows = pl.concat([accuracies.select(NETWORK), training.select(NETWORK)]).unique(maintain_order=True)
    for kind in ("trained", "held out", "extrapolated"):
        name = kind.replace(" ", "_")
        part = accuracies.filter(pl.col("kind") == kind)
        part = part.select(*NETWORK, pl.col("trial_accuracy").alias(name), pl.col("n").alias(f"{name}_n"))
        rows = rows.join(part, on=NETWORK, how="left", maintain_order="left")
    last = (
        training.sort("update").group_by(NETWORK).agg(updates=pl.col("update").last(), seconds=pl.col("seconds").last())
    )
    return rows.join(last, on=NETWORK, how="left", maintain_order="left")


def pooled_whole_state(whole_state: pl.DataFrame) -> pl.DataFrame:
    """Whole-state swaps over seeds: task, network, d, algorithm, site, outcome, share, seeds, n, low, high (Wilson).

    The rows of one network go through its sites as a forward pass does (`site_depth`), the outcome `source` first.
    """
    kind = ["task", "network", "d", "algorithm"]
    pooled = (
        validate("whole_state", whole_state)
        .group_by([*kind, "site", "outcome"], maintain_order=True)
        .agg(
            share=(pl.col("share") * pl.col("n")).sum() / pl.col("n").sum(),
            seeds=pl.col("seed").n_unique(),
            n=pl.col("n").sum(),
        )
        .with_row_index("place")
        .with_columns(first=pl.col("place").min().over(kind))
        .sort("first", site_depth(), "site", pl.col("outcome") == "base", "place")
        .drop("place", "first")
    )
    return _with_interval(pooled, "share")


def site_depth() -> pl.Expr:
    """How deep the site of a row lies: `embedding`, `layer1`, `layer2`, ...; 0 for every other name."""
    number = pl.col("site").str.extract(r"^layer(\d+)$").cast(pl.Int64)
    return pl.when(pl.col("site") == "embedding").then(-1).otherwise(number.fill_null(0))
