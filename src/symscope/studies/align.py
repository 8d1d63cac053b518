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
from symscope.runner import Member, Progress
from symscope.seeds import generator
from symscope.studies.common import Subject, save_part
from symscope.studies.declaration import InterventionCounts, Search, build_algorithm

Row = dict[str, Any]
ALIGNMENT = "alignment.safetensors"


def align_stage(
    members: Sequence[Member], needs: Mapping[str, Path], report: Callable[[Progress], None]
) -> list[Mapping[str, Any] | Exception]:
    """Searches in one network and tests, as one batch as far as may be.

    Each member leaves its alignment, and parts of the tables `scores`, `values`, `gradience` and `aligned_states`.
    """
    arguments = members[0].arguments  # all members have the same but for `asked`
    subject = Subject.of(arguments)
    network = subject.trained_network(needs)
    untrained = [subject.fresh_network("untrained"), subject.fresh_network("untrained, another")]
    options, counts = SearchOptions(**arguments["search"]), InterventionCounts(**arguments["interventions"])
    asked = [Search.model_validate(member.arguments["asked"]) for member in members]
    told: dict[int, Mapping[str, Any] | Exception] = {}
    for batch in _batches(asked):
        first = asked[batch[0]]
        first.function.check()
        algorithm = build_algorithm(first.algorithm, subject.task)
        try:
            found = find(
                network,
                algorithm,
                list(dict.fromkeys(asked[place].variable for place in batch)),
                list(dict.fromkeys(asked[place].k for place in batch)),
                function=first.function.name,
                function_options=first.function.options,
                seed=subject.seed,
                site=first.site,
                untrained=untrained,
                counts=(counts.train, counts.validation, counts.test),
                options=options,
                on_validation=lambda on, step, best: report(_progress(on, step, best, options)),
            )
        except NonFiniteError as error:
            told |= dict.fromkeys(batch, error)
            for place, one in zip(batch, error.best, strict=False):
                save_functions(members[place].folder / "scratch" / ALIGNMENT, {"alignment": one.function})
            continue
        tables = {
            "scores": (
                {**row, "restarts": options.starts if row["control"] == "none" else None}
                for one in found
                for row in one.rows()
            ),
            "values": _value_rows(found),
            "gradience": _gradience_rows(network, algorithm, found, counts, subject),
            "aligned_states": _state_rows(network, algorithm, found, subject),
        }
        for name, rows in tables.items():
            by_question: dict[tuple[str, int], list[Row]] = {}
            for row in rows:
                by_question.setdefault((row["variable"], row["k"]), []).append({**subject.columns, **row})
            for place in batch:
                save_part(name, by_question.get((asked[place].variable, asked[place].k), []), members[place].folder)
        for place, evidence in zip(batch, found, strict=True):
            save_evidence(members[place].folder / ALIGNMENT, [evidence])
            told[place] = subject.facts
    return [told[place] for place in range(len(members))]


def _batches(asked: Sequence[Search]) -> Iterator[list[int]]:
    """Places of the searches that share an algorithm, site and function, so that variables × sizes is all of them.

    Usually that is one batch for each; fewer where some are done already, as after a k was added to a study.
    """
    alike: dict[str, dict[str, dict[int, int]]] = {}
    for place, search in enumerate(asked):
        kind = f"{search.algorithm} {search.site} {search.function.model_dump_json()}"
        alike.setdefault(kind, {}).setdefault(search.variable, {})[search.k] = place
    for variables in alike.values():
        by_sizes: dict[tuple[int, ...], list[int]] = {}
        for sizes in variables.values():
            by_sizes.setdefault(tuple(sizes), []).extend(sizes.values())
        yield from by_sizes.values()


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
