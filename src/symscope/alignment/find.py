"""The question in one call: where in this network are these variables, and what speaks against it?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from symscope.algorithms import Algorithm
from symscope.alignment.controls import UNTRAINED, subspace_controls
from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.masks import Blocks
from symscope.alignment.score import Score, score
from symscope.alignment.search import Found, Question, SearchOptions, search
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interventions import Interventions, Prepared, draw_interventions, prepare
from symscope.networks import Network
from symscope.seeds import generator


@dataclass(frozen=True)
class Evidence:
    """A variable, where it was found, how faithfully it can be rewritten there, and the controls.

    Attributes:
        algorithm: name of the algorithm.
        variable: the variable.
        site: where in the network.
        k: dimensions given to it.
        found: the alignment, and how it was found.
        score: IIA on test interventions, which neither the search nor the choice among starts has seen.
        redrawn: share of the draws of test interventions that had no counterfactual and were drawn again.
        controls: the same test for what must score less: name to score.
    """

    algorithm: str
    variable: str
    site: str
    k: int
    found: Found
    score: Score
    redrawn: float
    controls: Mapping[str, Score] = field(default_factory=dict)

    @property
    def function(self) -> AlignmentFunction:
        """The alignment: its `swap` rewrites states, its `coordinates` read them."""
        return self.found.function

    def __str__(self) -> str:
        lines = [f"{self.variable} of {self.algorithm} at {self.site}, k = {self.k}: IIA {self.score}"]
        return "\n".join(lines + [f"  control {name}: IIA {value}" for name, value in self.controls.items()])


@dataclass(frozen=True)
class _Sets:
    train: Prepared
    validation: Prepared
    test: Prepared


def find(  # noqa: PLR0913  (the whole question in one call; all but four have a default)
    network: Network,
    algorithm: Algorithm,
    variables: Sequence[str],
    k: int | Sequence[int],
    *,
    function: str = "orthogonal",
    function_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    site: str | None = None,
    untrained: Network | None = None,
    counts: tuple[int, int, int] = (10_000, 1_000, 1_000),
    options: SearchOptions | None = None,
    on_validation: Callable[[str, int, list[float]], None] | None = None,
) -> list[Evidence]:
    """Searches alignments of variables in a trained network, and tests them beside their controls.

    Args:
        network: the trained network; its weights are not changed.
        algorithm: the algorithm, for the network's task.
        variables: names of the variables to look for, each on its own.
        k: dimensions given to a variable; of several, each is searched. They share one program.
        function: the alignment function, one of `FUNCTIONS`.
        function_options: its options.
        seed: of the draws and starts.
        site: where to look; default: the network's `default_site`.
        untrained: a network of the same shape with fresh weights; the same search on it becomes a control.
        counts: interventions to draw for the search, for the choice among starts and steps, and for the test.
        options: how to search.
        on_validation: called with "trained" or "untrained", the step, and each question's best validation IIA so far.

    Returns:
        Evidence for each variable and, within it, each k, in the order given.

    Raises:
        UnknownNameError: a variable or site that does not exist.
        InvalidArgumentError: a k below 1 or above the state's width, or nothing to look for.
        NonFiniteError: a loss or state is not finite.
    """
    site = network.default_site if site is None else site
    network.check_site(site)
    names = algorithm.check_variables(variables)
    sizes = [k] if isinstance(k, int) else list(k)
    if untrained is not None and (untrained.architecture, untrained.sites) != (network.architecture, network.sites):
        raise InvalidArgumentError(
            f"the untrained network must have the shape of the trained one: {untrained.architecture}, sites "
            f"{dict(untrained.sites)}, is not {network.architecture}, sites {dict(network.sites)}"
        )
    asked = [(variable, size) for variable in names for size in sizes]
    if not asked:
        raise InvalidArgumentError("nothing to look for: name at least one variable and one k")

    drawn = {name: _draw_sets(algorithm, name, seed, counts) for name in names}

    def on_states_of(one: Network) -> dict[str, _Sets]:
        return {name: _Sets(*(prepare(one, part, site) for part in parts)) for name, parts in drawn.items()}

    def ask(on: Network, sets: Mapping[str, _Sets], which: str) -> list[Found]:
        questions = [
            Question(
                {v: sets[v].train}, {v: sets[v].validation}, Blocks({v: size}), seed, function, function_options or {}
            )
            for v, size in asked
        ]
        try:
            return search(on, questions, options, partial(on_validation, which) if on_validation else None)
        except NonFiniteError as error:
            named = ", ".join(f"{number}: {v} with k = {size}" for number, (v, size) in enumerate(asked))
            best = error.best if on is network else found
            raise NonFiniteError(f"search on the {which} network ({named}): {error}", best) from error

    found: list[Found] = []
    sets = on_states_of(network)
    found = ask(network, sets, "trained")
    controls = [
        subspace_controls(
            network, size, sets[v].train.natural_states(), sets[v].test, generator(seed, "random subspace", size)
        )
        for v, size in asked
    ]
    if untrained is not None:
        theirs = on_states_of(untrained)
        for (v, _), other, company in zip(asked, ask(untrained, theirs, "untrained"), controls, strict=True):
            company[UNTRAINED] = score(untrained, other.function, theirs[v].test)
    return [
        Evidence(
            algorithm.name,
            v,
            site,
            size,
            one,
            score(network, one.function, sets[v].test),
            drawn[v][-1].redrawn,
            company,
        )
        for (v, size), one, company in zip(asked, found, controls, strict=True)
    ]


def _draw_sets(algorithm: Algorithm, variable: str, seed: int, counts: tuple[int, int, int]) -> list[Interventions]:
    """Interventions on one variable to train, to validate and to test on, drawn apart."""
    purposes = zip(("train", "validation", "test"), counts, strict=True)
    return [
        draw_interventions(
            algorithm, [variable], count, generator(seed, "interventions", algorithm.name, variable, purpose)
        )
        for purpose, count in purposes
    ]
