"""Which variable of which algorithm can be asked of which task, and bad input."""

import pytest
import torch

from symscope.algorithms import (
    ALGORITHMS,
    Category,
    Integer,
    Real,
    UpDown,
    algorithms_for,
    make_algorithm,
    supported_variables,
)
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interventions import draw_interventions
from symscope.seeds import generator
from symscope.tasks import TASKS, make_task, multi_object

TASK = multi_object()
COUNTING = {
    "up-down": ["count", "phase"],
    "up-up": ["demo_count", "resp_count", "phase"],
    "ctx-distr": ["value"],
    "increment": ["count", "increment", "phase"],
}
EXPECTED = {
    "multi-object": COUNTING,
    "single-object": COUNTING,
    "same-object": COUNTING,
    "modulo": {"up-down-modulo": ["count", "phase"]},
    "rounding": {"up-down-rounding": ["count", "phase"]},
    "square": {"up-down-square": ["count", "phase"]},
    "arithmetic": {"running-total": ["total", "remaining", "phase"]},
}


@pytest.mark.parametrize("task", TASKS)
def test_what_can_be_asked_of_a_task(task):
    found = {}
    for entry in supported_variables([task]):
        assert entry.task == task
        found.setdefault(entry.algorithm, []).append(entry.variable.name)
    assert found == EXPECTED[task.removesuffix("-void")]
    assert list(found) == list(algorithms_for(make_task(task)))


def test_every_task_has_an_algorithm_and_every_algorithm_a_task():
    everything = supported_variables()
    assert {entry.task for entry in everything} == set(TASKS)
    assert {entry.algorithm for entry in everything} == set(ALGORITHMS)


def test_a_wrong_combination_is_refused_with_the_right_ones():
    with pytest.raises(InvalidArgumentError) as refused:
        make_algorithm("up-up", make_task("modulo"))
    assert str(refused.value) == (
        "algorithm 'up-up' does not solve task 'modulo': those that do, with their variables: up-down-modulo (count, "
        "phase). 'up-up' solves: multi-object, multi-object-void, same-object, same-object-void, single-object, "
        "single-object-void"
    )
    with pytest.raises(
        InvalidArgumentError, match=r"up-down \(count, phase\); up-up \(.*'running-total' solves: arithmetic"
    ):
        make_algorithm("running-total", TASK)
    with pytest.raises(InvalidArgumentError, match="'up-down' does not solve task 'arithmetic'"):
        UpDown(make_task("arithmetic"))
    with pytest.raises(UnknownNameError, match="did you mean 'up-down'"):
        make_algorithm("updown", TASK)
    with pytest.raises(UnknownNameError, match=r"unknown variable of up-up 'count'.*demo_count"):
        draw_interventions(make_algorithm("up-up", TASK), ["count"], 5, generator(0))
    with pytest.raises(UnknownNameError, match="unknown variable of ctx-distr 'context': known: value"):
        make_algorithm("ctx-distr", TASK).check_variables(["context"])


def test_variables_say_their_type():
    assert str(Integer("count")) == "count: 0.."
    assert str(Integer("value", -1, 1)) == "value: -1..1"
    assert str(Real("increment")) == "increment: a real number"
    assert str(Category("phase", ("demo", "resp"))) == "phase: demo | resp"
    assert repr(Category("phase", ("demo", "resp"))) == "Category(name='phase', labels=('demo', 'resp'))"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_values_are_of_their_type(name):
    task = make_task(next(entry.task for entry in supported_variables() if entry.algorithm == name))
    algorithm = make_algorithm(name, task)
    sequences = task.draw(torch.tensor([1, 5, 12]), generator(0))
    for variable in algorithm.variables:
        found = algorithm.run(sequences.tokens)[variable.name]
        assert found.shape == sequences.tokens.shape
        if isinstance(variable, Real):
            assert found.dtype == torch.float64
            continue
        assert found.dtype == torch.long
        low, high = (0, len(variable.labels) - 1) if isinstance(variable, Category) else (variable.low, variable.high)
        assert int(found.min()) >= low
        assert high is None or int(found.max()) <= high


def test_bad_input(monkeypatch):
    algorithm = UpDown(TASK)
    for outside in (len(TASK.vocabulary), -1):
        tokens = torch.tensor([[1, 3], [1, outside]])
        with pytest.raises(InvalidArgumentError, match=rf"token {outside} of sequence 1, position 1, does not exist"):
            algorithm.run(tokens)
    for shape in ((0, 5), (3, 0)):
        with pytest.raises(InvalidArgumentError, match="nothing to run on"):
            algorithm.run(torch.zeros(shape, dtype=torch.long))
    monkeypatch.setattr(UpDown, "can_end", lambda self, values: torch.zeros_like(values["count"], dtype=torch.bool))
    with pytest.raises(InvalidArgumentError, match="none of 200 draws has a counterfactual: up-down never ends"):
        draw_interventions(algorithm, ["count"], 10, generator(0))


def test_a_whole_sequence_is_one_of_the_task_and_a_prefix_may_stop_anywhere():
    encode = TASK.vocabulary.encode
    whole = ["BOS", "D1", "D2", "T", "R", "R", "EOS"]
    for name in algorithms_for(TASK):
        algorithm = make_algorithm(name, TASK)
        for length in range(1, len(whole) + 1):
            algorithm.run(torch.tensor([encode(whole[:length])]))
        for line, right in (
            ("BOS D1 D2 EOS", "D1 or D2 or D3 or T"),  # without a trigger
            ("BOS EOS", "D1 or D2 or D3 or T"),
            ("EOS", "D1 or D2 or D3 or T"),
            ("BOS D1 D2 T R EOS", "R"),
        ):
            tokens = torch.tensor([encode(row) + [0] * (8 - len(row)) for row in (whole, line.split())])
            told = rf"sequence 1 is none of task 'multi-object': {line}\. .* {name} goes on with {right}; leave EOS off"
            with pytest.raises(InvalidArgumentError, match=told):
                algorithm.run(tokens)
    arithmetic = make_task("arithmetic")
    tokens = torch.tensor([arithmetic.vocabulary.encode(["BOS", "2", "7", "+", "5", "=", "12", ",", "EOS"])])
    with pytest.raises(InvalidArgumentError, match=r"running-total goes on with \+ or -"):
        make_algorithm("running-total", arithmetic).run(tokens)
