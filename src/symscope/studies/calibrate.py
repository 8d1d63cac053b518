"""Calibration: networks whose answer is known, put through the whole instrument, and what it says of them.

Three parts. *known*: constructed networks in disguise, asked for variables that they hold and for ones that they do
not, by every alignment function. *null*: untrained GRUs of growing width, which hold nothing. *curve*: one constructed
network with spare dimensions, searched under rising pull to natural states: IIA against divergence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from symscope.algorithms import make_algorithm
from symscope.alignment import Evidence, SearchOptions, find
from symscope.alignment.controls import kind_of
from symscope.alignment.starts import RANDOM
from symscope.analysis import table_schema
from symscope.networks import (
    CONSTRUCTED,
    Constructed,
    Network,
    change_basis,
    make_network,
    random_invertible,
    random_orthogonal,
)
from symscope.networks.constructed import LinearCell
from symscope.networks.readouts import LinearReadout
from symscope.networks.recurrent import RecurrentNetwork
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.common import Subject, save_part
from symscope.studies.declaration import FunctionChoice, InterventionCounts
from symscope.tasks import NumericTask, Task

Row = dict[str, Any]

HELD: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "magnitude": {"up-down": ("count", "phase"), "up-up": ("phase",)},
    "angle": {"up-down": ("count", "phase"), "up-up": ("phase",)},
    "two-counts": {"up-down": ("count", "phase"), "up-up": ("demo_count", "resp_count", "phase")},
}
"""The variables that each constructed network holds. The phase is the same in both algorithms, and two counts hold
their difference, which is the count of Up-Down; one count is not two."""

COORDINATES: Mapping[str, str] = {"none": "state", "spanned": "natural-span"}
"""Names in the table of what a search looks through."""

CONDITION = 5.0
"""Of the invertible disguises."""


def calibrate_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Asks one network what it holds; leaves a part of the table `calibration`."""
    del needs  # of no other job
    subject = Subject.of(arguments)
    options, counts = SearchOptions(**arguments["search"]), InterventionCounts(**arguments["interventions"])
    asked = dict(arguments["asked"])
    part, function = asked.pop("part"), FunctionChoice(**asked.pop("function"))
    function.check()

    def tell(on: str, step: int, best: list[float]) -> None:
        report(Progress(step, options.steps, f"search: {on}", {"worst IIA": min(best), "best IIA": max(best)}))

    ask = _Asker(subject, function, (counts.train, counts.validation, counts.test), options, tell)
    save_part("calibration", PARTS[part](ask, **asked), folder)
    return subject.facts


@dataclass(frozen=True)
class _Asker:
    """How every question of a calibration is asked; the same for all, right or wrong."""

    subject: Subject
    choice: FunctionChoice
    counts: tuple[int, int, int]
    options: SearchOptions
    tell: Callable[[str, int, list[float]], None]

    def __call__(
        self, network: Network, algorithm: str, variables: Sequence[str], k: int, *, view: str = "none", **more: Any
    ) -> list[Evidence]:
        """Looks for variables in one network."""
        looked_through = {} if view == "none" else {"view": view}
        return find(
            network.to(self.subject.device),
            make_algorithm(algorithm, self.subject.task),
            variables,
            k,
            function=self.choice.name,
            function_options={**self.choice.options, **looked_through},
            seed=self.subject.seed,
            counts=self.counts,
            on_validation=self.tell,
            **{"options": self.options, **more},
        )


def known(ask: _Asker, *, network: str, disguise: str, d: int, k: int) -> Iterator[Row]:
    """A constructed network, asked for the variables of two algorithms."""
    seed = ask.subject.seed
    constructed = _hidden(network, disguise, d, ask.subject.task, seed)
    fresh = _untrained_like(constructed.network, generator(seed, "calibration", "untrained")).to(ask.subject.device)
    for algorithm in ("up-down", "up-up"):
        variables = [variable.name for variable in make_algorithm(algorithm, ask.subject.task).variables]
        for one in ask(constructed.network, algorithm, variables, k, untrained=fresh):
            held = one.variable in HELD[network][algorithm]
            yield _row("known", network, disguise, ask, one, held=held)


def null(ask: _Asker, *, network: str, d: int, k: int) -> Iterator[Row]:
    """An untrained network, asked for the variables of Up-Down."""
    draws = generator(ask.subject.seed, "calibration", "null", d)
    fresh = make_network(network, d, len(ask.subject.task.vocabulary), draws)
    for one in ask(fresh, "up-down", ["count", "phase"], k):
        yield _row("null", f"untrained {network}", "none", ask, one, held=False)


def curve(ask: _Asker, *, network: str, d: int, k: int, latent_weight: float, view: str) -> Iterator[Row]:
    """A constructed network with spare dimensions, from random starts, pulled to natural states more or less."""
    constructed = _hidden(network, "invertible", d, ask.subject.task, ask.subject.seed)
    options = replace(ask.options, first=RANDOM, latent_weight=latent_weight)
    for one in ask(constructed.network, "up-down", ["count"], k, view=view, options=options):
        row = _row("curve", network, "invertible", ask, one, held=True)
        yield {**row, "function": ask.choice.label, "latent_weight": latent_weight, "coordinates": COORDINATES[view]}


PARTS: Mapping[str, Callable[..., Iterator[Row]]] = {"known": known, "null": null, "curve": curve}


def _hidden(network: str, hide: str, d: int, task: Task, seed: int) -> Constructed:
    assert isinstance(task, NumericTask)
    constructed = CONSTRUCTED[network](**task.roles, d=d)
    draws = generator(seed, "calibration", network, hide)
    if hide == "none":
        return constructed
    matrix = random_orthogonal(d, draws) if hide == "orthogonal" else random_invertible(d, CONDITION, draws)
    return change_basis(constructed, matrix)


def _untrained_like(network: Network, draws: torch.Generator) -> Network:
    """A network of the same shape that holds nothing: random rotations, random drives, a random output layer."""
    assert isinstance(network, RecurrentNetwork)
    cell, output = network.cell, network.output
    assert isinstance(cell, LinearCell)
    assert isinstance(output, LinearReadout)
    weight = torch.stack([random_orthogonal(cell.width, draws) for _ in cell.weight])
    drives = torch.randn(cell.token_bias.shape, generator=draws)
    readout = LinearReadout(torch.randn(output.weight.shape, generator=draws), torch.zeros_like(output.bias))
    return RecurrentNetwork(LinearCell(weight, cell.kinds, drives), readout)


def _row(part: str, network: str, hide: str, ask: _Asker, one: Evidence, *, held: bool) -> Row:
    """A row of the table `calibration`."""
    columns = table_schema("calibration").dtypes
    figures = {name: value for name, value in one.row().items() if name in columns}
    best: dict[str, float] = {}
    for name, control in one.controls.items():
        column = f"{kind_of(name)}_iia"
        best[column] = max(best.get(column, 0.0), control.iia)
    asked = {"part": part, "network": network, "change_of_basis": hide, "d": ask.subject.d, "seed": ask.subject.seed}
    names = {"algorithm": one.algorithm, "variable": one.variable, "function": one.function.name, "k": one.k}
    return {**asked, **names, "held": held, "latent_weight": 0.0, "coordinates": "state", **figures, **best}
