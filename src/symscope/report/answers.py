"""The first screen in words: what was asked, of which networks, the answer by the stated rule, and how sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from symscope.analysis.schemas import ALL_VARIABLES, CONTROLS, NULL_CONTROLS
from symscope.analysis.summary import (
    ALIGNMENT,
    answers,
    pooled_scores,
    trial_accuracies,
)
from symscope.report.checks import Check, checks, number_of

_NETWORK = ("task", "network", "d", "algorithm")
SHORT = {
    "holds": "Yes",
    "off natural states": "Yes, but",
    "partly": "Partly",
    "in some seeds": "In some seeds",
    "not found": "Not found",
    "no control": "Undecided",
}
"""Each verdict of `analysis.summary.VERDICTS` in a word."""


_KIND = {"trained": "trained", "held out": "held-out", "extrapolated": "extrapolated"}


@dataclass(frozen=True)
class Measure:
    """One IIA beside others: its name, value, interval over seeds and interventions, lowest and highest seed."""

    label: str
    iia: float
    low: float
    high: float
    seed_low: float
    seed_high: float
    main: bool


@dataclass(frozen=True)
class Answer:
    """The answer for one variable: verdict, what was done, the checks behind the verdict, and the controls."""

    variable: str
    verdict: str
    short: str
    sentence: str
    checks: tuple[Check, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Question:
    """What was asked of one kind of network, with the answers; `asked` is task, network, size and algorithm."""

    asked: tuple[str, str, int, str]
    question: str
    network: str
    summary: str
    answers: tuple[Answer, ...]


def questions(scores: pl.DataFrame, behaviour: pl.DataFrame | None) -> list[Question]:
    """One question for each task, network, size and algorithm; `behaviour` adds how well they do their task."""
    rows = answers(scores)
    pooled = pooled_scores(scores)
    found = []
    for key, part in rows.group_by(_NETWORK, maintain_order=True):
        where: dict[str, object] = dict(zip(_NETWORK, key, strict=True))
        given = tuple(_answer(row, pooled) for row in part.iter_rows(named=True))
        names = _listed([answer.variable for answer in given])
        subject = _subject(where, several=rows.n_unique(_NETWORK[:3]) > 1)
        found.append(
            Question(
                asked=key,
                question=f"Does {subject} compute with {names} of the algorithm {where['algorithm']}?",
                network=_network_text(where, scores, behaviour),
                summary=_summary(given),
                answers=given,
            )
        )
    return found


@dataclass(frozen=True)
class Overview:
    """All answers of many questions: a row a network, a column a variable; `None` where it was not asked."""

    summary: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Answer | None, ...]], ...]


def overview(asked: Sequence[Question]) -> Overview:
    """The answers to several questions side by side."""
    given = {(*question.asked, answer.variable): answer for question in asked for answer in question.answers}
    columns = tuple(dict.fromkeys(key[3:] for key in given))
    networks = tuple(dict.fromkeys(key[:3] for key in given))
    counts = Counter(answer.verdict for answer in given.values())
    told = [f"{counts[verdict]} “{short.lower()}”" for verdict, short in SHORT.items() if counts[verdict]]
    return Overview(
        summary=f"Of {len(given)} questions: {', '.join(told)}.",
        columns=columns,
        rows=tuple(
            (
                f"{task}, {network}, d\u00a0=\u00a0{d}",
                tuple(given.get((task, network, d, *column)) for column in columns),
            )
            for task, network, d in networks
        ),
    )


def _subject(where: dict[str, object], *, several: bool) -> str:
    return f"the {where['network']} (d = {where['d']}, {where['task']})" if several else "this network"


def _answer(row: dict[str, object], pooled: pl.DataFrame) -> Answer:
    same = pl.all_horizontal(pl.col(column) == row[column] for column in ALIGNMENT)
    ceiling = pl.all_horizontal(pl.col(column) == row[column] for column in _NETWORK) & (
        (pl.col("variable") == ALL_VARIABLES) & (pl.col("control") == "none")
    )
    measures = [
        _measure(entry, CONTROLS.get(str(entry["control"]), str(entry["control"])))
        for entry in pooled.filter(same).iter_rows(named=True)
    ]
    measures += [_measure(entry, "whole-state swap") for entry in pooled.filter(ceiling).iter_rows(named=True)]
    measures.sort(key=lambda measure: not measure.main)
    verdict = str(row["verdict"])
    return Answer(
        variable=str(row["variable"]),
        verdict=verdict,
        short=SHORT[verdict],
        sentence=(
            f"With {row['k']} of {row['d']} dimensions ({row['function']}) overwritten by those of another sequence, "
            f"the network goes on as the algorithm says in {number_of(row, 'iia'):.1%} of interventions."
        ),
        checks=checks(row),
        measures=tuple(measures),
    )


def _measure(entry: dict[str, object], label: str) -> Measure:
    numbers = {name: float(str(entry[name])) for name in ("iia", "low", "high", "seed_low", "seed_high")}
    return Measure(label, main=entry["control"] == "none" and entry["variable"] != ALL_VARIABLES, **numbers)


def _summary(given: tuple[Answer, ...]) -> str:
    """The verdicts in one sentence, those with the same words together."""
    words = {
        "holds": "Yes for {}",
        "off natural states": "{} can be rewritten as predicted, but not shown to be by states like the network's own: "
        "that it can be steered so does not say that it computes so",
    }
    parts = []
    for verdict, text in words.items():
        held = [answer.variable for answer in given if answer.verdict == verdict]
        if held:
            parts.append(text.format(_listed(held)))
    parts += [f"{answer.variable}: {answer.short.lower()}" for answer in given if answer.verdict not in words]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _network_text(where: dict[str, object], scores: pl.DataFrame, behaviour: pl.DataFrame | None) -> str:
    same = pl.all_horizontal(pl.col(column) == where[column] for column in ("task", "network", "d"))
    seeds = sorted(scores.filter(same).get_column("seed").unique().to_list())
    count = f"{len(seeds)} network{'s' if len(seeds) > 1 else ''}"
    listed = _listed([str(seed) for seed in seeds])
    text = (
        f"{count} of type {where['network']} with state size {where['d']}, trained on {where['task']} "
        f"(seed{'s' if len(seeds) > 1 else ''} {listed})"
    )
    told = behaviour_text(behaviour.filter(same)) if behaviour is not None else ""
    return f"{text}. {told}" if told else f"{text}."


def behaviour_text(behaviour: pl.DataFrame) -> str:
    """How many trials are right on each kind of quantity, in a sentence; empty for an empty table."""
    rows = (
        trial_accuracies(behaviour)
        .group_by("kind", maintain_order=True)
        .agg((pl.col("trial_accuracy") * pl.col("n")).sum() / pl.col("n").sum(), pl.col("n").sum())
    )
    parts = [f"{share:.1%} of {n:,} trials on {_KIND[kind]} quantities" for kind, share, n in rows.iter_rows()]
    return f"Right in {_listed(parts)}." if parts else ""


def null_control_labels() -> str:
    """The null controls as a reader knows them, in a list."""
    return _listed([CONTROLS[name] for name in NULL_CONTROLS])


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""
