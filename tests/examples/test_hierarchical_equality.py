"""The example of hierarchical equality runs, and finds both comparisons in a trained network."""

from typing import Any

import pytest
import torch
from tests.examples.loading import load_example


@pytest.fixture(scope="module")
def example() -> Any:
    return load_example("hierarchical_equality")


def test_the_inputs_have_the_classes_of_the_graph(example: Any) -> None:
    vectors, classes = example.inputs(200, torch.Generator().manual_seed(0))
    graph = example.causal_graph()
    rows = [dict(zip("abcd", row.reshape(4, -1).tolist(), strict=True)) for row in vectors]
    settings = [graph.run(row) for row in rows]
    assert [int(setting["output"]) for setting in settings] == classes.tolist()
    assert {(setting["left"], setting["right"]) for setting in settings} == {
        (left, right) for left in (False, True) for right in (False, True)
    }


@pytest.mark.slow
def test_both_comparisons_are_found_alone_and_together(example: Any) -> None:
    assert example.accuracy(example.train(0)) > 0.999
    found = example.main(seeds=1)
    for results in found.values():
        (result,) = results
        assert result.site == "layer1"
        assert result.iia > 0.97
        assert result.verdict.word == "holds"
        assert result.controls["untrained"].iia < 0.6
