"""Numeric equivalence: sequences agree with plain Python, quantities and voids with their stated distributions."""

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from symscope.errors import InvalidArgumentError
from symscope.seeds import generator
from symscope.tasks import NumericTask, make_task, modulo, multi_object, rounding, same_object
from symscope.tasks.rules import SQUARE, nearest_multiple, remainder

# Length of the response, as the tasks are defined.
RESPONSES = {
    "multi-object": lambda n: n,
    "single-object": lambda n: n,
    "same-object": lambda n: n,
    "modulo": lambda n: n % 4,
    "rounding": lambda n: 3 * round(n / 3),
    "square": lambda n: n**2,
}
DEMO = {"single-object": {"D"}, "same-object": {"C"}}
NAMES = [name + void for name in RESPONSES for void in ("", "-void")]
batches = st.lists(st.integers(1, 25), min_size=1, max_size=8)


def numeric(name: str) -> NumericTask:
    task = make_task(name)
    assert isinstance(task, NumericTask)
    return task


@pytest.mark.parametrize("name", NAMES)
@given(quantities=batches, seed=st.integers(0, 1000))
def test_sequences_are_as_the_task_is_defined(name: str, quantities: list[int], seed: int) -> None:
    task, kind = numeric(name), name.removesuffix("-void")
    sequences = task.draw(torch.tensor(quantities), generator(seed))
    assert (task.name, len(sequences)) == (name, len(quantities))
    response = "C" if kind == "same-object" else "R"
    for row, n in enumerate(quantities):
        length = int(sequences.lengths[row])
        names = task.vocabulary.decode(sequences.tokens[row].tolist())
        assert set(names[length:]) <= {"PAD"}
        trigger = names.index("T")
        demo = [token for token in names[1:trigger] if token != "V"]
        assert names[0] == "BOS"
        assert len(demo) == n
        assert set(demo) <= DEMO.get(kind, {"D1", "D2", "D3"})
        assert names[trigger + 1 : length] == [response] * RESPONSES[kind](n) + ["EOS"]
        assert sequences.determined[row].tolist() == [trigger < at < length for at in range(len(names))]
    if not name.endswith("-void"):
        assert "V" not in task.vocabulary.names
    assert sequences.quantities.tolist() == quantities


def test_response_rules() -> None:
    n = torch.arange(1, 41)
    for modulus in (2, 4, 7):
        assert remainder(modulus).of(n).tolist() == [k % modulus for k in range(1, 41)]
    for multiple in (1, 2, 3, 4, 10):  # even ones have ties
        assert nearest_multiple(multiple).of(n).tolist() == [multiple * round(k / multiple) for k in range(1, 41)]
    assert SQUARE.of(n).tolist() == [k * k for k in range(1, 41)]
    assert modulo(modulus=5).draw(torch.tensor([10, 13]), generator(0)).determined.sum(1).tolist() == [1, 4]
    assert rounding(multiple=5).draw(torch.tensor([2, 3]), generator(0)).determined.sum(1).tolist() == [1, 6]


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_voids_come_at_the_stated_rate(probability: float) -> None:
    task = multi_object(void_probability=probability)
    sequences = task.draw(torch.full((4000,), 5), generator(0))
    voids = sequences.tokens == task.void
    # 6 emissions a sequence; voids before each follow p^k (1 - p), so their sum has mean 6p/(1-p), variance /(1-p)^2.
    mean, deviation = 6 * probability / (1 - probability), (6 * probability) ** 0.5 / (1 - probability)
    assert abs(float(voids.sum(1).double().mean()) - mean) < 5 * deviation / 4000**0.5
    first = voids[:, 1].double().mean(), (voids[:, 1] & voids[:, 2]).double().mean()
    assert first[0] == pytest.approx(probability, abs=0.04)
    assert first[1] == pytest.approx(probability**2, abs=0.04)
    trigger = (sequences.tokens == task.trigger).int().argmax(1, keepdim=True)
    assert float(voids.gather(1, trigger - 1).double().mean()) == pytest.approx(probability, abs=0.04)


def test_free_tokens_are_sampled_like_the_tasks_own() -> None:
    task = multi_object(void_probability=0.25)
    remaining = torch.cat([torch.zeros(4000), torch.full((4000,), 2)]).long()
    tokens, after = task.sample_free_tokens(
        torch.ones(8000, len(task.vocabulary), dtype=torch.bool), remaining, generator(0)
    )
    voids = tokens == task.void
    assert float(voids.double().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(after[voids], remaining[voids])
    assert set(tokens[~voids & (remaining == 0)].tolist()) == {task.trigger}
    assert set(tokens[~voids & (remaining == 2)].tolist()) == set(task.demo.tolist())
    assert torch.equal(after[~voids], (remaining[~voids] - 1).clamp(min=0))


def test_quantities_and_demo_types_are_uniform() -> None:
    task = multi_object()
    counts = Counter(task.draw_quantities(20_000, generator(0)).tolist())
    assert sorted(counts) == list(range(1, 21))
    assert max(abs(count - 1000) for count in counts.values()) < 160  # 5 standard deviations
    assert set(task.draw_quantities(2000, generator(1), task.trained).tolist()) == set(range(1, 21)) - {4, 9, 14, 17}
    tokens = task.draw(torch.full((1500,), 8), generator(2)).tokens
    for demo in task.demo:
        assert abs(int((tokens == demo).sum()) - 4000) < 260


@given(quantities=batches, seed=st.integers(0, 1000))
def test_remaining_demo_tokens_are_those_before_the_trigger(quantities: list[int], seed: int) -> None:
    task = same_object(void_probability=0.3)
    sequences = task.draw(torch.tensor(quantities), generator(seed))
    for position in range(sequences.tokens.shape[1]):
        counts = task.remaining_demo_tokens(sequences, torch.full((len(quantities),), position)).tolist()
        for row, tokens in enumerate(sequences.tokens.tolist()):
            trigger = tokens.index(task.trigger)
            assert counts[row] == tokens[position + 1 : max(trigger, position + 1)].count(int(task.demo[0]))


def test_bad_input() -> None:
    task = multi_object()
    for probability in (-0.1, 0.0, 1.0, 1.5, float("nan")):
        message = rf"got {probability:g}: for no voids, use the plain task 'multi-object' without"
        for name in ("multi-object", "multi-object-void"):
            with pytest.raises(InvalidArgumentError, match=message):
                make_task(name, void_probability=probability)
    assert multi_object().void is None
    with pytest.raises(InvalidArgumentError, match="range of quantities is empty"):
        multi_object(quantities=[])
    with pytest.raises(InvalidArgumentError, match=r"start at 1, got 0"):
        multi_object(quantities=range(5), held_out=[])
    with pytest.raises(InvalidArgumentError, match=r"held-out quantities \[30\] are not among 1\.\.20"):
        multi_object(held_out=[30])
    with pytest.raises(InvalidArgumentError, match="leaves nothing to train on"):
        multi_object(quantities=[4, 9], held_out=[4, 9])
    with pytest.raises(InvalidArgumentError, match="at least one sequence, got no quantities"):
        task.draw(torch.tensor([], dtype=torch.long), generator(0))
    with pytest.raises(InvalidArgumentError, match="start at 1, got 0"):
        task.draw(torch.tensor([3, 0]), generator(0))
    with pytest.raises(InvalidArgumentError, match="at least one sequence, got a count of 0"):
        task.draw_quantities(0, generator(0))
    with pytest.raises(InvalidArgumentError, match="no quantities to draw from"):
        task.draw_quantities(5, generator(0), among=[])
    with pytest.raises(InvalidArgumentError, match="at least one demo type"):
        NumericTask("none", (), "R")
    with pytest.raises(InvalidArgumentError, match="'T' is the name of the trigger or the void"):
        NumericTask("clash", ("T",), "R")
    with pytest.raises(InvalidArgumentError, match="modulus must be at least 2, got 1"):
        modulo(modulus=1)
    with pytest.raises(InvalidArgumentError, match="multiple must be at least 1, got 0"):
        rounding(multiple=0)


def test_a_sequence_without_trigger_is_refused() -> None:
    task = multi_object()
    sequences = task.draw(torch.tensor([2, 5]), generator(0))
    sequences.tokens[1, 6] = task.response
    with pytest.raises(InvalidArgumentError, match="sequence 1 has no trigger 'T': BOS D"):
        task.remaining_demo_tokens(sequences, torch.tensor([1, 1]))
    with pytest.raises(InvalidArgumentError, match="sequence 1 has no trigger"):
        task.named_position("last-demo", sequences)


def test_the_limit_of_sequence_lengths_is_named_as_a_limit_of_symscope() -> None:
    assert make_task("square").longest_response == 400
    assert make_task("modulo").longest_response == 3
    assert make_task("square", quantities=range(1, 45)).longest_response == 44**2
    message = (
        r"'square' with quantities up to 45 has sequences of 2,072 tokens, .* 2,000 .* limit of symscope.* up to 44"
    )
    with pytest.raises(InvalidArgumentError, match=message):
        make_task("square", quantities=range(1, 46))
    with pytest.raises(InvalidArgumentError, match="use quantities up to 999"):
        multi_object(quantities=[5, 1000], held_out=[])


def test_quantities_of_any_integer_type() -> None:
    task = multi_object(quantities=np.arange(1, 6), held_out=np.array([2]))
    assert (task.quantities, task.held_out) == ((1, 2, 3, 4, 5), (2,))
    assert {type(n) for n in (*task.quantities, *task.held_out)} == {int}
    assert modulo(modulus=np.int64(3)).rule.of(torch.tensor(5)) == 2
