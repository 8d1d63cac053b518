"""Informative interventions, cause and isolation: against a reference, and on networks whose answer is known."""

import pytest
import torch
from tests.algorithms.reference import allowed_names, plain

from symscope.algorithms import CtxDistr, UpDown, make_algorithm, supported_variables
from symscope.alignment import Score, follows_swap, subspace, whole_state
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import (
    cache_states,
    draw_cause,
    draw_interventions,
    draw_isolation,
    is_inconsistent_with,
    matches_counterfactual,
    with_informative,
)
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
def test_inconsistent_states_are_those_of_the_reference_algorithm_token_by_token(task_name, name, variable):
    algorithm = make_algorithm(name, make_task(task_name, **({} if "square" in task_name else SMALL)))
    drawn = draw_interventions(algorithm, [variable], 40, generator(0, task_name, name, variable))
    decode = algorithm.task.vocabulary.decode
    for run in (drawn.base, drawn.sources[0]):
        for row, inconsistent in enumerate(is_inconsistent_with(algorithm, run.values, drawn).tolist()):
            reference = plain(algorithm, decode(run.inputs[row, : run.position[row] + 1].tolist()))
            excluded = None
            for column, token in enumerate(decode(drawn.targets[row, : drawn.lengths[row]].tolist())):
                if token not in allowed_names(algorithm, reference):
                    excluded = column
                    break
                if token != "EOS":
                    reference.read(token)
            assert inconsistent == (excluded is not None and bool(drawn.target_mask[row, excluded]))


@pytest.mark.parametrize("variable", ["count", "phase"])
def test_no_network_passes_an_informative_intervention_without_a_swap_or_with_the_whole_source(variable):
    constructed = magnitude_network(**TASK.roles)
    drawn = with_informative(ALGORITHM, draw_interventions(ALGORITHM, [variable], 600, generator(0, variable)))
    cached = cache_states(constructed.network, drawn, "h")
    for states, run in ((cached.base_states, drawn.base), (cached.source_states[0], drawn.sources[0])):
        passed = matches_counterfactual(constructed.network, cached, states)
        assert not (passed & is_inconsistent_with(ALGORITHM, run.values, drawn)).any()
        assert 0.05 < passed.double().mean() < 0.9
        assert not (passed & drawn.informative).any()
    assert torch.equal(drawn.changes_base, is_inconsistent_with(ALGORITHM, drawn.base.values, drawn))
    assert not (drawn.informative & ~drawn.changes_base).any()
    assert 0.15 < drawn.informative.double().mean() < 0.8


def test_pairs_differ_where_they_should_and_nowhere_else():
    for algorithm in (ALGORITHM, make_algorithm("up-up", TASK), make_algorithm("increment", TASK)):
        for variable in (entry.name for entry in algorithm.variables):
            cause, isolation = (draw(algorithm, [variable], 200, generator(0)) for draw in (draw_cause, draw_isolation))
            source = cause.sources[0].values
            for name, column in cause.base.values.items():
                same = column == source[name]
                assert same.all() if name != variable else not same.any()
            assert torch.equal(isolation.base.values[variable], isolation.sources[0].values[variable])
            for drawn in (cause, isolation):
                assert (len(drawn), drawn.variables) == (200, (variable,))
                assert not is_inconsistent_with(algorithm, drawn.counterfactual_values, drawn).any()
            assert is_inconsistent_with(algorithm, cause.base.values, cause).all()
            assert not is_inconsistent_with(algorithm, source, cause).any()
            assert is_inconsistent_with(algorithm, isolation.sources[0].values, isolation).all()
            assert not is_inconsistent_with(algorithm, isolation.base.values, isolation).any()


def cause_and_isolation(constructed, algorithm, variable, alignment, site="h"):
    scores = []
    for draw in (draw_cause, draw_isolation):
        cached = cache_states(constructed.network, draw(algorithm, [variable], 300, generator(0, variable)), site)
        scores.append(Score.of(follows_swap(constructed.network, {variable: alignment}, cached)).iia)
    return tuple(scores)


@pytest.mark.parametrize("make", [magnitude_network, two_counts_network])
@pytest.mark.parametrize("changed_basis", [False, True])
def test_cause_and_isolation_have_their_known_values(make, changed_basis):
    constructed = make(**TASK.roles, d=6)
    algorithm = make_algorithm(constructed.algorithm, TASK)
    spare = torch.eye(6)[:, 5:]
    if changed_basis:
        matrix = random_invertible(6, 5.0, generator(0))
        constructed, spare = change_basis(constructed, matrix), matrix[:, 5:]
    writes, reads = constructed.writes, constructed.reads
    subspace_of = {name: subspace(write, reads[name]) for name, write in writes.items()}
    for variable, known in subspace_of.items():
        assert cause_and_isolation(constructed, algorithm, variable, known) == (1, 1)
        assert cause_and_isolation(constructed, algorithm, variable, whole_state(6)) == (1, 0)
        if not changed_basis:  # no state lies along the spare axis
            unused = subspace(spare, torch.linalg.pinv(spare))
            assert cause_and_isolation(constructed, algorithm, variable, unused) == (0, 1)
        another = next(name for name in subspace_of if name != variable)
        pair = (variable, another)
        both = subspace(torch.cat([writes[n] for n in pair], 1), torch.cat([reads[n] for n in pair]))
        cause, isolation = cause_and_isolation(constructed, algorithm, variable, both)
        assert cause == 1
        assert isolation < 0.5
        cause, isolation = cause_and_isolation(constructed, algorithm, variable, subspace_of[another])
        assert cause == 0
        assert isolation < 0.5


def test_the_only_variable_of_an_algorithm_that_reads_its_context():
    """Ctx-Distr: the rest of its state is the context, which a swap at a single position must not transfer."""
    constructed = averaging_network(**TASK.roles)
    known = subspace(constructed.writes["value"], constructed.reads["value"])
    assert cause_and_isolation(constructed, CtxDistr(TASK), "value", known, "embedding") == (1, 1)


def test_pairs_that_cannot_be_drawn():
    assert draw_isolation(ALGORITHM, ["count", "phase"], 50, generator(0)) is None
    for draw in (draw_cause, draw_isolation):
        with pytest.raises(InvalidArgumentError, match="at least one variable"):
            draw(ALGORITHM, [], 5, generator(0))
        with pytest.raises(UnknownNameError, match="did you mean 'count'"):
            draw(ALGORITHM, ["counts"], 5, generator(0))
