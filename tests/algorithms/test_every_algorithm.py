"""Every algorithm on every task that it solves, compared with the reference implementation."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tests.algorithms.reference import allowed_names, plain, value

from symscope.algorithms import make_algorithm, supported_variables
from symscope.errors import InvalidArgumentError
from symscope.interchange import continue_from
from symscope.seeds import generator
from symscope.tasks import NumericTask, make_task

CASES = sorted({(entry.algorithm, entry.task) for entry in supported_variables()})
few = settings(max_examples=12)
seeds = st.integers(0, 10_000)


def draw(name, task_name, quantities, seed):
    task = make_task(task_name)
    return make_algorithm(name, task), task.draw(torch.tensor(quantities), generator(seed))


@pytest.mark.parametrize(("name", "task_name"), CASES)
@given(quantities=st.lists(st.integers(1, 7), min_size=1, max_size=3), seed=seeds)
@few
def test_it_agrees_with_the_reference_at_every_position(name, task_name, quantities, seed):
    algorithm, sequences = draw(name, task_name, quantities, seed)
    values, names = algorithm.run(sequences.tokens), algorithm.task.vocabulary.names
    for row, tokens in enumerate(sequences.tokens.tolist()):
        sequence = algorithm.task.vocabulary.decode(tokens)
        for position in range(int(sequences.lengths[row]) - 1):
            reference = plain(algorithm, sequence[: position + 1])
            state = {key: column[row : row + 1, position] for key, column in values.items()}
            for variable in algorithm.variables:
                assert value(variable, state[variable.name]) == reference.state[variable.name]
            mask = algorithm.next_token_mask(state)[0]
            assert {names[index] for index in mask.nonzero()[:, 0]} == allowed_names(algorithm, reference)


@pytest.mark.parametrize(("name", "task_name"), CASES)
@given(quantity=st.integers(1, 8), share=st.floats(0, 1), seed=seeds)
@few
def test_a_swap_between_equal_states_changes_nothing(name, task_name, quantity, share, seed):
    # The source is the beginning of the base, so that every variable has the same value in both.
    algorithm, sequences = draw(name, task_name, [quantity], seed)
    length = int(sequences.lengths[0])
    position = 1 + round(share * (length - 3))
    base, source = algorithm.run(sequences.tokens), algorithm.run(sequences.tokens[:, : position + 1])
    state = {key: column[:, position] for key, column in base.items()}
    assert list(state) == list(algorithm.start(1))
    swapped = {**state, **{v.name: source[v.name][:, position] for v in algorithm.variables}}
    # With the remaining tokens of the base, the states are those of the base ...
    for later in range(position + 1, length):
        swapped = algorithm.step(swapped, sequences.tokens[:, later])
        for key, column in swapped.items():
            assert torch.equal(column, base[key][:, later])
    # ... and the generated continuation is as long as the rest of the base, unless its length is random.
    remaining = algorithm.task.remaining_demo_tokens(sequences, torch.tensor([position]))
    tokens, determined, ends = continue_from(algorithm, state, remaining, generator(seed))
    assert ends.all()
    if "void" not in task_name:
        assert int((tokens[0] > 0).sum()) == length - position - 1
    targets = sequences.tokens[0, position + 1 :][sequences.determined[0, position + 1 :]]
    if name != "running-total":  # its totals depend on random operands
        assert torch.equal(tokens[0][determined[0]], targets)


@pytest.mark.parametrize(("name", "task_name"), CASES)
@given(quantities=st.lists(st.integers(1, 20), min_size=1, max_size=4), seed=seeds)
@few
def test_demo_tokens_counted(name, task_name, quantities, seed):
    algorithm, sequences = draw(name, task_name, quantities, seed)
    values, task = algorithm.run(sequences.tokens), algorithm.task
    if not isinstance(task, NumericTask):
        with pytest.raises(InvalidArgumentError, match=f"algorithm {name!r} has no demo phase"):
            algorithm.demo_tokens_counted(algorithm.start(1))
        return
    demo = set(task.demo.tolist())
    for position in range(int(task.named_position("trigger", sequences).max())):
        counted = algorithm.demo_tokens_counted({key: column[:, position] for key, column in values.items()}).tolist()
        for row, tokens in enumerate(sequences.tokens[:, : position + 1].tolist()):
            if task.trigger not in tokens:
                assert counted[row] == sum(token in demo for token in tokens)


def test_demo_tokens_counted_after_an_intervention():
    task = make_task("multi-object")
    increment, ctx_distr = make_algorithm("increment", task), make_algorithm("ctx-distr", task)
    counts = torch.tensor([0.0, 3.0, 3.4, 0.2], dtype=torch.float64)
    state = {"count": counts, "increment": torch.ones(4, dtype=torch.float64), "phase": torch.zeros(4).long()}
    assert increment.demo_tokens_counted(state).tolist() == [0, 3, 4, 1]  # these are also the numbers of responses
    state = {"value": torch.tensor([-1, 1]), "context": torch.tensor([0, 4]), "phase": torch.zeros(2).long()}
    assert ctx_distr.demo_tokens_counted(state).tolist() == [-1, 5]


def test_square_ends_within_the_limit_of_generated_tokens():
    algorithm = make_algorithm("up-down-square", make_task("square", quantities=range(1, 41)))
    counts, none = torch.tensor([44, 45, 50]), torch.zeros(3).long()
    state = {"count": counts, "phase": none}
    assert algorithm.can_end(state).tolist() == [True, False, False]  # 44 + 44 ** 2 + 2 = 1982 tokens
    tokens, _, ends = continue_from(algorithm, state, none, generator(0))
    assert ends.tolist() == [True, False, False]
    assert int((tokens[0] > 0).sum()) == 44**2 + 2
    assert algorithm.can_end({"count": counts, "phase": none + 1}).all()
