"""What a claim comes to in the tables at hand: for each, how large an effect, in which networks.

Every effect is a weighted sum of means over networks that differ in nothing but their seed. A kind is such networks:
one task, one architecture, one size. Only networks that solved their task count, and kinds of which at least
`LEAST_SEEDS` did; where no kind has so many the effect is told all the same, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from symscope.analysis.answers import chosen_alignments
from symscope.analysis.summary import ALIGNMENT, NETWORK, trial_accuracies
from symscope.statistics import Estimate
from symscope.verdict import HIGH_IIA

Tables: TypeAlias = Mapping[str, pl.DataFrame]

SOLVED = 0.9999
"""Trial accuracy, on trained and on held-out quantities each, from which on a network has solved its task."""

LEAST_SEEDS = 3
"""Networks of a kind that a claim needs to be decided."""

KIND = ("task", "network", "d")
UP_DOWN, UP_UP = "up-down", "up-up"
COUNTS = ("count", "demo_count", "resp_count")
"""The variables of Up-Down and Up-Up that are numbers."""

RECURRENT = pl.col("network").str.contains("^(gru|lstm)")
TRANSFORMER = pl.col("network").str.starts_with("transformer")
SAME_OBJECT = pl.col("task").str.starts_with("same-object")
OTHER_OBJECT = pl.col("task").str.contains("^(multi|single)-object")


@dataclass(frozen=True)
class Effect:
    """Groups of networks with their weights, and the kinds that they are of, in words."""

    groups: tuple[tuple[float, tuple[Estimate, ...]], ...]
    networks: str

    @property
    def seeds(self) -> int:
        """How many networks the smallest group has."""
        return min(len(networks) for _, networks in self.groups)


def solved_networks(behaviour: pl.DataFrame) -> pl.DataFrame:
    """The networks (task, network, d, seed) of the table `behaviour` that solved their task: see `SOLVED`."""
    accuracies = trial_accuracies(behaviour).filter(pl.col("kind") != "extrapolated")
    reached = accuracies.group_by(NETWORK, maintain_order=True).agg(pl.col("trial_accuracy").min())
    return reached.filter(pl.col("trial_accuracy") >= SOLVED).select(NETWORK)


def of_solved(tables: Tables, name: str) -> pl.DataFrame | None:
    """The rows of a table about networks that solved their task; None where there are none, or no behaviour."""
    if name not in tables or "trial_accuracy" not in tables:
        return None
    frame = tables[name].join(solved_networks(tables["trial_accuracy"]), on=NETWORK, how="semi", maintain_order="left")
    return None if frame.is_empty() else frame


def _found(tables: Tables) -> pl.DataFrame | None:
    """The scores of the alignment chosen for each question, one row a network, in solved networks."""
    scores = of_solved(tables, "scores")
    if scores is None:
        return None
    found = scores.filter(pl.col("control") == "none")
    return found.join(chosen_alignments(scores), on=ALIGNMENT, how="semi", maintain_order="left")


def _estimates(cells: pl.DataFrame, weight: pl.Expr) -> pl.DataFrame:
    """One row a network: the weighted sum of the shares `iia` of its cells, and its variance over their `n` trials.

    The variance takes a share to be a little off 0 and 1 (Laplace), so none is held to be known exactly.
    """
    share = (pl.col("iia") * pl.col("n") + 1) / (pl.col("n") + 2)
    return (
        cells.with_columns(weight=weight)
        .group_by(NETWORK, maintain_order=True)
        .agg(
            value=(pl.col("weight") * pl.col("iia")).sum(),
            variance=(pl.col("weight") ** 2 * share * (1 - share) / pl.col("n")).sum(),
        )
    )


def _contrast(units: pl.DataFrame, weights: Callable[[pl.DataFrame], pl.DataFrame]) -> Effect | None:
    """The effect that weighs the mean of each kind; None where no kind has a weight.

    Args:
        units: one row a network, as `_estimates` gives it.
        weights: from the kinds (one row each) to the same with a column `weight`; kinds without one left out.
    """
    kinds = units.group_by(KIND, maintain_order=True).agg(pl.len().alias("seeds"))
    weighed = weights(kinds.filter(pl.col("seeds") >= LEAST_SEEDS))
    weighed = weights(kinds) if weighed.is_empty() else weighed
    if weighed.is_empty():
        return None
    groups, told = [], []
    for row in weighed.iter_rows(named=True):
        mine = units.join(weighed.filter(*(pl.col(name) == row[name] for name in KIND)), on=KIND, how="semi")
        estimates = tuple(Estimate(*pair) for pair in mine.select("value", "variance").iter_rows())
        groups.append((row["weight"], estimates))
        told.append(f"{row['network']} d = {row['d']} on {row['task']} ({len(estimates)})")
    return Effect(tuple(groups), "; ".join(told))


def _mean(kinds: pl.DataFrame) -> pl.DataFrame:
    return kinds.with_columns(weight=1 / pl.len())


def _less(plus: pl.Expr, minus: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The mean of some kinds less that of others of the same architecture and size."""

    def weights(kinds: pl.DataFrame) -> pl.DataFrame:
        signed = kinds.with_columns(side=pl.when(plus).then(1).when(minus).then(-1)).drop_nulls("side")
        alike = ["network", "d"]
        signed = signed.filter(pl.col("side").n_unique().over(alike) == 2)
        blocks = signed.select(alike).n_unique()
        return signed.with_columns(weight=pl.col("side") / pl.len().over(*alike, "side") / blocks)

    return weights


def _by_size(kinds: pl.DataFrame) -> pl.DataFrame:
    """The slope over the logarithm of the size, for each task and architecture of several sizes; their mean."""
    line = ["task", "network"]
    several = kinds.filter(pl.col("d").n_unique().over(line) > 1)
    if several.is_empty():
        return several.with_columns(weight=pl.lit(0.0))
    x = pl.col("d").log(2) - pl.col("d").log(2).mean().over(line)
    return several.with_columns(weight=x / (x**2).sum().over(line) / several.select(line).n_unique())


def _paired(rows: pl.DataFrame, plus: pl.Expr, minus: pl.Expr) -> pl.DataFrame:
    """One row a network that has both: the mean share of some of its rows less that of others."""
    signed = rows.with_columns(side=pl.when(plus).then(1).when(minus).then(-1)).drop_nulls("side")
    both = signed.filter(pl.col("side").n_unique().over(NETWORK) == 2)
    return _estimates(both, pl.col("side") / pl.len().over(*NETWORK, "side"))


def over_up_up(tables: Tables, *, counts_only: bool) -> Effect | None:
    """How much better the variables of Up-Down are aligned than those of Up-Up, in the same recurrent networks."""
    found = _found(tables)
    if found is None:
        return None
    rows = found.filter(RECURRENT, pl.col("variable").is_in(COUNTS) if counts_only else pl.lit(value=True))
    return _contrast(_paired(rows, pl.col("algorithm") == UP_DOWN, pl.col("algorithm") == UP_UP), _mean)


def over_same_object(tables: Tables) -> Effect | None:
    """How much better Up-Down is aligned in recurrent networks of Multi- and Single-Object than of Same-Object."""
    found = _found(tables)
    if found is None:
        return None
    rows = found.filter(RECURRENT, pl.col("algorithm") == UP_DOWN)
    return _contrast(_estimates(rows, 1 / pl.len().over(NETWORK)), _less(OTHER_OBJECT, SAME_OBJECT))


def _swaps(tables: Tables, outcome: str) -> pl.DataFrame | None:
    swaps = of_solved(tables, "whole_state")
    return None if swaps is None else swaps.filter(pl.col("outcome") == outcome).rename({"share": "iia"})


def follows_whole_state(tables: Tables) -> Effect | None:
    """How much more often recurrent networks follow a swapped whole state than transformers do, each at its best."""
    swaps = _swaps(tables, "source")
    if swaps is None:
        return None
    best = swaps.sort("iia", descending=True, maintain_order=True).unique(NETWORK, keep="first", maintain_order=True)

    def weights(kinds: pl.DataFrame) -> pl.DataFrame:
        signed = kinds.with_columns(side=pl.when(RECURRENT).then(1).when(TRANSFORMER).then(-1)).drop_nulls("side")
        signed = signed.filter(pl.col("side").n_unique().over("task") == 2)
        return signed.with_columns(weight=pl.col("side") / pl.len().over("task", "side") / pl.col("task").n_unique())

    return _contrast(_estimates(best, pl.lit(1.0)), weights)


def goes_on_as_base(tables: Tables) -> Effect | None:
    """How often a transformer goes on as if no state had been swapped after its first layer (the Ctx-Distr score)."""
    swaps = _swaps(tables, "base")
    if swaps is None:
        return None
    deep = (pl.col("site") == "layer2").any().over(NETWORK)  # after the last layer there is nothing to recompute
    rows = swaps.filter(TRANSFORMER & deep, pl.col("site") == "layer1")
    return _contrast(_estimates(rows, pl.lit(1.0)), _mean)


def by_size(tables: Tables) -> Effect | None:
    """How much the alignment of Up-Down gains with each doubling of a recurrent network's state."""
    found = _found(tables)
    if found is None:
        return None
    rows = found.filter(RECURRENT, pl.col("algorithm") == UP_DOWN)
    return _contrast(_estimates(rows, 1 / pl.len().over(NETWORK)), _by_size)


def _cells(tables: Tables) -> pl.DataFrame | None:
    """Cells of the gradience of Up-Down's count, of the chosen alignment, in solved recurrent networks."""
    cells = of_solved(tables, "gradience")
    if cells is None or "scores" not in tables:
        return None
    cells = cells.join(chosen_alignments(tables["scores"]), on=ALIGNMENT, how="semi", maintain_order="left")
    return cells.filter(RECURRENT, pl.col("algorithm") == UP_DOWN, pl.col("variable") == "count")


def _falls(cells: pl.DataFrame, which: str) -> pl.DataFrame:
    """One row a network: how much its IIA falls with ten more of the `quantity` or `difference`, the other the same.

    Quantity is the mean of the values in base and source. The fall is that of a weighted least-squares plane.
    """
    parts = []
    for _, mine in cells.group_by(NETWORK, maintain_order=True):
        base, source, n = (mine.get_column(name).to_numpy() for name in ("base_value", "source_value", "n"))
        axes = {"quantity": (base + source) / 2, "difference": abs(base - source)}
        design = np.column_stack([np.ones(len(n)), *axes.values()])
        solved = np.linalg.pinv(design.T @ (n[:, None] * design)) @ (design.T * n)
        slope = solved[1 + list(axes).index(which)]
        parts.append(mine.with_columns(weight=pl.Series(-10 * slope)))
    return _estimates(pl.concat(parts), pl.col("weight"))


def by_value(tables: Tables, which: str) -> Effect | None:
    """How much IIA falls with ten more of the `quantity` or the `difference`."""
    cells = _cells(tables)
    return None if cells is None or cells.is_empty() else _contrast(_falls(cells, which), _mean)


def gradedness_by_size(tables: Tables) -> Effect | None:
    """How much less IIA falls with the difference for each doubling of the state."""
    cells = _cells(tables)
    if cells is None or cells.is_empty():
        return None
    falls = _falls(cells, "difference").with_columns(value=-pl.col("value"))
    return _contrast(falls, _by_size)


def with_accuracy(tables: Tables) -> Effect | None:
    """How much IIA rises as trial accuracy goes from 0 to 1 over training: the slope over a network's checkpoints."""
    rows = of_solved(tables, "development")
    if rows is None:
        return None
    rows = rows.filter(RECURRENT, pl.col("algorithm") == UP_DOWN)
    x = pl.col("trial_accuracy") - pl.col("trial_accuracy").mean().over(NETWORK)
    rows = rows.with_columns(x=x).filter((pl.col("x") ** 2).sum().over(NETWORK) > 0)
    if rows.is_empty():
        return None
    return _contrast(_estimates(rows, pl.col("x") / (pl.col("x") ** 2).sum().over(NETWORK)), _mean)


def linear_over_orthogonal(tables: Tables) -> Effect | None:
    """How much better LAF aligns than OAF where OAF stays below `HIGH_IIA` on validation, both at their best k."""
    scores = of_solved(tables, "scores")
    if scores is None:
        return None
    question = ["task", "network", "d", "algorithm", "variable"]
    scores = scores.filter(pl.col("control") == "none", pl.col("algorithm") == UP_DOWN)
    best = []
    for function in ("orthogonal", "linear"):
        of_one = scores.filter(pl.col("function") == function)
        best.append(of_one.join(chosen_alignments(of_one), on=ALIGNMENT, how="semi") if len(of_one) else of_one)
    orthogonal = best[0]
    missed = (
        orthogonal.group_by(question).agg(pl.col("validation_iia").mean()).filter(pl.col("validation_iia") < HIGH_IIA)
    )
    rows = pl.concat(best).join(missed, on=question, how="semi")
    return _contrast(_paired(rows, pl.col("function") == "linear", pl.col("function") == "orthogonal"), _mean)


def sums_one_each(tables: Tables) -> Effect | None:
    """How often one token's contribution to the attention sum moves `EOS` by exactly one step, in NoPE transformers."""
    rows = of_solved(tables, "strength")
    if rows is None:
        return None
    return _contrast(_estimates(rows.rename({"exact": "iia"}), 1 / pl.len().over(NETWORK)), _mean)


def linear_basis_change(tables: Tables, *, function: str, coordinates: str) -> Effect | None:
    """How much better a function finds what a constructed network holds than OAF does, without spare dimensions."""
    if "theory" not in tables:
        return None
    rows = tables["theory"].filter(pl.col("spare") == 0).with_columns(task=pl.col("change_of_basis"))
    mine = (pl.col("function") == function) & (pl.col("coordinates") == coordinates)
    return _contrast(_paired(rows, mine, pl.col("function") == "orthogonal"), _mean)
