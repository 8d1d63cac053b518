"""The network's side of an intervention: states at the cuts, and what follows a rewritten state."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from symscope.algorithms import UpDown
from symscope.errors import InvalidArgumentError, NonFiniteError, UnknownNameError
from symscope.interventions import Interventions, draw_interventions, follows, join, losses_after, prepare, rewrite
from symscope.interventions.draw import select
from symscope.networks import RecurrentNetwork, gru
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object(quantities=range(1, 7), held_out=(4,))
D = 12


@pytest.fixture(scope="module")
def network() -> RecurrentNetwork:
    return gru(D, len(TASK.vocabulary), generator(0, "network"))


@pytest.fixture(scope="module")
def drawn() -> Interventions:
    return draw_interventions(UpDown(TASK), ["count"], 60, generator(0, "draws"))


def plain_logits(network: RecurrentNetwork, drawn: Interventions, row: int, swap) -> torch.Tensor:
    """One intervention by torch's own cell, token by token: base up to the cut, swap, then the continuation."""
    cell = nn.GRUCell(D, D)
    weights = (network.cell.input_weight, network.cell.state_weight, network.cell.input_bias, network.cell.state_bias)
    for parameter, value in zip(cell.parameters(), weights, strict=True):
        parameter.data = value.data

    def run(tokens: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        for token in tokens:
            state = cell(network.cell.embedding[token][None], state)
        return state

    base = run(drawn.base[row, : drawn.base_positions[row] + 1], torch.zeros(1, D))
    source = run(drawn.source[row, : drawn.source_positions[row] + 1], torch.zeros(1, D))
    state, logits = swap(base, source), []
    for token in drawn.continuation[row, : drawn.lengths[row]]:
        logits.append(network.readout(state)[0])
        state = run(token[None], state)
    return torch.stack(logits)


@torch.no_grad()
def test_batched_interventions_agree_with_one_by_one_through_torchs_cell(network, drawn) -> None:
    prepared = prepare(network, drawn, "h")
    half = torch.cat([torch.ones(D // 2), torch.zeros(D // 2)])
    swapped = prepared.base.states * (1 - half) + prepared.source * half
    right, losses = (ours(network, prepared, swapped) for ours in (follows, losses_after))
    for row in range(len(drawn)):
        plain = plain_logits(network, drawn, row, lambda b, s: b * (1 - half) + s * half)
        determined = drawn.determined[row, : drawn.lengths[row]]
        wanted = drawn.continuation[row, : drawn.lengths[row]][determined]
        assert bool(right[row]) == bool((plain[determined].argmax(-1) == wanted).all())
        torch.testing.assert_close(losses[row], cross_entropy(plain[determined], wanted, reduction="sum"))


def whole_pass(network: RecurrentNetwork, prepared, states: torch.Tensor, index) -> torch.Tensor:
    """Losses by autograd through all rows and steps at once, padding included."""
    scored, continuation = prepared.scored[index], prepared.continuation[index]
    logits = network.readout(
        network.resume(prepared.base[index].rewrite(states), continuation[:, :-1], torch.ones_like(scored))
    )
    losses = cross_entropy(logits, continuation.flatten(), reduction="none").view(scored.shape)
    return (losses * scored).sum(1)


@pytest.mark.parametrize("at_once", [7, 1000])
def test_losses_and_gradients_by_blocks_agree_with_the_whole_pass(network, drawn, at_once, monkeypatch) -> None:
    monkeypatch.setattr(rewrite, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(rewrite, "TOKENS_AT_ONCE", 2 * at_once)
    prepared = prepare(network, drawn, "h")
    index = torch.randint(len(drawn), (50,), generator=generator(1))
    weights = torch.rand(50, generator=generator(2))
    results = []
    for route in (losses_after, whole_pass):
        states = prepared.source[index].clone().requires_grad_()
        losses = route(network, prepared, states, index)
        results.append((losses.detach(), *torch.autograd.grad((weights * losses).sum(), states)))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


def test_join_keeps_every_intervention(network, drawn) -> None:
    parts = [prepare(network, select(drawn, torch.arange(len(drawn)) % 3 == part), "h") for part in range(3)]
    joined, whole = join(parts), prepare(network, drawn, "h")
    order = torch.arange(len(drawn))
    order = torch.cat([order[order % 3 == part] for part in range(3)])
    with torch.no_grad():
        ours = losses_after(network, joined, joined.source)
        plain = losses_after(network, whole, whole.source[order], order)
    torch.testing.assert_close(ours, plain)
    assert torch.equal(joined.lengths, whole.lengths[order])


def test_errors(network, drawn) -> None:
    with pytest.raises(UnknownNameError, match="site 'layer1'"):
        prepare(network, drawn, "layer1")
    broken = gru(D, len(TASK.vocabulary), generator(0, "network"))
    with torch.no_grad():
        broken.cell.embedding.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="not all finite"):
        prepare(broken, drawn, "h")
    nothing = Interventions(**{**vars(drawn), "determined": torch.zeros_like(drawn.determined)})
    with pytest.raises(InvalidArgumentError, match="nothing to score"):
        prepare(network, nothing, "h")
