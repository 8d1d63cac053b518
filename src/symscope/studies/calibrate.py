"""Calibration: networks whose answer is known, put through the whole instrument, and what it says of them.

Three parts. *known*: constructed networks in disguise, asked for variables that they hold and for ones that they do
not, by every alignment function. *null*: untrained GRUs of growing width, which hold nothing. *curve*: one constructed
network with spare dimensions, searched under rising pull to natural states: IIA against divergence.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from symscope.algorithms import make_algorithm
from symscope.alignment import Evidence, SearchOptions, find
from symscope.alignment.controls import kind_of
from symscope.analysis import table_schema
from symscope.networks import (
    CONSTRUCTED,
    Constructed,
    Network,
    disguise,
    make_network,
    random_invertible,
    random_orthogonal,
)
from symscope.networks.constructed import LinearCell
from symscope.networks.readouts import LinearReadout
from symscope.networks.recurrent import RecurrentNetwork
from symscope.seeds import generator
from symscope.tasks import NumericTask, multi_object

Row = dict[str, Any]

HELD: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "magnitude": {"up-down": ("count", "phase"), "up-up": ("phase",)},
    "angle": {"up-down": ("count", "phase"), "up-up": ("phase",)},
    "two-counts": {"up-down": ("count", "phase"), "up-up": ("demo_count", "resp_count", "phase")},
}
"""The variables that each constructed network holds. The phase is the same in both algorithms, and two counts hold
their difference, which is the count of Up-Down; one count is not two."""

CONDITION = 5.0
"""Of the invertible disguises."""


@dataclass(frozen=True)
class Budget:
    """What every question of a calibration gets; the same for all, right or wrong."""

    search: SearchOptions
    counts: tuple[int, int, int]


def known(budget: Budget, seed: int, *, network: str, hide: str, d: int, k: int, function: str) -> Iterator[Row]:
    """A constructed network, asked for the variables of two algorithms."""
    task = multi_object()
    constructed = _hidden(network, hide, d, task, seed)
    fresh = _untrained_like(constructed.network, generator(seed, "calibration", "untrained"))
    for algorithm in ("up-down", "up-up"):
        made = make_algorithm(algorithm, task)
        variables = [variable.name for variable in made.variables]
        found = find(
            constructed.network, made, variables, k, function=function, seed=seed, untrained=fresh,
            counts=budget.counts, options=budget.search,
        )  # fmt: skip
        for one in found:
            held = one.variable in HELD[network][algorithm]
            yield {
                "part": "known",
                "network": network,
                "disguise": hide,
                "d": d,
                "seed": seed,
                "held": held,
                **_row(one),
            }


def null(budget: Budget, seed: int, *, d: int, function: str) -> Iterator[Row]:
    """An untrained GRU, asked for the variables of Up-Down in half of its dimensions."""
    task = multi_object()
    fresh = make_network("gru", d, len(task.vocabulary), generator(seed, "calibration", "null", d))
    algorithm = make_algorithm("up-down", task)
    found = find(
        fresh, algorithm, ["count", "phase"], d // 2, function=function, seed=seed, counts=budget.counts,
        options=budget.search,
    )  # fmt: skip
    for one in found:
        yield {
            "part": "null",
            "network": "untrained gru",
            "disguise": "none",
            "d": d,
            "seed": seed,
            "held": False,
            **_row(one),
        }


def curve(
    budget: Budget, seed: int, *, d: int, k: int, function: str, latent_weight: float, view: str
) -> Iterator[Row]:
    """The magnitude network with spare dimensions, from random starts, pulled to natural states more and more."""
    task = multi_object()
    constructed = _hidden("magnitude", "invertible", d, task, seed)
    options = SearchOptions(**{**asdict(budget.search), "first": "random", "latent_weight": latent_weight})
    found = find(
        constructed.network, make_algorithm("up-down", task), ["count"], k, function=function, seed=seed,
        function_options={} if view == "none" else {"view": view}, counts=budget.counts, options=options,
    )  # fmt: skip
    for one in found:
        where = {"part": "curve", "network": "magnitude", "disguise": "invertible", "d": d, "seed": seed, "held": True}
        yield {**where, **_row(one), "latent_weight": latent_weight, "view": view}


PARTS: Mapping[str, Callable[..., Iterator[Row]]] = {"known": known, "null": null, "curve": curve}


def _hidden(network: str, hide: str, d: int, task: NumericTask, seed: int) -> Constructed:
    constructed = CONSTRUCTED[network](**task.roles, d=d)
    draws = generator(seed, "calibration", network, hide)
    if hide == "none":
        return constructed
    matrix = random_orthogonal(d, draws) if hide == "orthogonal" else random_invertible(d, CONDITION, draws)
    return disguise(constructed, matrix)


def _untrained_like(network: Network, draws: torch.Generator) -> Network:
    """A network of the same shape that holds nothing: random rotations, random drives, a random output layer."""
    assert isinstance(network, RecurrentNetwork)
    cell, output = network.cell, network.output
    assert isinstance(cell, LinearCell)
    assert isinstance(output, LinearReadout)
    weight = torch.stack([random_orthogonal(cell.width, draws) for _ in cell.weight])
    drives = torch.randn(cell.token_drives.shape, generator=draws)
    readout = LinearReadout(torch.randn(output.weight.shape, generator=draws), torch.zeros_like(output.bias))
    return RecurrentNetwork(LinearCell(weight, cell.kinds, drives), readout)


def _row(one: Evidence) -> Row:
    """The columns of the table `calibration` that a search fills."""
    columns = table_schema("calibration").dtypes
    figures = {name: value for name, value in one.row().items() if name in columns}
    best: dict[str, float] = {}
    for name, control in one.controls.items():
        column = f"{kind_of(name).replace('-', '_')}_iia"
        best[column] = max(best.get(column, 0.0), control.iia)
    names = {"algorithm": one.algorithm, "variable": one.variable, "function": one.function.name, "k": one.k}
    return {**names, "latent_weight": 0.0, "view": "none", **figures, **best}
