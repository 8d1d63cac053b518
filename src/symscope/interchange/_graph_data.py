"""From a causal graph to counterfactual data."""

from collections.abc import Sequence
from typing import Any

from torch import Generator

from symscope.algorithms.causal_graph import CausalGraph, Setting, hashable
from symscope.errors import InvalidArgumentError
from symscope.interchange._pairs import Pair, Run, counterfactual_data
from symscope.interchange.data import CounterfactualData
from symscope.networks import Network
from symscope.seeds import generator

DRAWS_FOR_ONE = 50
"""Draws after which a pair that is not informative is taken."""


def graph_data(
    graph: CausalGraph,
    sets: Sequence[tuple[str, ...]],
    counts: dict[str, int],
    *,
    seed: int,
    prefer_informative: bool = False,
    network: Network | None = None,
) -> CounterfactualData:
    """Interventions on sets of variables of a causal graph, each variable of a set from a source of its own.

    Args:
        graph: the graph.
        sets: the variables that are overwritten together; each set has interventions of its own.
        counts: interventions of each split.
        seed: fixes all draws.
        prefer_informative: draw each pair again, up to `DRAWS_FOR_ONE` times, until its counterfactual differs from the
            base's own answer.
        network: leave out the pairs whose base or source this network completes incorrectly.

    Raises:
        InvalidArgumentError: no drawn pair of a set has another answer than its base.
    """
    pairs = []
    for variables in sets:
        drawn = []
        for split, count in counts.items():
            draws = generator(seed, "interventions", graph.name, "+".join(variables), split)
            drawn += [_pair(graph, variables, split, draws, prefer_informative) for _ in range(count)]
        if all(pair.label == pair.base.label for pair in drawn):
            raise InvalidArgumentError(f"overwriting {' and '.join(variables)} never changes the output of {graph!r}")
        pairs += drawn
    return counterfactual_data(pairs, name=graph.name, seed=seed, network=network)


def _pair(graph: CausalGraph, variables: tuple[str, ...], split: str, draws: Generator, prefer: bool) -> Pair:
    for remaining in reversed(range(DRAWS_FOR_ONE if prefer else 1)):
        base, *sources = (graph.run(graph.draw(draws)) for _ in range(1 + len(variables)))
        overwrite = {name: source[name] for name, source in zip(variables, sources, strict=True)}
        label = (graph.label(graph.run({name: base[name] for name in graph.inputs}, overwrite)),)
        if not remaining or label != (graph.label(base),):
            return Pair(0, variables, _run(graph, base), tuple(_run(graph, s) for s in sources), label, split)
    raise AssertionError("the last draw is always taken")


def _run(graph: CausalGraph, setting: Setting) -> Run:
    inputs: list[Any] = graph.encode(setting)
    values = {name: hashable(setting[name]) for name in graph.internal}
    position = 0 if any(isinstance(entry, float) for entry in inputs) else len(inputs) - 1
    return Run(inputs, position, (graph.label(setting),), values)
