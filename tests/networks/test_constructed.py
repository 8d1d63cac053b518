"""Constructed networks solve their task exactly, and their variables are in the subspaces that they name."""

import math

import pytest
import torch
from tests.networks.examples import largest_difference

from symscope.algorithms import make_algorithm
from symscope.alignment import follows_swap, subspace
from symscope.errors import InvalidArgumentError
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import (
    CONSTRUCTED,
    GRUCell,
    LinearReadout,
    RecurrentNetwork,
    change_basis,
    random_invertible,
    random_orthogonal,
)
from symscope.networks.transformer import Transformer
from symscope.seeds import generator
from symscope.tasks import make_task
from symscope.training import trial_accuracy

OPTIONS = {"power": {"generator": generator(0, "power")}}
LINEAR = [name for name in CONSTRUCTED if name != "averaging"]
BASES = {
    "none": torch.eye,
    "orthogonal": lambda d: random_orthogonal(d, generator(1, "disguise")),
    "invertible": lambda d: random_invertible(d, 10.0, generator(1, "disguise")),
}


def build(name, task, **options):
    return CONSTRUCTED[name](**task.roles, **OPTIONS.get(name, {}), **options)


@pytest.fixture(params=["multi-object", "single-object", "multi-object-void"])
def task(request):
    return make_task(request.param)


def examples(task):
    for name in CONSTRUCTED:
        yield build(name, task)
    for name in LINEAR:
        for kind in ("orthogonal", "invertible"):
            plain = build(name, task, d=20)
            yield change_basis(plain, BASES[kind](20))


def test_each_solves_its_task_exactly_in_any_basis(task):
    for constructed in examples(task):
        accuracies = trial_accuracy(constructed.network, task, generator(0), each=8, quantities=range(1, 31))
        assert [entry.quantity for entry in accuracies if entry.trial_accuracy < 1] == []


@pytest.mark.parametrize("name", CONSTRUCTED)
@pytest.mark.parametrize("kind", BASES)
def test_a_swap_of_the_known_subspace_does_what_the_algorithm_says(name, kind):
    task = make_task("multi-object")
    constructed = build(name, task, d=20)
    if name in LINEAR:
        constructed = change_basis(constructed, BASES[kind](20))
    algorithm = make_algorithm(constructed.algorithm, task)
    assert set(constructed.writes) == {variable.name for variable in algorithm.variables}
    known = {key: subspace(write, constructed.reads[key]) for key, write in constructed.writes.items()}
    for variable, alignment in known.items():
        drawn = draw_interventions(algorithm, [variable], 2000, generator(0, variable))
        cached = cache_states(constructed.network, drawn, constructed.site)
        assert follows_swap(constructed.network, {variable: alignment}, cached).all()
    drawn = draw_interventions(algorithm, list(known), 1000, generator(0, "both"))
    cached = cache_states(constructed.network, drawn, constructed.site)
    assert follows_swap(constructed.network, known, cached).all()


def test_an_unused_dimension_is_no_variable():
    task = make_task("multi-object")
    constructed = build("magnitude", task, d=4)
    algorithm = make_algorithm("up-down", task)
    cached = cache_states(constructed.network, draw_interventions(algorithm, ["count"], 1000, generator(0)), "h")
    follows = follows_swap(constructed.network, {"count": subspace(torch.eye(4)[:, 2:3])}, cached)
    assert follows.float().mean() < 0.3


@torch.no_grad()
@pytest.mark.parametrize("kind", ["orthogonal", "invertible"])
def test_a_change_of_basis_changes_the_states_and_not_the_behaviour(kind):
    task = make_task("multi-object")
    tokens = task.draw(torch.arange(1, 21), generator(0)).tokens
    for name in LINEAR:
        plain, matrix = build(name, task, d=20), BASES[kind](20)
        changed = change_basis(plain, matrix)
        scale = float(plain.network(tokens).abs().max())
        assert largest_difference(changed.network(tokens), plain.network(tokens)) < 1e-4 * scale
        states = plain.network.states(tokens, "h")
        assert largest_difference(changed.network.states(tokens, "h"), states @ matrix.T) < 1e-3
        for variable, write in changed.writes.items():
            assert largest_difference(changed.reads[variable] @ write, torch.eye(write.shape[1])) < 1e-5
            coordinates = changed.network.states(tokens, "h") @ changed.reads[variable].T
            assert largest_difference(coordinates, states @ plain.reads[variable].T) < 1e-3


@torch.no_grad()
def test_the_count_is_in_the_named_subspace():
    task = make_task("multi-object")
    drawn = task.draw(torch.tensor([3, 7, 20]), generator(0))
    count = make_algorithm("up-down", task).run(drawn.tokens)["count"]
    states = build("magnitude", task).network.states(drawn.tokens, "h")
    assert torch.equal(states[..., 0].round().long(), count)
    rotated = build("angle", task).network.states(drawn.tokens, "h")[..., :2] + torch.tensor([1.0, 0.0])
    angle = torch.atan2(rotated[..., 1], rotated[..., 0])
    assert largest_difference(angle, count * math.pi / 31) < 1e-5
    assert largest_difference(rotated.norm(dim=-1), torch.ones(count.shape)) < 1e-5  # nothing grows with the count
    rotated = build("power", task).network.states(drawn.tokens, "h")[..., :16] + torch.eye(16)[0]
    assert largest_difference(rotated.norm(dim=-1), torch.ones(count.shape)) < 1e-5


@torch.no_grad()
def test_the_averaging_network_is_a_transformer_that_attends_evenly_and_holds_no_count():
    task = make_task("multi-object")
    constructed = build("averaging", task)
    assert isinstance(constructed.network, Transformer)
    drawn = task.draw(torch.arange(1, 21), generator(0))
    even = torch.ones(drawn.tokens.shape[1], drawn.tokens.shape[1]).tril()
    assert largest_difference(constructed.network.attention(drawn.tokens), (even / even.sum(1, keepdim=True))) < 1e-6
    algorithm = make_algorithm("up-down", task)
    drawn = draw_interventions(algorithm, ["count", "phase"], 500, generator(1))
    cached = cache_states(constructed.network, drawn, "layer1")
    whole = dict.fromkeys(["count", "phase"], subspace(torch.eye(16)))
    follows = follows_swap(constructed.network, whole, cached)
    base, source = drawn.base.values, drawn.sources[0].values
    in_demo = (base["phase"] == 0) & (source["phase"] == 0)
    assert torch.equal(follows[in_demo], (base["count"] == source["count"])[in_demo])  # as without a swap


@pytest.mark.parametrize("condition", [1.0, 3.0, 100.0])
def test_a_random_invertible_matrix_has_the_given_condition_number(condition):
    matrix = random_invertible(12, condition, generator(0))
    assert float(torch.linalg.cond(matrix.double())) == pytest.approx(condition, rel=1e-4)
    assert abs(float(torch.linalg.det(matrix.double()))) == pytest.approx(1, rel=1e-4)
    assert torch.equal(matrix, random_invertible(12, condition, generator(0)))
    assert not torch.equal(matrix, random_invertible(12, condition, generator(1)))


@pytest.mark.parametrize(("d", "condition"), [(4, 0.5), (4, math.inf), (4, math.nan), (0, 2.0), (1, 2.0)])
def test_an_impossible_condition_number_is_refused(d, condition):
    with pytest.raises(InvalidArgumentError, match="condition number is between 1 and"):
        random_invertible(d, condition, generator(0))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("magnitude", {"d": 1}, "d of at least 2"),
        ("two-counts", {"d": 2}, "d of at least 3"),
        ("angle", {"d": 2}, "2 dimensions are rotated and one holds the phase: d > 2, got 2"),
        ("angle", {"largest": 0}, "largest count is at least 1"),
        ("angle", {"largest": 200}, "too close together to be distinguished"),
        ("power", {"d": 16}, "d > 16, got 16"),
        ("power", {"turned": 1}, "at least 2 dimensions, got 1"),
        ("averaging", {"d": 8}, "even d of at least 10, got 8"),
        ("averaging", {"d": 11}, "even d of at least 10, got 11"),
        ("averaging", {"longest": 2}, "at least 3 tokens, got 2"),
    ],
)
def test_impossible_sizes_are_refused(name, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        build(name, make_task("multi-object"), **options)


@pytest.mark.parametrize("name", CONSTRUCTED)
def test_tokens_that_do_not_fit_are_refused(name):
    with pytest.raises(InvalidArgumentError, match="the response token is a demo token"):
        build(name, make_task("same-object"))
    good = make_task("multi-object").roles
    for wrong in ({"trigger": 99}, {"eos": good["trigger"]}, {"demo": []}):
        with pytest.raises(InvalidArgumentError, match="different ids from 0"):
            CONSTRUCTED[name](**{**good, **wrong}, **OPTIONS.get(name, {}))


def test_an_impossible_change_of_basis_is_refused():
    task = make_task("multi-object")
    plain = build("magnitude", task)
    with pytest.raises(InvalidArgumentError, match=r"2 dimensions, the matrix \(3, 3\)"):
        change_basis(plain, torch.eye(3))
    with pytest.raises(InvalidArgumentError, match="singular or nearly so"):
        change_basis(plain, torch.ones(2, 2))
    with pytest.raises(InvalidArgumentError, match="linear cell and a linear output layer"):
        change_basis(build("averaging", task), torch.eye(16))
    gru = RecurrentNetwork(GRUCell(2, 7, generator(0)), LinearReadout(torch.eye(7)[:, :2], torch.zeros(7)))
    with pytest.raises(InvalidArgumentError, match="linear cell and a linear output layer"):
        change_basis(type(plain)(gru, "up-down", "h", {}, {}), torch.eye(2))
