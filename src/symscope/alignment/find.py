"""The question in one call: where in this network are these variables, and what speaks against it?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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

Asked = tuple[str, int]
"""A variable, and the dimensions given to it."""


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
    seed: int = 0,
    site: str | None = None,
    untrained: Network | Sequence[Network] = (),
    counts: tuple[int, int, int] = (10_000, 1_000, 1_000),
    options: SearchOptions | None = None,
    on_validation: Callable[[str, int, list[float]], None] | None = None,
) -> list[Evidence]:
    """Searches alignments of variables in a trained network, and tests them beside their controls.

    The controls that are searched (the variable with arbitrary labels, and each untrained network) have the same
    function, k and draws, take no more steps than the search itself did, and share its number of starts among them, at
    least one each.

    Args:
        network: the trained network; its weights are not changed.
        algorithm: the algorithm, for the network's task.
        variables: names of the variables to look for, each on its own.
        k: dimensions given to a variable; of several, each is searched. They share one program.
        function: the alignment function, one of `FUNCTIONS`.
        function_options: its options.
        seed: of the draws and starts.
        site: where to look; default: the network's `default_site`.
        untrained: networks of the same shape with fresh weights; the same search on each becomes a control.
        counts: interventions to draw for the search, for the choice among starts and steps, and for the test.
        options: how to search.
        on_validation: called with what is searched ("trained", "shuffled-values", "untrained"), the step, and each
            question's best validation IIA so far.

    Returns:
        Evidence for each variable and, within it, each k, in the order given.

    Raises:
        UnknownNameError: a variable or site that does not exist.
        InvalidArgumentError: a k below 1 or above the state's width, or nothing to look for.
        NonFiniteError: a loss or state is not finite.
    """
    options = options or SearchOptions()
    site = network.default_site if site is None else site
    network.check_site(site)
    names, sizes = algorithm.check_variables(variables), [k] if isinstance(k, int) else list(k)
    untrained = [untrained] if isinstance(untrained, Network) else list(untrained)
    for fresh in untrained:
        _check_shape(fresh, network)
    asked = [(variable, size) for variable in names for size in sizes]
    if not asked:
        raise InvalidArgumentError("nothing to look for: name at least one variable and one k")

    ask = partial(Question, function=function, options=function_options or {}, seed=seed)
    seeker = _Seeker(asked, ask, on_validation)
    draws = {name: _draw(algorithm, name, seed, counts) for name in names}
    sets = {name: _on(network, algorithm, draws[name], site, options, seed) for name in names}
    found = seeker.seek("trained", network, sets, options)

    searched = {SHUFFLED: (network, {name: _relabelled(algorithm, draws[name], seed) for name in names})}
    for number, fresh in enumerate(untrained, 1):
        searched[UNTRAINED if len(untrained) == 1 else f"{UNTRAINED} {number}"] = (fresh, draws)
    steps = max(seeker.latest, options.validate_every)
    budget = replace(options, steps=steps, starts=max(options.starts // len(searched), 1))
    controls: list[dict[str, Score]] = [{} for _ in asked]
    for name, (on, own) in searched.items():
        theirs = {v: _on(on, algorithm, own[v], site, budget, seed) for v in names}
        others = seeker.seek(name, on, theirs, budget, found)
        for (v, size), one, company in zip(asked, others, controls, strict=True):
            company[name] = theirs[v].test.score(f"{name}, k = {size}", one.function)
    for (v, size), company in zip(asked, controls, strict=True):
        own, chance = sets[v], generator(seed, "random subspace", size)
        company.update(subspace_controls(network, size, own.train, own.validation, own.test, chance))
    return [
        Evidence(
            algorithm.name,
            v,
            site,
            one.function,
            one.start,
            one.steps,
            one.validation_iia,
            draws[v].test.test.redrawn,
            sets[v].test.examine(f"found, k = {size}", one.function),
            company,
        )
        for (v, size), one, company in zip(asked, found, controls, strict=True)
    ]


@dataclass
class _Seeker:
    """The same questions to one network after another."""

    asked: Sequence[Asked]
    ask: Callable[..., Question]
    on_validation: Callable[[str, int, list[float]], None] | None
    latest: int = 0
    """The last step that a search came to."""

    def seek(
        self, which: str, on: Network, sets: Mapping[str, _Sets], options: SearchOptions, before: Sequence[Found] = ()
    ) -> list[Found]:
        """Searches; should it come to nothing, `before` is what an earlier search has found, and not lost with it."""

        def seen(step: int, best: list[float]) -> None:
            self.latest = step
            if self.on_validation:
                self.on_validation(which, step, best)

        questions = [
            self.ask(
                train={v: sets[v].train},
                validation={v: sets[v].validation},
                mask=Blocks({v: size}),
                targets=None if (targets := sets[v].targets) is None else {v: targets},
            )
            for v, size in self.asked
        ]
        try:
            return search(on, questions, options, seen)
        except NonFiniteError as error:
            named = ", ".join(f"{number}: {v} with k = {size}" for number, (v, size) in enumerate(self.asked))
            raise NonFiniteError(f"search on {which} ({named}): {error}", before or error.best) from error


def _check_shape(fresh: Network, network: Network) -> None:
    if (fresh.architecture, fresh.sites) != (network.architecture, network.sites):
        raise InvalidArgumentError(
            f"the untrained network must have the shape of the trained one: {fresh.architecture}, sites "
            f"{dict(fresh.sites)}, is not {network.architecture}, sites {dict(network.sites)}"
        )


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


def _on(network: Network, algorithm: Algorithm, draws: _Draws, site: str, options: SearchOptions, seed: int) -> _Sets:
    train, validation = prepare(network, draws.train, site), prepare(network, draws.validation, site)
    targets = _targets(algorithm, draws.train, train, seed) if options.latent_weight else None
    return _Sets(train, validation, Unseen(network, draws.test, site), targets)


def _targets(algorithm: Algorithm, drawn: Interventions, prepared: Prepared, seed: int) -> Float[Tensor, "train state"]:
    """A natural state with the wanted values for each intervention, for the counterfactual-latent loss."""
    rows = wanted_states(algorithm, drawn, generator(seed, "targets", *drawn.variables))
    natural = prepared.natural_states()
    targets = natural[rows.clamp(min=0).to(natural.device)]
    return targets.masked_fill((rows < 0).to(natural.device)[:, None], math.nan)
