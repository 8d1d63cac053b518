"""The checks of tasks and algorithms: all members pass, and each law catches a member that breaks it."""

import itertools
from dataclasses import replace

import pytest
import torch

from symscope.algorithms import UpDown, make_algorithm, supported_variables
from symscope.algorithms.up_down import _CountsDown
from symscope.checks import check_algorithm, check_task
from symscope.errors import BrokenLawError
from symscope.tasks import TASKS, Task, make_task

CLAIMS = sorted({(entry.algorithm, entry.task) for entry in supported_variables()})
TASK = make_task("multi-object", quantities=range(1, 7), held_out=[2])


@pytest.mark.parametrize("name", TASKS)
def test_our_tasks_keep_the_laws(name):
    check_task(make_task(name))


@pytest.mark.parametrize(("name", "task_name"), CLAIMS)
def test_our_algorithms_keep_the_laws(name, task_name):
    check_algorithm(make_algorithm(name, make_task(task_name, quantities=range(1, 9), held_out=[4])))


class Broken(Task):
    """Multi-Object, spoiled in one way."""

    def __init__(self, spoil):
        super().__init__(range(1, 7), [2])
        self.name, self.vocabulary, self.spoil = "broken", TASK.vocabulary, spoil

    def draw(self, quantities, generator):
        return self.spoil("draw", TASK.draw(quantities, generator), quantities)

    def sample_free_tokens(self, allowed, remaining, generator):
        return self.spoil("environment", TASK.sample_free_tokens(allowed, remaining, generator), remaining)

    def remaining_demo_tokens(self, sequences, positions):
        return self.spoil("remaining", TASK.remaining_demo_tokens(sequences, positions), positions)


def on(what, change):
    return lambda which, result, given: change(result, given) if which == what else result


def without_eos(drawn, _):
    return replace(drawn, tokens=drawn.tokens.masked_fill(drawn.tokens == 2, TASK.response))


def of_another_quantity(drawn, quantities):
    return replace(drawn, quantities=quantities + 1)


def determined_by_chance(drawn, _):
    determined = drawn.determined.clone()
    determined[:, 1] = True  # the first demo token, one of three
    return replace(drawn, determined=determined)


def undetermined_sometimes(drawn, _):
    determined = drawn.determined.clone()
    determined[:90] &= drawn.tokens[:90] == 2
    return replace(drawn, determined=determined)


def nothing_determined(drawn, _):
    return replace(drawn, determined=torch.zeros_like(drawn.determined))


def padding_determined(drawn, _):
    return replace(drawn, determined=drawn.determined | (drawn.tokens == 0))


def overwrites(drawn, quantities):
    quantities += 1
    return drawn


def global_chance(drawn, _):
    torch.rand(1)
    return drawn


TIMES = itertools.count()


def by_the_clock(drawn, _):
    tokens = drawn.tokens.clone()
    tokens[:, 1] = TASK.demo[next(TIMES) % 3]
    return replace(drawn, tokens=tokens)


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        (
            on("draw", without_eos),
            r"EOS stands last and nowhere else; .*: BOS D. T \[R\] \[R\]",
        ),
        (on("draw", of_another_quantity), "about the quantity that was asked for"),
        (on("draw", determined_by_chance), "follows from those before it: all sequences that begin alike"),
        (on("draw", undetermined_sometimes), "whether a token is determined follows"),
        (on("draw", nothing_determined), "has a token that is determined"),
        (on("draw", padding_determined), "BOS and padding are not determined"),
        (on("draw", overwrites), "changes no argument in place; quantities"),
        (on("draw", global_chance), "from no other"),
        (on("draw", by_the_clock), "a seed fixes what is drawn"),
        (on("remaining", lambda counts, _: counts - 1), "at least 0"),
        (on("remaining", lambda counts, _: counts + 1), "nothing remains at the end"),
        (on("remaining", lambda counts, at: at), "does not grow"),
        (
            on("environment", lambda drawn, _: (torch.full_like(drawn[0], 2), drawn[1])),
            "one of the tokens that may come",
        ),
        (on("environment", lambda drawn, left: (drawn[0], left + 1)), "no more demo tokens than remained"),
    ],
)
def test_a_broken_task_is_caught(spoil, law):
    with pytest.raises(BrokenLawError, match=f"task 'broken' breaks a law: .*{law}"):
        check_task(Broken(spoil))


class Spoiled(_CountsDown):
    """Up-Down, spoiled in one way."""

    name = "spoiled"

    def __init__(self, task, **spoil):
        super().__init__(task)
        self.spoil = spoil

    def start(self, batch):
        return self.spoil.get("start", lambda values: values)(super().start(batch))

    def step(self, values, tokens):
        return self.spoil.get("step", lambda before, after, tokens: after)(values, super().step(values, tokens), tokens)

    def next_token_mask(self, values):
        return self.spoil.get("allowed", lambda values, allowed: allowed)(values, super().next_token_mask(values))

    def can_end(self, values):
        return self.spoil.get("can_end", lambda able: able)(super().can_end(values))


def in_place(before, after, tokens):
    before["count"].copy_(after["count"])
    return after


def by_neighbours(before, after, tokens):
    return {**after, "count": after["count"] + (after["count"].amax() > 5).long()}


def remembers(before, after, tokens):
    return {**after, "count": after["count"] + next(TIMES) % 2}


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        ({"start": lambda values: {"count": values["count"]}}, "start gives every variable; 'phase' is missing"),
        (
            {"start": lambda values: {**values, "count": values["count"].double()}},
            "has the shape .*int64",
        ),
        ({"step": in_place}, "step changes no argument in place; values\\['count'\\]"),
        (
            {"step": lambda before, after, tokens: {**after, "more": after["count"]}},
            "the entries that start gives",
        ),
        ({"step": by_neighbours}, "a batch is its rows one by one|next token of every sequence"),
        ({"step": remembers}, "asked twice, it says the same"),
        ({"step": lambda before, after, tokens: {**after, "phase": 2 * after["phase"]}}, "within its type; .*0 to 2"),
        ({"allowed": lambda values, allowed: allowed & (values["count"] < 4)[:, None]}, "next token of every sequence"),
        ({"allowed": lambda values, allowed: allowed | (values["count"] == 2)[:, None]}, "one token alone is allowed"),
        ({"can_end": lambda able: ~able}, "can_end is true on every sequence"),
    ],
)
def test_a_broken_algorithm_is_caught(spoil, law):
    with pytest.raises(BrokenLawError, match=f"algorithm 'spoiled' on task 'multi-object' breaks a law: .*({law})"):
        check_algorithm(Spoiled(TASK, **spoil))


def test_an_algorithm_that_never_ends_after_a_swap_is_caught():
    def allowed(values, allowed):
        return torch.where((values["count"] < 0)[:, None], torch.arange(8) == TASK.response, allowed)

    def step(before, after, tokens):  # a phase swap in the middle of the demo phase leads below zero and on
        odd = (before["phase"] == 1) & (before["count"] % 2 == 1) & (tokens == TASK.response) & (before["count"] > 6)
        return {**after, "count": torch.where(odd, -1, after["count"])}

    task = make_task("multi-object", quantities=range(1, 7), held_out=[2])
    spoiled = Spoiled(task, allowed=allowed, step=step)
    with pytest.raises(
        BrokenLawError, match=r"after a swap of 'count' it ends, or can_end says that it cannot; .*2000"
    ):
        check_algorithm(spoiled)


def test_a_variable_that_changes_nothing_is_caught():
    class Idle(Spoiled):
        variables = (*UpDown.variables, replace(UpDown.variables[0], name="idle"))

    spoil = {
        "start": lambda values: {**values, "idle": values["count"]},
        "step": lambda before, after, tokens: {**after, "idle": before["idle"]},
    }
    with pytest.raises(BrokenLawError, match="a swap of 'idle' changes what must follow at least sometimes"):
        check_algorithm(Idle(TASK, **spoil))
