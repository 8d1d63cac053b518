"""The search on networks whose answer is known, and against itself run in other ways."""

import math
from dataclasses import replace

import pytest
import torch
from tests.alignment.examples import (
    ALGORITHM,
    FEW,
    PLAIN,
    QUICK,
    TASK,
    align_orthogonal,
    cached,
    hidden,
    problem,
    searched,
)
from torch import nn
from torch.nn.functional import cross_entropy

from symscope.algorithms import UpUp
from symscope.alignment import (
    FUNCTIONS,
    BoundaryMask,
    FixedMask,
    LinearAlignment,
    Oblique,
    Orthogonal,
    Reversible,
    Score,
    SearchOptions,
    TrainingPool,
    follows_swap,
    subspace,
)
from symscope.alignment._batched_fits import BatchedFits, train_step
from symscope.errors import InvalidArgumentError, NonFiniteError, UnknownNameError
from symscope.interchange import (
    block_memory,
    cache_states,
    counterfactual_losses,
    draw_interventions,
    peak_bytes,
)
from symscope.networks import change_basis, gru, magnitude_network, random_invertible
from symscope.seeds import generator

LONG = SearchOptions(learning_rate=3e-2, batch=64, steps=1000, validate_every=50, restarts=4, patience=10, **PLAIN)
SLOW = SearchOptions(steps=200, learning_rate=1e-3, validate_every=100, restarts=3, **PLAIN)
MANY = {"n_train": 2000, "n_validation": 500, "n_test": 500}


def sets_of(network, *variables, n_train=2000, n_validation=500):
    return {
        name: (cached(network, name, n_train, "train"), cached(network, name, n_validation, "validation"))
        for name in variables
    }


def iia(network, alignments, interventions):
    return Score.of(follows_swap(network, alignments, interventions)).iia


@pytest.mark.parametrize(
    "constructed", [magnitude_network(**TASK.roles), hidden(2), hidden(16)], ids=["plain", "2", "16"]
)
def test_a_known_subspace_scores_exactly_one(constructed) -> None:
    for variable in ("count", "phase"):
        known = {variable: subspace(constructed.writes[variable], constructed.reads[variable])}
        assert iia(constructed.network, known, cached(constructed.network, variable, 1000, "test")) == 1


@pytest.mark.parametrize(
    "constructed", [magnitude_network(**TASK.roles, d=6), hidden(2), hidden(16)], ids=["plain", "2", "16"]
)
def test_the_search_finds_the_variables_of_a_constructed_network(constructed) -> None:
    for result in align_orthogonal(constructed.network, ALGORITHM, ["count", "phase"], 1, **MANY, options=LONG).all:
        assert result.iia >= 0.99, str(result)
        assert result.iia > result.controls["random_subspace"].high


@pytest.mark.slow
def test_the_search_does_not_find_the_variables_of_another_algorithm() -> None:
    """The magnitude network holds one count, not two; it does hold Up-Up's phase."""
    variables = ["demo_count", "resp_count", "phase"]
    results = align_orthogonal(hidden(4).network, UpUp(TASK), variables, 2, **FEW, options=QUICK)
    assert [results[name].score.high < 0.5 for name in variables] == [True, True, False]
    assert results["phase"].iia >= 0.98
    assert results["resp_count"].selectivity[1].value < 0.4


def test_the_search_does_not_find_a_count_in_a_network_that_does_not_count() -> None:
    constructed = hidden(16)
    with torch.no_grad():
        constructed.network.cell.token_bias[TASK.demo] = 0
    result = align_orthogonal(constructed.network, ALGORITHM, "count", 4, **FEW, options=QUICK)["count"]
    assert result.score.high < 0.5
    assert any("without an intervention the network completes" in warning for warning in result.warnings)


def test_fits_in_one_batch_equal_each_fit_alone() -> None:
    network = gru(16, len(TASK.vocabulary), generator(0, "network"))
    sets = sets_of(network, "count", "phase", n_train=300, n_validation=100)
    problems = [
        problem("count", k=2, seed=5),
        problem("phase", k=7, seed=5),
        problem("count", k=7, seed=6),
        problem("count", "phase", k=3, seed=6),
        problem("count", k=2, seed=5, function=Oblique()),
        problem("count", k=2, seed=5, function=Oblique(coordinates="standardised")),
        problem("phase", "count", k=4, seed=5, function=LinearAlignment(bias=True)),
        problem("count", k=2, seed=5, function=Reversible()),
        problem("count", k=8, seed=1, mask=BoundaryMask(variable="count", k=8)),
    ]
    options = SearchOptions(learning_rate=1e-2, batch=32, steps=60, validate_every=20, restarts=2, patience=2, **PLAIN)
    base, source = (torch.randn(20, 16, generator=generator(9, side)) for side in ("base", "source"))
    for together, single in zip(searched(network, problems, sets, options), problems, strict=True):
        (alone,) = searched(network, [single], sets, options)
        for name in ("restart", "best_step", "total_steps"):
            assert getattr(together, name) == getattr(alone, name)
        assert together.alignments.keys() == alone.alignments.keys() == set(single.sets)
        for variable, alignment in together.alignments.items():
            swaps = (result.swap(base, source) for result in (alignment, alone.alignments[variable]))
            torch.testing.assert_close(*swaps, atol=1e-4, rtol=1e-3)


def test_the_loss_agrees_with_a_whole_forward_pass_with_a_full_rotation() -> None:
    """The slow, plain route: base and source from the start, the paper's masked swap, torch's own GRU cell."""
    d, k = 12, 5
    network = gru(d, len(TASK.vocabulary), generator(0, "network")).double()
    drawn = draw_interventions(ALGORITHM, ["count"], 20, generator(0))
    (frame,) = (tensor.double() for tensor in Orthogonal().initialise(d, k, None, generator(1)))
    pool = TrainingPool(network, {"count": cache_states(network, drawn, "h")}, {}, None)
    mask = FixedMask((("count", k),))

    def fast_loss(frame):
        fits = BatchedFits(Orthogonal(), mask, [0], [[frame.requires_grad_(), *mask.initialise()]], 1e-3)
        every = torch.arange(20)[None]
        (loss,) = pool.losses([fits], None, every, torch.zeros_like(every), progress=0.0)
        return loss, fits

    fast, fits = fast_loss(frame.detach())
    train_step([fits], fast[None])  # which leaves the gradient where Adam read it
    gradient = fits._trained[0].grad[0]

    cell = nn.GRUCell(d, d).double()
    ours = network.cell
    weights = (ours.input_weight, ours.state_weight, ours.input_bias, ours.state_bias)
    for parameter, value in zip(cell.parameters(), weights, strict=True):
        parameter.data = value.data
    rotation = torch.linalg.qr(frame.detach(), mode="complete").Q.T
    exchanged = (torch.arange(d) < k).double()
    slow_losses = []
    for row in range(len(drawn)):
        ends = []
        for run in (drawn.base, drawn.sources[0]):
            state = torch.zeros(1, d).double()
            for token in run.inputs[row, : run.position[row] + 1]:
                state = cell(ours.embedding[token][None], state)
            ends.append(state)
        state = torch.lerp(ends[0] @ rotation.T, ends[1] @ rotation.T, exchanged) @ rotation
        targets, counts = drawn.targets[row, : drawn.lengths[row]], drawn.target_mask[row]
        for token, is_target in zip(targets, counts, strict=False):
            if is_target:
                slow_losses.append(cross_entropy(network.readout(state), token[None]))
            state = cell(ours.embedding[token][None], state)
    torch.testing.assert_close(fast, torch.stack(slow_losses).mean())
    # The complete QR has a gradient only where d = k, so the gradient is compared with finite differences.
    step, direction = 1e-6, torch.randn(d, k, generator=generator(2)).double()
    moved = [fast_loss(frame.detach() + sign * step * direction)[0].detach() for sign in (1, -1)]
    torch.testing.assert_close((moved[0] - moved[1]) / (2 * step), (gradient * direction).sum(), atol=1e-7, rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_the_search_and_keeps_the_best() -> None:
    network = hidden(4).network
    sets = sets_of(network, "count", n_train=200, n_validation=50)
    with torch.no_grad():
        network.output.weight[0, 0] = float("nan")
    message = r"every fit of problem 0 .* not finite, the first within 100 steps"
    with pytest.raises(NonFiniteError, match=message) as caught:
        searched(
            network,
            [problem("count", k=1)],
            sets,
            SLOW,
        )
    (best,) = caught.value.best
    assert best.alignments["count"].k == 1
    with pytest.raises(NonFiniteError, match=r"search of alignment \(0: alignment: count, k = 1") as caught:
        align_orthogonal(
            network,
            ALGORITHM,
            "count",
            1,
            n_train=50,
            n_validation=20,
            n_test=20,
            options=SLOW,
        )
    assert caught.value.best[0].alignments["count"].k == 1


def test_a_fit_that_diverges_leaves_the_remaining_fits_unchanged() -> None:
    network = hidden(4).network
    sets = sets_of(network, "count", n_train=200, n_validation=50)
    train, validation = sets["count"]
    sets["broken"] = (replace(train, source_states=math.nan * train.source_states), validation)
    good = problem("count", k=1, seed=3)
    start = {
        "function": Oblique(),
        "start": (torch.eye(4)[:, :1], torch.eye(4)[:1]),
        "mask": FixedMask((("count", 1),)),
    }
    bad = problem("broken", k=1, seed=4, **start)
    options = SearchOptions(steps=200, restarts=1, learning_rate=1e-2, validate_every=100, **PLAIN)
    (alone,) = searched(network, [good], sets, options)
    with pytest.raises(NonFiniteError, match="every fit of problem 1 ") as caught:
        searched(network, [good, bad], sets, options)
    together = caught.value.best[0]
    assert (together.best_step, together.total_steps, together.diverged) == (alone.best_step, alone.total_steps, 0)
    pair = (result.alignments["count"].tensors for result in (together, alone))
    torch.testing.assert_close(*pair, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "function",
    [pytest.param(name, marks=[pytest.mark.slow] if name in ("linear", "reversible") else []) for name in FUNCTIONS],
)
def test_every_function_finds_two_variables_in_one_map(function: str) -> None:
    constructed = change_basis(magnitude_network(**TASK.roles, d=6), random_invertible(6, 3.0, generator(1)))
    network = constructed.network
    both = problem("count", "phase", k=2, function=FUNCTIONS[function]())
    options = replace(LONG, learning_rate=1e-2, restarts=2)
    (result,) = searched(network, [both], sets_of(network, "count", "phase"), options)
    least = 0.9 if function == "reversible" else 0.99
    assert result.validation_iia >= least
    for variable in result.alignments:
        assert iia(network, result.alignments, cached(network, variable, 500, "test")) >= least - 0.03


@pytest.mark.parametrize("variable", ["count", pytest.param("phase", marks=pytest.mark.slow)])
def test_a_learned_mask_takes_as_many_dimensions_as_it_needs(variable: str) -> None:
    network = hidden(16).network
    options = replace(LONG, learning_rate=1e-2, restarts=3)
    learned = problem(variable, k=16, mask=BoundaryMask(variable=variable, k=16))
    (result,) = searched(network, [learned], sets_of(network, variable), options)
    assert result.validation_iia >= 0.99
    assert result.alignments[variable].k < 8


@pytest.mark.parametrize("function", [Orthogonal(), Oblique(), Oblique(coordinates="natural-span")])
def test_a_start_is_where_the_first_fit_starts(function) -> None:
    constructed = hidden(16)
    known, network = constructed.writes["count"], constructed.network
    sets = sets_of(network, "count", n_train=500, n_validation=200)
    started = problem("count", k=1, start=(known, known.T), function=function)
    (result,) = searched(network, [started], sets, replace(QUICK, restarts=2))
    assert (result.validation_iia, result.best_step, result.restart) == (1, 0, 0)
    with pytest.raises(InvalidArgumentError, match=r"a start has the shape \(16, 2\)"):
        searched(network, [problem("count", k=2, start=(known, known.T), function=function)], sets, QUICK)


def test_problems_have_limits_of_their_own() -> None:
    network = hidden().network
    sets = sets_of(network, "count", n_train=300, n_validation=100)
    main = problem("count", k=1)
    endless = replace(QUICK, steps=200, target_iia=2.0, patience=100)
    problems = [replace(main, max_steps=60), replace(main, restarts=1), replace(main, restarts=2, stops_with=0)]
    results = searched(network, problems, sets, endless)
    assert [result.total_steps for result in results] == [3 * 100, 200, 2 * 100]


def test_a_memory_limit_holds_and_changes_nothing() -> None:
    network = gru(16, len(TASK.vocabulary), generator(0, "network")).requires_grad_(False)
    sets = sets_of(network, "count", n_train=300, n_validation=100)
    problems = [problem("count", k=k) for k in (1, 4, 8)]
    options = SearchOptions(batch=64, steps=20, validate_every=10, restarts=2, **PLAIN)
    train = sets["count"][0]
    needed = block_memory(network, train)
    index = torch.randint(300, (384,), generator=generator(1))
    for rows in (10, 50, 384):
        states = train.source_states[0, index].requires_grad_()
        peak = peak_bytes(lambda rows=rows, states=states: counterfactual_losses(network, train, states, index, rows))
        returned = 384 * 17 * 4 + 384 * 16  # losses, gradients, and the order of the rows
        assert peak <= needed.fixed + rows * needed.each + returned
    limits = (None, needed.fixed + 40 * needed.each)
    unlimited, limited = (searched(network, problems, sets, replace(options, memory=limit)) for limit in limits)
    for first, second in zip(unlimited, limited, strict=True):
        pair = (result.alignments["count"].tensors for result in (first, second))
        torch.testing.assert_close(*pair, atol=1e-5, rtol=1e-4)
    with pytest.raises(InvalidArgumentError, match=r"1,000 bytes is too low: one intervention needs"):
        searched(network, problems, sets, replace(options, memory=1000))


def test_searches_that_are_not_possible_are_refused() -> None:
    network = hidden(4).network
    few = {"n_train": 20, "n_validation": 10, "n_test": 10}
    with pytest.raises(UnknownNameError, match="did you mean 'count'"):
        align_orthogonal(network, ALGORITHM, ["coun"], 1)
    with pytest.raises(InvalidArgumentError, match="1 to d = 4 dimensions of the state, got k = 5"):
        align_orthogonal(network, ALGORITHM, "count", 5, **few)
    for k in (0, True):
        with pytest.raises(InvalidArgumentError, match="k must be"):
            align_orthogonal(network, ALGORITHM, "count", k, **few)
    with pytest.raises(InvalidArgumentError, match="at least one variable"):
        align_orthogonal(network, ALGORITHM, [], 1)
    with pytest.raises(InvalidArgumentError, match="nothing to search"):
        align_orthogonal(network, ALGORITHM, "count", [], **few)
    with pytest.raises(UnknownNameError, match="site 'cell'"):
        align_orthogonal(network, ALGORITHM, "count", 1, site="cell", **few)
    for name, value in (("learning_rate", 0.0), ("latent_weight", -1.0), ("target_iia", 0.0), ("init", "zero")):
        with pytest.raises(InvalidArgumentError, match=name):
            SearchOptions(**{name: value})
    with pytest.raises(InvalidArgumentError, match="no problems"):
        searched(network, [], sets_of(network, "count", n_train=10, n_validation=10), QUICK)
