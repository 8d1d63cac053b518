"""Networks as users bring them: in train mode, in other precisions, without parameters, under `no_grad`; and seeds."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.alignment.examples import ALGORITHM, BRIEF, QUICK, TASK, TINY, align_orthogonal, hidden, scrambled
from torch import nn

import symscope as sc
from symscope.alignment import Oblique, Orthogonal, Untrained, align, evaluate, fit
from symscope.alignment.controls import DEFAULT_CONTROLS
from symscope.errors import InvalidArgumentError
from symscope.interchange import cache_states, counterfactuals, draw_interventions
from symscope.networks import LinearReadout, RecurrentNetwork, gru, magnitude_network, make_network
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

EVERY_CONTROL = [*DEFAULT_CONTROLS, Untrained(scrambled(0))]


def numbers(results):
    """Everything measured, for comparisons bit for bit."""
    rows = []
    for result in results.all:
        tensors = [tensor for alignment in result.alignments.values() for tensor in alignment.tensors]
        scores = [result.score, *result.controls.values(), *result.metrics.by_value.values()]
        rows.append((tensors, [score.correct for score in scores], result.metrics.divergence, result.validation_iia))
    return rows


def assert_same(first, second):
    for (tensors, correct, *rest), (same_tensors, same_correct, *same_rest) in zip(
        numbers(first), numbers(second), strict=True
    ):
        assert all(map(torch.equal, tensors, same_tensors))
        assert all(map(torch.equal, correct, same_correct))
        assert rest == same_rest


def brief(network, **options):
    return align_orthogonal(network, ALGORITHM, ["count", "phase"], [1, 2], **{"options": BRIEF, **TINY, **options})


def test_the_network_is_unchanged_afterwards():
    network = gru(8, len(TASK.vocabulary), generator(0, "network"))
    network.cell.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    brief(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert [parameter.requires_grad for parameter in network.cell.parameters()] == [False] * 5
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.output.parameters())


def test_a_seed_fixes_the_result_bit_for_bit():
    first, same, different = (brief(hidden().network, seed=seed) for seed in (3, 3, 4))
    assert_same(first, same)
    assert not torch.equal(first["count", 1].score.correct, different["count", 1].score.correct)


def test_equal_but_distinct_objects_give_the_same_result():
    """Nothing depends on whether an argument is the same object as another."""
    network, data = hidden().network, counterfactuals(ALGORITHM, "count", **TINY)
    function = Oblique()
    same = fit(network, data, [1, 2], function=function, controls=DEFAULT_CONTROLS, options=BRIEF)
    controls = [type(control)() for control in DEFAULT_CONTROLS]
    copied = fit(copy.deepcopy(network), copy.deepcopy(replace(data, shuffle=None)), [1, 2], function=Oblique(),
                 controls=[control for control in controls if control.name != "shuffled_labels"],
                 options=replace(BRIEF))  # fmt: skip
    fresh = fit(network, counterfactuals(ALGORITHM, "count", **TINY), [1, 2], function=Oblique(), controls=controls,
                options=replace(BRIEF))  # fmt: skip
    assert_same(evaluate(same), evaluate(fresh))
    assert_same(evaluate(same), evaluate(same, counterfactuals(ALGORITHM, "count", **TINY)))
    for key, alignments in same.alignments.items():
        pair = (alignments["count"].tensors, copied.alignments[key]["count"].tensors)
        torch.testing.assert_close(*pair, atol=1e-5, rtol=1e-4)  # the batch is smaller by the shuffled labels


class NoisyReadout(nn.Module):
    """A user's output layer with torch's dropout, which is active in train mode."""

    def __init__(self, readout, share):
        super().__init__()
        self.readout, self.dropout = readout, nn.Dropout(share)

    def forward(self, features, dropout=None):
        return self.readout(self.dropout(features))


@pytest.mark.parametrize("memory", [pytest.param(None, marks=pytest.mark.slow), 10_000_000])
def test_a_network_in_train_mode_is_evaluated_and_its_mode_is_restored(memory):
    constructed = hidden().network
    network = RecurrentNetwork(constructed.cell, NoisyReadout(constructed.output, 0.5))
    results = []
    for seed, training in ((0, False), (1, True), (2, True)):
        torch.manual_seed(seed)
        network.train(training)
        network.cell.eval()  # a module that is in another mode than the network
        options = replace(BRIEF, memory=memory, latent_weight=0.1)
        results.append(brief(network, options=options))
        assert (network.training, network.cell.training, network.output.dropout.training) == (training, False, training)
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])
    assert results[0]["count"].trial_accuracy == 1


def test_another_vocabulary_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr("symscope.alignment._fit.cache_states", lambda *_: pytest.fail("nothing may be run"))
    with pytest.raises(InvalidArgumentError, match="7 tokens and its task has 8"):
        brief(make_network("gru", 8, 7, generator(0)))
    six = sc.make_algorithm("up-down", make_task("single-object"))
    with pytest.raises(InvalidArgumentError, match="8 tokens and its task has 6"):
        align(hidden().network, six, "count", 1, options=BRIEF, **TINY)


def test_a_network_that_does_not_do_the_task_gets_a_warning_with_its_accuracy():
    network = hidden().network
    with torch.no_grad():  # two tokens are swapped
        bias = network.cell.token_bias
        bias[[TASK.trigger, int(TASK.demo[0])]] = bias[[int(TASK.demo[0]), TASK.trigger]]
    results = brief(network, controls=[])
    accuracy = results["count"].trial_accuracy
    assert 0 <= accuracy < 0.9
    (warning, *_) = results["count"].warnings
    assert warning.startswith(f"without an intervention the network completes {accuracy:.1%} of its sequences")
    assert warning in repr(results)
    assert warning in repr(results["count"])
    assert brief(hidden().network, controls=[])["count"].warnings == []


@pytest.mark.slow
def test_a_network_in_double_precision():
    network = hidden().network.double()
    results = align(network, ALGORITHM, ["count", "phase"], [1, 2], function=[Orthogonal(), Oblique()],
                    controls=[*DEFAULT_CONTROLS, Untrained(scrambled(0).double())], options=BRIEF, **TINY)  # fmt: skip
    for result in results.all:
        assert {tensor.dtype for tensor in result.alignment.tensors} == {torch.float64}
    single = align(hidden().network, ALGORITHM, ["count", "phase"], [1, 2], function=[Orthogonal(), Oblique()],
                   controls=EVERY_CONTROL, options=BRIEF, **TINY)  # fmt: skip
    for result, same in zip(results.all, single.all, strict=True):
        assert result.iia == pytest.approx(same.iia, abs=0.1)
        assert result.controls["whole_state"].iia == same.controls["whole_state"].iia


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer-rope"])
def test_a_network_in_half_precision_has_maps_in_single_precision(kind):
    network = make_network(kind, 8, len(TASK.vocabulary), generator(0)).bfloat16()
    fresh = make_network(kind, 8, len(TASK.vocabulary), generator(1)).bfloat16()
    controls = [*DEFAULT_CONTROLS, Untrained(fresh)]
    for function in (Orthogonal(), Oblique(coordinates="natural-span")):
        results = align(network, ALGORITHM, "count", [1, 2], function=function, controls=controls,
                        options=replace(BRIEF, latent_weight=0.1), **TINY)  # fmt: skip
        for result in results.all:
            assert {tensor.dtype for tensor in result.alignment.tensors} == {torch.float32}
            assert 0 <= result.iia <= 1
    cached = cache_states(network, draw_interventions(ALGORITHM, ["count"], 20, generator(0)), network.default_site)
    assert (cached.base.states.dtype, cached.base_states.dtype) == (torch.bfloat16, torch.float32)


def test_a_constructed_network_in_half_precision_keeps_its_answer():
    """Small integers are exact in bfloat16, so the known answer is found."""
    small = multi_object(quantities=range(1, 5), held_out=[2])
    network, algorithm = magnitude_network(**small.roles, d=3).network.bfloat16(), sc.make_algorithm("up-down", small)
    result = align_orthogonal(network, algorithm, "count", 1, options=QUICK, n_train=300, n_validation=100, n_test=200)
    assert result["count"].iia >= 0.95
    assert result["count"].score.low > result["count"].controls["shuffled_labels"].high


@pytest.mark.parametrize("context", [pytest.param(torch.no_grad, marks=pytest.mark.slow), torch.inference_mode])
def test_gradients_may_be_switched_off_around_align(context):
    network = hidden().network
    expected = brief(network)
    with context():
        assert_same(expected, brief(network))
        if context is torch.inference_mode:
            with pytest.raises(InvalidArgumentError, match=r"the network was made in torch\.inference_mode"):
                brief(hidden().network)


@pytest.mark.slow
def test_integers_of_any_type():
    expected = brief(hidden().network)
    data = counterfactuals(ALGORITHM, ["count", "phase"], seed=np.int64(0), **TINY)
    for k in (np.array([1, 2]), [np.int64(1), np.int32(2)], torch.tensor([1, 2]), range(1, 3)):
        assert_same(expected, evaluate(fit(hidden().network, data, k, function=Orthogonal(), options=BRIEF)))
    first = align_orthogonal(hidden().network, ALGORITHM, "count", np.int64(1), seed=np.int64(0), options=BRIEF, **TINY)
    assert first["count", 1].iia == expected["count", 1].iia
    assert first["count", np.int64(1)].k == 1


class BufferCell(sc.Cell):
    """The cell of a constructed network, its weights as buffers."""

    def __init__(self, cell):
        super().__init__()
        self.width, self.sites, self.output = cell.width, cell.sites, cell.output
        self.inner = copy.deepcopy(cell)
        for name, parameter in list(self.inner.named_parameters()):
            delattr(self.inner, name)
            self.inner.register_buffer(name, parameter.detach())

    def token_inputs(self):
        return self.inner.token_inputs()

    def step(self, states, drives):
        return self.inner.step(states, drives)


def test_a_network_whose_weights_are_buffers():
    constructed = hidden().network
    output = LinearReadout(constructed.output.weight.detach(), constructed.output.bias.detach())
    for name in ("weight", "bias"):
        value = getattr(output, name).detach()
        delattr(output, name)
        output.register_buffer(name, value)
    network = RecurrentNetwork(BufferCell(constructed.cell), output)
    assert list(network.parameters()) == []
    assert_same(brief(constructed, controls=[]), brief(network, controls=[]))


def test_wrapped_networks_are_unwrapped():
    network, fresh = hidden().network, scrambled(0)
    expected = brief(network, controls=[Untrained(fresh)])
    wrapped = nn.DataParallel(network), nn.DataParallel(fresh)
    data = counterfactuals(ALGORITHM, ["count", "phase"], **TINY)
    options = {"function": Orthogonal(), "controls": [Untrained(fresh)], "options": BRIEF}
    assert_same(expected, evaluate(fit(wrapped[0].module, data, [1, 2], **options)))
    assert Untrained([wrapped[1]]).networks == Untrained(wrapped[1]).networks == (fresh,)
