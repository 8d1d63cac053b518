"""Which interventions tell anything, and cause told from isolation on networks whose answer is known."""

import pytest
import torch
from tests.algorithms.reference import allowed_names, plain

from symscope.algorithms import CtxDistr, UpDown, make_algorithm, supported_variables
from symscope.alignment import Subspace, score, whole_state
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interventions import contradicts, draw_apart, draw_interventions, follows, matters, prepare
from symscope.networks import (
    averaging_network,
    change_basis,
    magnitude_network,
    random_invertible,
    two_counts_network,
)
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)
CASES = sorted({(entry.task, entry.algorithm, entry.variable.name) for entry in supported_variables()})
SMALL = {"quantities": range(1, 8), "held_out": [4]}


@pytest.mark.parametrize(("task_name", "name", "variable"), CASES)
def test_what_contradicts_agrees_with_the_plain_algorithm_fed_token_by_token(task_name, name, variable):
    algorithm = make_algorithm(name, make_task(task_name, **({} if "square" in task_name else SMALL)))
    drawn = draw_interventions(algorithm, [variable], 40, generator(0, task_name, name, variable))
    decode = algorithm.task.vocabulary.decode
    for tokens, at, values in (
        (drawn.base, drawn.base_positions, drawn.base_values),
        (drawn.source, drawn.source_positions, drawn.source_values),
    ):
        for row, ours in enumerate(contradicts(algorithm, values, drawn).tolist()):
            some = plain(algorithm, decode(tokens[row, : at[row] + 1].tolist()))
            then = decode(drawn.continuation[row, : drawn.lengths[row]].tolist())
            excluded = None
            for place, token in enumerate(then):
                if token not in allowed_names(algorithm, some):
                    excluded = place
                    break
                if token != "EOS":
                    some.read(token)
            assert ours == (excluded is not None and bool(drawn.determined[row, excluded]))


@pytest.mark.parametrize("variable", ["count", "phase"])
def test_no_network_passes_what_matters_without_a_swap_or_with_a_swap_of_everything(variable):
    constructed = magnitude_network(**TASK.roles)
    drawn = draw_interventions(ALGORITHM, [variable], 600, generator(0, variable))
    prepared = prepare(constructed.network, drawn, "h")
    for states, values in ((prepared.base.states, drawn.base_values), (prepared.source, drawn.source_values)):
        passed = follows(constructed.network, prepared, states)
        assert not (passed & contradicts(ALGORITHM, values, drawn)).any()
        assert 0.05 < passed.double().mean() < 0.9
    assert 0.15 < matters(ALGORITHM, drawn).double().mean() < 0.8


def test_pairs_differ_where_they_should_and_nowhere_else():
    for algorithm in (ALGORITHM, make_algorithm("up-up", TASK), make_algorithm("increment", TASK)):
        for variable in (entry.name for entry in algorithm.variables):
            cause, isolation = draw_apart(algorithm, [variable], 200, generator(0))
            for name, column in cause.base_values.items():
                same = column == cause.source_values[name]
                assert same.all() if name != variable else not same.any()
            assert torch.equal(isolation.base_values[variable], isolation.source_values[variable])
            for drawn in (cause, isolation):
                assert len(drawn) == 200
                assert drawn.variables == (variable,)
                swapped = {**drawn.base_values, variable: drawn.source_values[variable]}
                assert not contradicts(algorithm, swapped, drawn).any()
            assert contradicts(algorithm, cause.base_values, cause).all()
            assert not contradicts(algorithm, cause.source_values, cause).any()
            assert contradicts(algorithm, isolation.source_values, isolation).all()
            assert not contradicts(algorithm, isolation.base_values, isolation).any()


def apart(constructed, algorithm, variable, function):
    drawn = draw_apart(algorithm, [variable], 300, generator(0, variable))
    return tuple(score(constructed.network, function, prepare(constructed.network, one, "h")).iia for one in drawn)


@pytest.mark.parametrize("make", [magnitude_network, two_counts_network])
@pytest.mark.parametrize("hide", [False, True])
def test_cause_and_isolation_have_their_known_values(make, hide):
    constructed = make(**TASK.roles, d=6)
    algorithm = make_algorithm(constructed.algorithm, TASK)
    spare = torch.eye(6)[:, 5:]
    if hide:
        matrix = random_invertible(6, 5.0, generator(0))
        constructed, spare = change_basis(constructed, matrix), matrix[:, 5:]
    where = {name: Subspace(write, constructed.reads[name]) for name, write in constructed.writes.items()}
    nowhere = Subspace(spare, torch.linalg.pinv(spare))
    for variable, known in where.items():
        assert apart(constructed, algorithm, variable, known) == (1, 1)
        assert apart(constructed, algorithm, variable, whole_state(6)) == (1, 0)
        if not hide:  # no state lies along the spare axis
            assert apart(constructed, algorithm, variable, nowhere) == (0, 1)
        others = [name for name in where if name != variable]
        both = Subspace(
            torch.cat([constructed.writes[n] for n in (variable, others[0])], 1),
            torch.cat([constructed.reads[n] for n in (variable, others[0])]),
        )
        cause, isolation = apart(constructed, algorithm, variable, both)
        assert cause == 1
        assert isolation < 0.5
        cause, isolation = apart(constructed, algorithm, variable, where[others[0]])
        assert cause == 0
        assert isolation < 0.5


def test_one_variable_and_what_is_read_from_the_context():
    """Ctx-Distr's only variable: what differs beside it is the context, which a swap of one position must not bring."""
    algorithm = CtxDistr(TASK)
    constructed = averaging_network(**TASK.roles)
    cause, isolation = draw_apart(algorithm, ["value"], 200, generator(0))
    known = Subspace(constructed.writes["value"], constructed.reads["value"])
    for drawn in (cause, isolation):
        assert score(constructed.network, known, prepare(constructed.network, drawn, "embedding")).iia == 1
    assert draw_apart(ALGORITHM, ["count", "phase"], 50, generator(0)).isolation is None


def test_errors():
    with pytest.raises(InvalidArgumentError, match="at least one variable"):
        draw_apart(ALGORITHM, [], 5, generator(0))
    with pytest.raises(UnknownNameError, match="did you mean 'count'"):
        draw_apart(ALGORITHM, ["counts"], 5, generator(0))
