"""The development stage: searches variables in one checkpoint of a network's training."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from symscope.alignment import FittedAlignments, TestSet
from symscope.alignment.rows import figures
from symscope.analysis.tables import read_parquet
from symscope.interchange import CounterfactualData
from symscope.networks import Network
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.align import draw_data, fit_request
from symscope.studies.arguments import DevelopArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.subject import WEIGHTS, Subject, part_file, save_part
from symscope.training import load_network, trial_accuracy

Row = dict[str, Any]


def develop_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches in one checkpoint; stores a row of the table `development` for each variable and subspace size.

    The searched checkpoints are spread evenly from the fresh network to the trained network. Where training stored
    fewer than requested, several jobs name the same checkpoint, and only the first of them stores rows.
    """
    job = DevelopArguments.read(arguments)
    subject = Subject.of(job)
    (trained,) = needs.values()
    stored = checkpoints(trained)
    chosen = [round(number * (len(stored) - 1) / (job.checkpoints - 1)) for number in range(job.checkpoints)]
    rows: list[Row] = []
    if chosen[job.checkpoint] not in chosen[: job.checkpoint]:
        epoch, weights = stored[chosen[job.checkpoint]]
        network = subject.new_network("trained")
        if weights is not None:
            load_network(weights, network)
        rows = list(_rows(network, epoch, job, subject, report))
    save_part("development", rows, folder)
    return subject.facts


def checkpoints(trained: Path) -> list[tuple[int, Path | None]]:
    """The checkpoints of a training in order: epochs and weights. The first is the fresh network, without a file."""
    last = read_parquet(trained / part_file("training")).get_column("epoch").to_list()[-1]
    kept = {int(path.stem.removeprefix("epoch-")): path for path in trained.glob("epoch-*.safetensors")}
    return [(0, None), *((epoch, kept[epoch]) for epoch in sorted(kept) if epoch < last), (last, trained / WEIGHTS)]


def _rows(
    network: Network, epoch: int, job: DevelopArguments, subject: Subject, report: Callable[[Progress], None]
) -> Iterator[Row]:
    measured = trial_accuracy(network, subject.task, generator(subject.seed, "behaviour"), each=job.each)
    correct, trials = sum(row.trial_accuracy * row.n for row in measured), sum(row.n for row in measured)
    checkpoint = {"epoch": epoch, "trial_accuracy": correct / trials, "trials": trials}
    request, algorithm = job.request, build_algorithm(job.request.algorithm, subject.task)
    data = draw_data(algorithm, request.variables, job.interventions, subject.seed)
    where = {"algorithm": algorithm.name, "site": request.site, "function": request.function.label}
    where |= {"protocol": data.protocol}
    tests = {variable: TestSet(network, data, variable, request.site) for variable in request.variables}
    for fitted in _fits(network, data, job, report):
        for (variable, k), alignments in fitted.alignments.items():
            score = tests[variable].score(f"alignment, k = {k}", alignments)
            made = fitted.searches[variable, k]
            search = {"variable": variable, "k": k, "restarts": made.restarts, "total_steps": made.total_steps}
            yield {**subject.columns, **checkpoint, **where, **search, **figures(score)}


def _fits(
    network: Network, data: CounterfactualData, job: DevelopArguments, report: Callable[[Progress], None]
) -> Iterator[FittedAlignments]:
    """The alignments of one variable and size after the other; of all variables of a joint map together.

    A batch of fewer fits sums in a different order, so searches that are made one by one do not depend on what else a
    study declares.
    """
    for variables in [data] if job.request.joint else [data[name] for name in job.request.variables]:
        for k in job.request.k:
            yield fit_request(network, variables, [k], job, (), report)
