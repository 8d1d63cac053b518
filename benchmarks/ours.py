"""The calls of symscope's search that are measured, in one place."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.cases import BATCH, Case
from symscope.alignment import Blocks, Question, SearchOptions, Subspace, score, search
from symscope.interventions import Interventions, Prepared, losses_after, prepare
from symscope.networks import Network

NEVER = 2.0
"""A validation IIA that no fit reaches, so that all take the steps that they are to be timed for."""


def question(train: Prepared, validation: Prepared, variable: str, k: int, seed: int) -> Question:
    """Where is one variable, in a subspace of k dimensions?"""
    return Question({variable: train}, {variable: validation}, Blocks({variable: k}), seed)


def step_seconds(case: Case, k: int, fits: int, steps: int) -> float:
    """Seconds a step of a search of so many fits side by side, by the clock between its first and last validation.

    All that a step takes is in it: drawing the batch, gathering its rows, the loss, its gradient, Adam.
    """
    questions = [question(case.prepared, case.few, "count", k, seed) for seed in range(fits)]
    options = SearchOptions(steps=steps, validate_every=steps, starts=1, wanted=NEVER, batch=BATCH)
    clock: list[float] = []
    search(case.network, questions, options, lambda step, best: clock.append(perf_counter()))
    return (clock[-1] - clock[0]) / steps


def loss(case: Case, frame: Tensor, rows: int) -> float:
    """Mean cross-entropy of the first interventions' scored tokens when the frame's subspace is swapped."""
    first = torch.arange(rows)
    swapped = Subspace(frame).swap(case.prepared.base.states[:rows], case.prepared.source[:rows])
    losses = losses_after(case.network, case.prepared, swapped, first)
    return float(losses.sum() / case.prepared.scored[first].sum())


class Answer(NamedTuple):
    """What a search came to."""

    seconds: float
    steps: int
    validation: float
    iia: float
    """On the test set."""


def answer(
    network: Network, sets: Mapping[str, Interventions], variable: str, k: int, seed: int, **options: Any
) -> Answer:
    """Seconds from drawn interventions to the test IIA: states, search, test."""
    began = perf_counter()
    prepared = {name: prepare(network, drawn, network.default_site) for name, drawn in sets.items()}
    asked = question(prepared["train"], prepared["validation"], variable, k, seed)
    (found,) = search(network, [asked], SearchOptions(batch=BATCH, steps=1500, **options))
    iia = score(network, found.function, prepared["test"]).iia
    return Answer(perf_counter() - began, found.steps, found.validation_iia, iia)
