"""The second stage of a study: look for an algorithm's variables in one trained network, beside their controls."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from symscope.studies.common import Subject, save_part
from symscope.studies.declaration import InterventionCounts, Search, build_algorithm

Row = dict[str, Any]
ALIGNMENT = "alignment.safetensors"


def align_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches in one network and tests.

    Leaves the alignment, and parts of the tables `scores`, `values`, `gradience` and `aligned_states`.
    """
    subject = Subject.of(arguments)
    network = subject.trained_network(needs)
    untrained = [subject.fresh_network("untrained"), subject.fresh_network("untrained, another")]
    options, counts = SearchOptions(**arguments["search"]), InterventionCounts(**arguments["interventions"])
    search = Search.model_validate(arguments["asked"])
    search.function.check()
    algorithm = build_algorithm(search.algorithm, subject.task)
    try:
        results = find(
            network,
            algorithm,
            [search.variable],
            search.k,
            function=search.function.name,
            function_options=search.function.options,
            seed=subject.seed,
            site=search.site,
            untrained=untrained,
            counts=(counts.train, counts.validation, counts.test),
            options=options,
            on_validation=lambda on, step, best: report(_progress(on, step, best, options)),
        )
    except NonFiniteError as error:
        save_functions(folder / "scratch" / ALIGNMENT, {"alignment": error.best[0].function})
        raise
    tables = {
        "scores": (row for result in results for row in result.rows()),
        "values": _value_rows(results),
        "gradience": _gradience_rows(network, algorithm, results, counts, subject),
        "aligned_states": _state_rows(network, algorithm, results, subject),
    }
    for name, rows in tables.items():
        save_part(name, [{**subject.columns, **row} for row in rows], folder)
    save_evidence(folder / ALIGNMENT, results)
    return subject.facts


def _progress(on: str, step: int, best: Sequence[float], options: SearchOptions) -> Progress:
    return Progress(step, options.steps, f"search: {on}", {"worst IIA": min(best), "best IIA": max(best)})


def _names(evidence: Evidence) -> Row:
    return {
        "algorithm": evidence.algorithm,
        "variable": evidence.variable,
        "site": evidence.site,
        "function": evidence.function.name,
        "k": evidence.k,
    }


def _value_rows(found: Sequence[Evidence]) -> Iterator[Row]:
    """IIA by the value that is put in."""
    for evidence in found:
        for value, score in evidence.examined.by_value.items():
            yield {**_names(evidence), "value": value, **score.figures()}


def _gradience_rows(
    network: Network, algorithm: Algorithm, found: Sequence[Evidence], counts: InterventionCounts, subject: Subject
) -> Iterator[Row]:
    """IIA by the variable's value in base and source, for variables that are numbers, on a set of its own."""
    numbers = {variable.name for variable in algorithm.variables if isinstance(variable, Integer)}
    for variable in dict.fromkeys(e.variable for e in found if e.variable in numbers and counts.gradience):
        draws = generator(subject.seed, "interventions", algorithm.name, variable, "gradience")
        drawn = draw_interventions(algorithm, [variable], counts.gradience, draws)
        prepared = prepare(network, drawn, found[0].site)
        values = {
            "base_value": drawn.base_values[variable].numpy(),
            "source_value": drawn.source_values[variable].numpy(),
        }
        for evidence in (e for e in found if e.variable == variable):
            correct = follows_swap(network, evidence.function, prepared).numpy()
            cells = pl.DataFrame({**values, "correct": correct}).group_by(
                "base_value", "source_value", maintain_order=True
            )
            for row in cells.agg(pl.col("correct").mean().alias("iia"), pl.len().alias("n")).iter_rows(named=True):
                yield {**_names(evidence), **row}


@torch.no_grad()
def _state_rows(network: Network, algorithm: Algorithm, found: Sequence[Evidence], subject: Subject) -> Iterator[Row]:
    """Natural states in aligned coordinates (their two leading components), one sequence a quantity."""
    if not {"count", "phase"} <= {v.name for v in algorithm.variables if not isinstance(v, Real)}:
        return
    task = subject.task
    sequences = task.draw(torch.tensor(task.quantities), generator(subject.seed, "aligned states"))
    values = algorithm.run(sequences.tokens)
    states = network.states(sequences.tokens.to(subject.device), found[0].site)
    sequence, step = (torch.arange(sequences.tokens.shape[1]) < sequences.lengths[:, None]).nonzero(as_tuple=True)
    natural = states[sequence, step]
    for evidence in found:
        coordinates = evidence.function.coordinates(natural)
        shown = coordinates - coordinates.mean(0)
        if evidence.k > 1:
            shown = principal_components(coordinates, 2).coordinates(shown)
        names = {name: value for name, value in _names(evidence).items() if name != "site"}
        places = zip(sequence.tolist(), step.tolist(), shown.cpu().tolist(), strict=True)
        for row, at, (c1, *c2) in places:
            yield {
                **names,
                "quantity": int(sequences.quantities[row]),
                "sequence": row,
                "step": at,
                "token": task.vocabulary.names[sequences.tokens[row, at]],
                "count": int(values["count"][row, at]),
                "phase": ("demo", "resp")[int(values["phase"][row, at])],
                "c1": c1,
                "c2": c2[0] if c2 else None,
            }
