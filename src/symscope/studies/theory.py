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
from symscope.alignment import Blocks, Evidence, Question, search
from symscope.alignment.unseen import Unseen, draw_unseen
from symscope.analysis import table_schema
from symscope.interventions import draw_interventions, prepare
from symscope.networks import CONSTRUCTED, Constructed, change_basis, make_network, random_invertible
from symscope.networks.reach import causal_reach, measured_reach
from symscope.networks.transformer import Transformer
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.arguments import ChangeOfBasisArguments, ReachArguments
from symscope.studies.subject import device_facts, save_part
from symscope.tasks import NumericTask, multi_object

Row = dict[str, Any]

NEEDED = 2
"""Dimensions that the magnitude network needs: an axis for the count and an axis for the phase."""
CONDITION = 5.0
"""Condition number of the changes of basis."""
SEARCHES = (("orthogonal", "state"), ("linear", "state"), ("oblique", "state"), ("oblique", "natural-span"))
"""Alignment functions, with their coordinates."""
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
    d, seed, options, counts = job.d, job.seed, job.search.options(), job.interventions
    task = multi_object()
    algorithm, constructed = make_algorithm("up-down", task), network_in_new_basis(task, d, seed)
    network, site = constructed.network, constructed.site
    searched, questions, tests = [], [], {}
    for variable in ("count", "phase"):
        sets = []
        for purpose, count in (("train", counts.train), ("validation", counts.validation)):
            draws = generator(seed, "interventions", algorithm.name, variable, purpose)
            sets.append(prepare(network, draw_interventions(algorithm, [variable], count, draws), site))
        tests[variable] = Unseen(network, draw_unseen(algorithm, variable, counts.test, seed), site)
        for function, coordinates in SEARCHES:
            function_options = {} if coordinates == "state" else {"view": "spanned"}
            train, validation = ({variable: prepared} for prepared in sets)
            questions.append(Question(train, validation, Blocks({variable: 1}), seed, function, function_options))
            searched.append((variable, function, coordinates))

    def show(step: int, best: list[float]) -> None:
        figures = {"worst IIA": min(best), "best IIA": max(best)}
        report(Progress(step, options.steps, f"change of basis, d = {d}", figures))

    columns = table_schema("theory").dtypes
    where = {"network": "magnitude", "change_of_basis": "invertible", "d": d, "spare": d - NEEDED, "seed": seed}
    results = search(network, questions, options, show)
    for (variable, function, coordinates), found in zip(searched, results, strict=True):
        view = "none" if coordinates == "state" else "spanned"  # names the generator of the test
        examined = tests[variable].examine(f"{function}, {view}", found.function)
        evidence = Evidence(
            algorithm.name,
            variable,
            site,
            found.function,
            found.start,
            found.steps,
            found.validation_iia,
            0.0,
            examined,
        )
        identity = {"algorithm": algorithm.name, "variable": variable, "function": function, "k": 1}
        identity["coordinates"] = coordinates
        yield {**where, **identity, **{name: value for name, value in evidence.row().items() if name in columns}}


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
