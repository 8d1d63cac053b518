"""The search against networks whose answer is known, and against itself run in other ways."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from symscope.algorithms import UpDown, UpUp
from symscope.alignment import Orthogonal, Question, SearchOptions, Subspace, find, score, search, whole_state_score
from symscope.alignment.functions import random_subspace
from symscope.alignment.search import _losses
from symscope.errors import InvalidArgumentError, NonFiniteError, UnknownNameError
from symscope.interventions import draw_interventions, prepare
from symscope.networks import Constructed, disguise, gru, magnitude_network, random_orthogonal
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)
QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=1000, validate_every=50, starts=4)
FEW = (2000, 500, 500)


def hidden(d: int, seed: int = 0) -> Constructed:
    return disguise(magnitude_network(**TASK.roles, d=d), random_orthogonal(d, generator(seed, "disguise")))


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
        assert evidence.score.iia > evidence.controls["random-subspace"].high


def test_search_does_not_find_the_variables_of_another_algorithm() -> None:
    """The magnitude network holds one count, not two; Up-Up's phase it does hold."""
    found = find(hidden(4).network, UpUp(TASK), ["demo_count", "resp_count", "phase"], 2, counts=FEW, options=QUICK)
    assert [evidence.score.high < 0.5 for evidence in found] == [True, True, False]
    assert found[2].score.iia >= 0.99


def test_search_does_not_find_a_count_in_a_network_that_does_not_count() -> None:
    constructed = hidden(16)
    with torch.no_grad():
        constructed.network.cell.token_drives[TASK.demo] = 0
    (evidence,) = find(constructed.network, ALGORITHM, ["count"], 4, counts=FEW, options=QUICK)
    assert evidence.score.high < 0.5


def test_batched_fits_equal_each_fit_alone() -> None:
    network = gru(16, len(TASK.vocabulary), generator(0, "network"))
    sets = {
        v: (prepared(network, v, 300, "train"), prepared(network, v, 100, "validation")) for v in ("count", "phase")
    }
    questions = [
        Question(*sets["count"], k=2, seed=5),
        Question(*sets["phase"], k=7, seed=5),
        Question(*sets["count"], k=7, seed=6),
    ]
    options = SearchOptions(learning_rate=1e-2, batch=32, steps=60, validate_every=20, starts=2)
    for together, question in zip(search(network, questions, options), questions, strict=True):
        (alone,) = search(network, [question], options)
        assert (together.start, together.step, together.steps) == (alone.start, alone.step, alone.steps)
        torch.testing.assert_close(together.function.write, alone.function.write, atol=1e-4, rtol=1e-3)


def test_loss_against_a_whole_forward_pass_with_a_full_rotation() -> None:
    """The slow, plain route: base and source from the start, the paper's masked swap, torch's own GRU cell."""
    d, k = 12, 5
    network = gru(d, len(TASK.vocabulary), generator(0, "network")).double()
    drawn = draw_interventions(ALGORITHM, ["count"], 20, generator(0))
    function = Orthogonal(random_subspace(d, k, generator(1)).write).double()
    rows = prepare(network, drawn, "h")
    (fast,) = _losses(network, [function], rows, torch.arange(20))
    (fast_gradient,) = torch.autograd.grad(fast, function.raw)

    cell = nn.GRUCell(d, d).double()
    own = network.cell
    for parameter, value in zip(
        cell.parameters(), (own.input_weight, own.state_weight, own.input_bias, own.state_bias), strict=True
    ):
        parameter.data = value.data
    frame = torch.linalg.qr(function.raw, mode="complete").Q.T
    mask = (torch.arange(d) < k).double()
    losses = []
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
                losses.append(cross_entropy(network.readout(state), token[None]))
            state = cell(own.embedding[token][None], state)
    slow = torch.stack(losses).mean()
    torch.testing.assert_close(fast, slow)
    # The complete QR has a gradient only where d = k, so the slow gradient is taken by finite differences.
    step, direction = 1e-6, torch.randn(d, k, generator=generator(2)).double()
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            function.raw += sign * step * direction
            moved.append(_losses(network, [function], rows, torch.arange(20))[0])
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
    assert set(evidence.controls) == {"random-subspace", "principal-components", "untrained"}
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
    with pytest.raises(NonFiniteError, match="not finite at step") as caught:
        search(network, [Question(train, validation, 1, 0)], SearchOptions(steps=50))
    assert len(caught.value.best) == 1
