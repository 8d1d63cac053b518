"""Arithmetic: every sequence is checked by plain Python."""

from collections import Counter

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from symscope.errors import InvalidArgumentError
from symscope.seeds import generator
from symscope.tasks import ArithmeticTask

TASK = ArithmeticTask()


def determined_tokens(names: list[str], largest: int = 20) -> list[bool]:
    """Checks a sequence without padding, and returns which of its tokens are determined."""
    assert names[0] == "BOS"
    total, determined = int(names[2]), [False] * 3
    assert 0 <= total <= largest
    for operation in range(int(names[1])):
        operator, operand, equals, result, comma = names[3 + 5 * operation : 8 + 5 * operation]
        forced = (operator, total) in (("+", largest), ("-", 0))
        total = eval(f"{total} {operator} {operand}")
        assert (equals, result, comma) == ("=", str(total), ",")
        assert 0 <= total <= largest
        determined += [False, forced, True, True, True]
    assert names[len(determined) :] == ["EOS"]
    return [*determined, True]


@given(
    quantities=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    largest=st.integers(1, 25),
    seed=st.integers(0, 1000),
)
def test_sequences_add_up(quantities: list[int], largest: int, seed: int) -> None:
    task = ArithmeticTask(largest_total=largest)
    sequences = task.draw(torch.tensor(quantities), generator(seed))
    for row, operations in enumerate(quantities):
        length = int(sequences.lengths[row])
        names = task.vocabulary.decode(sequences.tokens[row].tolist())
        assert names[1] == str(operations)
        assert set(names[length:]) <= {"PAD"}
        determined = determined_tokens(names[:length], largest)
        assert sequences.determined[row].tolist() == determined + [False] * (len(names) - length)


def test_free_tokens_are_uniform() -> None:
    sequences = TASK.draw(torch.full((8000,), 1), generator(0))
    names = [TASK.vocabulary.decode(row) for row in sequences.tokens.tolist()]
    starts, operators = Counter(int(row[2]) for row in names), Counter(row[3] for row in names)
    assert sorted(starts) == list(range(21))
    assert max(abs(count - 8000 / 21) for count in starts.values()) < 100
    assert abs(operators["+"] - 4000) < 230
    operands = Counter(int(row[4]) for row in names if (row[2], row[3]) in (("3", "-"), ("17", "+")))
    assert sorted(operands) == [0, 1, 2, 3]
    assert max(abs(count - sum(operands.values()) / 4) for count in operands.values()) < 50


def test_free_tokens_are_sampled_from_the_mask() -> None:
    mask = torch.zeros(3000, len(TASK.vocabulary), dtype=torch.bool)
    mask[:, [TASK.plus, TASK.minus]] = True
    remaining = torch.full((3000,), 7)
    tokens, after = TASK.sample_free_tokens(mask, remaining, generator(0))
    assert abs(int((tokens == TASK.plus).sum()) - 1500) < 140
    assert int((tokens == TASK.minus).sum()) + int((tokens == TASK.plus).sum()) == 3000
    assert torch.equal(after, remaining)
    assert TASK.remaining_demo_tokens(TASK.draw(torch.tensor([2]), generator(0)), torch.tensor([3])).tolist() == [0]


def test_bad_input() -> None:
    assert TASK.largest == 20
    assert ArithmeticTask(quantities=range(1, 31)).largest == 30
    with pytest.raises(InvalidArgumentError, match="'arithmetic' has quantities up to 20, got 21"):
        TASK.draw(torch.tensor([21]), generator(0))
    with pytest.raises(InvalidArgumentError, match="largest_total must be between 1 and 10000, got 0"):
        ArithmeticTask(largest_total=0)
    with pytest.raises(InvalidArgumentError, match="got no quantities"):
        TASK.draw(torch.tensor([], dtype=torch.long), generator(0))
    with pytest.raises(InvalidArgumentError, match=r"2,003 tokens.*a limit of symscope.*quantities up to 399"):
        ArithmeticTask(quantities=[400], held_out=[])
    assert ArithmeticTask(quantities=[399], held_out=[]).longest_response == 0
    with pytest.raises(InvalidArgumentError, match="leaves nothing"):
        ArithmeticTask(quantities=[4], held_out=[4])
