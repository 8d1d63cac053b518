"""The search against networks whose answer is known, and against itself run in other ways."""

import math
from dataclasses import replace

import pytest
import torch
from symscope.alignment.batches import Pool, latent_losses, losses
from symscope.alignment.program import Alignment, Program
from symscope.interventions import block_memory, draw_interventions, losses_after, peak_bytes, prepare
from torch import nn
from torch.nn.functional import cross_entropy

from symscope.algorithms import UpDown, UpUp
from symscope.alignment import (
    FUNCTIONS,
    Blocks,
    Learned,
    Orthogonal,
    Question,
    SearchOptions,
    Subspace,
    find,
    score,
    search,
    whole_state_score,
)
from symscope.alignment.functions import random_subspace
from symscope.errors import InvalidArgumentError, NonFiniteError, UnknownNameError
from symscope.networks import Constructed, change_basis, gru, magnitude_network, random_invertible, random_orthogonal
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)
QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=1000, validate_every=50, starts=4)
FEW = (2000, 500, 500)


def hidden(d: int, seed: int = 0) -> Constructed:
    return change_basis(magnitude_network(**TASK.roles, d=d), random_orthogonal(d, generator(seed, "disguise")))


def question(sets, *variables: str, k: int, seed: int = 0, **more) -> Question:
    """Where are these variables, in k dimensions each? `sets` has interventions to fit to and to choose by."""
    train, validation = ({v: sets[v][part] for v in variables} for part in (0, 1))
    return Question(train, validation, Blocks(dict.fromkeys(variables, k)), seed, **more)


def prepared(network, variable: str, count: int, purpose: str):
    drawn = draw_interventions(ALGORITHM, [variable], count, generator(0, variable, purpose))
    return prepare(network, drawn, next(iter(network.sites)))


@pytest.mark.parametrize(
    "constructed", [magnitude_network(**TASK.roles), hidden(2), hidden(16)], ids=["plain", "2", "16"]
)
def test_known_subspace_scores_exactly_one(constructed: Constructed) -> None:
    for variable in ("count", "phase"):
        known = Subspace(constructed.writes[variable], constructed.reads[variable])
        assert score(constructed.network, known, prepared(constructed.network, variable, 1000, "test")).iia == 1
    assert whole_state_score(constructed.network, ALGORITHM, 1000, site="h", seed=0).iia == 1


@pytest.mark.parametrize(
    "constructed", [magnitude_network(**TASK.roles, d=6), hidden(2), hidden(16)], ids=["plain", "2", "16"]
)
def test_search_finds_what_is_there(constructed: Constructed) -> None:
    for evidence in find(constructed.network, ALGORITHM, ["count", "phase"], 1, counts=FEW, options=QUICK):
        assert evidence.score.iia >= 0.99, str(evidence)
        assert evidence.score.iia > evidence.controls["random_subspace"].high


def test_search_does_not_find_the_variables_of_another_algorithm() -> None:
    """The magnitude network holds one count, not two; Up-Up's phase it does hold."""
    found = find(hidden(4).network, UpUp(TASK), ["demo_count", "resp_count", "phase"], 2, counts=FEW, options=QUICK)
    assert [evidence.score.high < 0.5 for evidence in found] == [True, True, False]
    assert found[2].score.iia >= 0.99


def test_search_does_not_find_a_count_in_a_network_that_does_not_count() -> None:
    constructed = hidden(16)
    with torch.no_grad():
        constructed.network.cell.token_bias[TASK.demo] = 0
    (evidence,) = find(constructed.network, ALGORITHM, ["count"], 4, counts=FEW, options=QUICK)
    assert evidence.score.high < 0.5


def test_batched_fits_equal_each_fit_alone() -> None:
    network = gru(16, len(TASK.vocabulary), generator(0, "network"))
    sets = {
        v: (prepared(network, v, 300, "train"), prepared(network, v, 100, "validation")) for v in ("count", "phase")
    }
    questions = [
        question(sets, "count", k=2, seed=5),
        question(sets, "phase", k=7, seed=5),
        question(sets, "count", k=7, seed=6),
        question(sets, "count", "phase", k=3, seed=6),
        question(sets, "count", k=2, seed=5, function="oblique"),
        question(sets, "count", k=2, seed=5, function="oblique", options={"view": "standardised"}),
        question(sets, "phase", "count", k=4, seed=5, function="linear", options={"bias": True}),
        question(sets, "count", k=2, seed=5, function="reversible"),
        Question({"count": sets["count"][0]}, {"count": sets["count"][1]}, Learned("count", 8), seed=1),
    ]
    options = SearchOptions(learning_rate=1e-2, batch=32, steps=60, validate_every=20, starts=2, patience=2)
    states = [torch.randn(2, 20, 16, generator=generator(9, which)) for which in ("base", "source")]
    for together, asked in zip(search(network, questions, options), questions, strict=True):
        (alone,) = search(network, [asked], options)
        assert (together.start, together.step, together.steps) == (alone.start, alone.step, alone.steps)
        assert together.functions.keys() == alone.functions.keys() == set(asked.mask.variables)
        for variable, function in together.functions.items():
            swaps = (one.swap(states[0][0], states[1][0]) for one in (function, alone.functions[variable]))
            torch.testing.assert_close(*swaps, atol=1e-4, rtol=1e-3)


def test_loss_against_a_whole_forward_pass_with_a_full_rotation() -> None:
    """The slow, plain route: base and source from the start, the paper's masked swap, torch's own GRU cell."""
    d, k = 12, 5
    network = gru(d, len(TASK.vocabulary), generator(0, "network")).double()
    drawn = draw_interventions(ALGORITHM, ["count"], 20, generator(0))
    function = Orthogonal(random_subspace(d, k, generator(1)).write).double()
    rows = prepare(network, drawn, "h")
    pool = Pool.of(network, [question({"count": (rows, rows)}, "count", k=k)], SearchOptions())

    def fast_loss() -> tuple[torch.Tensor, Program]:
        program = Program([Alignment(function, Blocks({"count": k}))], 1e-3)
        every = torch.arange(20)[None]
        (loss,) = losses(network, program, pool, every, torch.zeros_like(every), progress=0.0)
        return loss, program

    fast, program = fast_loss()
    program.step(fast[None])  # which leaves the gradient where Adam found it
    (fast_gradient,) = (p.grad[0] for p in program._parameters())

    cell = nn.GRUCell(d, d).double()
    own = network.cell
    for parameter, value in zip(
        cell.parameters(), (own.input_weight, own.state_weight, own.input_bias, own.state_bias), strict=True
    ):
        parameter.data = value.data
    frame = torch.linalg.qr(function.raw, mode="complete").Q.T
    mask = (torch.arange(d) < k).double()
    slow_losses = []
    for row in range(len(drawn)):
        ends = []
        for tokens, at in ((drawn.base, drawn.base_positions), (drawn.source, drawn.source_positions)):
            state = torch.zeros(1, d).double()
            for token in tokens[row, : at[row] + 1]:
                state = cell(own.embedding[token][None], state)
            ends.append(state)
        state = ((1 - mask) * (ends[0] @ frame.T) + mask * (ends[1] @ frame.T)) @ frame
        for token, scored in zip(drawn.continuation[row, : drawn.lengths[row]], drawn.determined[row], strict=False):
            if scored:
                slow_losses.append(cross_entropy(network.readout(state), token[None]))
            state = cell(own.embedding[token][None], state)
    slow = torch.stack(slow_losses).mean()
    torch.testing.assert_close(fast, slow)
    # The complete QR has a gradient only where d = k, so the slow gradient is taken by finite differences.
    step, direction = 1e-6, torch.randn(d, k, generator=generator(2)).double()
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            function.raw += sign * step * direction
            moved.append(fast_loss()[0].detach())
            function.raw -= sign * step * direction
    torch.testing.assert_close(
        (moved[0] - moved[1]) / (2 * step), (fast_gradient * direction).sum(), atol=1e-7, rtol=1e-5
    )


def test_weights_are_left_as_they_were() -> None:
    network = gru(8, len(TASK.vocabulary), generator(0, "network"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    find(
        network,
        ALGORITHM,
        ["count"],
        2,
        counts=(50, 20, 20),
        options=SearchOptions(steps=3, validate_every=2, starts=1),
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_a_seed_fixes_the_result_bit_for_bit() -> None:
    network = gru(8, len(TASK.vocabulary), generator(0, "network"))
    options = SearchOptions(steps=30, validate_every=10, starts=2)
    (one,), (same,) = (find(network, ALGORITHM, ["count"], 2, counts=(50, 20, 20), options=options) for _ in range(2))
    assert torch.equal(one.function.write, same.function.write)
    assert torch.equal(one.score.correct, same.score.correct)


def test_untrained_network_and_printed_evidence() -> None:
    constructed = hidden(4)
    fresh = hidden(4).network
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.normal_(generator=generator(0))
    (evidence,) = find(
        constructed.network, ALGORITHM, ["count"], 1, counts=(500, 200, 200), options=QUICK, untrained=fresh
    )
    assert "untrained" in evidence.controls
    assert evidence.controls["untrained"].high < 0.5 < evidence.score.low
    assert "count of up-down at h, k = 1: IIA 1.000" in str(evidence)


def test_errors() -> None:
    network = hidden(4).network
    with pytest.raises(UnknownNameError, match="did you mean 'count'"):
        find(network, ALGORITHM, ["coun"], 1)
    with pytest.raises(InvalidArgumentError, match="k = 5"):
        find(network, ALGORITHM, ["count"], 5, counts=(20, 10, 10))
    with pytest.raises(InvalidArgumentError, match="nothing to look for"):
        find(network, ALGORITHM, [], 1)
    with pytest.raises(InvalidArgumentError, match="give a list"):
        find(network, ALGORITHM, "count", 1)
    with pytest.raises(InvalidArgumentError, match="shape of the trained one"):
        find(network, ALGORITHM, ["count"], 1, untrained=hidden(5).network)
    with pytest.raises(UnknownNameError, match="site 'cell'"):
        find(network, ALGORITHM, ["count"], 1, site="cell")
    with pytest.raises(InvalidArgumentError, match="learning_rate must be above 0"):
        SearchOptions(learning_rate=0.0)


def test_a_loss_that_is_not_finite_stops_the_search_and_keeps_the_best() -> None:
    network = hidden(4).network
    train, validation = prepared(network, "count", 200, "train"), prepared(network, "count", 50, "validation")
    with torch.no_grad():
        network.output.weight[0, 0] = float("nan")
    with pytest.raises(
        NonFiniteError, match=r"every start of question 0 .* not finite, the first within 100 steps"
    ) as caught:
        search(network, [question({"count": (train, validation)}, "count", k=1)], SearchOptions(steps=200))
    assert len(caught.value.best) == 1


def test_a_fit_that_diverges_leaves_those_beside_it_as_they_would_be() -> None:
    network = hidden(4).network
    train, validation = prepared(network, "count", 200, "train"), prepared(network, "count", 50, "validation")
    sets = {"count": (train, validation)}
    good = question(sets, "count", k=1, seed=3)
    broken = {"count": (replace(train, source=math.nan * train.source), validation)}
    bad = question(broken, "count", k=1, seed=4, function="oblique", given=torch.eye(4)[:, :1])
    options = SearchOptions(steps=200, starts=1, learning_rate=1e-2)
    (alone,) = search(network, [good], options)
    with pytest.raises(NonFiniteError, match="every start of question 1 ") as caught:
        search(network, [good, bad], options)
    together = caught.value.best[0]
    assert (together.step, together.steps, together.diverged) == (alone.step, alone.steps, 0)
    torch.testing.assert_close(together.function.write, alone.function.write, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_finds_two_variables_in_one_map(function: str) -> None:
    constructed = change_basis(magnitude_network(**TASK.roles, d=6), random_invertible(6, 3.0, generator(1)))
    sets = {
        v: (prepared(constructed.network, v, 2000, "train"), prepared(constructed.network, v, 500, "validation"))
        for v in ("count", "phase")
    }
    options = replace(QUICK, learning_rate=1e-2, starts=2)
    (found,) = search(constructed.network, [question(sets, "count", "phase", k=2, function=function)], options)
    wanted = 0.9 if function == "reversible" else 0.99
    assert found.validation_iia >= wanted
    for variable, alignment in found.functions.items():
        test = prepared(constructed.network, variable, 500, "test")
        assert score(constructed.network, alignment, test).iia >= wanted - 0.03


@pytest.mark.parametrize("variable", ["count", "phase"])
def test_a_learned_mask_takes_as_many_dimensions_as_it_needs(variable: str) -> None:
    constructed = hidden(16)
    train, validation = (
        prepared(constructed.network, variable, n, p) for n, p in ((2000, "train"), (500, "validation"))
    )
    options = replace(QUICK, learning_rate=1e-2, starts=3)
    asked = Question({variable: train}, {variable: validation}, Learned(variable, 16), seed=0)
    (found,) = search(constructed.network, [asked], options)
    assert found.validation_iia >= 0.99
    assert found.function.k < 8


def test_a_given_start_is_where_the_first_start_begins() -> None:
    constructed = hidden(16)
    sets = {
        "count": (prepared(constructed.network, "count", 500, "t"), prepared(constructed.network, "count", 200, "v"))
    }
    known = constructed.writes["count"]
    (found,) = search(constructed.network, [question(sets, "count", k=1, given=known)], replace(QUICK, starts=1))
    assert (found.validation_iia, found.step) == (1, 0)
    with pytest.raises(InvalidArgumentError, match=r"a frame of \(16, 2\)"):
        search(constructed.network, [question(sets, "count", k=2, given=known)], QUICK)


def test_memory_is_kept_to_and_changes_nothing() -> None:
    network = gru(16, len(TASK.vocabulary), generator(0, "network")).requires_grad_(False)
    sets = {"count": (prepared(network, "count", 300, "train"), prepared(network, "count", 100, "validation"))}
    asked = [question(sets, "count", k=k) for k in (1, 4, 8)]
    options = SearchOptions(batch=64, steps=20, validate_every=10, starts=2)
    taken = block_memory(network, sets["count"][0])
    index = torch.randint(300, (384,), generator=generator(1))
    for rows in (10, 50, 384):
        states = sets["count"][0].source[index].requires_grad_()
        peak = peak_bytes(lambda rows=rows, states=states: losses_after(network, sets["count"][0], states, index, rows))
        beside = 384 * 17 * 4 + 384 * 16  # what a call gives back: losses, gradients, and the order of its rows
        assert peak <= taken.fixed + rows * taken.each + beside
    free, bound = (search(network, asked, replace(options, memory=m)) for m in (None, taken.fixed + 40 * taken.each))
    for one, other in zip(free, bound, strict=True):
        torch.testing.assert_close(one.function.write, other.function.write, atol=1e-5, rtol=1e-4)
    with pytest.raises(InvalidArgumentError, match=r"1,000 bytes is too low: one intervention takes"):
        search(network, asked, replace(options, memory=1000))


def test_the_counterfactual_latent_loss() -> None:
    swapped = torch.tensor([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0]], requires_grad=True)
    targets = torch.tensor([[3.0, 4.0], [0.0, 2.0], [math.nan, math.nan]])
    found = latent_losses(swapped, targets)
    assert found[:2].tolist() == pytest.approx([-0.5, 2.5])
    assert found[2].isnan()
    found.nanmean().backward()
    assert swapped.grad.isfinite().all()
    assert swapped.grad[2].abs().max() == 0


def test_the_latent_loss_draws_rewritten_states_to_natural_ones() -> None:
    constructed = hidden(16)
    drawn = {p: draw_interventions(ALGORITHM, ["count"], n, generator(0, p)) for p, n in (("t", 2000), ("v", 500))}
    train, validation = (prepare(constructed.network, drawn[p], "h") for p in ("t", "v"))
    known = Subspace(constructed.writes["count"], constructed.reads["count"])
    targets = {"count": known.swap(train.base.states, train.source)}
    asked = Question({"count": train}, {"count": validation}, Blocks({"count": 1}), 1, targets=targets)
    apart = []
    for weight in (0.0, 1.0):
        options = replace(QUICK, latent_weight=weight, first="random", wanted=2.0, steps=500, starts=3)
        (found,) = search(constructed.network, [asked], options)
        assert found.validation_iia >= 0.9
        apart.append(
            float((found.function.swap(train.base.states, train.source) - targets["count"]).norm(dim=1).mean())
        )
    assert apart[1] < 0.5 * apart[0]
