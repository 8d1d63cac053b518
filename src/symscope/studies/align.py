"""The search stage: searches variables of an algorithm in one trained network, with controls."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from symscope.algorithms import Algorithm, Integer, Real
from symscope.alignment import (
    AlignmentResult,
    FittedAlignments,
    Untrained,
    evaluate,
    fit,
    follows_swap,
    principal_components,
    save_alignments,
)
from symscope.alignment.controls import Control
from symscope.alignment.rows import example_rows, failure_rows, length_error_rows, score_rows, value_rows
from symscope.errors import NonFiniteError
from symscope.interchange import CounterfactualData, cache_states, counterfactuals, draw_interventions
from symscope.networks import Network
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.arguments import AlignArguments
from symscope.studies.choices import build_algorithm, make_control
from symscope.studies.observe import labelled_states
from symscope.studies.options import InterventionCounts
from symscope.studies.progress import show_search
from symscope.studies.subject import Subject, save_part

Row = dict[str, Any]
ALIGNMENT = "alignment.safetensors"


def align_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches all variables and subspace sizes of a job in one batch, and evaluates them.

    Stores the results, and parts of the table `scores` and of further tables: `values`, `length_errors`, `failures`,
    `examples`, `gradience`, `aligned_states`. An error in one of these does not lose the search: the facts then have a
    note.

    Raises:
        NonFiniteError: a loss or state is not finite; the best alignments before it are in `folder / "scratch"`.
    """
    job = AlignArguments.read(arguments)
    subject = Subject.of(job)
    network, algorithm = subject.trained_network(needs), build_algorithm(job.request.algorithm, subject.task)
    data = draw_data(algorithm, job.request.variables, job.interventions, subject.seed)
    try:
        fitted = fit_request(network, data, job.request.k, job, _controls(job, subject), report)
    except NonFiniteError as error:
        best = {
            f"{variable}.{alignment.k}": alignment
            for result in error.best
            for variable, alignment in result.alignments.items()
        }
        save_alignments(folder / "scratch" / ALIGNMENT, best)
        raise
    results = evaluate(fitted)
    results.save(folder / ALIGNMENT)
    save_part("scores", (subject.columns | row for result in results.all for row in score_rows(result)), folder)
    further: dict[str, Callable[[], Iterable[Row]]] = {
        "values": lambda: (row for result in results.all for row in value_rows(result)),
        "length_errors": lambda: (row for result in results.all for row in length_error_rows(result)),
        "failures": lambda: (row for result in results.all for row in failure_rows(result)),
        "examples": lambda: (row for result in results.all for row in example_rows(result)),
        "gradience": lambda: _gradience_rows(network, algorithm, results.all, job.interventions, subject.seed),
        "aligned_states": lambda: _state_rows(network, algorithm, results.all, subject),
    }
    notes = [note for name, rows in further.items() if (note := _save_further(name, rows, subject, folder))]
    facts = {**subject.facts, "trial_accuracy": fitted.trial_accuracy}
    return {**facts, "notes": notes} if notes else facts


def draw_data(
    algorithm: Algorithm, variables: Sequence[str], counts: InterventionCounts, seed: int
) -> CounterfactualData:
    """The interventions of a search, from their declared numbers."""
    return counterfactuals(
        algorithm,
        variables,
        n_train=counts.train,
        n_validation=counts.validation,
        n_test=counts.test,
        seed=seed,
        protocol=counts.protocol.protocol(),
        held_out={name: values for name, values in counts.held_out.items() if name in variables},
    )


def fit_request(
    network: Network,
    data: CounterfactualData,
    k: Sequence[int],
    job: AlignArguments,
    controls: Sequence[Control],
    report: Callable[[Progress], None],
) -> FittedAlignments:
    """The alignments of a declared search of all variables of the data, in one batch."""
    request, options = job.request, job.search.options()
    return fit(
        network,
        data,
        k,
        function=request.function.make(),
        site=request.site,
        joint=request.joint,
        mask=None if request.mask is None else request.mask.mask(),
        controls=controls,
        options=options,
        on_step=show_search(report, options.steps),
    )


def _controls(job: AlignArguments, subject: Subject) -> list[Control]:
    """The declared controls; two untrained networks, where untrained networks can be built."""
    controls: list[Control] = []
    for name in job.request.controls:
        if name != Untrained.name:
            controls.append(make_control(name))
        elif fresh := subject.untrained_networks():
            controls.append(Untrained(fresh))
    return controls


def _save_further(name: str, rows: Callable[[], Iterable[Row]], subject: Subject, folder: Path) -> str:
    """Stores a table that the search does not depend on; returns what went wrong, or an empty text."""
    try:
        save_part(name, (subject.columns | row for row in rows()), folder)
    except OSError:
        raise  # a full disk: the job is repeated
    except Exception as error:
        logging.getLogger(__name__).exception("table %s", name)
        return f"the table {name} could not be made: {type(error).__name__}: {error}"
    return ""


def _identity(result: AlignmentResult) -> Row:
    return {
        "algorithm": result.hypothesis,
        "variable": result.variable,
        "site": result.site,
        "function": result.function,
        "k": result.k,
        "protocol": result.protocol,
    }


def _gradience_rows(
    network: Network,
    algorithm: Algorithm,
    results: Sequence[AlignmentResult],
    counts: InterventionCounts,
    seed: int,
) -> Iterator[Row]:
    """IIA by base and source value, for variables that are whole numbers, on further interventions."""
    numbers = {variable.name for variable in algorithm.variables if isinstance(variable, Integer)}
    searched = dict.fromkeys(result.variable for result in results if result.variable in numbers)
    for variable in searched if counts.gradience else ():
        draws = generator(seed, "interventions", algorithm.name, variable, "gradience")
        drawn = draw_interventions(algorithm, [variable], counts.gradience, draws, counts.protocol.protocol())
        cached = cache_states(network, drawn, results[0].site)
        values = {
            "base_value": drawn.base.values[variable].numpy(),
            "source_value": drawn.sources[0].values[variable].numpy(),
        }
        for result in (result for result in results if result.variable == variable):
            correct = follows_swap(network, result.alignments, cached).numpy()
            cells = pl.DataFrame({**values, "correct": correct}).group_by(
                "base_value", "source_value", maintain_order=True
            )
            for row in cells.agg(pl.col("correct").mean().alias("iia"), pl.len().alias("n")).iter_rows(named=True):
                yield {**_identity(result), **row}


@torch.no_grad()
def _state_rows(
    network: Network, algorithm: Algorithm, results: Sequence[AlignmentResult], subject: Subject
) -> Iterator[Row]:
    """Natural states in aligned coordinates (their two leading components), one sequence for each quantity."""
    if not {"count", "phase"} <= {v.name for v in algorithm.variables if not isinstance(v, Real)}:
        return
    sequences = subject.task.draw(torch.tensor(subject.task.quantities), generator(subject.seed, "aligned states"))
    natural, rows = labelled_states(network, algorithm, sequences, results[0].site, subject.device)
    for result in results:
        coordinates = result.alignment.read(natural)
        centred = coordinates - coordinates.mean(0)
        if result.alignment.k > 1:
            centred = principal_components(coordinates, 2).read(centred)
        identity = {name: value for name, value in _identity(result).items() if name != "site"}
        for row, (c1, *c2) in zip(rows, centred.cpu().tolist(), strict=True):
            yield {**identity, **row, "c1": c1, "c2": c2[0] if c2 else None}
