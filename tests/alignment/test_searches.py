"""The searches of a fit: controls that cannot be fitted, and further restarts where a control is not clearly below."""

from dataclasses import replace

import torch
from tests.alignment.examples import ALGORITHM, BRIEF, FEW, QUICK, TINY, hidden, scrambled

import symscope as sc
from symscope.alignment import (
    DEFAULT_CONTROLS,
    Orthogonal,
    RandomSubspace,
    ShuffledLabels,
    TrainingPool,
    Untrained,
    WholeState,
    evaluate,
    fit,
)
from symscope.alignment._searches import Searches
from symscope.interchange import counterfactuals
from symscope.statistics import wilson


def test_a_control_that_cannot_be_fitted_is_reported_and_all_else_stays(tmp_path):
    """Untrained networks with the same state everywhere, a narrow natural span, NaN states, and none of these."""
    same, narrow, broken, fine = scrambled(0), scrambled(3), scrambled(1), hidden(seed=1).network
    with torch.no_grad():
        for parameter in same.parameters():
            parameter.zero_()
        next(iter(broken.parameters())).fill_(torch.nan)
    data, function = counterfactuals(ALGORITHM, "count", **TINY), Orthogonal(coordinates="natural-span")
    options = replace(BRIEF, init="random", more_restarts=0)
    controls = [*DEFAULT_CONTROLS, Untrained([same, narrow, broken, fine])]
    results = evaluate(fit(hidden().network, data, [1, 2], function=function, controls=controls, options=options))
    assert [result.k for result in results.all] == [1, 2]
    for result in results.all:
        assert {"shuffled_labels", "random_subspace", "untrained 4"} <= set(result.controls)
        reasons = dict(result.unfitted_controls)
        assert "states are all the same" in reasons.pop("untrained 1")
        assert "not all finite" in reasons.pop("untrained 3")
        assert ("untrained 2" in result.controls) == (result.k == 1)  # its natural span has one dimension
        assert set(reasons) == ({"untrained 2"} if result.k == 2 else set())
        assert not set(result.unfitted_controls) & {*result.null_controls, *result.controls}
        assert any(warning.startswith("untrained 1 could not be fitted: ") for warning in result.warnings)
    assert "1 to d = 1 dimensions" in results["count", 2].unfitted_controls["untrained 2"]
    results.save(tmp_path / "results.safetensors")
    loaded = sc.load(tmp_path / "results.safetensors")
    assert [r.unfitted_controls for r in loaded.all] == [r.unfitted_controls for r in results.all]


def test_a_control_that_diverges_does_not_end_the_search(monkeypatch):
    """The losses of the untrained network become NaN after its start, which stays unused."""
    original = TrainingPool.losses
    fresh = scrambled(0)

    def losses(self, *arguments):
        values = original(self, *arguments)
        return values * torch.nan if self._network is fresh else values

    monkeypatch.setattr(TrainingPool, "losses", losses)
    data = counterfactuals(ALGORITHM, ["count", "phase"], **TINY)
    fitted = fit(hidden().network, data, 1, controls=[Untrained(fresh), RandomSubspace()], options=BRIEF)
    untrained, random = fitted.controls
    assert untrained.alignments == {}
    assert all("not finite" in reason for reason in untrained.unfitted.values())
    assert set(untrained.unfitted) == set(random.alignments) == set(fitted.alignments) == {("count", 1), ("phase", 1)}


def test_a_search_that_a_control_beats_has_more_restarts(monkeypatch):
    data, controls = counterfactuals(ALGORITHM, ["count", "phase"], **FEW), [RandomSubspace(), ShuffledLabels()]
    options = replace(QUICK, steps=1, validate_every=1, restarts=1, init="random", more_restarts=2)
    network = hidden().network
    plain = fit(network, data, 1, function=Orthogonal(), controls=controls, options=replace(options, more_restarts=0))
    assert {search.restarts for search in plain.searches.values()} == {1}
    again = fit(network, data, 1, function=Orthogonal(), controls=controls, options=options)
    results = evaluate(again)
    assert {name: result.restarts for name, result in results.items()} == {"count": 3, "phase": 3}
    assert results.table().filter(control="none")["restarts"].to_list() == [3, 3]
    for key, search in again.searches.items():
        assert search.validation_iia >= plain.searches[key].validation_iia
        assert again.controls[1].searches[key].restarts == 3  # the control has as many
    # It is what a search with three restarts gives.
    three = fit(network, data, 1, function=Orthogonal(), controls=controls, options=replace(options, restarts=3))
    for key, search in again.searches.items():
        assert search.validation_iia == three.searches[key].validation_iia
    # Where the alignment is above every control there are no more, and only the beaten k is searched again.
    options = replace(options, init="least-squares")
    fitted = fit(network, data["count"], 1, function=Orthogonal(), controls=controls, options=options)
    assert fitted.searches["count", 1].restarts == 1
    monkeypatch.setattr(Searches, "is_above_controls", lambda _, key, __: key == ("count", 1))
    fitted = fit(network, data, [1, 2], function=Orthogonal(), controls=controls, options=options)
    assert {key: search.restarts for key, search in fitted.searches.items()} == {
        ("count", 1): 1, ("count", 2): 3, ("phase", 1): 3, ("phase", 2): 3,
    }  # fmt: skip
    assert list(fitted.alignments) == list(fitted.searches)


def test_a_control_beats_an_alignment_by_the_rule_of_the_verdict():
    """The lower end of the alignment's interval against the highest upper end of the null controls' intervals."""
    data = counterfactuals(ALGORITHM, ["count"], **FEW)
    run = Searches(Orthogonal(), "h", [1], False, None, None, replace(QUICK, steps=1), None)
    controls = [ShuffledLabels(), WholeState()]
    subjects = [control.subjects(hidden().network, data) if control.is_null else {} for control in controls]
    main = run.fit(hidden().network, data, controls, subjects)
    shuffled, whole = main.controls

    def above(iia, null_iia):
        search = replace(main.searches["count", 1], validation_iia=iia)
        control = replace(shuffled, is_null=True, searches={("count", 1): replace(search, validation_iia=null_iia)})
        return run.is_above_controls(
            ("count", 1), replace(main, searches={("count", 1): search}, controls=(control, whole))
        )

    for iia, null_iia in ((0.5, 0.3), (0.5, 0.45), (0.4, 0.4), (0.9, 0.1), (0.6, 0.47)):
        n = len(data.validation["count"]), len(shuffled.data.validation["count"])
        expected = wilson(round(iia * n[0]), n[0]).low > wilson(round(null_iia * n[1]), n[1]).high
        assert above(iia, null_iia) == expected
    assert run.is_above_controls(("count", 1), replace(main, controls=(whole,)))  # without a null control
