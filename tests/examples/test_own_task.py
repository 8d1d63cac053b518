"""The example of a user's task runs, is correct, and is the code that its page shows."""

import inspect
import re
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from tests.examples.loading import load_example

from symscope.checks import check_algorithm, check_task
from symscope.errors import BrokenLawError, InvalidArgumentError
from symscope.interchange import draw_interventions
from symscope.seeds import generator
from symscope.tasks import Task, multi_object

ROOT = Path(__file__).parents[2]
EXAMPLE, PAGE = ROOT / "examples/own_task.py", ROOT / "docs/how-to/own-task.md"


example = load_example("own_task")
TASK = example.LargerGroup()
ALGORITHM = example.CountBoth(TASK)


def check(task, algorithm):
    """The calls that the page shows."""
    check_task(task)
    check_algorithm(algorithm)


def test_they_keep_the_laws():
    check(TASK, ALGORITHM)


@given(quantities=st.lists(st.integers(1, 15), min_size=1, max_size=8), seed=st.integers(0, 1000))
def test_the_sequences_are_correct(quantities, seed):
    sequences = TASK.draw(torch.tensor(quantities), generator(seed))
    for row, n in enumerate(quantities):
        names = TASK.vocabulary.decode(sequences.tokens[row, : sequences.lengths[row]].tolist())
        members = names[1 : names.index("T")]
        assert set(members) <= {"A", "B"}
        assert max(members.count("A"), members.count("B")) == n
        assert names[len(members) + 1 :] == ["T"] + ["R"] * n + ["EOS"]


def test_the_counterfactual_of_a_swap():
    drawn = draw_interventions(ALGORITHM, ["a"], 200, generator(0))
    for row in range(200):
        then = TASK.vocabulary.decode(drawn.targets[row, : drawn.lengths[row]].tolist())
        a = int(drawn.sources[0].values["a"][row]) + then.count("A")
        assert then.count("R") == max(a, int(drawn.base.values["b"][row]) + then.count("B"))


def test_other_tasks_are_refused():
    with pytest.raises(InvalidArgumentError, match="'count-both' does not solve task 'multi-object'"):
        example.CountBoth(multi_object())


def test_the_page_shows_the_output_of_the_example(capsys):
    example.main(epochs=5)
    *lines, accuracy = capsys.readouterr().out.splitlines()
    assert accuracy.startswith("trial accuracy of a GRU after 40 updates:")
    assert "\n".join(lines) in PAGE.read_text(encoding="utf-8")


def test_the_page_shows_the_code_of_the_example():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        assert block in EXAMPLE.read_text(encoding="utf-8") or block in inspect.getsource(check)


def test_the_page_shows_messages_of_the_checks():
    class WithoutEos(Task):
        name, vocabulary = TASK.name, TASK.vocabulary

        def draw(self, quantities, generator):
            drawn = TASK.draw(quantities, generator)
            drawn.tokens[drawn.tokens == TASK.vocabulary.eos] = TASK.response
            return drawn

        def sample_free_tokens(self, next_token_mask, remaining, generator):
            return TASK.sample_free_tokens(next_token_mask, remaining, generator)

        def remaining_demo_tokens(self, sequences, positions):
            return TASK.remaining_demo_tokens(sequences, positions)

    with pytest.raises(BrokenLawError) as raised:
        check_task(WithoutEos(TASK.quantities, TASK.held_out))
    assert str(raised.value) in " ".join(PAGE.read_text(encoding="utf-8").split())
