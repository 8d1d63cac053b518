"""The worked example of a user's own task runs, is right, and is what its page shows."""

import importlib.util
import inspect
import re
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from symscope.checks import check_algorithm, check_task
from symscope.errors import InvalidArgumentError
from symscope.interventions import draw_interventions
from symscope.seeds import generator
from symscope.tasks import multi_object

ROOT = Path(__file__).parents[2]
EXAMPLE, PAGE = ROOT / "examples/own_task.py", ROOT / "docs/how-to/own-task.md"


def load():
    spec = importlib.util.spec_from_file_location("own_task", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


own = load()
TASK = own.LargerGroup()
ALGORITHM = own.CountBoth(TASK)


def check(task, algorithm):
    """As the page says it."""
    check_task(task)
    check_algorithm(algorithm)


def test_they_keep_the_laws():
    check(TASK, ALGORITHM)


@given(quantities=st.lists(st.integers(1, 15), min_size=1, max_size=8), seed=st.integers(0, 1000))
def test_the_sequences_are_right(quantities, seed):
    sequences = TASK.draw(torch.tensor(quantities), generator(seed))
    for row, n in enumerate(quantities):
        names = TASK.vocabulary.decode(sequences.tokens[row, : sequences.lengths[row]].tolist())
        shown = names[1 : names.index("T")]
        assert set(shown) <= {"A", "B"}
        assert max(shown.count("A"), shown.count("B")) == n
        assert names[len(shown) + 1 :] == ["T"] + ["R"] * n + ["EOS"]


def test_what_follows_a_swap():
    drawn = draw_interventions(ALGORITHM, ["a"], 200, generator(0))
    for row in range(200):
        then = TASK.vocabulary.decode(drawn.continuation[row, : drawn.lengths[row]].tolist())
        a = int(drawn.source_values["a"][row]) + then.count("A")
        assert then.count("R") == max(a, int(drawn.base_values["b"][row]) + then.count("B"))


def test_another_task_is_refused():
    with pytest.raises(InvalidArgumentError, match="'count-both' does not solve task 'multi-object'"):
        own.CountBoth(multi_object())


def test_the_example_runs(capsys):
    own.main(epochs=5)
    assert "must follow:   T R R R R EOS" in capsys.readouterr().out


def test_the_page_shows_the_example_as_it_is():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        assert block in EXAMPLE.read_text(encoding="utf-8") or block in inspect.getsource(check)
