"""Stages that measure a trained network without a search: its states, its attention, its strength values."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.algorithms import Algorithm, Category, algorithms_for
from symscope.alignment.functions import principal_axes
from symscope.errors import InvalidArgumentError
from symscope.interchange import strength_test
from symscope.networks import Network, Transformer
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.statistics import wilson
from symscope.studies.arguments import AttentionArguments, StatesArguments, StrengthArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.subject import Subject, save_part
from symscope.tasks import NumericTask, TokenBatch


def states_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Natural states in their principal components, at the default site; stores a part of `state_space`."""
    job = StatesArguments.read(arguments)
    subject = Subject.of(job)
    network, task = subject.trained_network(needs), subject.task
    report(Progress(0, 1, f"states at {network.default_site}"))
    algorithm = build_algorithm(algorithms_for(task)[0], task)
    quantities = torch.tensor(task.quantities).repeat_interleave(job.each)
    sequences = task.draw(quantities, generator(subject.seed, "natural states"))
    states, labels = labelled_states(network, algorithm, sequences, network.default_site, subject.device)
    coordinates, variance = principal_coordinates(states.cpu(), 3)
    identity = {**subject.columns, "site": network.default_site, "variance": variance}
    rows = (
        {**identity, **label, **{f"c{number}": value for number, value in enumerate(values, 1)}}
        for label, values in zip(labels, coordinates.tolist(), strict=True)
    )
    save_part("state_space", rows, folder)
    return subject.facts


@torch.no_grad()
def labelled_states(
    network: Network, algorithm: Algorithm, sequences: TokenBatch, site: str, device: str
) -> tuple[Float[Tensor, "samples state"], list[dict[str, Any]]]:
    """The states after all tokens of some sequences, and the columns that describe each of them.

    The algorithm has the variables `count` and `phase`.
    """
    values, names = algorithm.run(sequences.tokens), algorithm.task.vocabulary.names
    (phase,) = (variable for variable in algorithm.variables if variable.name == "phase")
    sequence, step = (torch.arange(sequences.tokens.shape[1]) < sequences.lengths[:, None]).nonzero(as_tuple=True)
    rows = []
    for row, at in zip(sequence.tolist(), step.tolist(), strict=True):
        value = int(values["phase"][row, at])
        rows.append(
            {
                "quantity": int(sequences.quantities[row]),
                "sequence": row,
                "step": at,
                "token": names[sequences.tokens[row, at]],
                "count": int(values["count"][row, at]),
                "phase": phase.labels[value] if isinstance(phase, Category) else str(value),
            }
        )
    return network.states(sequences.tokens.to(device), site)[sequence, step], rows


def principal_coordinates(
    states: Float[Tensor, "samples state"], max_k: int
) -> tuple[Float[Tensor, "samples k"], float]:
    """States in their `max_k` leading principal components, and the share of the variance along these."""
    axes = principal_axes(states)
    coordinates = (states.double() - axes.mean) @ axes.directions[:, :max_k]
    variance = axes.spreads.square()
    share = float(variance[:max_k].sum() / variance.sum().clamp(min=torch.finfo(torch.double).tiny))
    return coordinates, min(share, 1.0)


def attention_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """The attention weights of every head, averaged over sequences of one quantity; stores a part of `attention`."""
    job = AttentionArguments.read(arguments)
    subject = Subject.of(job)
    network, task = subject.trained_network(needs), subject.task
    if not isinstance(network, Transformer):
        raise InvalidArgumentError(f"attention weights are read from transformers, got {network.architecture}")
    report(Progress(0, 1, "attention"))
    quantity = task.quantities[len(task.quantities) // 4]  # small, so that single tokens are visible in the figure
    sequences = task.draw(torch.full((job.sequences,), quantity), generator(subject.seed, "attention"))
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
    valid = torch.arange(time) < sequences.lengths[:, None]
    pairs = valid[:, :, None] & valid[:, None, :]
    column = torch.arange(time) - trigger[:, None] + last  # 0 for the earliest position of any sequence
    flat = (column[:, :, None] * 2 * time + column[:, None, :])[pairs]
    counts = torch.bincount(flat, minlength=4 * time * time)
    sums = torch.zeros(layers, heads, 4 * time * time, dtype=torch.double)
    sums.index_add_(2, flat, weights.double().permute(1, 2, 0, 3, 4)[:, :, pairs])
    for index in counts.nonzero()[:, 0].tolist():
        query, key = divmod(index, 2 * time)
        if key <= query:
            for layer in range(layers):
                for head in range(heads):
                    mean = float(sums[layer, head, index] / counts[index])
                    identity = {"layer": layer + 1, "head": head + 1, "query": query - last, "key": key - last}
                    yield {**identity, "weight": min(mean, 1.0), "n": int(counts[index])}


def strength_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """The strength-value test of a one-layer NoPE transformer; stores a part of the table `strength`."""
    job = StrengthArguments.read(arguments)
    subject = Subject.of(job)
    network, task = subject.trained_network(needs), subject.task
    if not isinstance(network, Transformer) or not isinstance(task, NumericTask):
        raise InvalidArgumentError(
            f"the strength-value test needs a transformer and a numeric task, got {network.architecture} on {task.name}"
        )
    report(Progress(0, 1, "strength values"))
    rows = []
    for change in strength_test(network, task, job.trials, generator(subject.seed, "strength")):
        hits, n = int(change.exact.sum()), len(change.exact)
        low, high = wilson(hits, n)
        moved = change.moved[change.ended].double()
        shift = {"moved": float(moved.mean()) if len(moved) else None, "ended": len(moved) / n, "n": n}
        identity = {**subject.columns, "token": change.token, "change": change.change}
        rows.append({**identity, "exact": hits / n, "low": low, "high": high, **shift})
    save_part("strength", rows, folder)
    return subject.facts
