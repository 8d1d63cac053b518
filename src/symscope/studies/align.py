"""The second stage of a study: look for an algorithm's variables in one trained network, beside their controls."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from symscope.algorithms import Algorithm, Integer, Real
from symscope.alignment import (
    Evidence,
    Score,
    SearchOptions,
    find,
    follows_swap,
    principal_components,
    save_evidence,
    save_functions,
    whole_state_score,
)
from symscope.alignment.controls import kind_of
from symscope.analysis.tables import ALL_VARIABLES, WHOLE_STATE
from symscope.errors import NonFiniteError
from symscope.interventions import draw_interventions, prepare
from symscope.networks import Network
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.common import Subject, save_part
from symscope.studies.declaration import AlignmentChoice, InterventionCounts, build_algorithm, subspace_size

Row = dict[str, Any]


def align_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches and tests; leaves alignments, and parts of the tables `scores`, `gradience` and `aligned_states`."""
    subject = Subject.of(arguments)
    network = subject.trained_network(needs)
    untrained = [subject.fresh_network("untrained"), subject.fresh_network("untrained, another")]
    options, counts = SearchOptions(**arguments["search"]), InterventionCounts(**arguments["interventions"])
    tables: dict[str, list[Row]] = {"scores": [], "gradience": [], "aligned_states": []}
    for declared in arguments["alignments"]:
        choice = AlignmentChoice.model_validate(declared)
        algorithm = build_algorithm(choice.algorithm, subject.task)
        site = choice.site or network.default_site
        sizes = list(dict.fromkeys(subspace_size(k, network.sites[site]) for k in choice.k))
        names = [f"{variable}.{k}" for variable in choice.variables for k in sizes]
        try:
            found = find(
                network,
                algorithm,
                choice.variables,
                sizes,
                seed=subject.seed,
                site=site,
                untrained=untrained,
                counts=(counts.train, counts.validation, counts.test),
                options=options,
                on_validation=lambda on, step, best: report(_progress(on, step, best, options)),
            )
        except NonFiniteError as error:
            if error.best:
                kept = {name: one.function for name, one in zip(names, error.best, strict=True)}
                save_functions(folder / "scratch" / f"{algorithm.name}.{site}.safetensors", kept)
            raise
        save_evidence(folder / f"{algorithm.name}.{site}.safetensors", found)
        whole = whole_state_score(network, algorithm, counts.test, site=site, seed=subject.seed)
        tables["scores"] += [{**subject.columns, **row} for row in _score_rows(found, whole)]
        tables["gradience"] += [
            {**subject.columns, **row} for row in _gradience_rows(network, algorithm, found, counts, subject)
        ]
        tables["aligned_states"] += [
            {**subject.columns, **row} for row in _state_rows(network, algorithm, found, subject)
        ]
    for name, rows in tables.items():
        save_part(name, rows, folder)
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


def _score_rows(found: Sequence[Evidence], whole: Score) -> Iterator[Row]:
    for evidence in found:
        yield {**_names(evidence), "control": "none", **evidence.row()}
        best: dict[str, Score] = {}  # of several untrained networks the one that scores highest
        for name, score in evidence.controls.items():
            kind = kind_of(name)
            best[kind] = max(best.get(kind, score), score, key=lambda one: one.iia)
        for control, score in best.items():
            yield {**_names(evidence), "control": control, **_figures(score)}
    everything = {"variable": ALL_VARIABLES, "function": WHOLE_STATE, "k": found[0].function.d, "control": "none"}
    yield {**_names(found[0]), **everything, **_figures(whole)}


def _figures(score: Score) -> Row:
    return {"iia": score.iia, "low": score.low, "high": score.high, "n": score.n}


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
    """Natural states in each variable's aligned coordinates (their two leading components), one sequence a quantity."""
    if not {"count", "phase"} <= {v.name for v in algorithm.variables if not isinstance(v, Real)}:
        return
    task = subject.task
    sequences = task.draw(torch.tensor(task.quantities), generator(subject.seed, "aligned states"))
    values = algorithm.run(sequences.tokens)
    states = network.states(sequences.tokens.to(subject.device), found[0].site)
    sequence, step = (torch.arange(sequences.tokens.shape[1]) < sequences.lengths[:, None]).nonzero(as_tuple=True)
    natural = states[sequence, step]
    for variable in dict.fromkeys(evidence.variable for evidence in found):
        best = max((e for e in found if e.variable == variable), key=lambda e: e.validation_iia)
        coordinates = best.function.coordinates(natural)
        shown = coordinates - coordinates.mean(0)
        if best.k > 1:
            shown = principal_components(coordinates, 2).coordinates(shown)
        names = {name: value for name, value in _names(best).items() if name != "site"}
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
