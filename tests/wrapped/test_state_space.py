"""Mamba and xLSTM of transformers, as the example wraps them, with random weights."""

from typing import Any

import pytest
import torch
from tests.examples.loading import load_example

import symscope as sc
from symscope.errors import BrokenLawError, InvalidArgumentError

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def example() -> Any:
    return load_example("state_space")


def make(example: Any, kind: str, layers: int) -> Any:
    torch.manual_seed(0)
    return getattr(example, f"make_{kind}")(7, layers)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["mamba", "xlstm"])
def test_all_laws_hold_and_logits_are_those_of_the_full_pass(example: Any, kind: str, layers: int) -> None:
    adapter = make(example, kind, layers)
    network = example.network_of(adapter)
    assert example.largest_difference(network, adapter.model) < 1e-5
    sc.check_network(network, like=adapter.model)


@pytest.mark.parametrize("kind", ["mamba", "xlstm"])
def test_gradients_reach_the_state_in_single_precision(example: Any, kind: str) -> None:
    network = example.network_of(make(example, kind, 2)).eval()
    network._checked = set(network.sites)
    tokens = torch.randint(7, (3, 6))
    state = network.run_until(tokens, torch.tensor([4, 2, 3]), "state")
    states = state.states.detach().requires_grad_()
    features = network.resume(state.rewrite(states), tokens[:, :3], torch.ones(3, 4, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(features.square().sum(), states)
    assert (gradient.abs().sum(1) > 0).all()


def test_a_cache_that_is_not_copied_is_refused(example: Any) -> None:
    class NotCopied(example.Mamba):
        def step(self, state: Any, tokens: Any) -> Any:
            cache = transformers.DynamicCache(config=self.model.config)
            cache.update_conv_state(state["conv.0"], 0, conv_kernel_size=4)
            cache.update_recurrent_state(state["ssm.0"], 0)
            cache.layers[0].recurrent_states[0] = state["ssm.0"]
            output = self.model.backbone(tokens[:, None], cache=cache, use_cache=True)
            conv, ssm = cache.get_conv_state(0)[..., 1:], cache.get_recurrent_state(0)
            return {"hidden": output.last_hidden_state[:, 0], "conv.0": conv, "ssm.0": ssm}

    with pytest.raises(InvalidArgumentError, match=r"step changes 'ssm.0' of its argument in place"):
        example.network_of(NotCopied(make(example, "mamba", 1).model))


def test_a_cache_that_is_overwritten_before_the_backward_pass_breaks_a_law(example: Any) -> None:
    class Single(example.Mamba):
        def step(self, state: Any, tokens: Any) -> Any:
            cache = transformers.DynamicCache(config=self.model.config)
            cache.update_conv_state(state["conv.0"], 0, conv_kernel_size=4)
            cache.update_recurrent_state(state["ssm.0"], 0)
            output = self.model.backbone(tokens[:, None], cache=cache, use_cache=True)
            conv, ssm = cache.get_conv_state(0)[..., 1:], cache.get_recurrent_state(0)
            return {"hidden": output.last_hidden_state[:, 0], "conv.0": conv, "ssm.0": ssm}

    network = example.network_of(Single(make(example, "mamba", 1).model))
    with pytest.raises(BrokenLawError, match=r"can be computed in the type of the weights; .* inplace operation"):
        sc.check_network(network)


@pytest.mark.slow
def test_the_example_finds_the_count(example: Any) -> None:
    found = example.main(quantities=4, epochs=60)
    assert found["Mamba"]["count"].iia > 0.8
