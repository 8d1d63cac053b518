"""The interventions of `benchmarks.protocols`."""

import torch
from benchmarks.protocols import DEMO, EXTRA, continued
from benchmarks.stored import Stored

from symscope.interchange import InterventionProtocol, draw_interventions
from symscope.seeds import generator


def test_only_the_number_of_demo_tokens_differs() -> None:
    stored = Stored({"task": {"name": "single-object"}, "request": {"algorithm": "up-down"}}, None, None)  # type: ignore[arg-type]
    protocol = InterventionProtocol(excluded_tokens=("T",), extra_demo_tokens=0)
    drawn = draw_interventions(stored.algorithm, ("count",), 200, generator(0), protocol)
    rows = drawn.select(drawn.base.values["phase"] == DEMO)
    again = continued(stored, rows, 0)
    assert torch.equal(again.targets, rows.targets)
    for extra in EXTRA:
        longer = continued(stored, rows, extra)
        assert torch.equal(longer.base.inputs, rows.base.inputs)
        # The extra demo tokens, T, as many responses as demo tokens were counted, EOS.
        assert torch.equal(longer.lengths, 2 * extra + rows.counterfactual_values["count"] + 2)
