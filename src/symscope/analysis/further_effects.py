"""Effects behind the claims of the TMLR version on alignments and tasks, and behind what the paper could not see."""

from __future__ import annotations

import polars as pl

from symscope.analysis.answers import chosen_alignments
from symscope.analysis.columns import PAPER_PROTOCOL
from symscope.analysis.contributions import token_contributions
from symscope.analysis.effects import (
    LAF,
    MULTI_OR_SINGLE_OBJECT,
    OAF,
    RECURRENT,
    SAME_OBJECT,
    TRANSFORMER,
    UP_DOWN,
    Effect,
    Tables,
    chosen_scores,
    contrast,
    estimates,
    mean_of_kinds,
    of_solved,
    paired,
    solved_networks,
    swaps,
)
from symscope.analysis.summary import ALIGNMENT, NETWORK

VOID = pl.col("task").str.contains("-void")
IN_THE_SPAN = pl.col("function").str.contains("natural")
"""Alignment functions in coordinates of the natural span."""
FURTHER_TASKS = pl.col("task").str.contains("^(modulo|rounding|square|arithmetic)")
ANY_TOKEN = "all"
_OF_NETWORK = 1 / pl.len().over(NETWORK)


def _of_up_down(tables: Tables, where: pl.Expr) -> pl.DataFrame | None:
    """The chosen alignments of Up-Down in some of the recurrent networks."""
    chosen = chosen_scores(tables)
    return None if chosen is None else chosen.filter(RECURRENT, where, algorithm=UP_DOWN)


def _alignments(tables: Tables) -> pl.DataFrame | None:
    """All alignments of Up-Down by one protocol, in recurrent networks that solved their task."""
    scores = of_solved(tables, "scores")
    return None if scores is None else scores.filter(RECURRENT, algorithm=UP_DOWN, control="none")


def up_down_without_voids(tables: Tables) -> Effect | None:
    """IIA of Up-Down in recurrent networks on Multi- and Single-Object."""
    rows = _of_up_down(tables, MULTI_OR_SINGLE_OBJECT & ~VOID)
    return None if rows is None else contrast(estimates(rows, _OF_NETWORK), mean_of_kinds)


def missed_on_same_object(tables: Tables) -> Effect | None:
    """Share of interventions that Up-Down does not predict, in recurrent networks on Same-Object."""
    rows = _of_up_down(tables, SAME_OBJECT & ~VOID)
    if rows is None:
        return None
    return contrast(estimates(rows, _OF_NETWORK).with_columns(value=1 - pl.col("value")), mean_of_kinds)


def with_voids(tables: Tables) -> Effect | None:
    """IIA of Up-Down on tasks with voids minus that on the same tasks without them."""
    rows = _of_up_down(tables, pl.lit(value=True))
    if rows is None:
        return None

    def weights(kinds: pl.DataFrame) -> pl.DataFrame:
        signed = kinds.with_columns(
            side=pl.when(VOID).then(1).otherwise(-1), plain=pl.col("task").str.replace("-void", "")
        )
        same = ["plain", "network", "d"]
        signed = signed.filter(pl.col("side").n_unique().over(same) == 2)
        return signed.with_columns(weight=pl.col("side") / signed.select(same).n_unique())

    return contrast(estimates(rows, _OF_NETWORK), weights)


def linear_at_equal_k(tables: Tables) -> Effect | None:
    """IIA of LAF minus that of OAF at the same k, over all k of a network that both were searched with."""
    rows = _alignments(tables)
    if rows is None:
        return None
    cell = [*NETWORK, "variable", "k", "site"]
    rows = rows.with_columns(side=pl.when(LAF).then(1).when(OAF).then(-1)).drop_nulls("side")
    rows = rows.filter(pl.col("side").n_unique().over(cell) == 2)
    return contrast(paired(rows, LAF, OAF), mean_of_kinds)


def span_over_orthogonal(tables: Tables) -> Effect | None:
    """IIA of the best map within the natural span minus that of OAF without restriction, in the same network."""
    rows = _alignments(tables)
    if rows is None:
        return None
    parts = [part for where in (IN_THE_SPAN, OAF) if len(part := rows.filter(where))]
    best = [part.join(chosen_alignments(part), on=ALIGNMENT, how="semi") for part in parts]
    return contrast(paired(pl.concat(best), IN_THE_SPAN, OAF), mean_of_kinds) if best else None


def orthogonal_off_span(tables: Tables) -> Effect | None:
    """Share of the norm of states that OAF writes, without restriction, outside the span of natural states."""
    rows = _alignments(tables)
    if rows is None:
        return None
    rows = rows.filter(OAF).drop_nulls("off_span_share")
    means = rows.group_by(NETWORK, maintain_order=True).agg(value=pl.col("off_span_share").mean(), variance=pl.lit(0.0))
    return contrast(means, mean_of_kinds)


def text_over_code(tables: Tables) -> Effect | None:
    """IIA on interventions by the text of the paper minus that by the authors' code, each with its own search."""
    if "protocol" not in tables["scores"].columns:
        return None
    rows = tables["scores"].join(solved_networks(tables["trial_accuracy"]), on=NETWORK, how="semi")
    rows = rows.filter(RECURRENT, algorithm=UP_DOWN, control="none")
    text, code = pl.col("protocol") == PAPER_PROTOCOL, pl.col("protocol") == "paper-code"
    cell = [*NETWORK, "variable", "site", "function", "k"]
    rows = rows.filter(text | code).filter(pl.col("protocol").n_unique().over(cell) == 2)
    return contrast(paired(rows, text, code), mean_of_kinds)


def further_tasks(tables: Tables) -> Effect | None:
    """IIA of the variables of the algorithms of modulo, rounding, square and arithmetic in recurrent networks."""
    chosen = chosen_scores(tables)
    if chosen is None:
        return None
    return contrast(estimates(chosen.filter(RECURRENT, FURTHER_TASKS), _OF_NETWORK), mean_of_kinds)


def no_layer_follows(tables: Tables) -> Effect | None:
    """Share of whole-state swaps that a transformer does not follow, at the layer where it follows most."""
    rows = swaps(tables, "source")
    if rows is None:
        return None
    rows = rows.filter(TRANSFORMER, pl.col("site") != "embedding")
    best = rows.sort("iia", descending=True, maintain_order=True).unique(NETWORK, keep="first", maintain_order=True)
    return contrast(estimates(best, pl.lit(1.0)).with_columns(value=1 - pl.col("value")), mean_of_kinds)


def reversible_over_linear(tables: Tables) -> Effect | None:
    """IIA of the reversible map minus that of linear maps, for variables that a constructed network does not hold."""
    rows = tables["calibration"].filter(pl.col("part") == "known", ~pl.col("held"))
    rows = rows.with_columns(task=pl.format("{} basis", "change_of_basis"))
    reversible = pl.col("function").str.starts_with("reversible")
    return contrast(paired(rows, reversible, ~reversible), mean_of_kinds)


def errors_of_one(tables: Tables) -> Effect | None:
    """Share of failing interventions on the count whose answer is one token too long or too short, on Same-Object."""
    errors, scores = of_solved(tables, "length_errors"), of_solved(tables, "scores")
    if errors is None or scores is None:
        return None
    rows = errors.join(chosen_alignments(scores), on=ALIGNMENT, how="semi", maintain_order="left")
    failing = rows.filter(RECURRENT, SAME_OBJECT, algorithm=UP_DOWN, variable="count")
    failing = failing.filter(pl.col("error").is_null() | (pl.col("error") != 0), pl.col("count") > 0)
    by_one = pl.col("count").filter(pl.col("error").abs() == 1).sum()
    units = failing.group_by(NETWORK, maintain_order=True).agg(n=pl.col("count").sum(), one=by_one)
    return contrast(estimates(units.with_columns(iia=pl.col("one") / pl.col("n")), pl.lit(1.0)), mean_of_kinds)


def responses_take_away(tables: Tables) -> Effect | None:
    """On Same-Object: how far a response moves the state back along the subspace of the count, in demo tokens."""
    states = of_solved(tables, "aligned_states")
    if states is None:
        return None
    moves = token_contributions(states.filter(RECURRENT, SAME_OBJECT & ~VOID, algorithm=UP_DOWN, variable="count"))
    moves = moves.filter(pl.col("phase") == "resp")
    n, moved = pl.col("n"), pl.col("movement")
    units = moves.group_by(NETWORK, maintain_order=True).agg(
        value=-(moved * n).sum() / n.sum(), variance=(pl.col("spread") ** 2 * n).sum() / n.sum() ** 2
    )
    return contrast(units, mean_of_kinds)


def _phases(tables: Tables) -> pl.DataFrame | None:
    rows = of_solved(tables, "phases")
    return None if rows is None else rows.filter(TRANSFORMER)


def phase_of_tokens(tables: Tables) -> Effect | None:
    """Share of positions at which the embedding of the token alone says the phase, on Multi- and Single-Object."""
    rows = _phases(tables)
    if rows is None:
        return None
    rows = rows.filter(MULTI_OR_SINGLE_OBJECT, site="embedding", token=ANY_TOKEN).drop_nulls("accuracy")
    rows = rows.drop("iia", "n").rename({"accuracy": "iia", "states": "n"})
    return contrast(estimates(rows, pl.lit(1.0)), mean_of_kinds)


def phase_of_shared_tokens(tables: Tables) -> Effect | None:
    """For tokens that occur in both phases: how often the state after layer 1 says the phase, minus the embedding."""
    rows = _phases(tables)
    if rows is None:
        return None
    rows = rows.filter(pl.col("token") != ANY_TOKEN, pl.col("most_common") < 1).drop_nulls("accuracy")
    rows = rows.drop("iia", "n").rename({"accuracy": "iia", "states": "n"})
    return contrast(paired(rows, pl.col("site") == "layer1", pl.col("site") == "embedding"), mean_of_kinds)


def phase_moves_with_tokens(tables: Tables) -> Effect | None:
    """IIA of swaps of the phase in the embedding of the token alone minus that after layer 1, off Same-Object."""
    rows = _phases(tables)
    if rows is None:
        return None
    rows = rows.filter(MULTI_OR_SINGLE_OBJECT, token=ANY_TOKEN).drop_nulls("iia")
    return contrast(paired(rows, pl.col("site") == "embedding", pl.col("site") == "layer1"), mean_of_kinds)
