"""Names of tasks, of their options, and of tokens."""

import pytest

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.tasks import TASKS, Vocabulary, make_task


@pytest.mark.parametrize("name", TASKS)
def test_every_registered_name_makes_its_task(name: str) -> None:
    task = make_task(name, quantities=range(1, 6), held_out=[2])
    assert task.name == name
    assert task.trained == (1, 3, 4, 5)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'multi-object'"):
        make_task("multi-objects")
    with pytest.raises(UnknownNameError, match=r"unknown option of task 'square' 'void'.*void_probability"):
        make_task("square", void=0.2)
    with pytest.raises(UnknownNameError, match="modulus"):
        make_task("rounding", modulus=4)
    assert make_task("modulo-void", modulus=3, void_probability=0.5).name == "modulo-void"


def test_tokens_outside_the_vocabulary() -> None:
    vocabulary = Vocabulary(["A", "B"])
    assert vocabulary.decode([1, 3, 4, 2]) == ["BOS", "A", "B", "EOS"]
    with pytest.raises(UnknownNameError, match="unknown token 'C'"):
        vocabulary.id("C")
    for outside in (5, -1):
        with pytest.raises(InvalidArgumentError, match=rf"token {outside} does not exist.*A, B.*0\.\.4"):
            vocabulary.decode([1, outside])
    with pytest.raises(InvalidArgumentError, match="each token once"):
        Vocabulary(["A", "EOS"])
