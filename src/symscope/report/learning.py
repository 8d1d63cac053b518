"""How well each network learned its task: sentences and a table of trial accuracies."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from symscope.analysis.summary import learning
from symscope.report.tables import Cell, PageTable
from symscope.statistics import wilson

TARGET_ACCURACY = 0.9999
"""Least trial accuracy, on trained and on held-out quantities, of a network that learned its task."""

LOWER = (0.99, 0.9)
"""Lower trial accuracies for which the summary counts the networks that reach them."""

_MOST_NAMED = 8  # networks that a sentence lists with their accuracies; more are counted by kind
_KINDS = {"trained": "trained", "held_out": "held-out", "extrapolated": "extrapolated"}


@dataclass(frozen=True)
class Learning:
    """Summary in one sentence, details, and a table with a row a network."""

    summary: str
    detail: tuple[str, ...]
    table: PageTable


def learning_of(trials: pl.DataFrame | None, training: pl.DataFrame | None) -> Learning:
    """The sentences and the table of `analysis.summary.learning`."""
    rows = learning(trials, training)
    measured = rows.filter(pl.col("trained").is_not_null() | pl.col("held_out").is_not_null())
    columns = ("task", "network", "d", "seed", *_KINDS.values(), "updates", "seconds")
    return Learning(
        summary=_summary(measured) if rows.height else "No network was trained.",
        detail=tuple(text for text in (_missed(measured), _unmeasured(rows, measured), _trials(measured)) if text),
        table=PageTable(
            label="Table of trial accuracies",
            caption="Trial accuracy: the share of trials in which every determined token is predicted, on trained, "
            "held-out and extrapolated quantities (beyond every trained quantity). Updates and seconds: length of "
            "training.",
            columns=tuple((name, "", name not in ("task", "network")) for name in columns),
            rows=tuple(_row(row) for row in rows.iter_rows(named=True)),
        ),
    )


def _reaches(accuracy: float) -> pl.Expr:
    """Whether a network reaches an accuracy on all kinds of quantity that were measured."""
    return pl.min_horizontal("trained", "held_out") >= accuracy


def _summary(measured: pl.DataFrame) -> str:
    total = measured.height
    target = f"a trial accuracy of {TARGET_ACCURACY:.2%} on trained and on held-out quantities"
    if not total:
        return "No network's trial accuracy was measured."
    reached = [measured.filter(_reaches(accuracy)).height for accuracy in (TARGET_ACCURACY, *LOWER)]
    if total == 1:
        return f"The network {'reaches' if reached[0] else 'does not reach'} {target}."
    if reached[0] == total:
        return f"All {total} networks reach {target}."
    parts = [f"{reached[0] or 'None'} of {total} networks {_reach(reached[0])} {target}"]
    parts += [
        f"{n} {_reach(n)} {at:.0%}" for before, n, at in zip(reached, reached[1:], LOWER, strict=False) if n > before
    ]
    rest = total - reached[-1]
    if rest:
        parts.append(f"{'all' if rest == total else rest} stay{'s' if rest == 1 else ''} below {LOWER[-1]:.0%}")
    return "; ".join(parts) + "."


def _reach(n: int) -> str:
    return "reach" if n > 1 else "reaches"


def _missed(measured: pl.DataFrame) -> str:
    """Networks below `TARGET_ACCURACY`: few by accuracies, many by kind of network, none where all are below."""
    below = measured.filter(~_reaches(TARGET_ACCURACY))
    if below.is_empty() or (below.height == measured.height and below.height > _MOST_NAMED):
        return ""
    several_seeds = measured.get_column("seed").n_unique() > 1
    if below.height <= _MOST_NAMED:
        texts = [_named(row, seed=several_seeds) for row in below.iter_rows(named=True)]
    else:
        of_kind = dict(measured.group_by("network").len().iter_rows())
        tasks = below.group_by("network", maintain_order=True).agg("task").iter_rows()
        texts = [
            f"{network} ({len(names)} of {of_kind[network]}: {', '.join(dict.fromkeys(names))})"
            for network, names in tasks
        ]
    return f"Below {TARGET_ACCURACY:.2%}: {'; '.join(texts)}."


def _named(row: dict[str, object], *, seed: bool) -> str:
    shares = [f"{label} {_percent(row[name])}" for name, label in _KINDS.items() if row[name] is not None]
    which = f", seed {row['seed']}" if seed else ""
    return f"{row['network']} on {row['task']}{which} ({', '.join(shares)})"


def _percent(share: object) -> str:
    """A share in percent, rounded down."""
    hundredths = int(float(str(share)) * 10_000 + 1e-6)
    return f"{hundredths / 100:.2f}%"


def _unmeasured(rows: pl.DataFrame, measured: pl.DataFrame) -> str:
    missing = rows.height - measured.height if measured.height else 0
    return f"{missing} further network{'s' * (missing > 1)} without trial accuracy." if missing else ""


def _trials(measured: pl.DataFrame) -> str:
    """Number of trials of each network."""
    parts = []
    for name, label in _KINDS.items():
        counts = measured.get_column(f"{name}_n").drop_nulls().unique().sort().to_list()
        if counts:
            parts.append(f"{_span(counts)} on {label}")
    return f"Trials for each network: {', '.join(parts)} quantities." if parts else ""


def _span(counts: list[int]) -> str:
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _row(row: dict[str, object]) -> tuple[Cell, ...]:
    names = (Cell(str(row["task"]), number=False), Cell(str(row["network"]), number=False))
    shares = tuple(
        _share(row[name], row[f"{name}_n"], has_target=name != "extrapolated")
        for name in ("trained", "held_out", "extrapolated")
    )
    updates = "–" if row["updates"] is None else f"{row['updates']:,}"
    seconds = "–" if row["seconds"] is None else f"{float(str(row['seconds'])):,.0f}"
    return (*names, Cell(str(row["d"])), Cell(str(row["seed"])), *shares, Cell(updates), Cell(seconds))


def _share(share: object, n: object, *, has_target: bool) -> Cell:
    if share is None:
        return Cell("–", "not measured")
    value, trials = float(str(share)), int(str(n))
    low, high = wilson(round(value * trials), trials)
    tooltip = f"95% interval {low:.4f} to {high:.4f}, {trials:,} trials"
    return Cell(_percent(value), tooltip, missed=has_target and value < TARGET_ACCURACY)
