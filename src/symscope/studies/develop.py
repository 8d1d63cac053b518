"""The development stage of a study: how well is a variable aligned at one moment of a network's training?"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from symscope.alignment import Blocks, Question, SearchOptions, score, search
from symscope.interventions import draw_interventions, prepare
from symscope.networks import Network
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.common import WEIGHTS, Subject, part_file, save_part
from symscope.studies.declaration import InterventionCounts, Search, build_algorithm
from symscope.training import load_network, trial_accuracy

Row = dict[str, Any]


def develop_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches in the network as it was at one moment of its training; leaves a row of the table `development`.

    The moments are spread evenly over the checkpoints, from the fresh network to the trained one. Where training was
    too short for so many, those that have no checkpoint of their own leave none.
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
        rows = [_row(network, epoch, arguments, subject, report)]
    save_part("development", rows, folder)
    return subject.facts


def checkpoints(trained: Path) -> list[tuple[int, Path | None]]:
    """What a training left, in order: epochs and weights, first those of the fresh network (None: drawn anew)."""
    last = pl.read_parquet(trained / part_file("training")).get_column("epoch").to_list()[-1]
    kept = {int(path.stem.removeprefix("epoch-")): path for path in trained.glob("epoch-*.safetensors")}
    return [(0, None), *((epoch, kept[epoch]) for epoch in sorted(kept) if epoch < last), (last, trained / WEIGHTS)]


def _row(
    network: Network, epoch: int, arguments: Mapping[str, Any], subject: Subject, report: Callable[[Progress], None]
) -> Row:
    each = arguments["behaviour"]["each"]
    shown = trial_accuracy(network, subject.task, generator(subject.seed, "behaviour"), each=each)
    right, trials = sum(row.trial_accuracy * row.n for row in shown), sum(row.n for row in shown)
    moment = {"epoch": epoch, "trial_accuracy": right / trials, "trials": trials}
    asked = Search.model_validate(arguments["asked"])
    found = searched(network, subject, asked, arguments, report)
    named = {"algorithm": asked.algorithm, "variable": asked.variable, "site": asked.site}
    named |= {"function": asked.function.label, "k": asked.k}
    return {**subject.columns, **moment, **named, **found}


def searched(
    network: Network,
    subject: Subject,
    asked: Search,
    arguments: Mapping[str, Any],
    report: Callable[[Progress], None],
) -> Row:
    """The IIA of what a search finds, on interventions drawn apart; the draws are those of `find`, at every moment."""
    options, counts = SearchOptions(**arguments["search"]), InterventionCounts(**arguments["interventions"])
    asked.function.check()
    algorithm = build_algorithm(asked.algorithm, subject.task)
    sets = {}
    for purpose in ("train", "validation", "test"):
        chance = generator(subject.seed, "interventions", algorithm.name, asked.variable, purpose)
        drawn = draw_interventions(algorithm, [asked.variable], getattr(counts, purpose), chance)
        sets[purpose] = prepare(network, drawn, asked.site)
    question = Question(
        {asked.variable: sets["train"]},
        {asked.variable: sets["validation"]},
        Blocks({asked.variable: asked.k}),
        subject.seed,
        asked.function.name,
        asked.function.options,
    )

    def tell(step: int, best: list[float]) -> None:
        report(Progress(step, options.steps, f"search: {asked.variable}", {"best IIA": max(best)}))

    (found,) = search(network, [question], options, tell)
    figures = score(network, found.function, sets["test"]).figures()
    return {**figures, "restarts": options.starts, "total_steps": found.steps}
