"""The phase stage: does the token at a position say the phase of a transformer, or does the network compute it?

A linear probe reads the phase at every site, from the embedding of the token alone on, and a base takes the whole state
of a source that differs in its phase alone. Both are reported by the token at which a sequence (the base) is stopped: a
token that occurs in one phase only says the phase by itself, a token that occurs in both does not.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from symscope.algorithms import Algorithm, algorithms_for
from symscope.alignment import follows_swap
from symscope.alignment.baseline_directions import fit_probe
from symscope.alignment.functions import whole_state
from symscope.interchange import cache_states, draw_cause
from symscope.networks import Network
from symscope.runner import Progress
from symscope.seeds import generator
from symscope.statistics import wilson
from symscope.studies.arguments import PhaseArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.subject import Subject, save_part

ANY_TOKEN = "all"
PHASE = "phase"
Row = dict[str, Any]


def phase_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Reads and swaps the phase at every site of a network; stores a part of the table `phases`."""
    job = PhaseArguments.read(arguments)
    subject = Subject.of(job)
    network = subject.trained_network(needs)
    algorithm = build_algorithm(algorithms_for(subject.task)[0], subject.task)
    rows: list[Row] = []
    for done, site in enumerate(network.sites):
        report(Progress(done, len(network.sites), f"phase at {site}"))
        where = {**subject.columns, "algorithm": algorithm.name, "site": site}
        probed = dict(probe_phase(network, algorithm, site, job.each, subject.seed))
        swapped = dict(swap_phase(network, algorithm, site, job.swaps, subject.seed))
        rows += [
            {**where, "token": token, **probed.get(token, {}), **swapped.get(token, {})}
            for token in dict.fromkeys([*probed, *swapped])
        ]
    save_part("phases", rows, folder)
    return subject.facts


def probe_phase(network: Network, algorithm: Algorithm, site: str, each: int, seed: int) -> Iterator[tuple[str, Row]]:
    """For each token how well a linear probe of the states at a site reads the phase.

    The probe is fitted to the first half of the sequences and tested on the second.

    Args:
        network: the network.
        algorithm: an algorithm with the variable `phase`, for the network's task.
        site: where in the network.
        each: sequences for each quantity.
        seed: of the draws.
    """
    task, draws = algorithm.task, generator(seed, "phase, probe")
    quantities = torch.tensor(task.quantities).repeat_interleave(each)
    sequences = task.draw(quantities[torch.randperm(len(quantities), generator=draws)], draws)
    tokens = sequences.tokens
    vocabulary = task.vocabulary
    ends = torch.tensor([vocabulary.pad, vocabulary.bos, vocabulary.eos])
    row, step = (~torch.isin(tokens, ends)).nonzero(as_tuple=True)
    with torch.no_grad():
        states = network.states(tokens.to(network.device), site)[row, step].cpu()
    labels, fitted = algorithm.run(tokens)[PHASE][row, step], row < len(tokens) // 2
    probe = fit_probe(states[fitted], labels[fitted], classes=labels.unique())
    outputs = states[~fitted].double() @ probe.weights.T + probe.bias
    labels = labels[~fitted]
    for token, rows in _by_token(tokens[row, step][~fitted], vocabulary.names):
        most = float(labels[rows].unique(return_counts=True)[1].max()) / int(rows.sum())
        accuracy = float(probe.score(outputs[rows], labels[rows]))
        yield token, {"accuracy": accuracy, "most_common": most, "states": int(rows.sum())}


def swap_phase(network: Network, algorithm: Algorithm, site: str, swaps: int, seed: int) -> Iterator[tuple[str, Row]]:
    """For each token of the base how often the network follows a whole state of the other phase, with the same count.

    Args:
        network: the network.
        algorithm: an algorithm with the variable `phase`, for the network's task.
        site: where in the network.
        swaps: how many swaps to draw.
        seed: of the draws.
    """
    drawn = draw_cause(algorithm, [PHASE], swaps, generator(seed, "phase, swaps"))
    if drawn is None:
        return
    cached = cache_states(network, drawn, site)
    everything = whole_state(cached.base_states.shape[1]).to(cached.base_states)
    followed = follows_swap(network, {PHASE: everything}, cached)
    tokens = drawn.base.inputs[torch.arange(len(drawn.base)), drawn.base.position]
    for token, rows in _by_token(tokens, algorithm.task.vocabulary.names):
        hits, n = int(followed[rows].sum()), int(rows.sum())
        low, high = wilson(hits, n)
        yield token, {"iia": hits / n, "low": low, "high": high, "n": n}


def _by_token(
    tokens: Int[Tensor, " rows"], names: tuple[str, ...]
) -> Iterator[tuple[str, Bool[Tensor, " rows"] | Shaped[Tensor, " rows"]]]:
    """All rows, then the rows of each token."""
    yield ANY_TOKEN, torch.ones_like(tokens, dtype=torch.bool)
    for token in tokens.unique().tolist():
        yield names[token], tokens == token
