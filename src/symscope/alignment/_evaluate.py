"""From fitted alignments to results: test metrics, and the scores of the controls."""

from collections.abc import Mapping

from symscope.alignment._fit import FittedAlignments, Key
from symscope.alignment.functions import Alignment
from symscope.alignment.result import AlignmentResult
from symscope.alignment.results import Results
from symscope.alignment.score import Score
from symscope.alignment.test_set import TestSet
from symscope.interchange import CounterfactualData


def evaluate(fitted: FittedAlignments, data: CounterfactualData | None = None) -> Results:
    """Tests fitted alignments and their controls.

    Args:
        fitted: what `fit` returns.
        data: other data whose test interventions are used, with the same variables; default: those that came with the
            data of the fit. Controls with data of their own (shuffled labels) keep it.

    Returns:
        A result for each variable and, within it, each k, in the order of the fit.
    """
    data = data or fitted.data
    tests = {name: TestSet(fitted.network, data, name, fitted.site) for name in fitted.data.variables}
    scores = {control.name: _scores(control, fitted, tests) for control in fitted.controls}
    null_controls = tuple(control.name for control in fitted.controls if control.is_null)
    results = []
    for key, alignments in fitted.alignments.items():
        (name, k), search = key, fitted.searches[key]
        mine = {variable: alignments[variable] for variable in data.test[name].variables}
        results.append(
            AlignmentResult(
                hypothesis=data.hypothesis,
                variable=name,
                site=fitted.site,
                alignments=mine,
                k=k,
                restart=search.restart,
                total_steps=search.total_steps,
                validation_iia=search.validation_iia,
                rejection_rate=data.test[name].rejection_rate,
                metrics=tests[name].evaluate(f"alignment, k = {k}", mine),
                controls={control: by_key[key] for control, by_key in scores.items()},
                null_controls=null_controls,
                trial_accuracy=fitted.trial_accuracy,
            )
        )
    return Results(results)


def _scores(control: FittedAlignments, main: FittedAlignments, tests: Mapping[str, TestSet]) -> dict[Key, Score]:
    """The scores of a control: on the test interventions of the main alignments, or on those of its own subject."""
    if control.network is not main.network or control.data is not main.data:
        tests = {name: TestSet(control.network, control.data, name, control.site) for name in control.data.variables}

    def score(key: Key, alignments: Mapping[str, Alignment]) -> Score:
        return tests[key[0]].score(f"{control.name}, k = {key[1]}", alignments)

    return {key: score(key, alignments) for key, alignments in control.alignments.items()}
