"""Interventions on a network: the batch agrees with interventions one by one, and nothing more is computed."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.nn.functional import cross_entropy

from symscope.algorithms import UpDown
from symscope.errors import InvalidArgumentError, NonFiniteError, UnknownNameError
from symscope.interchange import (
    CachedInterventions,
    InterventionProtocol,
    Interventions,
    StoppedInputs,
    cache_states,
    counterfactual_losses,
    draw_interventions,
    intervene,
    join_cached,
    join_interventions,
    matches_counterfactual,
)
from symscope.networks import RecurrentNetwork, gru, make_network
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object(quantities=range(1, 7), held_out=(4,))
D = 12
HALF = (torch.arange(D) < D // 2).float()


@pytest.fixture(scope="module")
def network() -> RecurrentNetwork:
    return gru(D, len(TASK.vocabulary), generator(0, "network"))


@pytest.fixture(scope="module")
def drawn() -> Interventions:
    return draw_interventions(UpDown(TASK), ["count"], 60, generator(0, "draws"))


def swap_half(base, sources):
    return base * (1 - HALF) + sources[0] * HALF


def logits_by_torchs_cell(network: RecurrentNetwork, drawn: Interventions, row: int, swap) -> torch.Tensor:
    """One intervention token by token: the base up to its stop, the swap, and what is fed."""
    cell = nn.GRUCell(D, D)
    weights = (network.cell.input_weight, network.cell.state_weight, network.cell.input_bias, network.cell.state_bias)
    for parameter, value in zip(cell.parameters(), weights, strict=True):
        parameter.data = value.data

    def run(tokens: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        for token in tokens:
            state = cell(network.cell.embedding[token][None], state)
        return state

    base, *sources = (
        run(stopped.inputs[row, : stopped.position[row] + 1], torch.zeros(1, D))
        for stopped in (drawn.base, *drawn.sources)
    )
    state = swap(base, torch.stack(sources))
    logits = [network.readout(state)[0]]
    for token in drawn.fed[row, : drawn.lengths[row] - 1]:
        state = run(token[None], state)
        logits.append(network.readout(state)[0])
    return torch.stack(logits)


@torch.no_grad()
def test_a_batch_of_interventions_agrees_with_one_by_one_through_torchs_cell(network, drawn) -> None:
    cached = cache_states(network, drawn, "h")
    states = intervene(cached, swap_half)
    correct, losses = (route(network, cached, states) for route in (matches_counterfactual, counterfactual_losses))
    for row in range(len(drawn)):
        counts = drawn.target_mask[row, : drawn.lengths[row]]
        logits = logits_by_torchs_cell(network, drawn, row, swap_half)[counts]
        targets = drawn.targets[row, : drawn.lengths[row]][counts]
        assert bool(correct[row]) == bool((logits.argmax(-1) == targets).all())
        torch.testing.assert_close(losses[row], cross_entropy(logits, targets, reduction="sum"))


def losses_in_one_pass(network: RecurrentNetwork, cached: CachedInterventions, states: torch.Tensor, index):
    """Losses by autograd through all rows and steps at once, padding included."""
    mask, targets = cached.target_mask[index], cached.targets[index]
    stopped = cached.base[index].rewrite(states)
    logits = network.readout(network.resume(stopped, cached.fed[index], torch.ones_like(mask)))
    losses = cross_entropy(logits, targets.flatten(), reduction="none").view(mask.shape)
    return (losses * mask).sum(1)


@pytest.mark.parametrize("rows_at_once", [7, 1000])
def test_losses_and_gradients_by_blocks_agree_with_one_pass(network, drawn, rows_at_once, monkeypatch) -> None:
    monkeypatch.setattr("symscope.interchange._intervene.TARGETS_AT_ONCE", 2 * rows_at_once)
    cached = cache_states(network, drawn, "h")
    index = torch.randint(len(drawn), (50,), generator=generator(1))
    weights = torch.rand(50, generator=generator(2))
    results = []
    for route in (lambda *a: counterfactual_losses(*a, rows_at_once), losses_in_one_pass):
        states = cached.source_states[0, index].clone().requires_grad_()
        losses = route(network, cached, states, index)
        results.append((losses.detach(), *torch.autograd.grad((weights * losses).sum(), states)))
    for by_blocks, in_one_pass in zip(*results, strict=True):
        torch.testing.assert_close(by_blocks, in_one_pass, atol=1e-5, rtol=1e-4)


def test_interventions_run_in_evaluation_mode(network, drawn) -> None:
    noisy = RecurrentNetwork(network.cell, DroppedOut(network.output)).train()
    outcomes = []
    for some_network in (network.eval(), noisy):
        cached = cache_states(some_network, drawn, "h")
        states = cached.source_states[0].clone().requires_grad_()
        losses = counterfactual_losses(some_network, cached, states)
        matches = matches_counterfactual(some_network, cached, states.detach())
        outcomes.append((losses.detach(), *torch.autograd.grad(losses.sum(), states), matches))
    assert all(map(torch.equal, *outcomes))
    assert noisy.training
    assert noisy.output.dropout.training


class DroppedOut(nn.Module):
    """An output layer behind torch's dropout."""

    def __init__(self, readout: nn.Module) -> None:
        super().__init__()
        self.readout, self.dropout = readout, nn.Dropout(0.5)

    def forward(self, features, dropout=None):
        return self.readout(self.dropout(features))


def test_the_blocks_of_cached_states_change_nothing(network, drawn, monkeypatch) -> None:
    whole = cache_states(network, drawn, "h")
    monkeypatch.setattr("symscope.interchange.cache.ROWS_AT_ONCE", 13)
    parts = cache_states(network, drawn, "h")
    torch.testing.assert_close(parts.base_states, whole.base_states)
    torch.testing.assert_close(parts.source_states, whole.source_states)


def test_joined_sets_keep_every_intervention(network, drawn) -> None:
    """Rows in order, padded; a set with one source beside a set with two repeats its last source."""
    thirds = [drawn.select(torch.arange(len(drawn)) % 3 == part) for part in range(3)]
    two_sources = replace(thirds[1], sources=(thirds[1].sources[0], thirds[1].base))
    joined = join_cached([cache_states(network, part, "h") for part in (thirds[0], two_sources, thirds[2])])
    order = torch.arange(len(drawn)).view(-1, 3).T.flatten()
    whole = cache_states(network, drawn, "h")
    with torch.no_grad():
        losses = counterfactual_losses(network, joined, joined.source_states[0])
        torch.testing.assert_close(losses, counterfactual_losses(network, whole, whole.source_states[0, order], order))
    assert torch.equal(joined.lengths, whole.lengths[order])
    second = torch.cat([whole.source_states[0, order[:20]], whole.base_states[order[20:40]],
                        whole.source_states[0, order[40:]]])  # fmt: skip
    torch.testing.assert_close(joined.source_states[1], second)
    again = join_interventions(thirds)
    for part, same in ((again.base, drawn.base), (again.sources[0], drawn.sources[0])):
        assert torch.equal(part.inputs, same.inputs[order])
        assert torch.equal(part.values["count"], same.values["count"][order])
    assert torch.equal(again.targets, drawn.targets[order])


def test_joined_draws_of_different_widths_are_padded() -> None:
    no_more = InterventionProtocol(extra_demo_tokens=0)
    short, long = (
        draw_interventions(UpDown(multi_object(quantities=[n], held_out=[])), ["count"], 30, generator(n), no_more)
        for n in (1, 6)
    )
    joined = join_interventions([short, long])
    assert joined.targets.shape[1] == long.targets.shape[1] > short.targets.shape[1]
    assert torch.equal(joined.lengths, torch.cat([short.lengths, long.lengths]))


@pytest.mark.parametrize(("kind", "layers"), [("gru", 1), ("transformer-rope", 2), ("transformer-nope", 2)])
def test_reading_the_states_of_a_source_runs_no_layer_above_the_site(kind, layers) -> None:
    network = make_network(kind, 8, 7, generator(0), **({"layers": layers} if kind != "gru" else {}))
    tokens = torch.randint(7, (5, 6), generator=generator(1))
    position = torch.tensor([0, 5, 2, 3, 3])
    calls: list[str] = []

    def count_calls(part, method: str, name: str) -> None:
        original = getattr(part, method)

        def counted(*arguments):
            calls.append(name)
            return original(*arguments)

        object.__setattr__(part, method, counted)

    count_calls(network, "readout", "readout")
    for number, layer in enumerate(getattr(network, "layers", ()), 1):
        for method in ("project", "update"):
            count_calls(layer, method, f"{method} {number}")
    for site in network.sites:
        calls.clear()
        states = network.states_at(tokens, position, site)
        below = list(network.sites).index(site) if kind != "gru" else 0
        assert calls == [f"{method} {n}" for n in range(1, below + 1) for method in ("project", "update")]
        torch.testing.assert_close(states, network.run_until(tokens, position, site).states)


def test_errors(network, drawn) -> None:
    with pytest.raises(UnknownNameError, match="site 'layer1'"):
        cache_states(network, drawn, "layer1")
    broken = gru(D, len(TASK.vocabulary), generator(0, "network"))
    with torch.no_grad():
        broken.cell.embedding.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="not all finite"):
        cache_states(broken, drawn, "h")
    with pytest.raises(InvalidArgumentError, match="nothing to score"):
        cache_states(network, replace(drawn, target_mask=torch.zeros_like(drawn.target_mask)), "h")
    with pytest.raises(InvalidArgumentError, match="token 99 is outside the vocabulary"):
        cache_states(network, replace(drawn, fed=drawn.fed.masked_fill(drawn.fed == TASK.response, 99)), "h")
    for source_of in ((), (1,), (0, 0)):
        with pytest.raises(InvalidArgumentError, match="needs the index of its source, from 0 to 0"):
            replace(drawn, source_of=source_of)
    with pytest.raises((InvalidArgumentError, TypeCheckError)):  # the tests check annotated shapes first
        Interventions(("count",), drawn.base, drawn.sources, (0,), drawn.fed, drawn.fed, drawn.target_mask)
    with pytest.raises(InvalidArgumentError, match=r"one row for each intervention, 60 as the targets; got \[5, 60\]"):
        replace(drawn, sources=(StoppedInputs(drawn.base.inputs[:5], drawn.base.position[:5], {}),))
