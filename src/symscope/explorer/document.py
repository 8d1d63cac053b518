"""The document of a page: networks with their alignments, the tasks, and the algorithms, as JSON values."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from symscope.algorithms import Algorithm
from symscope.alignment import Alignment, AlignmentResult, Results
from symscope.alignment.functions import LinearFunction, Orthogonal, random_subspace, subspace
from symscope.errors import InvalidArgumentError
from symscope.explorer.algorithm_table import AlgorithmTable
from symscope.explorer.encoding import encode_array
from symscope.explorer.natural import Natural, natural_document, natural_states, value_document
from symscope.explorer.networks import check_runs_in_page, network_document
from symscope.networks import Network
from symscope.seeds import generator
from symscope.tasks import Task
from symscope.verdict import IN_THE_SPAN, NATURAL, naturalness

FORMAT = 1
"""Raise this when a page of an earlier version can no longer be read."""
MAX_ALIGNMENTS = 24
"""Alignments of one network in a page: the answers, then the best of each kind, then the rest."""
PAPERS = "the paper's"
UNRESTRICTED = "unrestricted"
KINDS = (NATURAL, IN_THE_SPAN, UNRESTRICTED, PAPERS)
"""Kinds of alignments, in the order of a page."""


@dataclass(frozen=True)
class Subject:
    """A network of a page, with the algorithm and the results that the page shows.

    Attributes:
        name: the name that a reader sees, such as `gru, d = 48, seed 0`.
        network: the network.
        algorithm: the algorithm whose variables were searched.
        results: results of searches in this network, for this algorithm.
        facts: sentences about the network.
    """

    name: str
    network: Network
    algorithm: Algorithm
    results: Results
    facts: tuple[str, ...] = field(default=())


def explorer_document(subjects: Sequence[Subject], title: str, report: str | None = None) -> dict[str, Any]:
    """The document of a page with these networks; `report` is a page that it links.

    Raises:
        InvalidArgumentError: there are no networks, the page cannot run a network or an algorithm, no alignment is
            linear, or results belong to another network.
    """
    if not subjects:
        raise InvalidArgumentError("an explorer needs at least one network, got none")
    tasks: list[Task] = []
    algorithms: list[Algorithm] = []
    networks: list[Network] = []
    entries = []
    for subject in (part for given in subjects for part in _by_site(given)):
        check_runs_in_page(subject.network)
        _check_same_network(subject)
        places = {
            "task": _place(subject.algorithm.task, tasks, _same_task),
            "algorithm": _place(subject.algorithm, algorithms, _same_algorithm),
            "network": _place(subject.network, networks, lambda first, second: first is second),
        }
        entries.append({**_subject_document(subject), **places})
    return {
        "format": FORMAT,
        "title": title,
        "report": report,
        "tasks": [_task_document(task) for task in tasks],
        "algorithms": [AlgorithmTable(algorithm).document() for algorithm in algorithms],
        "networks": [network_document(network) for network in networks],
        "subjects": entries,
    }


def kind_of(result: AlignmentResult) -> str:
    """The kind of a result's alignment: how natural the states are that it writes, or that it is the paper's map."""
    if result.function == Orthogonal.name:
        return PAPERS
    word = naturalness(result.measurement)
    return word if word in (NATURAL, IN_THE_SPAN) else UNRESTRICTED


def linear_part(alignment: Alignment) -> Alignment | None:
    """The alignment as a projector; `None` where its map is not linear."""
    function = alignment.function
    if not isinstance(function, LinearFunction):
        return None
    with torch.no_grad():
        factors = function.factors([tensor[None] for tensor in alignment.tensors], alignment.function_k)
    write, read = (factor[0].cpu().float() for factor in factors)
    return subspace(write[:, alignment.dimensions], read[alignment.dimensions], name=alignment.name)


def _by_site(subject: Subject) -> list[Subject]:
    """The subject once for each site of its results."""
    sites = list(dict.fromkeys(result.site for result in subject.results.all))
    if len(sites) == 1:
        return [subject]
    parts = {site: Results([result for result in subject.results.all if result.site == site]) for site in sites}
    return [replace(subject, name=f"{subject.name}, site {site}", results=part) for site, part in parts.items()]


def _check_same_network(subject: Subject) -> None:
    """Raises `InvalidArgumentError` where results belong to another network, in which swaps would mean nothing."""
    for identity in {result.network for result in subject.results.all if result.network is not None}:
        mismatch = identity.mismatch(subject.network)
        if mismatch:
            raise InvalidArgumentError(f"the results belong to {mismatch}: pass the network that was searched")


def _place(value: Any, known: list[Any], same: Any) -> int:
    """The index of a value among the known ones, to which it is added if it is new."""
    for index, entry in enumerate(known):
        if same(entry, value):
            return index
    known.append(value)
    return len(known) - 1


def _same_task(first: Task, second: Task) -> bool:
    same_names = (first.name, first.vocabulary.names) == (second.name, second.vocabulary.names)
    return first is second or (same_names and type(first) is type(second) and first.quantities == second.quantities)


def _same_algorithm(first: Algorithm, second: Algorithm) -> bool:
    return first is second or (type(first) is type(second) and _same_task(first.task, second.task))


def _task_document(task: Task) -> dict[str, Any]:
    """The names of the tokens, and a sequence for each quantity."""
    draws = generator(0, "explorer", "sequences", task.name)
    drawn = task.draw(torch.tensor(task.quantities), draws)
    rows = zip(drawn.tokens.tolist(), drawn.lengths.tolist(), strict=True)
    return {
        "name": task.name,
        "tokens": list(task.vocabulary.names),
        "pad": task.vocabulary.pad,
        "bos": task.vocabulary.bos,
        "eos": task.vocabulary.eos,
        "quantities": list(task.quantities),
        "heldOut": list(task.held_out),
        "sequences": [tokens[:length] for tokens, length in rows],
    }


def _subject_document(subject: Subject) -> dict[str, Any]:
    site = subject.results.all[0].site
    left_out = []
    linear: list[tuple[AlignmentResult, dict[str, Alignment]]] = []
    for result in subject.results.all:
        parts = {name: linear_part(alignment) for name, alignment in result.alignments.items()}
        projectors = {name: part for name, part in parts.items() if part is not None}
        if len(projectors) == len(parts):
            linear.append((result, projectors))
        else:
            left_out.append(f"{result.variable}, {result.function}, k = {result.k}")
    if not linear:
        raise InvalidArgumentError(
            f"the page runs linear alignments only, and none of {subject.name!r} is linear ({'; '.join(left_out)}): "
            "search with sc.Oblique() or sc.Orthogonal() as well"
        )
    natural = natural_states(subject.network, subject.algorithm, site)
    chosen = _chosen(linear)
    widest = max(part.k for _, parts in chosen for part in parts.values())
    random = random_subspace(subject.network.sites[site], widest, generator(0, "explorer", "random subspace"))
    return {
        "name": subject.name,
        "facts": list(subject.facts),
        "site": site,
        "alignments": [_alignment_document(result, parts, subject.results, natural) for result, parts in chosen],
        "leftOut": left_out,
        "random": encode_array(random.tensors[0]),
        "natural": natural_document(natural, [variable.name for variable in subject.algorithm.variables]),
    }


def _chosen(linear: list[tuple[AlignmentResult, dict[str, Alignment]]]) -> list[tuple[AlignmentResult, Any]]:
    """At most `MAX_ALIGNMENTS`, by variable and kind: the best of each kind are kept before the rest."""
    variables = list(dict.fromkeys(result.variable for result, _ in linear))
    groups: dict[tuple[str, str], list[tuple[AlignmentResult, dict[str, Alignment]]]] = {}
    for entry in linear:
        groups.setdefault((entry[0].variable, kind_of(entry[0])), []).append(entry)
    ranked = []
    for members in groups.values():
        best = Results([result for result, _ in members]).best(members[0][0].variable)
        order = sorted(members, key=lambda entry: (entry[0] is not best, -entry[0].validation_iia))
        ranked += list(enumerate(order))
    kept = [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])[:MAX_ALIGNMENTS]]
    return sorted(kept, key=lambda entry: (variables.index(entry[0].variable), KINDS.index(kind_of(entry[0]))))


def _alignment_document(
    result: AlignmentResult, parts: dict[str, Alignment], results: Results, natural: Natural
) -> dict[str, Any]:
    several = len(parts) > 1
    return {
        "variable": result.variable,
        "kind": kind_of(result),
        "function": result.function,
        "k": result.k,
        "iia": result.score.iia,
        "low": result.score.low,
        "high": result.score.high,
        "n": result.score.n,
        "verdict": result.verdict.word,
        "answer": results.best(result.variable) is result,
        "parts": [
            {
                "variable": name,
                "write": encode_array(part.tensors[0]),
                "read": encode_array(part.tensors[1]),
                "decode": None if several else value_document(part.to(torch.float64), natural, name),
            }
            for name, part in parts.items()
        ],
    }
