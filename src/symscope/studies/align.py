"""The search stage: searches variables of an algorithm in one trained network, with controls."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from symscope.algorithms import Algorithm, Integer, Real
from symscope.alignment import (
    Evidence,
    SearchOptions,
    find,
    follows_swap,
    principal_components,
    save_evidence,
    save_functions,
)
from symscope.errors import NonFiniteError
from symscope.interventions import draw_interventions, prepare
from symscope.networks import Network
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.arguments import AlignArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.observe import labelled_states
from symscope.studies.subject import Subject, save_part

Row = dict[str, Any]
ALIGNMENT = "alignment.safetensors"


def align_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches all variables and subspace sizes of a job in one batch, and evaluates them.

    Stores the alignments, and parts of the tables `scores`, `values`, `gradience` and `aligned_states`. An error in one
    of the last three does not lose the search: the facts then have a note.

    Raises:
        NonFiniteError: a loss or state is not finite; the best alignments before it are in `folder / "scratch"`.
    """
    job = AlignArguments.read(arguments)
    subject, request = Subject.of(job), job.request
    network, algorithm = subject.trained_network(needs), build_algorithm(request.algorithm, subject.task)
    options, counts = job.search.options(), job.interventions
    request.function.register()
    try:
        results = find(
            network,
            algorithm,
            request.variables,
            request.k,
            function=request.function.name,
            function_options=request.function.search_options,
            seed=subject.seed,
            site=request.site,
            untrained=subject.untrained_networks(),
            counts=(counts.train, counts.validation, counts.test),
            options=options,
            on_validation=lambda on, step, best: report(_progress(on, step, best, options)),
        )
    except NonFiniteError as error:
        names = [f"{variable}.{k}" for variable in request.variables for k in request.k]
        best = {name: found.function for name, found in zip(names, error.best, strict=False)}
        save_functions(folder / "scratch" / ALIGNMENT, best)
        raise
    save_evidence(folder / ALIGNMENT, results)
    save_part("scores", ({**subject.columns, **row} for result in results for row in result.rows()), folder)
    further: dict[str, Callable[[], Iterable[Row]]] = {
        "values": lambda: _value_rows(results),
        "gradience": lambda: _gradience_rows(network, algorithm, results, counts.gradience, subject),
        "aligned_states": lambda: _state_rows(network, algorithm, results, subject),
    }
    notes = [note for name, rows in further.items() if (note := _save_further(name, rows, subject, folder))]
    return {**subject.facts, "notes": notes} if notes else subject.facts


def _save_further(name: str, rows: Callable[[], Iterable[Row]], subject: Subject, folder: Path) -> str:
    """Stores a table that the search does not depend on; returns what went wrong, or an empty text."""
    try:
        save_part(name, ({**subject.columns, **row} for row in rows()), folder)
    except OSError:
        raise  # a full disk: the job is repeated
    except Exception as error:
        logging.getLogger(__name__).exception("table %s", name)
        return f"the table {name} could not be made: {type(error).__name__}: {error}"
    return ""


def _progress(on: str, step: int, best: Sequence[float], options: SearchOptions) -> Progress:
    return Progress(step, options.steps, f"search: {on}", {"worst IIA": min(best), "best IIA": max(best)})


def _identity(result: Evidence) -> Row:
    return {
        "algorithm": result.algorithm,
        "variable": result.variable,
        "site": result.site,
        "function": result.function.name,
        "k": result.k,
    }


def _value_rows(results: Sequence[Evidence]) -> Iterator[Row]:
    """IIA by source value."""
    for result in results:
        for value, score in result.examined.by_value.items():
            yield {**_identity(result), "value": value, **score.figures()}


def _gradience_rows(
    network: Network, algorithm: Algorithm, results: Sequence[Evidence], count: int, subject: Subject
) -> Iterator[Row]:
    """IIA by base and source value, for variables that are whole numbers, on further interventions."""
    numbers = {variable.name for variable in algorithm.variables if isinstance(variable, Integer)}
    for variable in dict.fromkeys(result.variable for result in results if result.variable in numbers and count):
        draws = generator(subject.seed, "interventions", algorithm.name, variable, "gradience")
        drawn = draw_interventions(algorithm, [variable], count, draws)
        prepared = prepare(network, drawn, results[0].site)
        values = {
            "base_value": drawn.base_values[variable].numpy(),
            "source_value": drawn.source_values[variable].numpy(),
        }
        for result in (result for result in results if result.variable == variable):
            correct = follows_swap(network, result.function, prepared).numpy()
            cells = pl.DataFrame({**values, "correct": correct}).group_by(
                "base_value", "source_value", maintain_order=True
            )
            for row in cells.agg(pl.col("correct").mean().alias("iia"), pl.len().alias("n")).iter_rows(named=True):
                yield {**_identity(result), **row}


@torch.no_grad()
def _state_rows(network: Network, algorithm: Algorithm, results: Sequence[Evidence], subject: Subject) -> Iterator[Row]:
    """Natural states in aligned coordinates (their two leading components), one sequence for each quantity."""
    if not {"count", "phase"} <= {v.name for v in algorithm.variables if not isinstance(v, Real)}:
        return
    sequences = subject.task.draw(torch.tensor(subject.task.quantities), generator(subject.seed, "aligned states"))
    natural, rows = labelled_states(network, algorithm, sequences, results[0].site, subject.device)
    for result in results:
        coordinates = result.function.coordinates(natural)
        centred = coordinates - coordinates.mean(0)
        if result.k > 1:
            centred = principal_components(coordinates, 2).coordinates(centred)
        identity = {name: value for name, value in _identity(result).items() if name != "site"}
        for row, (c1, *c2) in zip(rows, centred.cpu().tolist(), strict=True):
            yield {**identity, **row, "c1": c1, "c2": c2[0] if c2 else None}
