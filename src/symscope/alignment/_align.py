"""Alignment search in one call: where in a network are the variables of an algorithm, and do swaps work?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

from symscope.algorithms import Algorithm, CausalGraph
from symscope.alignment._evaluate import evaluate
from symscope.alignment._fit import fit
from symscope.alignment._locate import BEST, locate
from symscope.alignment._problem import SearchOptions
from symscope.alignment.functions import AlignmentFunction, Oblique, Orthogonal
from symscope.alignment.results import Results
from symscope.errors import InvalidArgumentError
from symscope.interchange import (
    PAPER_PROTOCOL,
    CounterfactualData,
    InterventionProtocol,
    counterfactuals,
    stop_at,
)
from symscope.networks import Network, require_network
from symscope.progress import progress_bar
from symscope.tracking import OnStep, call_each, with_prefix

DEFAULT_SIZES = (2, 4, 8)
"""The k that are searched when none is given; the answer is chosen among them by `symscope.verdict.choose`."""
DEFAULT_FUNCTIONS = (Oblique(coordinates="natural-span"), Orthogonal(coordinates="natural-span"))
"""The alignment functions within the span of natural states that are searched when none is given."""


def align(  # noqa: PLR0913  (the whole question in one call; all but four have a default)
    network: Network,
    algorithm: Algorithm | CausalGraph | CounterfactualData,
    variables: str | Sequence[str] | None = None,
    k: SupportsIndex | Sequence[SupportsIndex] = DEFAULT_SIZES,
    *,
    function: AlignmentFunction | Sequence[AlignmentFunction] | None = None,
    n_train: SupportsIndex = 2_000,
    n_validation: SupportsIndex = 1_000,
    n_test: SupportsIndex = 1_000,
    seed: SupportsIndex = 0,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
    options: SearchOptions | None = None,
    site: str | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
    **fit_options: Any,
) -> Results:
    """Searches variables of an algorithm in a trained network, and tests the alignments together with their controls.

    The same in three steps: `counterfactuals` draws the interventions, `fit` searches, `evaluate` tests.

    Args:
        network: the trained network; its weights are not changed.
        algorithm: the algorithm, for the network's task; or a causal graph; or counterfactual data, such as that of a
            table, in which case nothing is drawn, and the counts, `seed` and `protocol` have no effect.
        variables: names of the variables; default: all of the graph or data.
        k: dimensions given to a variable; each of several is searched.
        function: the alignment function, or several that are searched one after another; default: `DEFAULT_FUNCTIONS`,
            oblique and orthogonal in the natural span, and as a reference the paper's orthogonal map of the state
            without restriction and without the counterfactual-latent loss.
        n_train: interventions to fit to.
        n_validation: interventions to choose by.
        n_test: interventions to report on.
        seed: fixes all draws and starts.
        protocol: where sequences stop, and how many demo tokens follow an intervention.
        options: how to search.
        site: where in the network; default: its `default_site`. `"best"`: the best site and position of `locate`, whose
            whole-state swaps use validation interventions.
        progress: show a progress bar in a terminal or notebook.
        on_step: called after each validation of a search, as in `fit`; where several functions are searched, the name
            begins with the label of the function: `orthogonal/alignment`.
        fit_options: further arguments of `fit`, such as `joint` and `controls`.

    Raises:
        UnknownNameError: a variable, site, token or position that does not exist.
        InvalidArgumentError: a k below 1 or above the width of the state, nothing to search, or another vocabulary.
        NonFiniteError: a loss or state is not finite.
    """
    options = options or SearchOptions()
    searches = [(choice, options) for choice in (function if isinstance(function, Sequence) else [function])]
    if function is None:
        searches = [(choice, options) for choice in DEFAULT_FUNCTIONS]
        searches.append((Orthogonal(), replace(options, latent_weight=0.0)))
    data = data_of(
        algorithm, variables, n_train=n_train, n_validation=n_validation, n_test=n_test, seed=seed, protocol=protocol
    )
    if site == BEST:
        best = locate(network, data, progress=progress).best
        site, data = best.site, stop_at(data, best.position)
    results = []
    with progress_bar(options.steps, visible=progress) as show:
        for choice, how in searches:
            prefix = f"{choice.label}/" if choice is not None and len(searches) > 1 else ""
            fitted = fit(
                network,
                data,
                k,
                function=choice,
                site=site,
                options=how,
                on_step=call_each(show, with_prefix(on_step, prefix)),
                **fit_options,
            )
            results += evaluate(fitted).all
    return Results(results, network=require_network(network), algorithm=data.algorithm)


def data_of(
    algorithm: Algorithm | CausalGraph | CounterfactualData, variables: str | Sequence[str] | None, **options: Any
) -> CounterfactualData:
    """The interventions on variables: given ones, or those that `counterfactuals` draws with these options.

    Raises:
        InvalidArgumentError: an algorithm, and no variables.
    """
    if isinstance(algorithm, CounterfactualData):
        return algorithm if variables is None else algorithm.select(variables)
    if variables is None and not isinstance(algorithm, CausalGraph):
        names = ", ".join(variable.name for variable in algorithm.variables)
        raise InvalidArgumentError(f"name variables of the algorithm: {names}")
    named = algorithm.internal if variables is None and isinstance(algorithm, CausalGraph) else variables or ()
    return counterfactuals(algorithm, named, **options)
