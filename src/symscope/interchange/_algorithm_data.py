"""From an algorithm to counterfactual data: interventions to fit, to choose and to test, and all that a test needs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import SupportsIndex

import torch

from symscope.algorithms import Algorithm, Category, CausalGraph, Integer
from symscope.arguments import integer
from symscope.errors import InvalidArgumentError
from symscope.interchange._graph_data import graph_data
from symscope.interchange.data import CounterfactualData, Interventions, StoppedInputs
from symscope.interchange.draw import (
    PAPER_PROTOCOL,
    InterventionProtocol,
    draw_cause,
    draw_interventions,
    draw_isolation,
    with_informative,
)
from symscope.interchange.permutation import permute_values, shuffled_labels
from symscope.networks import Network
from symscope.seeds import generator

UNCUT_SEQUENCES = 300
"""Sequences without any intervention, for the accuracy of the network itself."""


@torch.inference_mode(False)  # a fit cannot differentiate through tensors that are made in inference mode
def counterfactuals(  # noqa: PLR0913  (all but two have a default)
    algorithm: Algorithm | CausalGraph,
    variables: str | Sequence[str],
    *,
    n_train: SupportsIndex = 2_000,
    n_validation: SupportsIndex = 1_000,
    n_test: SupportsIndex = 1_000,
    seed: SupportsIndex = 0,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
    prefer_informative: bool = False,
    network: Network | None = None,
    held_out: Mapping[str, Sequence[int]] | None = None,
) -> CounterfactualData:
    """Draws interventions on each of some variables of an algorithm or a causal graph.

    Args:
        algorithm: the algorithm, for its task; or a causal graph.
        variables: names of the variables; each is overwritten in interventions of its own. Variables that are joined
            by `+` are overwritten together: those of an algorithm from one source, those of a graph each from its own.
        n_train: interventions to fit an alignment to.
        n_validation: interventions to choose among fits by.
        n_test: interventions to report on; half as many each show cause and isolation.
        seed: fixes all draws.
        protocol: of an algorithm: where sequences stop, and how many demo tokens follow an intervention.
        prefer_informative: of a graph: draw pairs again whose swap does not change the answer.
        network: of a graph: leave out the pairs whose base or source this network completes incorrectly.
        held_out: of an algorithm: values of variables (of a category the index of the label) that no intervention to
            fit to or to choose by has in its base or source, `{"count": [4, 9]}`. Results then have the IIA of the test
            interventions that have them.

    Raises:
        UnknownNameError: a variable, token or named position that does not exist.
        InvalidArgumentError: a count below 1, no variables, or no draw has a counterfactual or only values that are not
            held out.
    """
    named = [variables] if isinstance(variables, str) else list(variables)
    if not named:
        raise InvalidArgumentError("name at least one variable, got none")
    seed, n_test = integer(seed, "seed"), integer(n_test, "n_test", 1)
    counts = {
        "train": integer(n_train, "n_train", 1),
        "validation": integer(n_validation, "n_validation", 1),
        "test": n_test,
    }
    if isinstance(algorithm, CausalGraph):
        if held_out:
            raise InvalidArgumentError("held_out is for algorithms; a causal graph has no values to hold out")
        sets = [algorithm.check_variables(name.split("+")) for name in named]
        return graph_data(algorithm, sets, counts, seed=seed, prefer_informative=prefer_informative, network=network)
    held_out = {name: tuple(values) for name, values in (held_out or {}).items()}
    if prefer_informative or network is not None:
        raise InvalidArgumentError("prefer_informative and network are for causal graphs; an algorithm has neither")
    sets = {"+".join(parts): parts for parts in (algorithm.check_variables(name.split("+")) for name in named)}
    names = list(sets)

    def draw(name: str, split: str) -> Interventions:
        draws = generator(seed, "interventions", algorithm.name, name, split)
        return draw_interventions(
            algorithm, sets[name], counts[split], draws, protocol, without={} if split == "test" else held_out
        )

    pairs: dict[str, dict[str, Interventions]] = {"cause": {}, "isolation": {}}
    for name in names:
        draws = generator(seed, "interventions", algorithm.name, name, "apart")
        for kind, draw_pairs in (("cause", draw_cause), ("isolation", draw_isolation)):
            drawn = draw_pairs(algorithm, sets[name], max(n_test // 2, 1), draws, protocol)
            if drawn is not None:
                pairs[kind][name] = drawn
    every_variable, every = None, [variable.name for variable in algorithm.variables]
    if set(names) == set(every):
        draws = generator(seed, "interventions", algorithm.name, *every, "test")
        every_variable = draw_interventions(algorithm, every, n_test, draws, protocol)
    return CounterfactualData(
        hypothesis=algorithm.name,
        algorithm=algorithm,
        train={name: draw(name, "train") for name in names},
        validation={name: with_informative(algorithm, draw(name, "validation")) for name in names},
        test={name: with_informative(algorithm, draw(name, "test")) for name in names},
        cause=pairs["cause"],
        isolation=pairs["isolation"],
        seed=seed,
        uncut=_uncut(algorithm, seed),
        vocabulary=len(algorithm.task.vocabulary),
        value_names={variable.name: _value_names(variable) for variable in algorithm.variables},
        shuffle=lambda data: _shuffled(algorithm, data, protocol),
        every_variable=every_variable,
        held_out=held_out,
        end=algorithm.task.vocabulary.eos,
        token_name=algorithm.task.vocabulary.names.__getitem__,
        protocol=protocol.name,
    )


def _value_names(variable: object) -> tuple[str, ...] | None:
    if isinstance(variable, Category):
        return variable.labels
    return () if isinstance(variable, Integer) else None


def _uncut(algorithm: Algorithm, seed: int) -> Interventions:
    """Sequences of the task from their first token on, without a swap."""
    task, draws = algorithm.task, generator(seed, "uncut sequences")
    drawn = task.draw(task.draw_quantities(UNCUT_SEQUENCES, draws), draws)
    start = StoppedInputs(drawn.tokens[:, :1], torch.zeros(len(drawn), dtype=torch.long), {})
    return Interventions((), start, (), (), drawn.tokens[:, 1:-1], drawn.tokens[:, 1:], drawn.determined[:, 1:])


def _shuffled(algorithm: Algorithm, data: CounterfactualData, protocol: InterventionProtocol) -> CounterfactualData:
    """The same interventions with permuted values, the same permutation in all splits of a variable."""
    splits: dict[str, dict[str, Interventions]] = {"train": {}, "validation": {}, "test": {}}
    for name, train in data.train.items():
        draws = generator(data.seed, "labels", algorithm.name, *train.variables)
        permutations = permute_values(train, draws)
        for split, by_name in splits.items():
            drawn: Interventions = getattr(data, split)[name]
            by_name[name] = shuffled_labels(algorithm, drawn, permutations, draws, protocol)
    return replace(data, **splits, cause={}, isolation={}, shuffle=None)
