"""The laws of tasks: all of our tasks keep them, and each law detects a task that breaks it."""

import itertools
from dataclasses import replace

import pytest
import torch

from symscope.checks import check_task
from symscope.errors import BrokenLawError
from symscope.tasks import TASKS, Task, TokenBatch, Vocabulary, make_task

TASK = make_task("multi-object", quantities=range(1, 7), held_out=[2])
CALLS = itertools.count()


@pytest.mark.parametrize("name", TASKS)
def test_our_tasks_keep_the_laws(name):
    check_task(make_task(name))


class Broken(Task):
    """Multi-Object with one method whose result is changed.

    Args:
        method: the method.
        change: a function of the method's result and of its second argument.
    """

    name, vocabulary = "broken", TASK.vocabulary

    def __init__(self, method, change):
        super().__init__(range(1, 7), [2])
        self.method, self.change = method, change

    def changed(self, method, result, argument):
        return self.change(result, argument) if method == self.method else result

    def draw(self, quantities, generator):
        return self.changed("draw", TASK.draw(quantities, generator), quantities)

    def sample_free_tokens(self, next_token_mask, remaining, generator):
        result = TASK.sample_free_tokens(next_token_mask, remaining, generator)
        return self.changed("sample_free_tokens", result, remaining)

    def remaining_demo_tokens(self, sequences, positions):
        result = TASK.remaining_demo_tokens(sequences, positions)
        return self.changed("remaining_demo_tokens", result, positions)


def without_eos(drawn, _):
    return replace(drawn, tokens=drawn.tokens.masked_fill(drawn.tokens == 2, TASK.response))


def bos_twice(drawn, _):
    return replace(drawn, tokens=drawn.tokens.masked_fill(drawn.tokens == TASK.trigger, 1))


def padding_replaced(drawn, _):
    return replace(drawn, tokens=drawn.tokens.masked_fill(drawn.tokens == 0, TASK.response))


def outside_the_vocabulary(drawn, _):
    return replace(drawn, tokens=drawn.tokens.masked_fill(drawn.tokens == TASK.trigger, len(TASK.vocabulary)))


def one_sequence_less(drawn, _):
    parts = (drawn.tokens[1:], drawn.lengths[1:], drawn.determined[1:], drawn.quantities[1:])
    return TokenBatch(*parts)


def determined_by_chance(drawn, _):
    determined = drawn.determined.clone()
    determined[:, 1] = True  # the first demo token, which has three types
    return replace(drawn, determined=determined)


def determined_in_some_rows(drawn, _):
    determined = drawn.determined.clone()
    determined[:90] &= drawn.tokens[:90] == 2
    return replace(drawn, determined=determined)


def changes_its_argument(drawn, quantities):
    quantities += 1
    return drawn


def uses_the_global_generator(drawn, _):
    torch.rand(1)
    return drawn


def ignores_the_seed(drawn, _):
    tokens = drawn.tokens.clone()
    tokens[:, 1] = TASK.demo[next(CALLS) % 3]
    return replace(drawn, tokens=tokens)


def sample_ignores_the_seed(sample, _):
    return torch.where(sample[0] == TASK.trigger, sample[0], TASK.demo[next(CALLS) % 3]), sample[1]


DRAWS = [
    (without_eos, r"EOS is the last token and occurs nowhere else; .*: BOS D. T \[R\] \[R\]"),
    (bos_twice, "BOS is the first token and occurs nowhere else"),
    (padding_replaced, "PAD follows the last token"),
    (outside_the_vocabulary, r"tokens are ids of the vocabulary, 0\.\.7"),
    (one_sequence_less, "one sequence for each quantity; 179 for 180"),
    (lambda drawn, quantities: replace(drawn, quantities=quantities + 1), "has the requested quantity"),
    (lambda drawn, _: replace(drawn, lengths=drawn.lengths.int()), "lengths has the shape .*int64"),
    (determined_by_chance, "a determined token is the same in all sequences with the same beginning"),
    (determined_in_some_rows, "whether a token is determined is the same"),
    (lambda drawn, _: replace(drawn, determined=drawn.determined & False), "has a determined token"),
    (lambda drawn, _: replace(drawn, determined=drawn.determined | (drawn.tokens == 0)), "BOS and padding are not"),
    (changes_its_argument, "changes no argument in place; quantities"),
    (uses_the_global_generator, "torch's global"),
    (ignores_the_seed, "two draws with the same seed are equal"),
]
REMAINING = [
    (lambda counts, _: counts.int(), "has the shape .*int64"),
    (lambda counts, _: counts - 1, "is at least 0"),
    (lambda counts, _: counts + 1, "is 0 at the end"),
    (lambda _, positions: positions, "does not grow"),
]
SAMPLES = [
    (lambda sample, _: (torch.full_like(sample[0], 2), sample[1]), "only tokens that may come next; .* D1, D2, D3, T"),
    (lambda sample, remaining: (sample[0], remaining + 1), "as many demo tokens remain as before or fewer"),
    (lambda sample, remaining: (sample[0], remaining - 1), "at least 0"),
    (lambda sample, _: (sample[0][1:], sample[1]), "the sample of free tokens has the shape"),
    (sample_ignores_the_seed, "two samples of free tokens with the same seed are equal"),
]
CASES = [
    *(("draw", *case) for case in DRAWS),
    *(("remaining_demo_tokens", *case) for case in REMAINING),
    *(("sample_free_tokens", *case) for case in SAMPLES),
]


@pytest.mark.parametrize(("method", "change", "law"), CASES)
def test_a_broken_task_is_detected(method, change, law):
    with pytest.raises(BrokenLawError, match=f"task 'broken' breaks a law: .*{law}"):
        check_task(Broken(method, change))


def test_sequences_that_are_too_long_are_detected():
    class Long(Task):
        name, vocabulary = "long", Vocabulary(["A"])

        def draw(self, quantities, generator):
            tokens = torch.full((len(quantities), 2002), 3)
            tokens[:, 0], tokens[:, -1] = 1, 2
            determined = torch.ones_like(tokens, dtype=torch.bool)
            determined[:, 0] = False
            return TokenBatch(tokens, torch.full_like(quantities, 2002), determined, quantities)

        def sample_free_tokens(self, next_token_mask, remaining, generator):
            raise AssertionError

        def remaining_demo_tokens(self, sequences, positions):
            return torch.zeros_like(positions)

    with pytest.raises(BrokenLawError, match=r"at most 2,000 tokens after BOS, the limit of symscope .* with 2,001"):
        check_task(Long([1], []))
