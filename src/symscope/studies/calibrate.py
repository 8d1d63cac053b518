"""The calibration stage: searches in networks whose variables are known.

Three parts. *known*: constructed networks after a change of basis, searched for variables that they have and for
variables that they do not have, with every alignment function. *null*: untrained GRUs of growing width, which have no
variable. *curve*: a constructed network with spare dimensions, searched with growing weight of the
counterfactual-latent loss: IIA against divergence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from symscope.algorithms import make_algorithm
from symscope.alignment import DEFAULT_CONTROLS, AlignmentResult, Untrained, evaluate, fit
from symscope.alignment.controls import control_kind
from symscope.alignment.rows import alignment_row
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
from symscope.networks.transformer import Transformer
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.studies.align import draw_data
from symscope.studies.arguments import CalibrateArguments
from symscope.studies.choices import TaskChoice
from symscope.studies.declaration import POWER_DIMENSIONS, CalibrationQuestion
from symscope.studies.progress import show_search
from symscope.studies.subject import device_facts, save_part
from symscope.tasks import NumericTask

Row = dict[str, Any]

HELD: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "magnitude": {"up-down": ("count", "phase"), "up-up": ("phase",)},
    "angle": {"up-down": ("count", "phase"), "up-up": ("phase",)},
    "two-counts": {"up-down": ("count", "phase"), "up-up": ("demo_count", "resp_count", "phase")},
    "power": {"up-down": ("count", "phase"), "up-up": ("phase",)},
    "averaging": {"up-down": (), "up-up": ()},
}
"""The variables of each constructed network. The phase is the same in both algorithms. Two counts determine their
difference, the count of Up-Down; a single count does not determine two. The averaging transformer holds nothing that
lasts."""

CONDITION = 5.0
"""Condition number of the invertible changes of basis."""


def calibrate_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Searches in one network whose variables are known; stores a part of the table `calibration`."""
    del needs  # it reads no result
    job = CalibrateArguments.read(arguments)
    task = TaskChoice(name="multi-object").make()
    assert isinstance(task, NumericTask)
    rows = {"known": known, "null": null, "curve": curve}[job.question.part]
    save_part("calibration", rows(_Measurement(job, task, report)), folder)
    return device_facts(job.device)


@dataclass(frozen=True)
class _Measurement:
    """One measurement, and the task of its network; all are searched in the same way."""

    job: CalibrateArguments
    task: NumericTask
    report: Callable[[Progress], None]

    @property
    def question(self) -> CalibrationQuestion:
        return self.job.question

    def search(
        self, network: Network, algorithm: str, variables: Sequence[str], untrained: Sequence[Network] = ()
    ) -> list[AlignmentResult]:
        """The chosen result of each variable in one network (see `choose`); the curve starts at random maps."""
        question, options = self.question, self.job.search.options()
        function = question.function.make()
        if question.part == "curve":
            options = replace(options, init="random", latent_weight=question.latent_weight)
            function = replace(function, coordinates=question.coordinates)
        network = network.to(self.job.device)
        data = draw_data(make_algorithm(algorithm, self.task), variables, self.job.interventions, self.job.seed)
        controls = (*DEFAULT_CONTROLS, Untrained(untrained)) if untrained else DEFAULT_CONTROLS
        show = show_search(self.report, options.steps)
        fitted = fit(network, data, question.k, function=function, controls=controls, options=options, on_step=show)
        results = evaluate(fitted)
        return [results.best(variable) for variable in results]

    def constructed(self) -> Constructed:
        """The constructed network after its change of basis."""
        question = self.question
        draws = generator(self.job.seed, "calibration", question.network, question.change_of_basis)
        network = constructed_network(question.network, self.task, question.d, draws)
        if question.change_of_basis == "none":
            return network
        orthogonal = question.change_of_basis == "orthogonal"
        matrix = random_orthogonal(question.d, draws) if orthogonal else random_invertible(question.d, CONDITION, draws)
        return change_basis(network, matrix)

    def row(self, result: AlignmentResult, *, held: bool) -> Row:
        """A row of the table `calibration`."""
        question, columns = self.question, table_schema("calibration").dtypes
        figures = {name: value for name, value in alignment_row(result).items() if name in columns}
        best: dict[str, float] = {}
        for name, control in result.controls.items():
            column = f"{control_kind(name)}_iia"
            best[column] = max(best.get(column, 0.0), control.iia)
        network = f"untrained {question.network}" if question.part == "null" else question.network
        identity = {
            "part": question.part,
            "network": network,
            "change_of_basis": question.change_of_basis,
            "d": question.d,
            "seed": self.job.seed,
            "algorithm": result.hypothesis,
            "variable": result.variable,
            "function": question.function.label,
            "k": result.k,
            "latent_weight": question.latent_weight,
            "coordinates": question.coordinates,
        }
        return {**figures, **identity, "held": held, **best}


def constructed_network(name: str, task: NumericTask, d: int, draws: torch.Generator) -> Constructed:
    """A constructed network of a calibration, before its change of basis."""
    options = {"generator": draws, "turned": POWER_DIMENSIONS} if name == "power" else {}
    return CONSTRUCTED[name](**task.roles, d=d, **options)


def known(measurement: _Measurement) -> Iterator[Row]:
    """A constructed network, searched for the variables of two algorithms."""
    constructed, question = measurement.constructed(), measurement.question
    draws = generator(measurement.job.seed, "calibration", "untrained")
    fresh = _untrained_like(constructed.network, draws).to(measurement.job.device)
    for algorithm in ("up-down", "up-up"):
        variables = [variable.name for variable in make_algorithm(algorithm, measurement.task).variables]
        for result in measurement.search(constructed.network, algorithm, variables, [fresh]):
            yield measurement.row(result, held=result.variable in HELD[question.network][algorithm])


def null(measurement: _Measurement) -> Iterator[Row]:
    """An untrained network, searched for the variables of Up-Down."""
    question, task = measurement.question, measurement.task
    draws = generator(measurement.job.seed, "calibration", "null", question.d)
    fresh = make_network(question.network, question.d, len(task.vocabulary), draws)
    for result in measurement.search(fresh, "up-down", ["count", "phase"]):
        yield measurement.row(result, held=False)


def curve(measurement: _Measurement) -> Iterator[Row]:
    """A constructed network with spare dimensions."""
    network = measurement.constructed().network
    for result in measurement.search(network, "up-down", ["count"]):
        yield measurement.row(result, held=True)


def _untrained_like(network: Network, draws: torch.Generator) -> Network:
    """A network of the same shape without variables: random rotations, inputs and output layer; fresh weights."""
    if isinstance(network, Transformer):
        return Transformer(network.embedding.shape[1], network.vocabulary, draws, layers=1, rope=False)
    assert isinstance(network, RecurrentNetwork)
    cell, output = network.cell, network.output
    assert isinstance(cell, LinearCell)
    assert isinstance(output, LinearReadout)
    weight = torch.stack([random_orthogonal(cell.width, draws) for _ in cell.weight])
    inputs = torch.randn(cell.token_bias.shape, generator=draws)
    readout = LinearReadout(torch.randn(output.weight.shape, generator=draws), torch.zeros_like(output.bias))
    return RecurrentNetwork(LinearCell(weight, cell.kinds, inputs), readout)
