"""Interventions that rewrite several positions in a row."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from symscope.algorithms import make_algorithm
from symscope.alignment import Question, SearchOptions, Subspace, score, search
from symscope.alignment.masks import Blocks
from symscope.alignment.unseen import UnseenDraws
from symscope.errors import InvalidArgumentError
from symscope.interventions import draw_interventions, join, losses_after, prepare, relabel, rewritten
from symscope.interventions.draw import select
from symscope.networks import CONSTRUCTED, disguise, make_network, random_orthogonal
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object(quantities=range(1, 9), held_out=(4,))
UP_DOWN = make_algorithm("up-down", TASK)


def windows(variable, width, count=200):
    return draw_interventions(UP_DOWN, [variable], count, generator(0, variable, width), window=width)


@pytest.mark.parametrize("variable", ["count", "phase"])
def test_what_follows_is_what_the_algorithm_does_position_by_position(variable):
    drawn = windows(variable, 3)
    assert (drawn.redrawn > 0) == (variable == "phase")  # a base in the resp phase shows no more demo tokens
    for row in range(len(drawn)):
        at, other = int(drawn.base_positions[row]), int(drawn.source_positions[row])
        runs = [UP_DOWN.run(tokens[row : row + 1]) for tokens in (drawn.base, drawn.source)]
        values = {name: column[:, at - 2] for name, column in runs[0].items()}
        for back in (2, 1, 0):
            if back == 0:
                assert all(int(values[name]) == int(drawn.base_values[name][row]) for name in values)
            values[variable] = runs[1][variable][:, other - back]
            if back:
                token = drawn.base[row, at - back + 1 :][:1]
                assert UP_DOWN.allowed(values)[0, token]
                values = UP_DOWN.step(values, token)
        for token, determined in zip(
            drawn.continuation[row, : drawn.lengths[row]], drawn.determined[row], strict=False
        ):
            allowed = UP_DOWN.allowed(values)[0]
            assert allowed[token]
            assert bool(determined) == (int(allowed.sum()) == 1)
            values = UP_DOWN.step(values, token[None])


def test_a_window_of_one_is_the_ordinary_intervention():
    one, plain = windows("count", 1), draw_interventions(UP_DOWN, ["count"], 200, generator(0, "count", 1))
    assert torch.equal(one.continuation, plain.continuation)


@pytest.mark.parametrize("variable", ["count", "phase"])
@pytest.mark.parametrize("width", [2, 4])
def test_the_known_subspace_is_followed_everywhere(variable, width):
    constructed = disguise(CONSTRUCTED["magnitude"](**TASK.roles, d=6), random_orthogonal(6, generator(0)))
    known = Subspace(constructed.writes[variable], constructed.reads[variable])
    prepared = prepare(constructed.network, windows(variable, width), constructed.site)
    assert score(constructed.network, known, prepared).iia == 1
    other = next(name for name in constructed.writes if name != variable)
    wrong = Subspace(constructed.writes[other], constructed.reads[other])
    assert score(constructed.network, wrong, prepared).iia < 0.7


@pytest.mark.parametrize(
    ("kind", "site"),
    [("gru", "h"), ("lstm", "h"), ("lstm", "state"), ("transformer-rope", "layer1"), ("transformer-nope", "embedding")],
)
def test_losses_and_gradients_agree_with_autograd_through_everything(kind, site):
    network = make_network(kind, 8, len(TASK.vocabulary), generator(0)).requires_grad_(False)
    prepared = prepare(network, windows("count", 3, 40), site)
    index, frame = (
        torch.randint(40, (25,), generator=generator(1)),
        random_orthogonal(network.sites[site], generator(2)),
    )
    results = []
    for plain in (False, True):
        write = frame[:, :3].clone().requires_grad_()
        cut = rewritten(network, prepared, lambda b, s, w=write: b + (s - b) @ w @ w.T, index)
        if plain:
            scored, then = prepared.scored[index], prepared.continuation[index]
            logits = network.readout(network.resume(cut, then, torch.ones_like(scored)))
            every = cross_entropy(logits, then.flatten(), reduction="none").view(scored.shape)
            losses = (every * scored).sum(1)
        else:
            losses = losses_after(network, prepared, cut, index, 7)
        weights = torch.rand(25, generator=generator(3))
        results.append((losses.detach(), *torch.autograd.grad((weights * losses).sum(), write)))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_a_search_finds_the_variable_that_is_rewritten_at_several_positions():
    constructed = disguise(CONSTRUCTED["magnitude"](**TASK.roles, d=6), random_orthogonal(6, generator(0)))
    sets = [prepare(constructed.network, windows("count", 2, count), constructed.site) for count in (1000, 300)]
    question = Question({"count": sets[0]}, {"count": sets[1]}, Blocks({"count": 1}), seed=0)
    options = SearchOptions(learning_rate=1e-2, steps=300, validate_every=50)
    (found,) = search(constructed.network, [question], options)
    assert found.validation_iia > 0.99


def test_sets_are_joined():
    network = make_network("transformer-rope", 8, len(TASK.vocabulary), generator(0))
    drawn = windows("count", 2, 30)
    odd = torch.arange(30) % 2 == 1
    joined = join([prepare(network, select(drawn, part), "layer1") for part in (odd, ~odd)])
    whole, order = prepare(network, drawn, "layer1"), torch.cat([odd.nonzero()[:, 0], (~odd).nonzero()[:, 0]])
    with torch.no_grad():
        ours = losses_after(network, joined, rewritten(network, joined, lambda _, source: source))
        cut = rewritten(network, whole, lambda _, source: source, order)
        torch.testing.assert_close(ours, losses_after(network, whole, cut, order))


def test_errors():
    with pytest.raises(InvalidArgumentError, match="a window of 0"):
        windows("count", 0)
    with pytest.raises(InvalidArgumentError, match="no sequence has a window of 99 positions"):
        windows("count", 99, 3)
    drawn = windows("count", 2, 3)
    with pytest.raises(InvalidArgumentError, match="not in a window of 2"):
        relabel(UP_DOWN, drawn, {}, generator(0))
    with pytest.raises(InvalidArgumentError, match="not a window of 2"):
        UnseenDraws.of(UP_DOWN, drawn)
