"""The first screen in words: what was asked, of which networks, the answer by the stated rule, and how sure."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from symscope.analysis.schemas import ALL_VARIABLES, CONTROLS
from symscope.analysis.summary import (
    ALIGNMENT,
    NULL_CONTROLS,
    answers,
    pooled_scores,
    trial_accuracies,
)
from symscope.thresholds import HIGH_IIA, SURE_DIVERGENCE

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
    """The answer for one variable: verdict, sentence, how sure, and the controls."""

    variable: str
    verdict: str
    short: str
    sentence: str
    certainty: str
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Question:
    """What was asked of one kind of network, with the answers."""

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
        given = tuple(_answer(row, pooled, scores) for row in part.iter_rows(named=True))
        names = _listed([answer.variable for answer in given])
        subject = _subject(where, several=rows.n_unique(_NETWORK[:3]) > 1)
        found.append(
            Question(
                question=f"Does {subject} compute with {names} of the algorithm {where['algorithm']}?",
                network=_network_text(where, scores, behaviour),
                summary=_summary(given),
                answers=given,
            )
        )
    return found


def _subject(where: dict[str, object], *, several: bool) -> str:
    return f"the {where['network']} (d = {where['d']}, {where['task']})" if several else "this network"


def _answer(row: dict[str, object], pooled: pl.DataFrame, scores: pl.DataFrame) -> Answer:
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
        sentence=_sentence(row, verdict),
        certainty=_certainty(row, scores.filter(same & (pl.col("control") == "none"))),
        measures=tuple(measures),
    )


def _measure(entry: dict[str, object], label: str) -> Measure:
    numbers = {name: float(str(entry[name])) for name in ("iia", "low", "high", "seed_low", "seed_high")}
    return Measure(label, main=entry["control"] == "none" and entry["variable"] != ALL_VARIABLES, **numbers)


def _sentence(row: dict[str, object], verdict: str) -> str:
    iia, seeds, above = float(str(row["iia"])), row["seeds"], row["seeds_above"]
    swap = (
        f"Overwriting {row['k']} of {row['d']} dimensions ({row['function']}) with those of another sequence does what "
        f"the algorithm predicts for {row['variable']} in {iia:.1%} of interventions"
    )
    if verdict == "no control":
        return f"{swap}. No null control was measured, so this says nothing yet."
    control = CONTROLS[str(row["best_null"])]
    against = f"the best null control ({control}) in {float(str(row['null_iia'])):.1%}"
    tail = {
        "holds": f"; {against}.",
        "off natural states": f"; {against}. {_unnatural(row)}",
        "partly": f"; {against}. Every seed's interval lies above it, but not every one wholly above {HIGH_IIA:g}.",
        "in some seeds": f"; {against}. The intervals of only {above} of {seeds} seeds lie above all null controls.",
        "not found": f"; {against}, and the interval of no seed lies above all null controls.",
    }
    return swap + tail[verdict]


def _unnatural(row: dict[str, object]) -> str:
    """Why a high IIA is not yet a yes: what lies beyond the natural span in the worst seed, or that nobody looked."""
    if row["outside"] is None:
        return "But how far rewritten states lie from natural ones was not measured."
    said = {
        "outside": "of the rewritten states' norm lies outside the span of natural states",
        "dormant": "of the effect is lost when only that span is written",
    }
    beyond = [
        f"{share:.0%} {what}"
        for name, what in said.items()
        if row[name] is not None and (share := float(str(row[name]))) > SURE_DIVERGENCE
    ]
    return (
        f"But in the worst seed {_listed(beyond)} (natural is at most {SURE_DIVERGENCE:.0%}): the network can be "
        "steered this way; that it computes this way by itself is not shown."
    )


def _certainty(row: dict[str, object], seeds: pl.DataFrame) -> str:
    low, high, n = float(str(row["low"])), float(str(row["high"])), int(str(row["n"]))
    text = f"95% interval {low:.3f} to {high:.3f} over {n:,} interventions"
    if seeds.height == 1:
        return f"{text} in one network; how far other seeds would lie from it is not known. {_company(row)}".strip()
    lowest, highest = float(str(row["seed_low"])), float(str(row["seed_high"]))
    return (
        f"{text} in {seeds.height} networks and over these, which lie between {lowest:.3f} and {highest:.3f}. "
        f"{_company(row)}"
    ).strip()


def _company(row: dict[str, object]) -> str:
    """What must be known beside an IIA, where it was measured; of several seeds the worst."""
    parts = [
        f"{label} {float(str(row[name])):{form}}"
        for name, label, form in (
            ("outside", "of the rewritten states' norm outside the span of natural states:", ".0%"),
            ("dormant", "of the effect lost within that span:", ".0%"),
            ("cause", "IIA where only the variable differs:", ".3f"),
            ("isolation", "IIA where only the rest differs:", ".3f"),
            ("p_holm", "p of being above every null control, corrected for all questions:", ".2g"),
        )
        if row[name] is not None
    ]
    return f"In the worst seed, {'; '.join(parts)}." if parts else ""


def _summary(given: tuple[Answer, ...]) -> str:
    """The verdicts in one sentence, those with the same words together."""
    words = {
        "holds": "Yes for {}",
        "off natural states": "{} can be rewritten as predicted, but not shown with states like the network's own",
    }
    parts = []
    for verdict, text in words.items():
        held = [answer.variable for answer in given if answer.verdict == verdict]
        if held:
            parts.append(text.format(_listed(held)))
    parts += [f"{answer.variable}: {answer.short.lower()}" for answer in given if answer.verdict not in words]
    return "; ".join(parts) + "."


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
