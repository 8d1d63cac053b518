"""Summaries of tables over seeds: scores, gradience, trial accuracies, training, whole-state swaps.

The IIA of several networks is the mean of their IIAs, all seeds with the same weight; its interval is over seeds and
interventions (`statistics.share_over_seeds`). The interval of one network is over interventions alone.
"""

from __future__ import annotations

import polars as pl

from symscope.analysis.columns import GIVEN, PAPER_PROTOCOL
from symscope.analysis.tables import make_table, validate
from symscope.statistics import share_over_seeds

GROUP = ("task", "network", "d", "algorithm", "protocol", "variable")
"""Columns that identify a question: a variable of an algorithm in one kind of network, by one protocol."""

ALIGNMENT = (*GROUP, "site", "function", "k")
"""Columns that identify an alignment over seeds."""


def algorithm_label() -> pl.Expr:
    """The algorithm of a row; with the protocol of its interventions, where that is not the paper's."""
    plain = pl.col("protocol").is_in([PAPER_PROTOCOL, GIVEN])
    return pl.when(plain).then("algorithm").otherwise(pl.format("{}, protocol {}", "algorithm", "protocol"))


NETWORK = ("task", "network", "d", "seed")
"""Columns that identify one trained network."""

PARTNER = {name: f"partner_{name}" for name in ("network", "d", "seed")}
"""Columns of the network that another one on the same task is compared with, by those of that other network."""


def both_orders(pairs: pl.DataFrame) -> pl.DataFrame:
    """Rows on pairs of networks, and once more with the two networks exchanged."""
    exchanged = pairs.rename({**PARTNER, **{partner: name for name, partner in PARTNER.items()}})
    return pl.concat([pairs, exchanged.select(pairs.columns)])


def pooled_scores(scores: pl.DataFrame) -> pl.DataFrame:
    """One row for each alignment and control, over its seeds.

    Columns: those of `ALIGNMENT`, control, iia (mean over seeds), low and high (over seeds and interventions), seed_low
    and seed_high (lowest and highest seed), seeds (their number), n (all interventions) and validation_iia (mean over
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
    """Aggregations of rows with one seed each: mean share, all trials, and the columns that `_with_interval` needs."""
    return {
        share: pl.col(share).mean(),
        "hits": (pl.col(share) * pl.col("n")).round().cast(pl.Int64),
        "trials": pl.col("n"),
        "n": pl.col("n").sum(),
    }


def _with_interval(pooled: pl.DataFrame) -> pl.DataFrame:
    """The frame with `low` and `high` of its shares over seeds and trials, instead of `hits` and `trials`."""
    intervals = [share_over_seeds(tuple(h), tuple(n)) for h, n in pooled.select("hits", "trials").iter_rows()]
    ends = pl.DataFrame(intervals, schema={"low": pl.Float64, "high": pl.Float64}, orient="row")
    return pl.concat([pooled.drop("hits", "trials"), ends], how="horizontal")


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


def quantity_kinds(trials: pl.DataFrame) -> pl.DataFrame:
    """The table `trial_accuracy` with a column kind: `trained`, `held out`, or `extrapolated` (beyond training)."""
    trials = validate("trial_accuracy", trials)
    largest = pl.col("quantity").filter(~pl.col("held_out")).max().over(NETWORK)
    return trials.with_columns(
        kind=pl.when(~pl.col("held_out"))
        .then(pl.lit("trained"))
        .when(pl.col("quantity") > largest)
        .then(pl.lit("extrapolated"))
        .otherwise(pl.lit("held out"))
    )


def trial_accuracies(trials: pl.DataFrame) -> pl.DataFrame:
    """Trial accuracy for each network, seed and kind of quantity.

    Columns: task, network, d, seed, kind, trial_accuracy (share of trials), worst (lowest accuracy of a quantity), n.
    """
    return (
        quantity_kinds(trials)
        .group_by([*NETWORK, "kind"], maintain_order=True)
        .agg(
            trial_accuracy=(pl.col("trial_accuracy") * pl.col("n")).sum() / pl.col("n").sum(),
            worst=pl.col("trial_accuracy").min(),
            n=pl.col("n").sum(),
        )
    )


def learning(trials: pl.DataFrame | None, training: pl.DataFrame | None) -> pl.DataFrame:
    """How well each network learned its task: one row for each network of either table, in order of appearance.

    Columns: those of `NETWORK`; trained, held_out and extrapolated, the trial accuracies on these kinds of quantity
    (null where not measured), each with its number of trials (trained_n, held_out_n, extrapolated_n); updates and
    seconds at the end of training (null without a table of training).
    """
    accuracies = trial_accuracies(make_table("trial_accuracy", []) if trials is None else trials)
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

    The rows of one network have its sites in the order of a forward pass (`site_depth`), the outcome `source` first.
    """
    kind = ["task", "network", "d", "algorithm"]
    pooled = (
        validate("whole_state", whole_state)
        .group_by([*kind, "site", "outcome"], maintain_order=True)
        .agg(
            **_over_seeds("share"),
            seeds=pl.col("seed").n_unique(),
        )
        .with_row_index("position")
        .with_columns(first=pl.col("position").min().over(kind))
        .sort("first", site_depth(), "site", pl.col("outcome") == "base", "position")
        .drop("position", "first")
    )
    return _with_interval(pooled)


def site_depth() -> pl.Expr:
    """Depth of the site of a row: -1 for `embedding`, 1, 2, ... for `layer1`, `layer2`, ...; 0 for further names."""
    number = pl.col("site").str.extract(r"^layer(\d+)$").cast(pl.Int64)
    return pl.when(pl.col("site") == "embedding").then(-1).otherwise(number.fill_null(0))
