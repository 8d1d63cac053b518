"""What every algorithm must show on every task that it claims."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tests.algorithms.reference import allowed_names, plain, value

from symscope.algorithms import ALGORITHMS, make_algorithm, supported_variables
from symscope.interventions import continue_from
from symscope.seeds import generator
from symscope.tasks import make_task

CLAIMS = sorted({(entry.algorithm, entry.task) for entry in supported_variables()})
few = settings(max_examples=12)
small = st.lists(st.integers(1, 20), min_size=1, max_size=5)
seeds = st.integers(0, 10_000)


def drawn(name, task_name, quantities, seed):
    task = make_task(task_name)
    return make_algorithm(name, task), task.draw(torch.tensor(quantities), generator(seed))


def rows_of(values, row):
    return {name: column[row : row + 1] for name, column in values.items()}


@pytest.mark.parametrize(("name", "task_name"), CLAIMS)
@given(quantities=small, seed=seeds)
@few
def test_it_solves_the_task(name, task_name, quantities, seed):
    algorithm, sequences = drawn(name, task_name, quantities, seed)
    values = algorithm.run(sequences.tokens)
    batch, time = sequences.tokens.shape
    allowed = algorithm.next_token_mask({key: column.flatten() for key, column in values.items()}).view(batch, time, -1)
    there = torch.arange(1, time) < sequences.lengths[:, None]  # of the tokens that come next, those that do come
    allowed, tokens = allowed[:, :-1], sequences.tokens[:, 1:]
    assert allowed.gather(2, tokens[..., None])[..., 0][there].all()
    assert torch.equal((allowed.sum(2) == 1)[there], sequences.determined[:, 1:][there])
    assert not sequences.determined[:, 0].any()
    assert algorithm.can_end({key: column[:, :-1][there] for key, column in values.items()}).all()


@pytest.mark.parametrize(("name", "task_name"), CLAIMS)
@given(quantities=st.lists(st.integers(1, 7), min_size=1, max_size=3), seed=seeds)
@few
def test_it_agrees_with_the_plain_one_at_every_position(name, task_name, quantities, seed):
    algorithm, sequences = drawn(name, task_name, quantities, seed)
    values, names = algorithm.run(sequences.tokens), algorithm.task.vocabulary.names
    for row, tokens in enumerate(sequences.tokens.tolist()):
        shown = algorithm.task.vocabulary.decode(tokens)
        for place in range(int(sequences.lengths[row]) - 1):
            some = plain(algorithm, shown[: place + 1])
            here = {key: column[row : row + 1, place] for key, column in values.items()}
            for variable in algorithm.variables:
                assert value(variable, here[variable.name]) == some.state[variable.name]
            allowed = {names[index] for index in algorithm.next_token_mask(here)[0].nonzero()[:, 0]}
            assert allowed == allowed_names(algorithm, some)


@pytest.mark.parametrize(("name", "task_name"), CLAIMS)
def test_a_batch_is_its_rows_one_by_one(name, task_name):
    algorithm, sequences = drawn(name, task_name, [1, 2, 4, 9, 6, 3], 0)
    values = algorithm.run(sequences.tokens)
    allowed = algorithm.next_token_mask({key: column[:, 3] for key, column in values.items()})
    for row in range(len(sequences)):
        alone = algorithm.run(sequences.tokens[row : row + 1, : sequences.lengths[row]])
        for key, column in alone.items():
            assert torch.equal(column[0], values[key][row, : sequences.lengths[row]])
        assert torch.equal(
            algorithm.next_token_mask({key: column[:, 3] for key, column in alone.items()})[0], allowed[row]
        )


@pytest.mark.parametrize(("name", "task_name"), CLAIMS)
@given(quantity=st.integers(1, 8), share=st.floats(0, 1), seed=seeds)
@few
def test_overwriting_variables_with_their_own_values_changes_nothing(name, task_name, quantity, share, seed):
    # Two sequences that begin alike, so that each has the other's values at the cut, from a run of its own.
    algorithm, sequences = drawn(name, task_name, [quantity], seed)
    length = int(sequences.lengths[0])
    cut = 1 + round(share * (length - 3))
    base, source = algorithm.run(sequences.tokens), algorithm.run(sequences.tokens[:, : cut + 1])
    here = {key: column[:, cut] for key, column in base.items()}
    assert list(here) == list(algorithm.start(1))
    swapped = {**here, **{v.name: source[v.name][:, cut] for v in algorithm.variables}}
    # Its own tokens then lead it through its own values ...
    for place in range(cut + 1, length):
        swapped = algorithm.step(swapped, sequences.tokens[:, place])
        for key, column in swapped.items():
            assert torch.equal(column, base[key][:, place])
    # ... and left alone it goes on as long as the sequence itself, where that is no matter of chance.
    remaining = algorithm.task.remaining_demo_tokens(sequences, torch.tensor([cut]))
    then = continue_from(algorithm, here, remaining, generator(seed))
    assert then.ends.all()
    if "void" not in task_name:
        assert int(then.lengths[0]) == length - cut - 1
    asked = sequences.tokens[0, cut + 1 :][sequences.determined[0, cut + 1 :]]
    if name != "running-total":  # whose totals depend on operands yet to come
        assert torch.equal(then.tokens[0][then.determined[0]], asked)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_step_changes_nothing_in_place(name):
    task_name = next(task for algorithm, task in CLAIMS if algorithm == name)
    algorithm, sequences = drawn(name, task_name, [3, 5], 0)
    values = algorithm.start(2)
    for column in sequences.tokens.unbind(1):
        before = {key: entry.clone() for key, entry in values.items()}
        after = algorithm.step(values, column)
        assert all(torch.equal(before[key], values[key]) for key in values)
        values = after
