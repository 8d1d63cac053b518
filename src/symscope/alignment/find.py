"""The question in one call: where in this network are these variables, and what speaks against it?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from symscope.algorithms import Algorithm
from symscope.alignment.controls import SHUFFLED, UNTRAINED, subspace_controls
from symscope.alignment.evidence import Evidence
from symscope.alignment.masks import Blocks
from symscope.alignment.score import Score
from symscope.alignment.search import Found, Question, SearchOptions, search
from symscope.alignment.unseen import Unseen, UnseenDraws, draw_unseen
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interventions import (
    Interventions,
    Prepared,
    arbitrary_labels,
    draw_interventions,
    prepare,
    relabel,
    wanted_states,
)
from symscope.networks import Network
from symscope.seeds import generator

Asked = tuple[tuple[str, ...], int]
"""Variables that share one map, and the dimensions given to each of them."""
Scores = Mapping[tuple[str, int], Score]
"""By variable and k."""


@dataclass(frozen=True)
class _Draws:
    """Interventions on one variable to fit to, to choose by and to test on, drawn apart."""

    train: Interventions
    validation: Interventions
    test: UnseenDraws


@dataclass(frozen=True)
class _Sets:
    """The same on one network."""

    train: Prepared
    validation: Prepared
    test: Unseen
    targets: Float[Tensor, "train state"] | None


def find(  # noqa: PLR0913  (the whole question in one call; all but four have a default)
    network: Network,
    algorithm: Algorithm,
    variables: Sequence[str],
    k: int | Sequence[int],
    *,
    function: str = "orthogonal",
    function_options: Mapping[str, Any] | None = None,
    together: bool = False,
    seed: int = 0,
    site: str | None = None,
    untrained: Network | Sequence[Network] = (),
    counts: tuple[int, int, int] = (10_000, 1_000, 1_000),
    options: SearchOptions | None = None,
    on_validation: Callable[[str, int, list[float]], None] | None = None,
) -> list[Evidence]:
    """Searches alignments of variables in a trained network, and tests them beside their controls.

    The controls that are searched have the same function, k, draws and rules to stop by, and share the number of starts
    among them, at least one each. The variable with arbitrary labels is one more question in the same program, which
    ends when the variable's own does. Untrained networks share the steps that the found alignment took among them, at
    least one validation each.

    Args:
        network: the trained network; its weights are not changed.
        algorithm: the algorithm, for the network's task.
        variables: names of the variables to look for.
        k: dimensions given to a variable; of several, each is searched. They share one program.
        function: the alignment function, one of `FUNCTIONS`.
        function_options: its options.
        together: look for all variables in one map, each in a block of k dimensions of its own, so that no two take the
            same; default: for each by itself.
        seed: of the draws and starts.
        site: where to look; default: the network's `default_site`.
        untrained: networks of the same shape with fresh weights; the same search on each becomes a control.
        counts: interventions to draw for the search, for the choice among starts and steps, and for the test.
        options: how to search.
        on_validation: called with what is searched ("trained", then "untrained" or "untrained 1" ...), the step, and
            each question's best validation IIA so far.

    Returns:
        Evidence for each variable and, within it, each k, in the order given.

    Raises:
        UnknownNameError: a variable or site that does not exist.
        InvalidArgumentError: a k below 1 or above the state's width, or nothing to look for.
        NonFiniteError: a loss or state is not finite.
    """
    site = network.default_site if site is None else site
    network.check_site(site)
    names, sizes = algorithm.check_variables(variables), [k] if isinstance(k, int) else list(k)
    if not names or not sizes:
        raise InvalidArgumentError("nothing to look for: name at least one variable and one k")
    others = _named(untrained, network)
    groups = [tuple(names)] if together else [(name,) for name in names]
    asked = [(group, size) for group in groups for size in sizes]
    ask = _Inquiry(
        algorithm, asked, function, function_options or {}, seed, site, options or SearchOptions(), on_validation
    )
    fewer = max(ask.options.starts // (1 + len(others)), 1)

    draws = {name: _draw(algorithm, name, seed, counts) for name in names}
    sets = ask.sets(network, draws)
    labelled = ask.sets(network, {name: _relabelled(algorithm, draws[name], seed) for name in names})
    beside = ask.questions(labelled, starts=fewer, until=range(len(asked)))
    both = ask.search("trained", network, [*ask.questions(sets), *beside])
    found, shuffled = both[: len(asked)], both[len(asked) :]
    controls = {SHUFFLED: ask.scores(SHUFFLED, labelled, shuffled)}
    for name, fresh in others.items():
        theirs, steps = ask.sets(fresh, draws), [-(-one.step // len(others)) for one in found]
        reached = ask.search(name, fresh, ask.questions(theirs, starts=fewer, steps=steps), found)
        controls[name] = ask.scores(name, theirs, reached)

    answers = {(name, size): one for (group, size), one in zip(asked, found, strict=True) for name in group}
    evidence = []
    for name, size in ((name, size) for name in names for size in sizes):
        one, own = answers[name, size], sets[name]
        chance = generator(seed, "random subspace", size)
        company = {control: scores[name, size] for control, scores in controls.items()}
        company |= subspace_controls(network, size, own.train, own.validation, own.test, chance)
        examined = own.test.examine(f"found, k = {size}", one.functions[name])
        told = one.start, one.steps, one.validation_iia, draws[name].test.test.redrawn
        evidence.append(Evidence(algorithm.name, name, site, one.functions[name], *told, examined, company))
    return evidence


@dataclass(frozen=True)
class _Inquiry:
    """The same questions, to one network after another."""

    algorithm: Algorithm
    asked: Sequence[Asked]
    function: str
    function_options: Mapping[str, Any]
    seed: int
    site: str
    options: SearchOptions
    on_validation: Callable[[str, int, list[float]], None] | None

    def sets(self, network: Network, draws: Mapping[str, _Draws]) -> dict[str, _Sets]:
        """The drawn interventions of each variable on a network."""
        return {name: self._on(network, own) for name, own in draws.items()}

    def questions(
        self,
        sets: Mapping[str, _Sets],
        starts: int | None = None,
        steps: Sequence[int] | None = None,
        until: Sequence[int] | None = None,
    ) -> list[Question]:
        """What is asked, of these interventions; limits of each question as `Question` has them."""
        return [
            Question(
                train={name: sets[name].train for name in group},
                validation={name: sets[name].validation for name in group},
                mask=Blocks(dict.fromkeys(group, size)),
                seed=self.seed,
                function=self.function,
                options=self.function_options,
                targets={name: there for name in group if (there := sets[name].targets) is not None} or None,
                starts=starts,
                steps=None if steps is None else max(steps[number], self.options.validate_every),
                until=None if until is None else until[number],
            )
            for number, (group, size) in enumerate(self.asked)
        ]

    def search(
        self, which: str, network: Network, questions: Sequence[Question], before: Sequence[Found] = ()
    ) -> list[Found]:
        """Searches; should it come to nothing, `before` is what an earlier search has found, and not lost with it."""
        many = len(self.asked)

        def seen(step: int, best: list[float]) -> None:
            if self.on_validation:
                self.on_validation(which, step, best[:many])

        try:
            return search(network, questions, self.options, seen)
        except NonFiniteError as error:
            named = ", ".join(
                f"{number}: {' and '.join(group)} with k = {size}{', shuffled values' if number >= many else ''}"
                for number, (group, size) in enumerate([*self.asked, *self.asked][: len(questions)])
            )
            best = list(before or error.best)[:many]
            raise NonFiniteError(f"search on {which} ({named}): {error}", best) from error

    def scores(self, control: str, sets: Mapping[str, _Sets], found: Sequence[Found]) -> Scores:
        """What a control's alignments score on its own test interventions."""
        return {
            (name, size): sets[name].test.score(f"{control}, k = {size}", one.functions[name])
            for (group, size), one in zip(self.asked, found, strict=True)
            for name in group
        }

    def _on(self, network: Network, draws: _Draws) -> _Sets:
        train, validation = (prepare(network, part, self.site) for part in (draws.train, draws.validation))
        targets = _targets(self.algorithm, draws.train, train, self.seed) if self.options.latent_weight else None
        return _Sets(train, validation, Unseen(network, draws.test, self.site), targets)


def _named(untrained: Network | Sequence[Network], network: Network) -> dict[str, Network]:
    """Untrained networks by the names of their controls."""
    fresh = [untrained] if isinstance(untrained, Network) else list(untrained)
    for one in fresh:
        if (one.architecture, one.sites) != (network.architecture, network.sites):
            raise InvalidArgumentError(
                f"the untrained network must have the shape of the trained one: {one.architecture}, sites "
                f"{dict(one.sites)}, is not {network.architecture}, sites {dict(network.sites)}"
            )
    return {UNTRAINED if len(fresh) == 1 else f"{UNTRAINED} {number}": one for number, one in enumerate(fresh, 1)}


def _draw(algorithm: Algorithm, variable: str, seed: int, counts: tuple[int, int, int]) -> _Draws:
    train, validation = (
        draw_interventions(
            algorithm, [variable], count, generator(seed, "interventions", algorithm.name, variable, purpose)
        )
        for purpose, count in zip(("train", "validation"), counts[:2], strict=True)
    )
    return _Draws(train, validation, draw_unseen(algorithm, variable, counts[2], seed))


def _relabelled(algorithm: Algorithm, draws: _Draws, seed: int) -> _Draws:
    """The same draws, the variable's values standing for others, the same ones in all."""
    chance = generator(seed, "labels", algorithm.name, *draws.train.variables)
    labels = arbitrary_labels(draws.train, chance)
    train, validation, test = (
        relabel(algorithm, part, labels, chance) for part in (draws.train, draws.validation, draws.test.test)
    )
    return _Draws(train, validation, UnseenDraws.of(algorithm, test))


def _targets(algorithm: Algorithm, drawn: Interventions, prepared: Prepared, seed: int) -> Float[Tensor, "train state"]:
    """A natural state with the wanted values for each intervention, for the counterfactual-latent loss."""
    rows = wanted_states(algorithm, drawn, generator(seed, "targets", *drawn.variables))
    natural = prepared.natural_states()
    targets = natural[rows.clamp(min=0).to(natural.device)]
    return targets.masked_fill((rows < 0).to(natural.device)[:, None], math.nan)
