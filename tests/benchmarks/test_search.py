"""What a search step is held against: the plain reference has the same loss, the floor counts what is there."""

import pytest
import torch
from benchmarks.cases import BATCH, untrained_case
from benchmarks.floor import products
from benchmarks.ours import step_seconds
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import search, theirs


@pytest.mark.parametrize("k", [1, 10])
def test_the_plain_reference_has_the_same_loss(k):
    row = search.agreement(untrained_case("gru", 20, "cpu", 200), k, None)
    assert row.median < search.SAME


def test_routes_that_differ_are_not_timed(monkeypatch):
    monkeypatch.setattr(search, "loss", lambda case, frame, rows: 0.0)
    with pytest.raises(RuntimeError, match="different losses"):
        search.agreement(untrained_case("gru", 20, "cpu", 200), 4, None)


def test_the_floor_of_the_gru_is_what_a_step_row_by_row_multiplies():
    """Each intervention alone, step by step, nothing padded, only scored tokens read out: torch counts the products."""
    case = untrained_case("gru", 20, "cpu", 24)
    drives = case.network.cell.token_inputs()
    with FlopCounterMode(display=False) as counter:
        for row in range(len(case.drawn)):
            scored = case.drawn.determined[row].nonzero()[:, 0]
            continuation = case.drawn.continuation[row]
            states = case.prepared.base.states[row : row + 1].clone().requires_grad_()
            after = [states]
            for token in continuation[: int(case.drawn.lengths[row]) - 1]:
                after.append(case.network.cell.step(after[-1], drives[token][None]))
            logits = case.network.readout(torch.cat(after)[scored])
            cross_entropy(logits, continuation[scored]).backward()
    counted = counter.get_total_flops() / 1e9 * BATCH / len(case.drawn)
    assert sum(p.gflop for p in products(case, 4) if "swap" not in p.what) == pytest.approx(counted, rel=1e-6)


def test_steps_are_timed_by_the_searchs_own_clock():
    assert 0 < step_seconds(untrained_case("gru", 20, "cpu", 200), k=4, fits=2, steps=3) < 10


def test_without_pyvene_the_bench_says_so_and_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(theirs, "INSTALLED", tmp_path / "none")
    case = untrained_case("gru", 20, "cpu", 200)
    with theirs.pyvene(case.network, {"train": case.drawn}, "cpu", 1) as server:
        assert server is None
    assert theirs.WITHOUT in search.agreement(case, 4, None).note
