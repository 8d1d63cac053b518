"""Effects behind the claims: the size of each effect in the tables, and the networks it is measured in.

An effect is a weighted sum of means over kinds of network. A kind is one task, one architecture and one size; its
networks differ in their seed alone. Effects use networks that solved their task, and kinds with at least `LEAST_SEEDS`
of them; where no kind has that many, the effect is still reported but decides no claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple, TypeAlias

import numpy as np
import polars as pl

from symscope.analysis.answers import chosen_alignments
from symscope.analysis.columns import PAPER_PROTOCOL
from symscope.analysis.summary import ALIGNMENT, NETWORK, trial_accuracies
from symscope.statistics import Estimate
from symscope.verdict import HIGH_IIA

Tables: TypeAlias = Mapping[str, pl.DataFrame]

SOLVED = 0.9999
"""Least trial accuracy, on trained and on held-out quantities each, of a network that solved its task."""

LEAST_SEEDS = 3
"""Least number of networks of a kind in a claim that is decided."""

UP_DOWN, UP_UP = "up-down", "up-up"
COUNTS = ("count", "demo_count", "resp_count")
"""The variables of Up-Down and Up-Up that are numbers."""

RECURRENT = pl.col("network").str.contains("^(gru|lstm)")
TRANSFORMER = pl.col("network").str.starts_with("transformer")
SAME_OBJECT = pl.col("task").str.starts_with("same-object")
OAF = pl.col("function") == "orthogonal"
LAF = pl.col("function").str.starts_with("linear") & ~pl.col("function").str.contains("natural")
"""Alignment functions of the paper, in the state's coordinates: OAF, and LAF in any order."""
MULTI_OR_SINGLE_OBJECT = pl.col("task").str.contains("^(multi|single)-object")


class Kind(NamedTuple):
    """Task, architecture and size of networks that differ in their seed alone."""

    task: str
    network: str
    d: int

    def __str__(self) -> str:
        return f"{self.network} d = {self.d} on {self.task}"


KIND = Kind._fields


@dataclass(frozen=True)
class Effect:
    """Groups of networks with their weights.

    Attributes:
        groups: the weight of each kind of network, and the measurement in each of its networks.
        kinds: the kind of each group.
        seeds_of: the seeds of the networks of each kind.
    """

    groups: tuple[tuple[float, tuple[Estimate, ...]], ...]
    kinds: tuple[Kind, ...]
    seeds_of: tuple[tuple[int, ...], ...]

    @property
    def networks(self) -> str:
        """The kinds in words, each with the number of its networks; kinds that differ in their task alone together."""
        tasks: dict[tuple[str, int, int], list[str]] = {}
        for kind, seeds in zip(self.kinds, self.seeds_of, strict=True):
            tasks.setdefault((kind.network, kind.d, len(seeds)), []).append(kind.task)
        return "; ".join(
            f"{network} d = {d} on {', '.join(names)} ({seeds} seed{'s' if seeds > 1 else ''})"
            for (network, d, seeds), names in tasks.items()
        )

    @property
    def seeds(self) -> int:
        """Number of networks in the smallest group."""
        return min(len(networks) for _, networks in self.groups)

    def kinds_above(self, threshold: float) -> int | None:
        """Number of kinds whose own mean is above a threshold; None for a difference or a slope between kinds."""
        if len({weight for weight, _ in self.groups}) > 1:
            return None
        return sum(fmean(estimate.value for estimate in networks) > threshold for _, networks in self.groups)


def solved_networks(trials: pl.DataFrame) -> pl.DataFrame:
    """The networks (task, network, d, seed) of the table `trial_accuracy` that solved their task (`SOLVED`)."""
    accuracies = trial_accuracies(trials).filter(pl.col("kind") != "extrapolated")
    reached = accuracies.group_by(NETWORK, maintain_order=True).agg(pl.col("trial_accuracy").min())
    return reached.filter(pl.col("trial_accuracy") >= SOLVED).select(NETWORK)


def of_one_protocol(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows by the protocol of the paper's text; where there are none, those by the first protocol of the table."""
    protocols = frame.get_column("protocol") if "protocol" in frame.columns else pl.Series(dtype=pl.String)
    if protocols.n_unique() < 2:
        return frame
    return frame.filter(protocol=PAPER_PROTOCOL if PAPER_PROTOCOL in protocols else protocols[0])


def of_solved(tables: Tables, name: str) -> pl.DataFrame | None:
    """The rows of a table on networks that solved their task, by one protocol.

    None where there are none or no trial accuracies.
    """
    if name not in tables or "trial_accuracy" not in tables:
        return None
    frame = of_one_protocol(tables[name])
    frame = frame.join(solved_networks(tables["trial_accuracy"]), on=NETWORK, how="semi", maintain_order="left")
    return None if frame.is_empty() else frame


def chosen_scores(tables: Tables) -> pl.DataFrame | None:
    """The scores of the chosen alignment of each question, one row a network, in networks that solved their task."""
    scores = of_solved(tables, "scores")
    if scores is None:
        return None
    alignments = scores.filter(pl.col("control") == "none")
    return alignments.join(chosen_alignments(scores), on=ALIGNMENT, how="semi", maintain_order="left")


def estimates(cells: pl.DataFrame, weight: pl.Expr) -> pl.DataFrame:
    """One row a network: the weighted sum of the shares `iia` of its cells, and its variance over their `n` trials.

    The variance uses shares that are moved a little away from 0 and 1 (Laplace), so that it is never 0.
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


def contrast(units: pl.DataFrame, weights: Callable[[pl.DataFrame], pl.DataFrame]) -> Effect | None:
    """The weighted sum of the means of the kinds; None where no kind has a weight.

    Args:
        units: one row a network, as `estimates` returns it.
        weights: adds a column `weight` to the kinds (one row each) and leaves out kinds without a weight.
    """
    kinds = units.group_by(KIND, maintain_order=True).agg(pl.len().alias("seeds"))
    weighted = weights(kinds.filter(pl.col("seeds") >= LEAST_SEEDS))
    weighted = weights(kinds) if weighted.is_empty() else weighted
    if weighted.is_empty():
        return None
    groups, kinds_of, seeds = [], [], []
    for row in weighted.iter_rows(named=True):
        members = units.join(weighted.filter(*(pl.col(name) == row[name] for name in KIND)), on=KIND, how="semi")
        estimates = tuple(Estimate(*pair) for pair in members.select("value", "variance").iter_rows())
        groups.append((row["weight"], estimates))
        kinds_of.append(Kind(*(row[name] for name in KIND)))
        seeds.append(tuple(members.get_column("seed").to_list()))
    return Effect(tuple(groups), tuple(kinds_of), tuple(seeds))


def mean_of_kinds(kinds: pl.DataFrame) -> pl.DataFrame:
    """Equal weights of all kinds."""
    return kinds.with_columns(weight=1 / pl.len())


def _minus(plus: pl.Expr, minus: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Weights of the mean of some kinds minus that of further kinds of the same architecture and size."""

    def weights(kinds: pl.DataFrame) -> pl.DataFrame:
        signed = kinds.with_columns(side=pl.when(plus).then(1).when(minus).then(-1)).drop_nulls("side")
        same = ["network", "d"]
        signed = signed.filter(pl.col("side").n_unique().over(same) == 2)
        blocks = signed.select(same).n_unique()
        return signed.with_columns(weight=pl.col("side") / pl.len().over(*same, "side") / blocks)

    return weights


def _by_size(kinds: pl.DataFrame) -> pl.DataFrame:
    """Weights of the slope over the logarithm of the size, averaged over tasks and architectures of several sizes."""
    line = ["task", "network"]
    several = kinds.filter(pl.col("d").n_unique().over(line) > 1)
    if several.is_empty():
        return several.with_columns(weight=pl.lit(0.0))
    x = pl.col("d").log(2) - pl.col("d").log(2).mean().over(line)
    return several.with_columns(weight=x / (x**2).sum().over(line) / several.select(line).n_unique())


def paired(rows: pl.DataFrame, plus: pl.Expr, minus: pl.Expr) -> pl.DataFrame:
    """One row a network with rows on both sides: their mean share on the side `plus` minus that on `minus`."""
    signed = rows.with_columns(side=pl.when(plus).then(1).when(minus).then(-1)).drop_nulls("side")
    both = signed.filter(pl.col("side").n_unique().over(NETWORK) == 2)
    return estimates(both, pl.col("side") / pl.len().over(*NETWORK, "side"))


def over_algorithm(tables: Tables, *, algorithm: str = UP_UP, counts_only: bool) -> Effect | None:
    """IIA of the variables of Up-Down minus that of a further algorithm in the same recurrent networks.

    The alignment of each variable is chosen among the functions and sizes that both algorithms are searched with, so
    that neither has more attempts.
    """
    scores = of_solved(tables, "scores")
    if scores is None:
        return None
    searched = [*NETWORK, "site", "function", "k"]
    rows = scores.filter(RECURRENT, pl.col("algorithm").is_in([UP_DOWN, algorithm]), control="none")
    rows = rows.filter(pl.col("algorithm").n_unique().over(searched) == 2)
    if rows.is_empty():
        return None
    rows = rows.join(chosen_alignments(rows), on=ALIGNMENT, how="semi", maintain_order="left")
    rows = rows.filter(pl.col("variable").is_in(COUNTS)) if counts_only else rows
    return contrast(paired(rows, pl.col("algorithm") == UP_DOWN, pl.col("algorithm") == algorithm), mean_of_kinds)


def over_same_object(tables: Tables) -> Effect | None:
    """IIA of Up-Down in recurrent networks on Multi- and Single-Object minus that on Same-Object."""
    chosen = chosen_scores(tables)
    if chosen is None:
        return None
    rows = chosen.filter(RECURRENT, pl.col("algorithm") == UP_DOWN)
    return contrast(estimates(rows, 1 / pl.len().over(NETWORK)), _minus(MULTI_OR_SINGLE_OBJECT, SAME_OBJECT))


def swaps(tables: Tables, outcome: str) -> pl.DataFrame | None:
    """The share of whole-state swaps with one outcome, in the column `iia`, in networks that solved their task."""
    rows = of_solved(tables, "whole_state")
    return None if rows is None else rows.filter(pl.col("outcome") == outcome).rename({"share": "iia"})


def follows_whole_state(tables: Tables) -> Effect | None:
    """Share of whole-state swaps that recurrent networks follow minus that of transformers, each at its best site."""
    rows = swaps(tables, "source")
    if rows is None:
        return None
    best = rows.sort("iia", descending=True, maintain_order=True).unique(NETWORK, keep="first", maintain_order=True)

    def weights(kinds: pl.DataFrame) -> pl.DataFrame:
        signed = kinds.with_columns(side=pl.when(RECURRENT).then(1).when(TRANSFORMER).then(-1)).drop_nulls("side")
        signed = signed.filter(pl.col("side").n_unique().over("task") == 2)
        return signed.with_columns(weight=pl.col("side") / pl.len().over("task", "side") / pl.col("task").n_unique())

    return contrast(estimates(best, pl.lit(1.0)), weights)


def continues_as_base(tables: Tables) -> Effect | None:
    """Share of swaps after layer 1 after which a transformer continues exactly as the base (the Ctx-Distr score)."""
    rows = swaps(tables, "base")
    if rows is None:
        return None
    deep = (pl.col("site") == "layer2").any().over(NETWORK)  # after the last layer nothing can be recomputed
    rows = rows.filter(TRANSFORMER & deep, pl.col("site") == "layer1")
    return contrast(estimates(rows, pl.lit(1.0)), mean_of_kinds)


def by_size(tables: Tables) -> Effect | None:
    """Rise of the IIA of Up-Down with each doubling of the state of a recurrent network."""
    chosen = chosen_scores(tables)
    if chosen is None:
        return None
    rows = chosen.filter(RECURRENT, pl.col("algorithm") == UP_DOWN)
    return contrast(estimates(rows, 1 / pl.len().over(NETWORK)), _by_size)


def _cells(tables: Tables) -> pl.DataFrame | None:
    """Gradience of Up-Down's count with the chosen alignment, in recurrent networks that solved their task."""
    cells = of_solved(tables, "gradience")
    if cells is None or "scores" not in tables:
        return None
    cells = cells.join(chosen_alignments(tables["scores"]), on=ALIGNMENT, how="semi", maintain_order="left")
    return cells.filter(RECURRENT, pl.col("algorithm") == UP_DOWN, pl.col("variable") == "count")


def _falls(cells: pl.DataFrame, which: str) -> pl.DataFrame:
    """One row a network: the fall of its IIA when one of `quantity` and `difference` rises by ten and one is fixed.

    Quantity is the mean of the values in base and source. The fall is the slope of a weighted least-squares plane.
    """
    parts = []
    for _, of_network in cells.group_by(NETWORK, maintain_order=True):
        base, source, n = (of_network.get_column(name).to_numpy() for name in ("base_value", "source_value", "n"))
        axes = {"quantity": (base + source) / 2, "difference": abs(base - source)}
        design = np.column_stack([np.ones(len(n)), *axes.values()])
        solved = np.linalg.pinv(design.T @ (n[:, None] * design)) @ (design.T * n)
        slope = solved[1 + list(axes).index(which)]
        parts.append(of_network.with_columns(weight=pl.Series(-10 * slope)))
    return estimates(pl.concat(parts), pl.col("weight"))


def by_value(tables: Tables, which: str) -> Effect | None:
    """Fall of the IIA when the `quantity` or the `difference` rises by ten."""
    cells = _cells(tables)
    return None if cells is None or cells.is_empty() else contrast(_falls(cells, which), mean_of_kinds)


def gradedness_by_size(tables: Tables) -> Effect | None:
    """Decrease of that fall along the difference with each doubling of the state."""
    cells = _cells(tables)
    if cells is None or cells.is_empty():
        return None
    falls = _falls(cells, "difference").with_columns(value=-pl.col("value"))
    return contrast(falls, _by_size)


def with_accuracy(tables: Tables) -> Effect | None:
    """Rise of the IIA as trial accuracy rises from 0 to 1: the slope over the checkpoints of a network."""
    rows = of_solved(tables, "development")
    if rows is None:
        return None
    rows = rows.filter(RECURRENT, pl.col("algorithm") == UP_DOWN)
    x = pl.col("trial_accuracy") - pl.col("trial_accuracy").mean().over(NETWORK)
    rows = rows.with_columns(x=x).filter((pl.col("x") ** 2).sum().over(NETWORK) > 0)
    if rows.is_empty():
        return None
    return contrast(estimates(rows, pl.col("x") / (pl.col("x") ** 2).sum().over(NETWORK)), mean_of_kinds)


def linear_over_orthogonal(tables: Tables, where: pl.Expr | None = None) -> Effect | None:
    """IIA of LAF minus that of OAF where OAF is below `HIGH_IIA` on validation, each with its chosen k.

    LAF in any order and with any options; `where` selects networks.
    """
    scores = of_solved(tables, "scores")
    if scores is None:
        return None
    question = ["task", "network", "d", "algorithm", "variable"]
    scores = scores.filter(pl.col("control") == "none", pl.col("algorithm") == UP_DOWN)
    scores = scores if where is None else scores.filter(where)
    best = []
    for function in (OAF, LAF):
        rows = scores.filter(function)
        best.append(rows.join(chosen_alignments(rows), on=ALIGNMENT, how="semi") if len(rows) else rows)
    orthogonal = best[0]
    missed = (
        orthogonal.group_by(question).agg(pl.col("validation_iia").mean()).filter(pl.col("validation_iia") < HIGH_IIA)
    )
    rows = pl.concat(best).join(missed, on=question, how="semi")
    return contrast(paired(rows, LAF, OAF), mean_of_kinds)


def sums_one_each(tables: Tables) -> Effect | None:
    """Share of trials in which one contribution to the attention sum moves `EOS` by exactly one step (NoPE)."""
    rows = of_solved(tables, "strength")
    if rows is None:
        return None
    return contrast(estimates(rows.rename({"exact": "iia"}), 1 / pl.len().over(NETWORK)), mean_of_kinds)


def linear_basis_change(tables: Tables, *, function: str, coordinates: str) -> Effect | None:
    """IIA of a function minus that of OAF in constructed networks after a change of basis, without spare dimensions."""
    if "theory" not in tables:
        return None
    rows = tables["theory"].filter(pl.col("spare") == 0).with_columns(task=pl.col("change_of_basis"))
    compared = (pl.col("function") == function) & (pl.col("coordinates") == coordinates)
    return contrast(paired(rows, compared, pl.col("function") == "orthogonal"), mean_of_kinds)
