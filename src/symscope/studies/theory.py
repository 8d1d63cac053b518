"""Stages that show what theory says, in networks written by hand or fresh: nothing is trained.

*Disguise*: a network that is known to hold its variables, behind a linear change of basis. Without spare dimensions no
orthogonal projector isolates a variable; with spare ones it does, by writing into directions that no natural state
uses. So IIA is shown against divergence. *Reach*: which activation of a transformer can reach which.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from symscope.algorithms import make_algorithm
from symscope.alignment import Blocks, Evidence, Question, SearchOptions, search
from symscope.alignment.unseen import Unseen, draw_unseen
from symscope.analysis import table_schema
from symscope.interventions import draw_interventions, prepare
from symscope.networks import CONSTRUCTED, Constructed, change_basis, make_network, random_invertible
from symscope.networks.reach import causal_reach, measured_reach
from symscope.networks.transformer import Transformer
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.calibrate import COORDINATES
from symscope.studies.common import save_part
from symscope.studies.declaration import InterventionCounts
from symscope.tasks import NumericTask, multi_object

Row = dict[str, Any]

NEEDED = 2
"""Dimensions of the magnitude network that are not spare: count and phase have an axis each."""
CONDITION = 5.0
"""Of the disguises."""
SEARCHES = (("orthogonal", "none"), ("linear", "none"), ("oblique", "none"), ("oblique", "spanned"))
"""Functions, and what each looks through."""
REACH_TIME = 7
"""Positions of the sequences whose reach is shown."""


def disguise_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches in the magnitude network in a linear disguise with each function; leaves a part of `theory`."""
    save_part("theory", _disguise_rows(arguments, report), folder)
    return {"device": "cpu", "threads": 1}


def disguised(task: NumericTask, d: int, seed: int) -> Constructed:
    """The magnitude network behind a random invertible matrix."""
    constructed = CONSTRUCTED["magnitude"](**task.roles, d=d)
    return change_basis(constructed, random_invertible(d, CONDITION, generator(seed, "theory", "disguise", d)))


def _disguise_rows(arguments: Mapping[str, Any], report: Callable[[Progress], None]) -> Iterator[Row]:
    d, seed = arguments["d"], arguments["seed"]
    options, counts = SearchOptions(**arguments["search"]), InterventionCounts(**arguments["interventions"])
    task = multi_object()
    algorithm, hidden = make_algorithm("up-down", task), disguised(task, d, seed)
    asked, questions, tests = [], [], {}
    for variable in ("count", "phase"):
        sets = []
        for purpose, count in (("train", counts.train), ("validation", counts.validation)):
            chance = generator(seed, "interventions", algorithm.name, variable, purpose)
            sets.append(prepare(hidden.network, draw_interventions(algorithm, [variable], count, chance), hidden.site))
        tests[variable] = Unseen(hidden.network, draw_unseen(algorithm, variable, counts.test, seed), hidden.site)
        for function, view in SEARCHES:
            seen = {} if view == "none" else {"view": view}
            train, validation = ({variable: one} for one in sets)
            questions.append(Question(train, validation, Blocks({variable: 1}), seed, function, seen))
            asked.append((variable, function, view))

    def tell(step: int, best: list[float]) -> None:
        report(Progress(step, options.steps, f"disguise, d = {d}", {"worst IIA": min(best), "best IIA": max(best)}))

    columns = table_schema("theory").dtypes
    where = {"network": "magnitude", "change_of_basis": "invertible", "d": d, "spare": d - NEEDED, "seed": seed}
    found = search(hidden.network, questions, options, tell)
    for (variable, function, view), one in zip(asked, found, strict=True):
        examined = tests[variable].examine(f"{function}, {view}", one.function)
        evidence = Evidence(
            algorithm.name, variable, hidden.site, one.function, one.start, one.steps, one.validation_iia, 0.0, examined
        )
        named = {
            "algorithm": algorithm.name,
            "variable": variable,
            "function": function,
            "coordinates": COORDINATES[view],
            "k": 1,
        }
        yield {**where, **named, **{name: value for name, value in evidence.row().items() if name in columns}}


def reach_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Which activation of a fresh transformer reaches which, by structure and by trial; leaves a part of `reach`."""
    layers = arguments["layers"]
    report(Progress(0, 1, f"reach, {layers} layers"))
    draws = generator(arguments["seed"], "theory", "reach", layers)
    network = make_network("transformer-rope", 16, 8, draws, layers=layers)
    assert isinstance(network, Transformer)
    structure, change = causal_reach(layers, REACH_TIME), measured_reach(network, REACH_TIME, draws)
    places = list(product(range(layers + 1), range(REACH_TIME)))
    rows = (
        {
            "network": "transformer-rope",
            "layers": layers,
            "from_layer": first[0],
            "from_position": first[1],
            "layer": other[0],
            "position": other[1],
            "reaches": bool(structure.reaches[i, j]),
            "change": float(change[i, j]),
            "updates": int(structure.updates[j]),
        }
        for (i, first), (j, other) in product(enumerate(places), repeat=2)
    )
    save_part("reach", rows, folder)
    return {"device": "cpu", "threads": 1}
