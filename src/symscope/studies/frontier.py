"""The frontier stage: a search at several weights of the counterfactual-latent loss."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from symscope.alignment import frontier
from symscope.alignment.rows import alignment_row
from symscope.analysis.schemas import FRONTIER
from symscope.runner import Progress
from symscope.studies.align import draw_data
from symscope.studies.arguments import FrontierArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.progress import show_search
from symscope.studies.subject import Subject, save_part


def frontier_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches at every weight; stores a row of the table `frontier` for each variable, subspace size and weight."""
    job = FrontierArguments.read(arguments)
    subject, request = Subject.of(job), job.request
    network, algorithm = subject.trained_network(needs), build_algorithm(request.algorithm, subject.task)
    options = job.search.options()
    results = frontier(
        network,
        draw_data(algorithm, request.variables, job.interventions, subject.seed),
        request.k,
        latent_weights=job.latent_weights,
        function=request.function.make(),
        site=request.site,
        joint=request.joint,
        options=options,
        on_step=show_search(report, options.steps),
    )
    columns = set(FRONTIER.dtypes)
    rows = [
        {**subject.columns, **{name: value for name, value in alignment_row(result).items() if name in columns}}
        | {"latent_weight": weight}
        for weight, of_weight in results.items()
        for result in of_weight.all
    ]
    save_part("frontier", rows, folder)
    return subject.facts
