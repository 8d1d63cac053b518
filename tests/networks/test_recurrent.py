"""Recurrent networks against torch's fused layers, and against a plain loop."""

from typing import final

import pytest
import torch
from tests.networks.examples import (
    ROUNDING,
    VOCABULARY,
    fused_layer,
    largest_difference,
    network,
    resume,
    tokens,
)
from torch import nn

from symscope.checks import check_network
from symscope.networks import Cell, LinearReadout, RecurrentNetwork
from symscope.networks.gru import gru_scan
from symscope.networks.lstm import lstm_scan
from symscope.seeds import generator

KINDS = [("gru", {}), ("lstm", {}), ("lstm", {"each": True})]


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_agrees_with_the_fused_layer_of_torch(name, options):
    some = network(name, d=16, **options)
    layer, names = fused_layer(some.cell)
    seen = tokens(8, 25)
    embedded = some.cell.embedding.detach()[seen].requires_grad_()
    expected, features = layer(embedded)[0], some.features(seen)
    assert largest_difference(features, expected) < ROUNDING
    weights = torch.randn(features.shape, generator=generator(0, "weights"))
    (features * weights).sum().backward()
    (expected * weights).sum().backward()
    for torch_name, name_in_cell in names.items():
        gradient = getattr(layer, torch_name).grad
        scale = float(gradient.abs().max().clamp(min=1))
        assert largest_difference(getattr(some.cell, name_in_cell).grad, gradient) < ROUNDING * scale
    embedding = torch.zeros_like(some.cell.embedding).index_add_(0, seen.flatten(), embedded.grad.flatten(0, 1))
    assert largest_difference(some.cell.embedding.grad, embedding) < ROUNDING * float(embedding.abs().max())


@torch.no_grad()
def test_the_state_of_the_lstm_is_h_then_c():
    some = network("lstm", d=10)
    layer, _ = fused_layer(some.cell)
    seen = tokens(4, 6)
    _, (h, c) = layer(some.cell.embedding[seen])
    assert some.sites == {"state": 10, "h": 5, "c": 5}
    assert network("lstm", d=10, each=True).sites == {"state": 20, "h": 10, "c": 10}
    last = {site: some.states(seen, site)[:, -1] for site in some.sites}
    assert largest_difference(last["h"], h[0]) < ROUNDING
    assert largest_difference(last["c"], c[0]) < ROUNDING
    assert torch.equal(last["state"], torch.cat([last["h"], last["c"]], 1))


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_every_later_step_sees_a_rewritten_state(name, options):
    some = network(name, **options)
    seen, continuation = tokens(5, 6), tokens(5, 7, seed=1)
    positions = torch.tensor([0, 5, 2, 3, 1])
    for site, part in some.cell.sites.items():
        stopped = some.run_until(seen, positions, site)
        new = torch.randn(stopped.states.shape, generator=generator(0, site))
        resumed = resume(some, stopped.rewrite(new), continuation, torch.full((5,), 7))
        for row in range(5):
            state = torch.zeros(1, some.cell.width)
            for token in seen[row, : positions[row] + 1].tolist():
                state = some.cell.step(state, some.cell.token_inputs()[[token]])
            state = torch.cat([state[:, : part.start], new[[row]], state[:, part.stop :]], 1)
            for index in range(7):
                assert largest_difference(resumed[row, index], state[0, some.cell.output]) < ROUNDING
                state = some.cell.step(state, some.cell.token_inputs()[continuation[row, [index]]])


def packed_example(cell):
    running = [4, 4, 3, 1, 1]
    start = torch.randn(5, cell.width, dtype=torch.double, generator=generator(0, "start"))
    return start.requires_grad_(), tokens(1, sum(running))[0], running


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_the_scan_agrees_with_the_plain_steps_in_double_precision(name, options):
    cell = network(name, d=6, **options).cell.double()
    start, seen, running = packed_example(cell)
    inputs = [start, *cell.parameters()]
    plain, fast = Cell.scan(cell, start, seen, running), cell.scan(start, seen, running)
    assert largest_difference(plain, fast) < 1e-14
    weights = torch.randn(plain.shape, dtype=torch.double, generator=generator(0, "weights"))
    gradients = (torch.autograd.grad((states * weights).sum(), inputs) for states in (fast, plain))
    for gradient, expected in zip(*gradients, strict=True):
        assert largest_difference(gradient, expected) < 1e-13


@pytest.mark.parametrize("name", ["gru", "lstm"])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_gradients_of_the_scan_against_finite_differences(name, frozen):
    cell = network(name, d=4).cell.double()
    start, seen, running = packed_example(cell)
    weights = [cell.token_inputs(), cell.state_weight, cell.state_bias][: 3 if name == "gru" else 2]
    weights = [weight.detach().requires_grad_(not frozen) for weight in weights]
    scan = gru_scan if name == "gru" else lstm_scan
    assert torch.autograd.gradcheck(lambda *given: scan(*given, seen, running), (start, *weights))


@final
class Decay(Cell):
    """A user's cell: it halves its state and adds the token's input."""

    def __init__(self):
        super().__init__()
        self.width, self.sites, self.output = 3, {"h": slice(0, 3)}, slice(0, 3)
        self.table = nn.Parameter(torch.arange(3.0 * VOCABULARY).view(VOCABULARY, 3))

    def token_inputs(self):
        return self.table

    def step(self, states, inputs):
        return states / 2 + inputs


@torch.no_grad()
def test_a_users_cell_needs_no_more_than_a_step():
    some = RecurrentNetwork(Decay(), LinearReadout(torch.ones(VOCABULARY, 3), torch.zeros(VOCABULARY)))
    assert some.vocabulary == VOCABULARY
    check_network(some)
    seen = torch.tensor([[1, 2, 3]])
    expected = some.cell.table[1] / 4 + some.cell.table[2] / 2 + some.cell.table[3]
    assert largest_difference(some.states(seen, "h")[0, -1], expected) < ROUNDING
    state = some.run_until(seen, torch.tensor([2]), "h").rewrite(torch.tensor([[4.0, 0, 0]]))
    resumed = resume(some, state, torch.tensor([[0, 0]]), torch.tensor([2]))
    assert resumed[0].tolist() == [[4, 0, 0], [2, 1, 2]]


def test_the_output_layer_may_be_any_module():
    output = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, VOCABULARY))
    some = RecurrentNetwork(Decay(), output)
    check_network(some)
    assert torch.equal(some(tokens(2, 4)), output(some.features(tokens(2, 4))))
