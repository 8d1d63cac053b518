"""The development stage of a study: how well is a variable aligned at one moment of a network's training?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from symscope.alignment import Blocks, Question, Score, SearchOptions, score, search
from symscope.interventions import draw_interventions, prepare
from symscope.networks import Network
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.common import WEIGHTS, Subject, part_file, save_part
from symscope.studies.declaration import InterventionCounts, Search, build_algorithm
from symscope.training import behaviour, load_network

Row = dict[str, Any]


def develop_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches in the network as it was at one moment of its training; leaves a part of the table `development`.

    The moments are spread evenly over the checkpoints, from the fresh network to the trained one. Where training was
    too short for so many, those that have no checkpoint of their own leave no rows.
    """
    subject = Subject.of(arguments)
    (trained,) = needs.values()
    moments = checkpoints(trained)
    place, of = arguments["moment"], arguments["moments"]
    chosen = [round(number * (len(moments) - 1) / max(of - 1, 1)) for number in range(of)]
    rows: list[Row] = []
    if chosen[place] not in chosen[:place]:
        epoch, weights = moments[chosen[place]]
        network = subject.fresh_network("trained")
        if weights is not None:
            load_network(weights, network)
        rows = list(_rows(network, epoch, arguments, subject, report))
    save_part("development", rows, folder)
    return subject.facts


def checkpoints(trained: Path) -> list[tuple[int, Path | None]]:
    """What a training left, in order: epochs and weights, first those of the fresh network (None: drawn anew)."""
    last = pl.read_parquet(trained / part_file("training")).get_column("epoch").to_list()[-1]
    kept = {int(path.stem.removeprefix("epoch-")): path for path in trained.glob("epoch-*.safetensors")}
    return [(0, None), *((epoch, kept[epoch]) for epoch in sorted(kept) if epoch < last), (last, trained / WEIGHTS)]


def _rows(
    network: Network, epoch: int, arguments: Mapping[str, Any], subject: Subject, report: Callable[[Progress], None]
) -> Iterator[Row]:
    each = arguments["behaviour"]["each"]
    shown = behaviour(network, subject.task, generator(subject.seed, "behaviour"), each=each)
    right, trials = sum(row.trial_accuracy * row.n for row in shown), sum(row.n for row in shown)
    moment = {"epoch": epoch, "trial_accuracy": right / trials, "trials": trials}
    for one, reached in searched(network, subject, arguments, report):
        named = {"algorithm": one.algorithm, "variable": one.variable, "site": one.site}
        found = {"function": one.function.label, "k": one.k, **reached.figures()}
        yield {**subject.columns, **moment, **named, **found}


def searched(
    network: Network, subject: Subject, arguments: Mapping[str, Any], report: Callable[[Progress], None]
) -> Iterator[tuple[Search, Score]]:
    """Each search that the arguments ask for, and the IIA of what it found on interventions drawn apart.

    Those of one algorithm and site are one program. The draws are those of `find`, the same at every moment.
    """
    options, counts = SearchOptions(**arguments["search"]), InterventionCounts(**arguments["interventions"])
    alike: dict[tuple[str, str], list[Search]] = {}
    for asked in map(Search.model_validate, arguments["asked"]):
        asked.function.check()
        alike.setdefault((asked.algorithm, asked.site), []).append(asked)
    for (name, site), asked in alike.items():
        algorithm = build_algorithm(name, subject.task)
        sets = {}
        for variable in dict.fromkeys(one.variable for one in asked):
            for purpose in ("train", "validation", "test"):
                chance = generator(subject.seed, "interventions", algorithm.name, variable, purpose)
                drawn = draw_interventions(algorithm, [variable], getattr(counts, purpose), chance)
                sets[variable, purpose] = prepare(network, drawn, site)
        found = search(network, _questions(asked, sets, subject.seed), options, _told(options, report))
        for one, best in zip(asked, found, strict=True):
            yield one, score(network, best.function, sets[one.variable, "test"])


def _questions(asked: Sequence[Search], sets: Mapping[tuple[str, str], Any], seed: int) -> list[Question]:
    return [
        Question(
            train={one.variable: sets[one.variable, "train"]},
            validation={one.variable: sets[one.variable, "validation"]},
            mask=Blocks({one.variable: one.k}),
            seed=seed,
            function=one.function.name,
            options=one.function.options,
        )
        for one in asked
    ]


def _told(options: SearchOptions, report: Callable[[Progress], None]) -> Callable[[int, list[float]], None]:
    def tell(step: int, best: list[float]) -> None:
        report(Progress(step, options.steps, "search", {"worst IIA": min(best), "best IIA": max(best)}))

    return tell
