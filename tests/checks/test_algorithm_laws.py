"""The laws of algorithms: all of our algorithms keep them, and each law detects an algorithm that breaks it."""

import itertools
from dataclasses import replace

import pytest
import torch

from symscope.algorithms import UpDown, make_algorithm, supported_variables
from symscope.algorithms.up_down import _CountsDown
from symscope.checks import check_algorithm
from symscope.errors import BrokenLawError
from symscope.tasks import make_task

CASES = sorted({(entry.algorithm, entry.task) for entry in supported_variables()})
TASK = make_task("multi-object", quantities=range(1, 7), held_out=[2])
CALLS = itertools.count()


@pytest.mark.parametrize(("name", "task_name"), CASES)
def test_our_algorithms_keep_the_laws(name, task_name):
    slow = task_name == "arithmetic" or "square" in task_name  # their sequences have 100 and 400 tokens
    options = {"quantities": range(1, 11), "held_out": [4]} if slow else {}
    check_algorithm(make_algorithm(name, make_task(task_name, **options)))


class Broken(_CountsDown):
    """Up-Down with methods whose results are changed.

    Args:
        task: the task.
        changes: for the name of a method, a function of the method's arguments and its result.
    """

    name = "broken"

    def __init__(self, task, **changes):
        super().__init__(task)
        self.changes = changes

    def changed(self, method, *arguments):
        return self.changes.get(method, lambda *given: given[-1])(*arguments)

    def start(self, batch):
        return self.changed("start", super().start(batch))

    def step(self, values, tokens):
        return self.changed("step", values, tokens, super().step(values, tokens))

    def next_token_mask(self, values):
        return self.changed("next_token_mask", values, super().next_token_mask(values))

    def can_end(self, values):
        return self.changed("can_end", super().can_end(values))

    def demo_tokens_counted(self, values):
        return self.changed("demo_tokens_counted", super().demo_tokens_counted(values))


def in_place(before, _, after):
    before["count"].copy_(after["count"])
    return after


def depends_on_other_rows(before, _, after):
    return {**after, "count": after["count"] + (after["count"].amax() > 5).long()}


def has_a_memory(before, _, after):
    return {**after, "count": after["count"] + next(CALLS) % 2}


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"start": lambda values: {"count": values["count"]}}, "start returns every variable; 'phase' is missing"),
        ({"start": lambda values: {**values, "count": values["count"].double()}}, "has the shape .*int64"),
        ({"step": in_place}, r"step changes no argument in place; values\['count'\]"),
        ({"step": lambda before, _, after: {**after, "more": after["count"]}}, "step returns the entries of start"),
        ({"step": lambda before, _, after: {**after, "count": after["count"].int()}}, "after a step has the shape"),
        ({"step": depends_on_other_rows}, "depend neither on the other sequences|next token of every sequence"),
        ({"step": has_a_memory}, "two steps with the same arguments return the same values"),
        ({"step": lambda before, _, after: {**after, "phase": 2 * after["phase"]}}, "fit its type; .* 0 to 2"),
        ({"next_token_mask": lambda values, mask: mask & (values["count"] < 4)[:, None]}, "next token of every"),
        ({"next_token_mask": lambda values, mask: mask | (values["count"] == 2)[:, None]}, "contains a single token"),
        ({"next_token_mask": lambda values, mask: mask.long()}, "next_token_mask has the shape .*bool"),
        ({"can_end": lambda able: ~able}, "can_end is true on every sequence"),
        ({"can_end": lambda able: able.long()}, "can_end has the shape .*bool"),
        ({"demo_tokens_counted": lambda counted: counted + 1}, "demo_tokens_counted is the number of demo tokens"),
        ({"demo_tokens_counted": lambda counted: counted.double()}, "demo_tokens_counted has the shape .*int64"),
    ],
)
def test_a_broken_algorithm_is_detected(changes, law):
    with pytest.raises(BrokenLawError, match=f"algorithm 'broken' on task 'multi-object' breaks a law: .*({law})"):
        check_algorithm(Broken(TASK, **changes))


def test_an_algorithm_that_never_ends_after_a_swap_is_detected():
    def next_token_mask(values, mask):
        return torch.where((values["count"] < 0)[:, None], torch.arange(8) == TASK.response, mask)

    def step(before, tokens, after):  # a swap of the phase within the demo phase leads to a count below zero
        odd = (before["phase"] == 1) & (before["count"] % 2 == 1) & (tokens == TASK.response) & (before["count"] > 6)
        return {**after, "count": torch.where(odd, -1, after["count"])}

    with pytest.raises(BrokenLawError, match=r"a swap of .count., the sequence ends or can_end is false; .*2,000"):
        check_algorithm(Broken(TASK, next_token_mask=next_token_mask, step=step))


def test_variables_need_different_names():
    class Twice(Broken):
        variables = (*UpDown.variables, UpDown.variables[0])

    class Nothing(Broken):
        variables = ()

    with pytest.raises(BrokenLawError, match="variables have different names"):
        check_algorithm(Twice(TASK))
    with pytest.raises(BrokenLawError, match="at least one variable"):
        check_algorithm(Nothing(TASK))


def test_a_variable_without_effect_is_detected():
    class Idle(Broken):
        variables = (*UpDown.variables, replace(UpDown.variables[0], name="idle"))

    changes = {
        "start": lambda values: {**values, "idle": values["count"]},
        "step": lambda before, _, after: {**after, "idle": before["idle"]},
    }
    with pytest.raises(BrokenLawError, match="some swap of 'idle' changes the continuation"):
        check_algorithm(Idle(TASK, **changes))
