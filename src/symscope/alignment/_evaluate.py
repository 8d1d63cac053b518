"""From fitted alignments to results: test metrics, and the scores of the controls."""

from collections.abc import Mapping

from symscope.alignment._fitted import FittedAlignments, Key
from symscope.alignment.functions import Alignment
from symscope.alignment.result import AlignmentResult
from symscope.alignment.results import Results
from symscope.alignment.score import Score, follows_swap
from symscope.alignment.test_set import TestSet
from symscope.errors import UnknownNameError
from symscope.interchange import CounterfactualData, cache_states
from symscope.networks import NetworkIdentity


def evaluate(fitted: FittedAlignments, data: CounterfactualData | None = None) -> Results:
    """Tests fitted alignments and their controls.

    Args:
        fitted: what `fit` returns.
        data: other data whose test interventions are used, with the same variables; default: the data of the fit.
            Controls with other interventions than the main search (shuffled labels) keep theirs.

    Returns:
        A result for each variable and, within it, each k, in the order of the fit.

    Raises:
        UnknownNameError: the data has no interventions on a variable.
    """
    data = data or fitted.data
    for name in fitted.data.variables:
        if name not in data.test:
            raise UnknownNameError("variable of the data", name, data.test)
    tests = {name: TestSet(fitted.network, data, name, fitted.site) for name in fitted.data.variables}
    scores = {control.name: _scores(control, fitted, data, tests) for control in fitted.controls}
    complements = _complements(fitted, data)
    identity = NetworkIdentity.of(fitted.network)
    results = []
    for key, alignments in fitted.alignments.items():
        (name, k), search = key, fitted.searches[key]
        overwriting = {variable: alignments[variable] for variable in data.test[name].variables}
        controls = [control for control in fitted.controls if key in control.alignments]
        results.append(
            AlignmentResult(
                hypothesis=data.hypothesis,
                variable=name,
                site=fitted.site,
                alignments=overwriting,
                k=k,
                restart=search.restart,
                restarts=search.restarts,
                total_steps=search.total_steps,
                validation_iia=search.validation_iia,
                rejection_rate=data.test[name].rejection_rate,
                metrics=tests[name].evaluate(f"alignment, k = {k}", overwriting),
                controls={control.name: scores[control.name][key] for control in controls},
                unfitted_controls={c.name: c.unfitted[key] for c in fitted.controls if key in c.unfitted},
                null_controls=tuple(control.name for control in controls if control.is_null),
                paired_controls=tuple(control.name for control in controls if control.data is fitted.data),
                trial_accuracy=fitted.trial_accuracy,
                naturalness=fitted.naturalness.get(key),
                complement=complements.get(k),
                excluded=data.excluded.get(name),
                network=identity,
                protocol=data.protocol,
            )
        )
    return Results(results, network=fitted.network, algorithm=data.algorithm)


def _complements(fitted: FittedAlignments, data: CounterfactualData) -> dict[int, Score]:
    """For each k the score of the complement of all variables together.

    To take all variables from the source is to swap everything else into the source: it must behave as before.
    """
    every = data.every_variable
    if every is None:
        return {}
    cached, scores = None, {}
    for k in dict.fromkeys(k for _, k in fitted.alignments):
        keys = [(variable, k) for variable in every.variables]
        if all(key in fitted.alignments for key in keys):
            cached = cached or cache_states(fitted.network, every, fitted.site)
            alignments = {variable: fitted.alignments[variable, k][variable] for variable, _ in keys}
            scores[k] = Score.of(follows_swap(fitted.network, alignments, cached), every.cluster)
    return scores


def _scores(
    control: FittedAlignments, main: FittedAlignments, data: CounterfactualData, tests: Mapping[str, TestSet]
) -> dict[Key, Score]:
    """The scores of a control, in its network and on `data`; a control with other interventions is tested on these."""
    if control.data is not main.data:
        data = control.data
    if control.network is not main.network or control.data is not main.data:
        tests = {name: TestSet(control.network, data, name, control.site) for name, _ in control.alignments}

    def score(key: Key, alignments: Mapping[str, Alignment]) -> Score:
        return tests[key[0]].score(f"{control.name}, k = {key[1]}", alignments)

    return {key: score(key, alignments) for key, alignments in control.alignments.items()}
