"""Stages that look at a trained network without any search: its attention, its strength values, its states."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.algorithms import algorithms_for
from symscope.errors import InvalidArgumentError
from symscope.interventions import strength_test
from symscope.networks import Network, Transformer
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.statistics import wilson
from symscope.studies.common import Subject, save_part
from symscope.studies.declaration import build_algorithm
from symscope.tasks import NumericTask, TokenBatch


def strength_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """The strength-value test of a one-layer NoPE transformer; leaves a part of the table `strength`."""
    subject = Subject.of(arguments)
    network, task = subject.trained_network(needs), subject.task
    if not isinstance(network, Transformer) or not isinstance(task, NumericTask):
        raise InvalidArgumentError(f"the strength-value test is of transformers that count, got {network.architecture}")
    report(Progress(0, 1, "strength values"))
    rows = []
    for one in strength_test(network, task, arguments["trials"], generator(subject.seed, "strength")):
        hits, n = int(one.exact.sum()), len(one.exact)
        low, high = wilson(hits, n)
        ended = one.moved[one.ended].double()
        told = {"moved": float(ended.mean()) if len(ended) else None, "ended": len(ended) / n, "n": n}
        figures = {"exact": hits / n, "low": low, "high": high, **told}
        rows.append({**subject.columns, "token": one.token, "change": one.change, **figures})
    save_part("strength", rows, folder)
    return subject.facts


def states_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Natural states in their principal components, at the network's own site; leaves a part of `state_space`."""
    subject = Subject.of(arguments)
    network = subject.trained_network(needs)
    report(Progress(0, 1, f"states at {network.default_site}"))
    save_part("state_space", _state_rows(network, subject, arguments["each"]), folder)
    return subject.facts


@torch.no_grad()
def _state_rows(network: Network, subject: Subject, each: int) -> Iterator[dict[str, Any]]:
    task = subject.task
    quantities = torch.tensor(task.quantities).repeat_interleave(each)
    sequences = task.draw(quantities, generator(subject.seed, "natural states"))
    values = build_algorithm(algorithms_for(task)[0], task).run(sequences.tokens)
    states = network.states(sequences.tokens.to(subject.device), network.default_site).cpu()
    row, step = (torch.arange(sequences.tokens.shape[1]) < sequences.lengths[:, None]).nonzero(as_tuple=True)
    coordinates, variance = principal_coordinates(states[row, step], 3)
    for at, place, own in zip(row.tolist(), step.tolist(), coordinates.tolist(), strict=True):
        yield {
            **subject.columns,
            "site": network.default_site,
            "quantity": int(sequences.quantities[at]),
            "sequence": at,
            "step": place,
            "token": task.vocabulary.names[sequences.tokens[at, place]],
            "count": int(values["count"][at, place]),
            "phase": ("demo", "resp")[int(values["phase"][at, place])],
            **{f"c{number}": value for number, value in enumerate(own, 1)},
            "variance": variance,
        }


def principal_coordinates(
    states: Float[Tensor, "samples state"], most: int
) -> tuple[Float[Tensor, "samples k"], float]:
    """States in their `most` leading principal components, and the share of the variance that these hold."""
    centred = states.double() - states.double().mean(0)
    left, singular, _ = torch.linalg.svd(centred, full_matrices=False)
    k = min(most, len(singular))
    share = float((singular[:k] ** 2).sum() / (singular**2).sum().clamp(min=torch.finfo(torch.double).tiny))
    return left[:, :k] * singular[:k], min(share, 1.0)


def attention_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """The attention of every head, averaged over sequences of one quantity; leaves a part of `attention`."""
    subject = Subject.of(arguments)
    network, task = subject.trained_network(needs), subject.task
    if not isinstance(network, Transformer):
        raise InvalidArgumentError(f"attention is read out of transformers, got {network.architecture}")
    report(Progress(0, 1, "attention"))
    quantity = task.quantities[len(task.quantities) // 4]  # small enough to be seen token by token
    sequences = task.draw(torch.full((arguments["sequences"],), quantity), generator(subject.seed, "attention"))
    weights = network.attention(sequences.tokens.to(subject.device)).cpu()
    rows = attention_rows(weights, sequences, task.named_position("trigger", sequences))
    save_part("attention", ({**subject.columns, "quantity": quantity, **row} for row in rows), folder)
    return subject.facts


def attention_rows(
    weights: Float[Tensor, "batch layers heads query key"], sequences: TokenBatch, trigger: Tensor
) -> Iterator[dict[str, Any]]:
    """Mean weights by query and key counted from the trigger, over the sequences that have both positions."""
    _, layers, heads, time, _ = weights.shape
    last = int(trigger.max())
    there = torch.arange(time) < sequences.lengths[:, None]
    place = torch.arange(time) - trigger[:, None] + last  # from 0 for the earliest position of any sequence
    flat = (place[:, :, None] * 2 * time + place[:, None, :])[there[:, :, None] & there[:, None, :]]
    pairs = torch.bincount(flat, minlength=4 * time * time)
    sums = torch.zeros(layers, heads, 4 * time * time, dtype=torch.double)
    shown = weights.double().permute(1, 2, 0, 3, 4)[:, :, there[:, :, None] & there[:, None, :]]
    sums.index_add_(2, flat, shown)
    for index in pairs.nonzero()[:, 0].tolist():
        query, key = divmod(index, 2 * time)
        if key <= query:
            for layer in range(layers):
                for head in range(heads):
                    mean = float(sums[layer, head, index] / pairs[index])
                    named = {"layer": layer + 1, "head": head + 1, "query": query - last, "key": key - last}
                    yield {**named, "weight": min(mean, 1.0), "n": int(pairs[index])}
