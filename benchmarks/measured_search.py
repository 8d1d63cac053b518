"""The calls of symscope's search that are measured."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.cases import BATCH, Case, counterfactual_data
from symscope.alignment import (
    AlignmentFunction,
    AlignmentProblem,
    FixedMask,
    Orthogonal,
    SearchOptions,
    TestSet,
    TrainingPool,
    fit,
    search,
    subspace,
)
from symscope.interchange import Interventions, counterfactual_losses
from symscope.networks import Network

NEVER = 2.0
"""A validation IIA that no fit reaches, so that each fit takes all the steps that are timed."""


def step_seconds(case: Case, k: int, fits: int, steps: int, batch: int = BATCH) -> float:
    """Seconds for one step of a search with several fits in one batch, from its first to its last validation.

    A step includes everything: drawing the batch, gathering its rows, the loss, its gradient, Adam.
    """
    mask = FixedMask((("count", k),))
    problems = [AlignmentProblem(("count",), mask, Orthogonal(), seed) for seed in range(fits)]
    options = SearchOptions(steps=steps, validate_every=steps, restarts=1, target_iia=NEVER, batch=batch)
    pool = TrainingPool(case.network, {"count": case.cached}, {}, None)
    clock: list[float] = []
    search(case.network, problems, pool, {"count": case.few}, options, lambda step, best: clock.append(perf_counter()))
    return (clock[-1] - clock[0]) / steps


def loss(case: Case, frame: Tensor, rows: int) -> float:
    """Mean cross-entropy of the targets of the first interventions when the subspace of a frame is swapped."""
    first = torch.arange(rows)
    states = subspace(frame).swap(case.cached.base_states[:rows], case.cached.source_states[0, :rows])
    losses = counterfactual_losses(case.network, case.cached, states, first)
    return float(losses.sum() / case.cached.target_mask[first].sum())


class Answer(NamedTuple):
    """The outcome of a timed search."""

    seconds: float
    steps: int
    validation: float
    iia: float
    """On the test interventions."""
    off_span: float | None = None
    natural: str = ""
    """How natural the rewritten states are, in words."""


def answer(
    network: Network,
    sets: Mapping[str, Interventions],
    variable: str,
    k: int,
    seed: int,
    *,
    function: AlignmentFunction,
    **options: Any,
) -> Answer:
    """Times a search without controls from drawn interventions to the test IIA: states, fit, test."""
    began = perf_counter()
    data = counterfactual_data({variable: sets}, seed)
    fitted = fit(network, data, k, function=function, controls=(), options=SearchOptions(batch=BATCH, **options))
    result = fitted.searches[variable, k]
    iia = TestSet(network, data, variable, fitted.site).score("alignment", result.alignments).iia
    seconds, natural = perf_counter() - began, fitted.naturalness[variable, k]
    off_span = None if natural is None else natural.off_span_share
    return Answer(seconds, result.total_steps, result.validation_iia, iia, off_span, str(natural))
