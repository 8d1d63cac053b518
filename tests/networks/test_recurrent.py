"""Recurrent networks against torch's fused layers, and against a plain loop."""

from typing import final

import pytest
import torch
from tests.networks.examples import ROUNDING, VOCABULARY, furthest, network, resume, tokens
from torch import nn

from symscope.networks import Cell, LinearReadout, RecurrentNetwork
from symscope.networks.gru import gru_scan
from symscope.networks.lstm import lstm_scan
from symscope.seeds import generator

KINDS = [("gru", {}), ("lstm", {}), ("lstm", {"each": True})]


def fused(some):
    """Torch's own layer with the weights of one of ours."""
    cell = some.cell
    kind, size = (nn.LSTM, cell.size) if hasattr(cell, "size") else (nn.GRU, cell.width)
    layer = kind(cell.embedding.shape[1], size, batch_first=True, dtype=cell.embedding.dtype)
    ours = {"weight_ih": "input_weight", "weight_hh": "state_weight", "bias_ih": "input_bias", "bias_hh": "state_bias"}
    layer.load_state_dict({f"{theirs}_l0": getattr(cell, own).detach() for theirs, own in ours.items()})
    return layer, {f"{theirs}_l0": own for theirs, own in ours.items()}


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_agrees_with_the_fused_layer_of_torch(name, options):
    some = network(name, d=16, **options)
    layer, names = fused(some)
    seen = tokens(8, 25)
    embedded = some.cell.embedding.detach()[seen].requires_grad_()
    theirs, ours = layer(embedded)[0], some.features(seen)
    assert furthest(ours, theirs) < ROUNDING
    weights = torch.randn(ours.shape, generator=generator(0, "weights"))
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    for theirs_name, own in names.items():
        expected = getattr(layer, theirs_name).grad
        assert furthest(getattr(some.cell, own).grad, expected) < ROUNDING * float(expected.abs().max().clamp(min=1))
    embedding = torch.zeros_like(some.cell.embedding).index_add_(0, seen.flatten(), embedded.grad.flatten(0, 1))
    assert furthest(some.cell.embedding.grad, embedding) < ROUNDING * float(embedding.abs().max())


@torch.no_grad()
def test_the_state_of_the_lstm_is_h_then_c():
    some = network("lstm", d=10)
    layer, _ = fused(some)
    seen = tokens(4, 6)
    _, (h, c) = layer(some.cell.embedding[seen])
    assert some.sites == {"state": 10, "h": 5, "c": 5}
    assert network("lstm", d=10, each=True).sites == {"state": 20, "h": 10, "c": 10}
    last = {site: some.states(seen, site)[:, -1] for site in some.sites}
    assert furthest(last["h"], h[0]) < ROUNDING
    assert furthest(last["c"], c[0]) < ROUNDING
    assert torch.equal(last["state"], torch.cat([last["h"], last["c"]], 1))


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_every_later_step_sees_a_rewritten_state(name, options):
    some = network(name, **options)
    seen, continuation = tokens(5, 6), tokens(5, 7, seed=1)
    at = torch.tensor([0, 5, 2, 3, 1])
    for site, part in some.cell.sites.items():
        cut = some.run_until(seen, at, site)
        new = torch.randn(cut.states.shape, generator=generator(0, site))
        resumed = resume(some, cut.rewrite(new), continuation, torch.full((5,), 7))
        for row in range(5):
            state = torch.zeros(1, some.cell.width)
            for token in seen[row, : at[row] + 1].tolist():
                state = some.cell.step(state, some.cell.token_inputs()[[token]])
            state = torch.cat([state[:, : part.start], new[[row]], state[:, part.stop :]], 1)
            for index in range(7):
                assert furthest(resumed[row, index], state[0, some.cell.output]) < ROUNDING
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
    assert furthest(plain, fast) < 1e-14
    weights = torch.randn(plain.shape, dtype=torch.double, generator=generator(0, "weights"))
    for ours, theirs in zip(*(torch.autograd.grad((x * weights).sum(), inputs) for x in (fast, plain)), strict=True):
        assert furthest(ours, theirs) < 1e-13


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
    """A user's own cell: it forgets half of its state and adds what the token gives."""

    def __init__(self):
        super().__init__()
        self.width, self.sites, self.output = 3, {"h": slice(0, 3)}, slice(0, 3)
        self.table = nn.Parameter(torch.arange(3.0 * VOCABULARY).view(VOCABULARY, 3))

    def token_inputs(self):
        return self.table

    def step(self, states, drives):
        return states / 2 + drives


@torch.no_grad()
def test_a_cell_of_ones_own_needs_no_more_than_a_step():
    some = RecurrentNetwork(Decay(), LinearReadout(torch.ones(VOCABULARY, 3), torch.zeros(VOCABULARY)))
    assert some.vocabulary == VOCABULARY
    seen = torch.tensor([[1, 2, 3]])
    expected = some.cell.table[1] / 4 + some.cell.table[2] / 2 + some.cell.table[3]
    assert furthest(some.states(seen, "h")[0, -1], expected) < ROUNDING
    cut = some.run_until(seen, torch.tensor([2]), "h").rewrite(torch.tensor([[4.0, 0, 0]]))
    resumed = resume(some, cut, torch.tensor([[0, 0]]), torch.tensor([2]))
    assert resumed[0].tolist() == [[4, 0, 0], [2, 1, 2]]
