"""The protocol of the authors' code: no stop at the trigger, demo tokens up to a newly drawn quantity."""

import math

import pytest
import torch
from tests.algorithms.reference import FOREVER, plain

from symscope.algorithms import RunningTotal, UpDown, make_algorithm
from symscope.errors import InvalidArgumentError
from symscope.interchange import InterventionProtocol, counterfactuals, draw_interventions
from symscope.seeds import generator
from symscope.tasks import make_task

AUTHORS = InterventionProtocol.of_the_papers_code()
COUNTED = {
    "up-down": lambda reference: reference.state["count"],
    "up-up": lambda reference: reference.state["demo_count"],
    "increment": lambda reference: math.ceil(reference.state["count"]),
    "ctx-distr": lambda reference: sum(reference.earlier) + reference.state["value"],
}
"""Demo tokens that the counter of a reference algorithm stands for."""


def test_the_protocol_is_that_of_the_authors():
    assert InterventionProtocol(excluded_tokens=("T",), extra_demo_tokens="quantity") == AUTHORS


def simulated(algorithm, reference, quantity):
    """The token names that must follow: `D` for any demo token, voids left out; `None` where there is no end."""
    tokens = []
    if reference.next() == "free":
        tokens = ["D"] * max(0, quantity - COUNTED[algorithm.name](reference)) + ["T"]
        for token in tokens:
            reference.read(token)
    while (token := reference.next()) != "EOS":
        if token == FOREVER:
            return None
        tokens.append(token)
        reference.read(token)
    return [*tokens, "EOS"]


@pytest.mark.parametrize(
    ("name", "variable", "task_name"),
    [
        ("up-down", "count", "multi-object"),
        ("up-down", "phase", "multi-object"),
        ("up-down", "phase", "multi-object-void"),
        ("up-up", "demo_count", "single-object"),
        ("up-up", "phase", "multi-object"),
        ("increment", "count", "multi-object"),
        ("ctx-distr", "value", "multi-object"),
    ],
)
def test_what_follows_agrees_with_a_simulation_in_plain_python(name, variable, task_name):
    task = make_task(task_name)
    algorithm = make_algorithm(name, task)
    draws = generator(0, name, variable)
    drawn = draw_interventions(algorithm, [variable], 300, draws)
    # The stops of these interventions, of which some are at the trigger, continued by the authors' protocol.
    quantities = AUTHORS.draw_extra(algorithm, len(drawn), draws)
    tokens, _, ends = AUTHORS.continue_from(algorithm, drawn.counterfactual_values, quantities, draws)
    assert torch.equal(quantities.unique(), torch.tensor(task.quantities))
    back_in_demo_phase = 0
    for row in range(len(drawn)):
        base, source = (
            plain(algorithm, task.vocabulary.decode(run.inputs[row, : run.position[row] + 1].tolist()))
            for run in (drawn.base, drawn.sources[0])
        )
        was_free = base.next() == "free"
        base.state[variable] = source.state[variable]
        back_in_demo_phase += base.next() == "free" and not was_free
        expected = simulated(algorithm, base, int(quantities[row]))
        assert bool(ends[row]) == (expected is not None)
        if expected is not None:
            names = task.vocabulary.decode([token for token in tokens[row].tolist() if token != task.vocabulary.pad])
            assert ["D" if token[0] == "D" else token for token in names if token != "V"] == expected
    assert (back_in_demo_phase > 20) == (variable == "phase")


def largest_count(algorithm, drawn):
    """The largest count that an intervention leads to, of those whose base continues in the demo phase."""
    in_demo_phase = drawn.counterfactual_values["phase"] == 0
    counts = drawn.counterfactual_values["count"] + torch.isin(drawn.targets, algorithm.task.demo).sum(1)
    return max(counts[in_demo_phase].tolist(), default=0)


@pytest.mark.parametrize("variable", ["count", "phase"])
def test_no_count_exceeds_the_quantities_of_the_task_and_no_sequence_stops_at_the_trigger(variable):
    algorithm = UpDown(make_task("multi-object"))
    data = counterfactuals(algorithm, variable, n_train=2000, n_validation=10, n_test=400, protocol=AUTHORS)
    for drawn in (data.train[variable], data.test[variable], data.cause[variable], data.isolation[variable]):
        for run in (drawn.base, *drawn.sources):
            assert not (run.inputs.gather(1, run.position[:, None]) == algorithm.task.trigger).any()
        assert largest_count(algorithm, drawn) <= 20
    assert largest_count(algorithm, data.train[variable]) == 20
    # Under the protocol of the paper's text, up to 3 demo tokens follow a count of 20.
    assert 20 < largest_count(algorithm, draw_interventions(algorithm, [variable], 2000, generator(0))) <= 23
    shuffled = data.shuffle(data).train[variable]
    assert torch.isin(shuffled.targets, algorithm.task.demo).sum(1).max() <= 20


def test_an_algorithm_without_a_demo_phase_has_no_such_protocol():
    algorithm = RunningTotal(make_task("arithmetic"))
    with pytest.raises(InvalidArgumentError, match="no demo phase"):
        draw_interventions(algorithm, ["total"], 10, generator(0), InterventionProtocol(extra_demo_tokens="quantity"))
