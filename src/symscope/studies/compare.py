"""The comparison stages: model alignment search between two networks, and the dimensions that one network needs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import permutations
from pathlib import Path
from typing import Any

from symscope.alignment.functions import LinearFunction
from symscope.alignment.rows import figures
from symscope.comparison import (
    ComparedModel,
    ModelComparison,
    StitchOptions,
    Transfer,
    compare_models,
    minimal_dimensions,
    stitch,
    stitching_data,
)
from symscope.comparison.result import SearchSummary
from symscope.networks import Network
from symscope.runner import Progress
from symscope.studies.align import draw_data
from symscope.studies.arguments import CompareArguments, DimensionsArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.progress import show_search
from symscope.studies.subject import Subject, save_part

Row = dict[str, Any]

WITHIN, ACROSS = "within", "across"
"""Values of the column `direction`: taken from the network itself, or from its partner."""


def compare_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Compares two networks; stores parts of the tables `comparison` and `similarity`.

    The states are compared once, with the first function, since similarity does not depend on a function.
    """
    job = CompareArguments.read(arguments)
    first = Subject.of(job)
    second = Subject(first.task, first.task_label, job.partner, job.partner_seed, job.device)
    subjects = {_name(subject): subject for subject in (first, second)}
    networks = [
        subject.trained_network({name: trained})
        for subject, (name, trained) in zip((first, second), needs.items(), strict=True)
    ]
    models = [_compared(subject, network) for subject, network in zip((first, second), networks, strict=True)]
    sites = {_name(subject): net.default_site for subject, net in zip((first, second), networks, strict=True)}
    algorithm = build_algorithm(job.algorithm, first.task)
    data = draw_data(algorithm, job.variables, job.interventions, job.seed)
    scored: list[Row] = []
    similar: list[Row] = []
    options = job.search.options()
    for number, function in enumerate(job.functions):
        found = compare_models(
            models,
            data,
            k=job.k,
            function=function.make(),
            similarities=number == 0,
            options=options,
            progress=False,
            on_step=show_search(report, options.steps),
        )
        scored += _transfer_rows(found, subjects, sites, function.label)
        similar += _similarity_rows(found, subjects)
    if job.stitching:
        report(Progress(0, 1, "stitching"))
        save_part("stitching", _stitching_rows(job, list(zip(subjects.values(), networks, strict=True))), folder)
    save_part("comparison", scored, folder)
    save_part("similarity", similar, folder)
    return first.facts


def dimensions_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Swaps all variables of an algorithm together; stores a part of the table `dimensions`."""
    job = DimensionsArguments.read(arguments)
    subject = Subject.of(job)
    algorithm = build_algorithm(job.algorithm, subject.task)
    every = "+".join(variable.name for variable in algorithm.variables)
    report(Progress(0, 1, "minimal dimensions"))
    network, function = subject.trained_network(needs), job.function.make()
    assert isinstance(function, LinearFunction), "a declaration has checked it"
    curve = minimal_dimensions(
        network,
        draw_data(algorithm, [every], job.interventions, job.seed),
        job.k,
        function=function,
        options=job.search.options(),
        progress=False,
    )
    searches = {search.k: search for search in curve.searches}
    rows = [
        {
            **subject.columns,
            "algorithm": algorithm.name,
            "site": network.default_site,
            "function": job.function.label,
            "smallest": transfer.k == curve.smallest,
            **_figures(transfer, searches[transfer.k]),
        }
        for transfer in curve.transfers
    ]
    save_part("dimensions", rows, folder)
    return subject.facts


def _name(subject: Subject) -> str:
    columns = subject.columns
    return f"{columns['network']}, d = {columns['d']}, seed {columns['seed']}"


def _compared(subject: Subject, network: Network) -> ComparedModel:
    """A trained network, with an untrained network of the same kind for the control."""
    fresh = subject.untrained_networks()
    return ComparedModel(network, name=_name(subject), untrained=fresh[0] if fresh else None)


def _partner_columns(subject: Subject) -> Row:
    return {f"partner_{name}": value for name, value in subject.columns.items() if name != "task"}


def _transfer_rows(
    found: ModelComparison, subjects: Mapping[str, Subject], sites: Mapping[str, str], function: str
) -> Iterator[Row]:
    """A row for each direction, variable and k; the partner of a network is the other network of the pair."""
    searches = {(search.variable, search.k): search for search in found.searches}
    for transfer in found.transfers:
        (partner,) = (name for name in subjects if name != transfer.target)
        yield {
            **subjects[transfer.target].columns,
            **_partner_columns(subjects[partner]),
            "direction": WITHIN if transfer.is_within else ACROSS,
            "algorithm": found.hypothesis,
            "site": sites[transfer.target],
            "function": function,
            "accuracy": found.accuracy[transfer.target],
            "partner_accuracy": found.accuracy[partner],
            **_figures(transfer, searches[transfer.variable, transfer.k]),
        }


def _figures(transfer: Transfer, search: SearchSummary) -> Row:
    """The columns that both tables of transfers have."""
    row = transfer.row()
    controls = {f"{name}_iia": score.iia for name, score in transfer.controls.items()}
    names = ("variable", "k", "rank", "iia", "low", "high", "n")
    informative = transfer.informative
    return {
        **{name: row[name] for name in names},
        "informative_iia": None if informative is None else informative.iia,
        **({} if transfer.divergence is None else asdict(transfer.divergence)),
        **controls,
        "validation_iia": search.validation_iia,
        "best_step": search.best_step,
        "total_steps": search.total_steps,
        "closed_form": search.closed_form,
    }


def _similarity_rows(found: ModelComparison, subjects: Mapping[str, Subject]) -> Iterator[Row]:
    for pair in found.similarities:
        measured = pair.similarity
        yield {**subjects[pair.first].columns, **_partner_columns(subjects[pair.second]), **asdict(measured)}


def _stitching_rows(job: CompareArguments, networks: Sequence[tuple[Subject, Network]]) -> Iterator[Row]:
    """A row for each direction and rank: how well a network continues from mapped states of its partner."""
    counts, search = job.interventions, job.search
    algorithm = build_algorithm(job.algorithm, networks[0][0].task)
    data = stitching_data(
        algorithm, counts.train, counts.validation, counts.test, seed=job.seed, protocol=counts.protocol.protocol()
    )
    options = StitchOptions(batch=search.batch, steps=search.steps)
    for (receiver, resumed), (sender, mapped) in permutations(networks, 2):
        fresh = sender.untrained_networks()
        for stitched in stitch(
            resumed,
            mapped,
            data,
            job.stitching,
            untrained=fresh[0] if fresh else None,
            options=options,
            seed=job.seed,
        ):
            yield {
                **receiver.columns,
                **_partner_columns(sender),
                "algorithm": algorithm.name,
                "rank": stitched.rank,
                **figures(stitched.score),
                "from_regression": stitched.from_regression.iia,
                "constant": stitched.constant.iia,
                "untrained": None if stitched.untrained is None else stitched.untrained.iia,
                "reference": stitched.reference.iia,
                "validation": stitched.validation,
                "best_step": stitched.best_step,
                "total_steps": stitched.total_steps,
            }
