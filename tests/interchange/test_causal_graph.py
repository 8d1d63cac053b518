"""Causal graphs as hypotheses: static models, and networks whose answer is known."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symscope as sc
from symscope.errors import ConfigurationError, InvalidArgumentError, UnknownNameError


def hierarchical_equality(width: int = 4) -> sc.CausalGraph:
    """Are the first two objects equal exactly where the last two are? Objects are random vectors."""

    def sampler(draws: torch.Generator) -> dict[str, Any]:
        a, b, c, d = torch.rand(4, width, generator=draws).mul(2).sub(1).tolist()
        same = torch.rand(2, generator=draws) < 0.5
        return {"a": a, "b": a if same[0] else b, "c": c, "d": c if same[1] else d}

    return sc.CausalGraph(
        ["a", "b", "c", "d", "left", "right", "output"],
        {"output": [False, True]},
        {"left": ["a", "b"], "right": ["c", "d"], "output": ["left", "right"]},
        {"left": lambda a, b: a == b, "right": lambda c, d: c == d, "output": lambda left, right: left == right},
        sampler=sampler,
        name="hierarchical equality",
    )


class HandWritten(nn.Module):
    """Two units hold whether each pair of vectors differs; the output compares them."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.width, self.pairs = width, nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        a, b, c, d = inputs.split(self.width, 1)
        unequal = torch.stack([(a - b).abs().sum(1), (c - d).abs().sum(1)], 1)
        left, right = self.pairs((unequal / 0.01).clamp(max=1.0)).unbind(1)
        agree = (left - 0.5) * (right - 0.5)
        return torch.stack([-agree, agree], 1)


def hand_written() -> sc.Network:
    return sc.wrap(HandWritten(), {"pairs": "pairs"}, example=torch.randn(2, 16))


def test_a_hand_written_network_has_iia_1_for_each_variable_and_for_both_from_two_sources() -> None:
    data = sc.counterfactuals(
        hierarchical_equality(), ["left", "right", "left+right"], n_train=300, n_validation=200, n_test=200
    )
    assert len(data.test["left+right"].sources) == 2
    fitted = sc.fit(hand_written(), data, 1, function=sc.Orthogonal(), options=sc.SearchOptions(steps=200))
    results = sc.evaluate(fitted)
    for name in ("left", "right", "left+right"):
        assert results[name].iia == 1.0
        assert results[name].trial_accuracy == 1.0
    assert results["left"].metrics.cause is not None
    assert results["left"].metrics.isolation is not None
    assert results["left"].metrics.isolation.iia == 1.0


def test_counterfactuals_follow_the_graph() -> None:
    graph = hierarchical_equality()
    setting = graph.run({"a": 1, "b": 1, "c": 2, "d": 3})
    assert (setting["left"], setting["right"], setting["output"]) == (True, False, False)
    assert graph.run({"a": 1, "b": 1, "c": 2, "d": 3}, {"right": True})["output"] is True
    drawn = sc.counterfactuals(graph, "left", n_train=200, n_validation=50, n_test=50).train["left"]
    left, right = drawn.sources[0].values["left"], drawn.base.values["right"]
    assert torch.equal(drawn.targets[:, 0], (left == right).long())
    assert torch.equal(drawn.counterfactual_values["left"], left)


def test_informative_pairs_are_preferred_on_request() -> None:
    graph = hierarchical_equality()
    shares = []
    for prefer in (False, True):
        data = sc.counterfactuals(graph, "left", n_train=200, n_validation=50, n_test=50, prefer_informative=prefer)
        changes = data.train["left"].changes_base
        assert changes is not None
        shares.append(float(changes.double().mean()))
    assert shares[0] < 0.7
    assert shares[1] == 1.0


def test_pairs_that_a_network_gets_wrong_are_left_out_and_counted() -> None:
    graph = hierarchical_equality()
    options = {"n_train": 200, "n_validation": 50, "n_test": 50}
    assert sc.counterfactuals(graph, "left", **options, network=hand_written()).excluded == {"left": (0, 300)}

    class Constant(HandWritten):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) + torch.tensor([10.0, 0.0])

    constant = sc.wrap(Constant(), {"pairs": "pairs"}, example=torch.randn(2, 16))
    constant._checked = {"pairs"}  # pyright: ignore[reportAttributeAccessIssue]
    data = sc.counterfactuals(graph, "left", **options, network=constant)
    assert 100 < data.excluded["left"].pairs < 290
    assert "left out" in repr(data)


def test_faults_of_a_graph_are_named_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        sc.CausalGraph(["x", "y", "z"], {"z": [0, 1]}, {"y": ["x", "w"], "z": ["y"]}, {"z": lambda y: y})
    text = str(caught.value)
    assert "'w', which is no variable" in text
    assert "'y' has parents and no function" in text
    assert "'x' has no values" in text
    with pytest.raises(UnknownNameError, match="left"):
        sc.counterfactuals(hierarchical_equality(), "lefft")


def test_a_variable_that_changes_nothing_is_refused() -> None:
    graph = sc.CausalGraph(
        ["x", "y", "z"], {"x": [0, 1], "z": [0, 1]}, {"y": ["x"], "z": ["y"]}, {"y": lambda x: x, "z": lambda y: 0}
    )
    with pytest.raises(InvalidArgumentError, match="never changes the output"):
        sc.counterfactuals(graph, "y")
