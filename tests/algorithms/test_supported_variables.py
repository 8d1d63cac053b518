"""Which variables can be searched for in networks of which task, and invalid input."""

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
from symscope.interchange import draw_interventions
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
def test_supported_variables_of_a_task(task):
    variables = {}
    for entry in supported_variables([task]):
        assert entry.task == task
        variables.setdefault(entry.algorithm, []).append(entry.variable.name)
    assert variables == EXPECTED[task.removesuffix("-void")]
    assert list(variables) == list(algorithms_for(make_task(task)))


def test_every_task_has_an_algorithm_and_every_algorithm_a_task():
    everything = supported_variables()
    assert {entry.task for entry in everything} == set(TASKS)
    assert {entry.algorithm for entry in everything} == set(ALGORITHMS)


def test_an_algorithm_that_does_not_solve_the_task_is_refused():
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


def test_variables_have_their_type_in_their_text():
    assert str(Integer("count")) == "count: 0.."
    assert str(Integer("value", -1, 1)) == "value: -1..1"
    assert str(Real("increment")) == "increment: a real number"
    assert str(Category("phase", ("demo", "resp"))) == "phase: demo | resp"
    assert repr(Category("phase", ("demo", "resp"))) == "Category(name='phase', labels=('demo', 'resp'))"


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


def test_run_accepts_complete_sequences_of_the_task_and_all_their_prefixes():
    encode = TASK.vocabulary.encode
    complete = ["BOS", "D1", "D2", "T", "R", "R", "EOS"]
    for name in algorithms_for(TASK):
        algorithm = make_algorithm(name, TASK)
        for length in range(1, len(complete) + 1):
            algorithm.run(torch.tensor([encode(complete[:length])]))
        for line, names in (
            ("BOS D1 D2 EOS", "D1 or D2 or D3 or T"),  # without a trigger
            ("BOS EOS", "D1 or D2 or D3 or T"),
            ("EOS", "D1 or D2 or D3 or T"),
            ("BOS D1 D2 T R EOS", "R"),
        ):
            tokens = torch.tensor([encode(row) + [0] * (8 - len(row)) for row in (complete, line.split())])
            message = (
                rf"1 is not a sequence of task 'multi-object': {line}\. .*{name} continues with {names}; remove EOS"
            )
            with pytest.raises(InvalidArgumentError, match=message):
                algorithm.run(tokens)
    arithmetic = make_task("arithmetic")
    tokens = torch.tensor([arithmetic.vocabulary.encode(["BOS", "2", "7", "+", "5", "=", "12", ",", "EOS"])])
    with pytest.raises(InvalidArgumentError, match=r"running-total continues with \+ or -"):
        make_algorithm("running-total", arithmetic).run(tokens)
