"""The first screen in words: the question, the networks, and for each variable the answer with its checks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from symscope.analysis.answers import answers
from symscope.analysis.schemas import ALL_VARIABLES, CONTROLS, NULL_CONTROLS, SCORE_LABELS
from symscope.analysis.summary import ALIGNMENT, algorithm_label, pooled_scores, trial_accuracies
from symscope.figures.series import BASELINE_COLOUR, SERIES_COLOURS, WHOLE_LABEL, series_colours
from symscope.report.checks import Check, checks, number_of
from symscope.verdict import VERDICTS, joined, summarise

_NETWORK = ("task", "network", "d", "algorithm", "protocol")
_QUANTITY_KINDS = {"trained": "trained", "held out": "held-out", "extrapolated": "extrapolated"}


@dataclass(frozen=True)
class Measure:
    """The IIA of an alignment or control: label, value, interval over seeds and interventions, range of the seeds.

    `colour` is that of the same series in every figure; `main` says whether it is the alignment, and `best_null`
    whether it is its best null control.
    """

    label: str
    colour: str
    iia: float
    low: float
    high: float
    seed_low: float
    seed_high: float
    main: bool
    best_null: bool


@dataclass(frozen=True)
class Answer:
    """The answer for one variable.

    Attributes:
        variable: the variable.
        verdict: a key of `VERDICTS`.
        short: the verdict in one or two words.
        sentence: before, within and after its first number.
        alignment: the reported alignment, in words.
        key: its columns and values.
        best: the best IIA under each restriction, in words.
        checks: the parts of the rule.
        measures: the alignment, its controls and the ceiling.
    """

    variable: str
    verdict: str
    short: str
    sentence: tuple[str, str, str]
    alignment: str
    key: dict[str, object]
    best: str
    checks: tuple[Check, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Question:
    """A question about one kind of network, with the answers.

    `subject` is task, network, size, and algorithm (with its protocol, if not the paper's); `series` has the colour of
    each series of scores, in order.
    """

    subject: tuple[str, str, int, str]
    question: str
    network: str
    summary: str
    answers: tuple[Answer, ...]
    series: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> str:
        """The kind of network as one text: task, network, size."""
        return kind_text(*self.subject[:3])


def kind_text(task: str, network: str, d: int) -> str:
    """A kind of network in words."""
    return f"{task}, {network}, d\u00a0=\u00a0{d}"


def questions(scores: pl.DataFrame, trials: pl.DataFrame | None) -> list[Question]:
    """One question for each task, network, size and algorithm; `trials`, the table of trial accuracies, adds those."""
    rows = answers(scores)
    pooled = pooled_scores(scores)
    made = []
    labelled = rows.with_columns(label=algorithm_label())
    for key, part in labelled.group_by(_NETWORK, maintain_order=True):
        where: dict[str, object] = dict(zip(_NETWORK, key, strict=True))
        algorithm = str(part.get_column("label")[0])
        given = tuple(_answer(row, pooled) for row in part.iter_rows(named=True))
        names = joined([answer.variable for answer in given])
        source = "table" if where["task"] == where["algorithm"] else "algorithm"
        subject = _subject(where, several=rows.n_unique(_NETWORK[:3]) > 1)
        made.append(
            Question(
                subject=(*key[:3], algorithm),
                question=f"Does {subject} compute with {names} of the {source} {algorithm}?",
                network=_network_text(where, scores, trials),
                summary=summarise({answer.variable: answer.verdict for answer in given}),
                answers=given,
                series=tuple(series_colours(m.label for answer in given for m in answer.measures).items()),
            )
        )
    return made


@dataclass(frozen=True)
class OverviewCell:
    """The answers to all questions about one kind of network, by algorithm."""

    kind: str
    answers: tuple[tuple[str, tuple[Answer, ...]], ...]


@dataclass(frozen=True)
class Overview:
    """The answers to many questions as a matrix, a row a task and a column an architecture with its size.

    `selects` says whether a click also selects the figures of a kind of network. `signs` are the verdicts that occur.
    """

    summary: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[OverviewCell | None, ...]], ...]
    signs: tuple[tuple[str, str], ...]
    selects: bool
    several_algorithms: bool


def overview(several: Sequence[Question], *, selects: bool = False) -> Overview:
    """The answers to several questions as a matrix; see `Overview`."""
    counts = Counter(answer.verdict for question in several for answer in question.answers)
    parts = [f"{counts[word]} “{meaning.short.lower()}”" for word, meaning in VERDICTS.items() if counts[word]]
    columns = tuple(dict.fromkeys(question.subject[1:3] for question in several))
    tasks = tuple(dict.fromkeys(question.subject[0] for question in several))
    cells: dict[tuple[str, str, int], list[tuple[str, tuple[Answer, ...]]]] = {}
    for question in several:
        cells.setdefault(question.subject[:3], []).append((question.subject[3], question.answers))

    def cell(task: str, network: str, d: int) -> OverviewCell | None:
        given = cells.get((task, network, d))
        return None if given is None else OverviewCell(kind_text(task, network, d), tuple(given))

    return Overview(
        summary=f"Of {counts.total()} questions: {', '.join(parts)}.",
        columns=tuple(f"{network}, d\u00a0=\u00a0{d}" for network, d in columns),
        rows=tuple((task, tuple(cell(task, network, d) for network, d in columns)) for task in tasks),
        signs=tuple((word, meaning.short) for word, meaning in VERDICTS.items() if counts[word]),
        selects=selects,
        several_algorithms=len({question.subject[3] for question in several}) > 1,
    )


def _subject(where: dict[str, object], *, several: bool) -> str:
    return f"the {where['network']} (d = {where['d']}, {where['task']})" if several else "this network"


def _answer(row: dict[str, object], pooled: pl.DataFrame) -> Answer:
    same = pl.all_horizontal(pl.col(column) == row[column] for column in ALIGNMENT)
    ceiling = pl.all_horizontal(pl.col(column) == row[column] for column in _NETWORK) & (
        (pl.col("variable") == ALL_VARIABLES) & (pl.col("control") == "none")
    )
    order = pl.col("control").replace_strict(
        {name: i for i, name in enumerate(SCORE_LABELS)}, default=len(SCORE_LABELS)
    )
    measures = [
        _measure(entry, SCORE_LABELS.get(str(entry["control"]), str(entry["control"])), row["best_null"])
        for entry in pooled.filter(same).sort(order, maintain_order=True).iter_rows(named=True)
    ]
    measures += [_measure(entry, WHOLE_LABEL) for entry in pooled.filter(ceiling).iter_rows(named=True)]
    word = str(row["verdict"])
    return Answer(
        variable=str(row["variable"]),
        verdict=word,
        short=VERDICTS[word].short,
        sentence=_parts(str(row["sentence"]), str(row["variable"])),
        key={column: row[column] for column in ALIGNMENT},
        alignment=f"Alignment: {row['function']}, k = {row['k']} of {row['d']} dimensions.",
        best=_best(row),
        checks=checks(row),
        measures=tuple(measures),
    )


def _parts(sentence: str, variable: str) -> tuple[str, str, str]:
    """A sentence of a verdict about a named variable, divided at its first percentage."""
    before, number, after = (
        _PERCENTAGE.split(sentence, maxsplit=1) if _PERCENTAGE.search(sentence) else (sentence, "", "")
    )
    return before.replace("the variable", variable, 1), number, after


_PERCENTAGE = re.compile(r"(\d+(?:\.\d+)?%)")


def _best(row: dict[str, object]) -> str:
    """The best IIA under each restriction on the rewritten states; empty where all are the same alignment's."""
    names = {"natural_iia": "natural", "span_iia": "in the span", "unrestricted_iia": "unrestricted"}
    iias = {label: number_of(row, name) for name, label in names.items() if row[name] is not None}
    if set(iias.values()) <= {row["iia"]}:
        return ""
    return f"IIA of the best alignment: {'; '.join(f'{label} {iia:.3f}' for label, iia in iias.items())}."


def _measure(entry: dict[str, object], label: str, best_null: object = None) -> Measure:
    numbers = {name: float(str(entry[name])) for name in ("iia", "low", "high", "seed_low", "seed_high")}
    colour = SERIES_COLOURS.get(label, BASELINE_COLOUR)
    main = entry["control"] == "none" and entry["variable"] != ALL_VARIABLES
    return Measure(label, colour, main=main, best_null=entry["control"] == best_null, **numbers)


def _network_text(where: dict[str, object], scores: pl.DataFrame, trials: pl.DataFrame | None) -> str:
    same = pl.all_horizontal(pl.col(column) == where[column] for column in ("task", "network", "d"))
    seeds = sorted(scores.filter(same).get_column("seed").unique().to_list())
    count = f"{len(seeds)} network{'s' if len(seeds) > 1 else ''}"
    # Data that no algorithm draws has the name of its table in both columns, and its network was trained elsewhere.
    if where["task"] == where["algorithm"]:
        text = f"The network {where['network']}, with state size {where['d']}, tested on the table {where['task']}"
    else:
        text = f"{count} of type {where['network']} with state size {where['d']}, trained on {where['task']}"
    text += f" (seed{'s' if len(seeds) > 1 else ''} {joined([str(seed) for seed in seeds])})"
    text += f"; algorithm tested: {where['algorithm']}" if where["task"] != where["algorithm"] else ""
    accuracy = accuracy_text(trials.filter(same)) if trials is not None else ""
    return f"{text}. {accuracy}" if accuracy else f"{text}."


def accuracy_text(trials: pl.DataFrame) -> str:
    """The number of correct trials on each kind of quantity, in a sentence; empty for an empty table."""
    hits = (pl.col("trial_accuracy") * pl.col("n")).sum().round().cast(pl.Int64)
    rows = trial_accuracies(trials).group_by("kind", maintain_order=True).agg(hits, pl.col("n").sum())
    parts = [
        f"{'all' if correct == n else f'{correct:,} of'} {n:,} trials on {_QUANTITY_KINDS[kind]} quantities"
        for kind, correct, n in rows.iter_rows()
    ]
    return f"Correct: {joined(parts)}." if parts else ""


def null_control_labels() -> str:
    """The labels of the null controls, as a list in words."""
    return joined([CONTROLS[name] for name in NULL_CONTROLS])
