"""The network's side of an intervention: states at the cuts, and what follows a rewritten state."""

import pytest
import torch
from torch import nn

from symscope.algorithms import UpDown
from symscope.errors import InvalidArgumentError, NonFiniteError, UnknownNameError
from symscope.interventions import Interventions, draw_interventions, follows, join, logits_after, prepare
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
    scored = logits_after(network, prepared, swapped)
    right = follows(network, prepared, swapped)
    begin = 0
    for row in range(len(drawn)):
        plain = plain_logits(network, drawn, row, lambda b, s: b * (1 - half) + s * half)
        determined = drawn.determined[row, : drawn.lengths[row]]
        mine = scored[begin : begin + int(determined.sum())]
        begin += len(mine)
        torch.testing.assert_close(mine, plain[determined], atol=1e-5, rtol=1e-5)
        wanted = drawn.continuation[row, : drawn.lengths[row]][determined]
        assert bool(right[row]) == bool((plain[determined].argmax(-1) == wanted).all())
    assert begin == len(scored)


def test_rows_and_join_keep_every_intervention(network, drawn) -> None:
    prepared = prepare(network, drawn, "h")
    order = torch.randperm(len(drawn), generator=generator(1))
    again = join([prepared.rows(part) for part in order.split(17)]).rows(order.argsort())
    with torch.no_grad():
        whole, parts = (logits_after(network, p, p.source) for p in (prepared, again))
    torch.testing.assert_close(whole, parts)
    assert torch.equal(prepared.lengths, again.lengths)


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
