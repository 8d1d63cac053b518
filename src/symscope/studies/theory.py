"""Stages that measure what theory predicts, in constructed or fresh networks: nothing is trained.

*Change of basis*: a network whose variables are known, after a linear change of basis. Without spare dimensions no
orthogonal projector isolates a variable. With spare dimensions it does, by writing into directions that no natural
state uses. So IIA is measured together with divergence. *Reach*: which activation of a transformer affects which.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from symscope.algorithms import make_algorithm
from symscope.alignment import LinearAlignment, Oblique, Orthogonal, evaluate, fit
from symscope.alignment.rows import alignment_row
from symscope.analysis import table_schema
from symscope.networks import CONSTRUCTED, Constructed, change_basis, make_network, random_invertible
from symscope.networks.reach import causal_reach, measured_reach
from symscope.networks.transformer import Transformer
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.align import draw_data
from symscope.studies.arguments import ChangeOfBasisArguments, ReachArguments
from symscope.studies.progress import show_search
from symscope.studies.subject import device_facts, save_part
from symscope.tasks import NumericTask, multi_object

Row = dict[str, Any]

NEEDED = 2
"""Dimensions that the magnitude network needs: an axis for the count and an axis for the phase."""
CONDITION = 5.0
"""Condition number of the changes of basis."""
FUNCTIONS = (Orthogonal(), LinearAlignment(), Oblique(), Oblique(coordinates="natural-span"))
"""The alignment functions that are searched."""
REACH_TIME = 7
"""Positions of the sequences whose reach is measured."""


def change_of_basis_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches the magnitude network after a change of basis, with each function; stores a part of `theory`."""
    del needs  # it reads no result
    save_part("theory", _change_of_basis_rows(ChangeOfBasisArguments.read(arguments), report), folder)
    return device_facts("cpu")


def network_in_new_basis(task: NumericTask, d: int, seed: int) -> Constructed:
    """The magnitude network, whose states are multiplied by a random invertible matrix."""
    constructed = CONSTRUCTED["magnitude"](**task.roles, d=d)
    return change_basis(constructed, random_invertible(d, CONDITION, generator(seed, "theory", "disguise", d)))


def _change_of_basis_rows(job: ChangeOfBasisArguments, report: Callable[[Progress], None]) -> Iterator[Row]:
    d, seed, options = job.d, job.seed, job.search.options()
    task = multi_object()
    algorithm, constructed = make_algorithm("up-down", task), network_in_new_basis(task, d, seed)
    data = draw_data(algorithm, ["count", "phase"], job.interventions, seed)
    where = {"network": "magnitude", "change_of_basis": "invertible", "d": d, "spare": d - NEEDED, "seed": seed}
    columns = table_schema("theory").dtypes
    for function in FUNCTIONS:
        fitted = fit(
            constructed.network,
            data,
            1,
            function=function,
            site=constructed.site,
            controls=(),
            options=options,
            on_step=show_search(report, options.steps),
        )
        identity = {"function": function.name, "coordinates": function.coordinates}
        for result in evaluate(fitted).all:
            row = {name: value for name, value in alignment_row(result).items() if name in columns}
            yield {**row, **where, **identity}


def reach_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Which activation of a fresh transformer affects which, by structure and by trial; stores a part of `reach`."""
    del needs
    job = ReachArguments.read(arguments)
    report(Progress(0, 1, f"reach, {job.layers} layers"))
    draws = generator(job.seed, "theory", "reach", job.layers)
    network = make_network("transformer-rope", 16, 8, draws, layers=job.layers)
    assert isinstance(network, Transformer)
    structure, change = causal_reach(job.layers, REACH_TIME), measured_reach(network, REACH_TIME, draws)
    activations = list(product(range(job.layers + 1), range(REACH_TIME)))
    rows = (
        {
            "network": "transformer-rope",
            "layers": job.layers,
            "from_layer": first[0],
            "from_position": first[1],
            "layer": second[0],
            "position": second[1],
            "reaches": bool(structure.reaches[i, j]),
            "change": float(change[i, j]),
            "updates": int(structure.updates[j]),
        }
        for (i, first), (j, second) in product(enumerate(activations), repeat=2)
    )
    save_part("reach", rows, folder)
    return device_facts("cpu")
