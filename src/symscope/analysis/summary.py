"""From the table of scores to what a reader asks first: how high, how sure, against which controls, and so what.

The IIA of several networks is the mean of their shares of right interventions, each seed weighing the same, with an
interval over seeds and interventions (`statistics.share_over_seeds`). Of one network the interval speaks of the
interventions only. The lowest and highest seed stand beside it everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from symscope.analysis.schemas import ALL_VARIABLES, NULL_CONTROLS
from symscope.analysis.tables import make_table, validate
from symscope.statistics import holm, share_over_seeds
from symscope.verdict import HIGH_IIA, MAX_DIVERGENCE

GROUP = ("task", "network", "d", "algorithm", "variable")
"""What a question is asked about: a variable of an algorithm in one kind of network."""

ALIGNMENT = (*GROUP, "site", "function", "k")
"""What an answer is given with: a question and one way of aligning."""

NETWORK = ("task", "network", "d", "seed")
"""What names one trained network."""

VERDICTS: Mapping[str, str] = MappingProxyType(
    {
        "holds": f"in every seed the lower end of the 95% interval of the IIA is at least {HIGH_IIA:g} and lies above "
        "the upper end of every null control, and rewritten states are like natural ones: at most "
        f"{MAX_DIVERGENCE:.0%} of their norm lies outside the span of natural states, and at most "
        f"{MAX_DIVERGENCE:.0%} of the effect is dormant, that is lost when only that span is written",
        "off natural states": "the IIA is as high, but in some seed more than that lies outside the natural span or is "
        "dormant, or it was not measured: the network can be steered as if it held the variable, but not by states "
        "that it is ever in itself",
        "partly": f"above every null control in every seed, but not {HIGH_IIA:g} in every one",
        "in some seeds": "above every null control in some seeds only",
        "not found": "above every null control in none",
        "no control": "no null control was measured, so nothing is concluded",
    }
)
"""Every verdict of `answers`, and when it is given: the first that fits."""


def pooled_scores(scores: pl.DataFrame) -> pl.DataFrame:
    """One row for each alignment and control, over its seeds.

    Columns: those of `ALIGNMENT`, control, iia (mean over seeds), low and high (over seeds and interventions), seed_low
    and seed_high (lowest and highest seed), seeds (how many), n (interventions in all) and validation_iia (mean over
    seeds, null where a seed has none).
    """
    pooled = (
        validate("scores", scores)
        .group_by([*ALIGNMENT, "control"], maintain_order=True)
        .agg(
            **_over_seeds("iia"),
            seed_low=pl.col("iia").min(),
            seed_high=pl.col("iia").max(),
            seeds=pl.col("seed").n_unique(),
            validation_iia=pl.when(pl.col("validation_iia").null_count() == 0).then(pl.col("validation_iia").mean()),
        )
    )
    order = [*ALIGNMENT, "control", "iia", "low", "high", "seed_low", "seed_high", "seeds", "n", "validation_iia"]
    return _with_interval(pooled).select(order)


def _over_seeds(share: str) -> dict[str, pl.Expr]:
    """Of rows that are one seed each: the mean share, the trials in all, and what `_with_interval` needs."""
    return {
        share: pl.col(share).mean(),
        "hits": (pl.col(share) * pl.col("n")).round().cast(pl.Int64),
        "trials": pl.col("n"),
        "n": pl.col("n").sum(),
    }


def _with_interval(pooled: pl.DataFrame) -> pl.DataFrame:
    """The frame with `low` and `high` of its shares over seeds and trials, in place of `hits` and `trials`."""
    intervals = [share_over_seeds(tuple(h), tuple(n)) for h, n in pooled.select("hits", "trials").iter_rows()]
    ends = pl.DataFrame(intervals, schema={"low": pl.Float64, "high": pl.Float64}, orient="row")
    return pl.concat([pooled.drop("hits", "trials"), ends], how="horizontal")


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
    seeds_above (seeds whose interval lies above every null control), lowest (lower end of the lowest seed's interval),
    the least favourable seed's cause, isolation, outside and dormant (null when not measured), p (of being above every
    null control in every seed) and p_holm (that, corrected for the number of questions), and verdict (one of
    `VERDICTS`).
    """
    chosen = chosen_alignments(scores)
    rows = chosen.join(selectivity(scores), on=ALIGNMENT, how="left", maintain_order="left")
    whole = pooled_scores(scores).filter((pl.col("control") == "none") & (pl.col("variable") == ALL_VARIABLES))
    network = [column for column in GROUP if column != "variable"]
    ceiling = whole.group_by(network).agg(ceiling=pl.col("iia").max())
    rows = rows.join(ceiling, on=network, how="left", maintain_order="left")
    rows = rows.join(_seed_facts(scores), on=ALIGNMENT, how="left", maintain_order="left")
    rows = rows.with_columns(p_holm=_corrected(rows.get_column("p")))
    above = pl.col("seeds_above") == pl.col("seeds")
    high = above & (pl.col("lowest") >= HIGH_IIA)
    # No dormant share where the swap changes nothing that follows: then the distance alone speaks.
    natural = (pl.col("off_span_share") <= MAX_DIVERGENCE) & (pl.col("dormant_share").fill_null(0) <= MAX_DIVERGENCE)
    return rows.with_columns(
        verdict=pl.when(pl.col("null_high").is_null())
        .then(pl.lit("no control"))
        .when(high & natural.fill_null(value=False))
        .then(pl.lit("holds"))
        .when(high)
        .then(pl.lit("off natural states"))
        .when(above)
        .then(pl.lit("partly"))
        .when(pl.col("seeds_above") > 0)
        .then(pl.lit("in some seeds"))
        .otherwise(pl.lit("not found"))
    ).drop("null_high")


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
            off_span_share=pl.when(pl.col("off_span_share").null_count() == 0).then(pl.col("off_span_share").max()),
            dormant_share=pl.col("dormant_share").max(),
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
    behaviour = validate("trial_accuracy", behaviour)
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
    accuracies = trial_accuracies(make_table("trial_accuracy", []) if behaviour is None else behaviour)
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
    """Whole-state swaps over seeds: task, network, d, algorithm, site, outcome, share, seeds, n, low, high.

    The rows of one network go through its sites as a forward pass does (`site_depth`), the outcome `source` first.
    """
    kind = ["task", "network", "d", "algorithm"]
    pooled = (
        validate("whole_state", whole_state)
        .group_by([*kind, "site", "outcome"], maintain_order=True)
        .agg(
            **_over_seeds("share"),
            seeds=pl.col("seed").n_unique(),
        )
        .with_row_index("place")
        .with_columns(first=pl.col("place").min().over(kind))
        .sort("first", site_depth(), "site", pl.col("outcome") == "base", "place")
        .drop("place", "first")
    )
    return _with_interval(pooled)


def site_depth() -> pl.Expr:
    """How deep the site of a row lies: `embedding`, `layer1`, `layer2`, ...; 0 for every other name."""
    number = pl.col("site").str.extract(r"^layer(\d+)$").cast(pl.Int64)
    return pl.when(pl.col("site") == "embedding").then(-1).otherwise(number.fill_null(0))
