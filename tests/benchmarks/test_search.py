"""Comparisons of a search step: the plain reference has the same loss, the floor counts the products that torch counts.

No test depends on speed.
"""

import pytest
import torch
from benchmarks.cases import BATCH, untrained_case
from benchmarks.floor import products
from benchmarks.measured_search import answer, step_seconds
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import answer as answer_section
from benchmarks import pyvene_client, search
from benchmarks import stages as stages_section
from symscope.alignment import Orthogonal


@pytest.mark.parametrize("k", [1, 10])
def test_the_plain_reference_has_the_same_loss(k):
    row = search.agreement(untrained_case("gru", 20, "cpu", 200), k, None)
    assert row.median < search.TOLERANCE


def test_methods_with_different_losses_are_not_timed(monkeypatch):
    monkeypatch.setattr(search, "loss", lambda case, frame, rows: 0.0)
    with pytest.raises(RuntimeError, match="different losses"):
        search.agreement(untrained_case("gru", 20, "cpu", 200), 4, None)


def test_the_floor_of_the_gru_is_the_number_of_products_of_a_step_row_by_row():
    """Each intervention is run alone, step by step, without padding; only targets are read out."""
    case = untrained_case("gru", 20, "cpu", 24)
    interventions, token_inputs = case.interventions, case.network.cell.token_inputs()
    with FlopCounterMode(display=False) as counter:
        for row in range(len(interventions)):
            mask = interventions.target_mask[row].nonzero()[:, 0]
            states = case.cached.base_states[row : row + 1].clone().requires_grad_()
            after = [states]
            for token in interventions.fed[row, : int(interventions.lengths[row]) - 1]:
                after.append(case.network.cell.step(after[-1], token_inputs[token][None]))
            logits = case.network.readout(torch.cat(after)[mask])
            cross_entropy(logits, interventions.targets[row, mask]).backward()
    counted = counter.get_total_flops() / 1e9 * BATCH / len(interventions)
    assert sum(p.gflop for p in products(case, 4) if "swap" not in p.what) == pytest.approx(counted, rel=1e-6)


def test_steps_are_timed_by_the_validations_of_the_search():
    assert step_seconds(untrained_case("gru", 20, "cpu", 200), k=4, fits=2, steps=3) > 0


def test_an_answer_is_a_fit_and_its_test(monkeypatch):
    monkeypatch.setattr(answer_section, "N_VALIDATION", 50)
    network = untrained_case("gru", 20, "cpu", 200).network
    options = {"validate_every": 5, "patience": 2, "steps": 20, "latent_weight": 0.0}
    run = answer(network, answer_section.draw("count", 0, 200), "count", 4, 0, function=Orthogonal(), **options)
    assert run.steps >= 10
    assert run.seconds > 0
    assert 0 <= run.iia <= 1
    assert "off the natural span" in run.natural


def test_stages_of_an_answer_and_the_cost_of_its_controls(monkeypatch):
    monkeypatch.setattr(stages_section, "STEPS", 2)
    network = untrained_case("gru", 8, "cpu", 200).network
    rows = list(stages_section.stages(network, lambda name, seed: answer_section.draw(name, seed, 100), 2, range(2)))
    assert [row.runs for row in rows] == [2] * 6
    assert all(row.minimum > 0 for row in rows)


def test_without_pyvene_its_rows_are_left_out_with_a_message(monkeypatch, tmp_path):
    monkeypatch.setattr(pyvene_client, "INSTALLED", tmp_path / "none")
    case = untrained_case("gru", 20, "cpu", 200)
    with pyvene_client.pyvene(case.network, {"train": case.interventions}, "cpu", 1) as server:
        assert server is None
    assert pyvene_client.NOT_INSTALLED in search.agreement(case, 4, None).note
