"""Arbitrary labels, and natural states with the wanted values."""

from dataclasses import replace

import pytest
import torch

from symscope.algorithms import UpDown, UpUp, make_algorithm
from symscope.errors import InvalidArgumentError
from symscope.interventions import arbitrary_labels, draw_interventions, prepare, relabel, wanted_states
from symscope.networks import magnitude_network
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)


def test_every_value_stands_for_another_one_and_none_is_lost():
    drawn = draw_interventions(ALGORITHM, ["count"], 2000, generator(0))
    labels = arbitrary_labels(drawn, generator(1))["count"]
    assert torch.equal(labels.values, torch.arange(21))
    assert torch.equal(labels.instead.sort().values, labels.values)
    assert not (labels.instead == labels.values).any()
    assert torch.equal(labels.of(torch.tensor([3, 20, 0])), labels.instead[[3, 20, 0]])
    assert not torch.equal(labels.instead, arbitrary_labels(drawn, generator(2))["count"].instead)
    phase = arbitrary_labels(draw_interventions(ALGORITHM, ["phase"], 50, generator(0)), generator(1))["phase"]
    assert phase.instead.tolist() == [1, 0]


def test_what_follows_has_the_value_that_the_sources_stands_for():
    drawn = draw_interventions(ALGORITHM, ["count"], 300, generator(0))
    labels = arbitrary_labels(drawn, generator(1))
    other = relabel(ALGORITHM, drawn, labels, generator(2))
    assert other.redrawn == 0
    assert torch.equal(other.base, drawn.base)
    assert torch.equal(other.source_positions, drawn.source_positions)
    wanted = labels["count"].of(drawn.source_values["count"])
    for row in range(300):
        then = other.continuation[row, : other.lengths[row]].tolist()
        assert then.count(TASK.response) == int(wanted[row]) + sum(token in TASK.demo for token in then)


def test_interventions_that_cannot_end_are_left_out_and_counted():
    drawn = draw_interventions(UpUp(TASK), ["resp_count"], 500, generator(0))
    other = relabel(UpUp(TASK), drawn, arbitrary_labels(drawn, generator(1)), generator(2))
    assert 0 < len(other) < 500
    assert other.redrawn == pytest.approx(1 - len(other) / 500)


def test_a_variable_with_one_value_has_no_other_labels():
    drawn, same = draw_interventions(ALGORITHM, ["count"], 5, generator(0)), {"count": torch.ones(5)}
    with pytest.raises(InvalidArgumentError, match="'count' always has the same value"):
        arbitrary_labels(replace(drawn, base_values=same, source_values=same), generator(0))


CASES = [("up-down", "count"), ("up-up", "resp_count"), ("increment", "increment")]


@pytest.mark.parametrize(("name", "variable"), CASES)
def test_wanted_states_have_the_wanted_values_and_are_found_wherever_there_are_any(name, variable):
    algorithm = make_algorithm(name, TASK)
    drawn = draw_interventions(algorithm, [variable], 400, generator(0))
    rows = wanted_states(algorithm, drawn, generator(1)).tolist()

    def values(side, row):
        return tuple(float(side[v.name][row]) for v in algorithm.variables)

    there = [values(side, row) for side in (drawn.base_values, drawn.source_values) for row in range(400)]
    wanted = [values({**drawn.base_values, variable: drawn.source_values[variable]}, row) for row in range(400)]
    assert all(there[row] == want if row >= 0 else want not in there for row, want in zip(rows, wanted, strict=True))
    assert sum(row >= 0 for row in rows) > 100


def test_on_a_network_that_holds_nothing_else_the_wanted_state_is_what_the_known_swap_gives():
    constructed = magnitude_network(**TASK.roles)
    drawn = draw_interventions(ALGORITHM, ["count"], 1000, generator(0))
    prepared = prepare(constructed.network, drawn, "h")
    rows = wanted_states(ALGORITHM, drawn, generator(1))
    found = rows >= 0
    swapped = torch.stack([prepared.source[:, 0], prepared.base.states[:, 1]], 1)
    torch.testing.assert_close(prepared.natural_states()[rows[found]], swapped[found], atol=1e-5, rtol=0)
    # Of a kind that occurs more than once, not always the same state is taken.
    again = wanted_states(ALGORITHM, drawn, generator(2))
    assert (again != rows).double().mean() > 0.5


def test_void_tasks_too():
    algorithm = make_algorithm("up-down", make_task("same-object-void"))
    drawn = draw_interventions(algorithm, ["phase"], 300, generator(0))
    assert (wanted_states(algorithm, drawn, generator(1)) >= 0).double().mean() > 0.5
