"""From counterfactual data to fitted alignments and their controls."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment._diagnostics import Naturalness, NaturalReference
from symscope.alignment._evaluate import evaluate
from symscope.alignment._fitted import MAIN, FittedAlignments, Key, merged, set_name
from symscope.alignment._locate import site_named
from symscope.alignment._problem import SearchOptions
from symscope.alignment._searches import Searches
from symscope.alignment._training_set import TrainingSet
from symscope.alignment.controls import DEFAULT_CONTROLS, ComputedControl, Control, SearchedControl, Subject
from symscope.alignment.functions import AlignmentFunction, Oblique, check_coordinates
from symscope.alignment.masks import BoundaryMask
from symscope.alignment.results import Results
from symscope.arguments import integer
from symscope.errors import InvalidArgumentError
from symscope.interchange import (
    CounterfactualData,
    cache_states,
    matches_counterfactual,
)
from symscope.networks import Network, require_network
from symscope.tracking import OnStep


@torch.inference_mode(False)
def fit(  # noqa: PLR0913  (all but three have a default)
    network: Network,
    data: CounterfactualData,
    k: SupportsIndex | Sequence[SupportsIndex],
    *,
    function: AlignmentFunction | None = None,
    site: str | None = None,
    joint: bool = False,
    mask: BoundaryMask | None = None,
    initial_frame: Float[Tensor, "state k"] | None = None,
    controls: Sequence[Control] = DEFAULT_CONTROLS,
    options: SearchOptions | None = None,
    on_step: OnStep | None = None,
) -> FittedAlignments:
    """Searches alignments of variables in a network, and fits the controls.

    Searched controls have the same function, sizes, draws and stopping rule. They divide the number of restarts among
    them, at least one for each. Those on the same network are fitted in the same batch and stop with the main search;
    other networks share the steps of the best alignment, at least one validation each. A control that cannot be fitted,
    because it diverges or its network has too narrow a natural span, is reported with the reason.

    An alignment that on validation interventions is not above every null control, by the rule of `symscope.verdict`, is
    searched again, and its controls with it, with `more_restarts` further restarts.

    Args:
        network: the trained network; its weights are not changed.
        data: the interventions.
        k: dimensions given to a variable; each of several is searched.
        function: the alignment function; default: `Oblique(coordinates="natural-span")`.
        site: where in the network; default: its `default_site`. `"best"`: where whole-state swaps transfer all
            variables best, on validation interventions (see `locate`).
        joint: search all variables in one map, each in its own block of k dimensions; default: each in its own map.
        mask: learn the size of each subspace, of at most k dimensions; default: exactly k.
        initial_frame: a matrix with orthonormal columns at which the first fit of each search starts.
        controls: what to compare with.
        options: how to search.
        on_step: called after each validation of a search with `alignment` or the name of a control, and values: `step`,
            and the best validation IIA so far of each alignment, such as `count.k4`.

    Raises:
        UnknownNameError: a site or coordinates that do not exist.
        InvalidArgumentError: a k that does not fit the state, another vocabulary, or two controls of one name.
        NonFiniteError: a loss or state is not finite; its `best` holds the best alignments up to there.
    """
    network, run = _prepared(
        network, data, k, function=function, site=site, joint=joint, mask=mask, initial_frame=initial_frame,
        options=options, on_step=on_step,
    )  # fmt: skip
    accuracy = uncut_accuracy(network, data, run.site)
    subjects = [c.subjects(network, data) if isinstance(c, SearchedControl) else {} for c in controls]
    _check_controls(controls, subjects, data)
    main = run.fit(network, data, controls, subjects)
    beaten = frozenset(key for key in main.alignments if not run.is_above_controls(key, main))
    if beaten and run.options.more_restarts:
        more = replace(run.options, restarts=run.options.restarts + run.options.more_restarts)
        main = merged(main, replace(run, options=more, only=beaten).fit(network, data, controls, subjects))
    fitted = tuple(control for control in main.controls if control.alignments or control.unfitted)
    return replace(_measured(main, run, accuracy), controls=fitted)


LATENT_WEIGHTS = (0.0, 0.1, 0.3, 1.0)
"""Weights of the counterfactual-latent loss along a frontier."""


@torch.inference_mode(False)
def frontier(  # noqa: PLR0913  (all but three have a default)
    network: Network,
    data: CounterfactualData,
    k: SupportsIndex | Sequence[SupportsIndex],
    *,
    latent_weights: Sequence[float] = LATENT_WEIGHTS,
    function: AlignmentFunction | None = None,
    site: str | None = None,
    joint: bool = False,
    options: SearchOptions | None = None,
    on_step: OnStep | None = None,
) -> dict[float, Results]:
    """The same search at several weights of the counterfactual-latent loss: how much IIA do natural states allow?

    A larger weight keeps rewritten states nearer to natural ones, and lowers the IIA. Each result has the IIA and the
    distance of its rewritten states (`metrics.divergence.mahalanobis`; natural: 1). The searches have no controls, and
    share the states of base and source and the closed-form start.

    Args:
        network: the trained network.
        data: the interventions.
        k: dimensions given to a variable; each of several is searched.
        latent_weights: the weights.
        function: the alignment function; default: `Oblique(coordinates="natural-span")`.
        site: where in the network, as in `fit`.
        joint: search all variables in one map.
        options: how to search; its `latent_weight` is replaced.
        on_step: called after each validation of a search with `alignment` or the name of a control, and values: `step`,
            and the best validation IIA so far of each alignment, such as `count.k4`.

    Returns:
        The results of each weight, in the order given.

    Raises:
        InvalidArgumentError: as in `fit`, or a negative weight.
        NonFiniteError: a loss or state is not finite.
    """
    network, run = _prepared(
        network, data, k, function=function, site=site, joint=joint, options=options, on_step=on_step
    )
    accuracy = uncut_accuracy(network, data, run.site)
    every = {weight: replace(run, options=replace(run.options, latent_weight=weight)) for weight in latent_weights}
    return {
        weight: evaluate(_measured(each.fit(network, data, (), ()), each, accuracy)) for weight, each in every.items()
    }


def _prepared(  # noqa: PLR0913  (those of `fit`)
    network: Network,
    data: CounterfactualData,
    k: SupportsIndex | Sequence[SupportsIndex],
    *,
    function: AlignmentFunction | None,
    site: str | None,
    joint: bool,
    options: SearchOptions | None,
    on_step: OnStep | None,
    mask: BoundaryMask | None = None,
    initial_frame: Float[Tensor, "state k"] | None = None,
) -> tuple[Network, Searches]:
    """The network and the searches of a fit, whose arguments are checked and have their defaults."""
    network = require_network(network, data.vocabulary)
    function, options = function or Oblique(coordinates="natural-span"), options or SearchOptions()
    site = site_named(network, data, site)
    sizes = _check(network, data, site, k, function)
    return network, Searches(function, site, sizes, joint, mask, initial_frame, options, on_step)


def _measured(main: FittedAlignments, run: Searches, accuracy: float | None) -> FittedAlignments:
    """Fitted alignments with the accuracy of the network and their naturalness."""
    return replace(main, trial_accuracy=accuracy, naturalness=_naturalness(main, run.sets))


def _check(
    network: Network,
    data: CounterfactualData,
    site: str,
    k: SupportsIndex | Sequence[SupportsIndex],
    function: AlignmentFunction,
) -> list[int]:
    """Checks arguments of `fit`; returns every k as a list."""
    network.check_site(site)
    check_coordinates(function.coordinates)
    if any(parameter.is_inference() for parameter in network.parameters()):
        raise InvalidArgumentError(
            "the network was made in torch.inference_mode(), so no gradient passes through it; make it outside, or use "
            "torch.no_grad() instead"
        )
    several = k if isinstance(k, Iterable) and getattr(k, "ndim", 1) > 0 else [k]  # arrays may hold a single number
    sizes = [integer(size, "k", 1) for size in several]
    if not data.variables or not sizes:
        raise InvalidArgumentError("nothing to search: name at least one variable and one k")
    return sizes


def _check_controls(
    controls: Sequence[Control], subjects: Sequence[Mapping[str, Subject]], data: CounterfactualData
) -> None:
    names = [MAIN, *(name for named in subjects for name in named)]
    names += [control.name for control in controls if isinstance(control, ComputedControl)]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InvalidArgumentError(
            f"each control needs a different name, and {MAIN!r} is taken; got twice: {', '.join(twice)}. Pass several "
            "untrained networks to a single control, Untrained([first, second])"
        )
    for named in subjects:
        for name, (_, interventions) in named.items():
            if interventions.variables != data.variables:
                raise InvalidArgumentError(
                    f"control {name!r} needs interventions on {', '.join(data.variables)}, as the main search has; it "
                    f"has interventions on {', '.join(interventions.variables)}"
                )


@torch.no_grad()
def uncut_accuracy(network: Network, data: CounterfactualData, site: str | None = None) -> float | None:
    """Share of sequences without an intervention that a network completes correctly; `None` where there are none.

    Each sequence stops after its first token and is resumed, so this also tests how the network is stopped and resumed.
    """
    if data.uncut is None:
        return None
    cached = cache_states(network, data.uncut, network.default_site if site is None else site)
    return float(matches_counterfactual(network, cached, cached.base_states).double().mean())


def _naturalness(main: FittedAlignments, sets: Mapping[str, TrainingSet]) -> dict[Key, Naturalness | None]:
    """The naturalness of the main alignments."""
    measured = {}
    for variables in main.data.variables:
        part, drawn = sets[set_name(MAIN, variables)], main.data.validation[variables]
        reference = NaturalReference(main.network, part.train, part.validation, drawn, list(main.data.value_names))
        for (name, size), alignments in main.alignments.items():
            if name == variables:
                measured[name, size] = reference.measure(alignments)
    return measured
