"""The example of the 4-bit adder runs, and finds the carries."""

from typing import Any

import pytest
import torch
from tests.examples.loading import load_example


@pytest.fixture(scope="module")
def adder() -> Any:
    return load_example("adder")


def test_the_labels_are_the_sum(adder: Any) -> None:
    tokens = adder.all_inputs()
    labels, carries = adder.run(tokens)
    places = 2 ** torch.arange(5)
    first, second = tokens[:, :4] // 2 @ places[:4], tokens[:, :4] % 2 @ places[:4]
    assert torch.equal(labels @ places, first + second)
    overwritten, _ = adder.run(tokens, (2, 1 - carries["C2"]))
    assert torch.equal(overwritten[:, :2], labels[:, :2])
    assert (overwritten != labels).any(1).all()


@pytest.mark.slow
def test_the_carries_are_found(adder: Any) -> None:
    best = adder.main(seeds=1)
    assert min(result.iia for results in best.values() for result in results) > 0.97
