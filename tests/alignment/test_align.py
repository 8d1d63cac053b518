"""Results of searches on networks whose answer is known: controls, diagnostics, and files without loss."""

from dataclasses import dataclass, replace

import pytest
import torch
from tests.alignment.examples import (
    ALGORITHM,
    BRIEF,
    FEW,
    QUICK,
    TASK,
    TINY,
    align_orthogonal,
    cached,
    hidden,
    problem,
    scrambled,
    searched,
)
from torch import nn

import symscope as sc
from symscope.algorithms import UpUp
from symscope.alignment import (
    AlignmentFunction,
    ComputedControl,
    Oblique,
    Orthogonal,
    PrincipalComponents,
    RandomSubspace,
    Results,
    SearchedControl,
    ShuffledLabels,
    SingleNeurons,
    TestSet,
    Untrained,
    _training_set,
    evaluate,
    fit,
    neurons,
    subspace,
    whole_state,
)
from symscope.alignment._neurons import rank_neurons
from symscope.alignment.controls import DEFAULT_CONTROLS, control_kind
from symscope.analysis.schemas import NULL_CONTROLS
from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.interchange import counterfactuals
from symscope.networks import magnitude_network, two_counts_network
from symscope.seeds import generator
from symscope.statistics import paired_difference
from symscope.training.checkpoints import save_tensors

D = 6


@pytest.fixture(scope="module")
def results() -> Results:
    controls = [*DEFAULT_CONTROLS, Untrained([scrambled(0), scrambled(1)])]
    return align_orthogonal(hidden().network, ALGORITHM, ["count", "phase"], 1, controls=controls, options=QUICK, **FEW)


def test_a_variable_that_the_network_holds_is_above_every_control(results):
    assert list(results) == ["count", "phase"]
    for result in results.values():
        metrics = result.metrics
        assert result.iia >= 0.98, str(result)
        assert list(result.controls) == [
            "shuffled_labels", "random_subspace", "principal_components", "neurons", "whole_state", "untrained 1",
            "untrained 2",
        ]  # fmt: skip
        assert {control_kind(name) for name in result.null_controls} == set(NULL_CONTROLS)
        assert set(result.paired_controls) == set(result.controls) - {"shuffled_labels"}
        assert min(metrics.informative.iia, metrics.cause.iia, metrics.isolation.iia) >= 0.95
        assert all(part.iia > 0.8 for part in metrics.by_value.values())
        assert sum(part.n for part in metrics.by_value.values()) == result.score.n == 400
        assert result.trial_accuracy == 1
        assert result.warnings == []
        nearest, above = result.selectivity
        assert nearest in result.null_controls
        assert 0 < above.low <= above.value <= above.high
        assert result.measurement.null_high == max(result.controls[name].high for name in result.null_controls)
    assert set(results["count"].metrics.by_value) <= set(range(21))
    assert set(results["phase"].metrics.by_value) == {0, 1}


def test_selectivity_is_measured_from_the_nearest_null_control(results):
    count = results["count"]
    null_controls = {name: count.controls[name] for name in ("untrained 1", "random_subspace")}
    few = replace(count, controls={**null_controls, "whole_state": count.score}, null_controls=tuple(null_controls))
    nearest, above = few.selectivity
    best = max(null_controls, key=lambda name: null_controls[name].iia)
    assert nearest == best
    assert above.value == pytest.approx(count.iia - null_controls[best].iia)
    both = [paired_difference(count.score.correct.numpy(), part.correct.numpy()) for part in null_controls.values()]
    assert above.low == min(difference.low for difference in both)
    none = replace(count, controls={"whole_state": count.score}, null_controls=())
    assert none.selectivity is None
    assert none.verdict.word == "no control"
    below = replace(count, controls={"untrained 1": count.score}, null_controls=("untrained 1",))
    assert below.warnings == ["not above the control untrained 1"]


def evaluated(constructed, algorithm, variable, alignment):
    data = counterfactuals(algorithm, variable, n_train=1, n_validation=1, n_test=500)
    return TestSet(constructed.network, data, variable, "h").evaluate("known", {variable: alignment})


@pytest.mark.parametrize("make", [magnitude_network, two_counts_network])
def test_a_swap_of_the_whole_state_has_cause_and_no_isolation_and_no_divergence(make):
    constructed = make(**TASK.roles, d=D)
    algorithm = ALGORITHM if make is magnitude_network else UpUp(TASK)
    for variable in constructed.writes:
        metrics = evaluated(constructed, algorithm, variable, whole_state(D))
        assert (metrics.cause.iia, metrics.isolation.iia) == (1, 0)
        assert metrics.informative.iia == 0
        assert metrics.divergence.nearest == pytest.approx(0, abs=1e-3)


def assert_equal(first, second):
    """Two results are the same, bit for bit."""
    states = torch.randn(2, 7, D, generator=generator(0))
    assert repr(first) == repr(second)
    for name in ("hypothesis", "variable", "site", "k", "function", "restart", "total_steps", "validation_iia",
                 "rejection_rate", "null_controls", "paired_controls", "trial_accuracy", "measurement"):  # fmt: skip
        assert getattr(first, name) == getattr(second, name)
    assert first.alignments.keys() == second.alignments.keys()
    for name, alignment in first.alignments.items():
        assert alignment.function == second.alignments[name].function
        for tensors in zip(alignment.tensors, second.alignments[name].tensors, strict=True):
            assert torch.equal(*tensors)
        assert torch.equal(alignment.swap(*states), second.alignments[name].swap(*states))
    for name in ("informative", "cause", "isolation"):
        assert (getattr(first.metrics, name) is None) == (getattr(second.metrics, name) is None)
    pairs = [(first.score, second.score)]
    for parts in ((first.controls, second.controls), (first.metrics.by_value, second.metrics.by_value)):
        assert list(parts[0]) == list(parts[1])
        pairs += [(part, parts[1][name]) for name, part in parts[0].items()]
    for score, same in pairs:
        assert torch.equal(score.correct, same.correct)
        assert (score.iia, score.low, score.high, score.n) == (same.iia, same.low, same.high, same.n)
    assert first.metrics.divergence == second.metrics.divergence
    assert first.naturalness == second.naturalness


def test_results_are_saved_and_loaded_bit_for_bit(results, tmp_path):
    path = str(tmp_path / "results.safetensors")  # a text path, not a Path
    results.save(path)
    loaded = sc.load(path)
    for first, second in zip(results.all, loaded.all, strict=True):
        assert_equal(first, second)
    assert repr(results) == repr(loaded)
    assert results.table().equals(loaded.table())
    save_tensors(tmp_path / "damaged.safetensors", {"x": torch.zeros(1)}, {"kind": "results"})
    with pytest.raises(CheckpointError, match="does not hold results that can be read"):
        sc.load(tmp_path / "damaged.safetensors")


def test_results_that_share_variable_and_k_are_all_kept(tmp_path):
    """Of two functions, two algorithms, two seeds, and of a joint map."""
    network, brief = hidden().network, {"options": BRIEF, "controls": [], **TINY}
    functions = [Orthogonal(), Oblique(coordinates="standardised")]
    parts = [
        *align_orthogonal(network, ALGORITHM, "phase", 2, function=functions, **brief).all,
        *align_orthogonal(network, UpUp(TASK), "phase", 2, **brief).all,
        *align_orthogonal(network, ALGORITHM, "phase", 2, seed=1, **brief).all,
        *align_orthogonal(network, ALGORITHM, ["phase", "count"], 2, joint=True, function=sc.Reversible(), **brief).all,
    ]
    Results([*parts, parts[0]]).save(tmp_path / "results.safetensors")
    loaded = sc.load(tmp_path / "results.safetensors")
    for first, second in zip([*parts, parts[0]], loaded.all, strict=True):
        assert_equal(first, second)
    assert [result.function for result in loaded.all][:2] == ["orthogonal", "oblique-standardised"]
    with pytest.raises(InvalidArgumentError, match=r"6 results of 'phase' with k = 2.*`results.all`"):
        loaded["phase", 2]
    assert loaded["count", 2].function == "reversible"


def test_what_is_printed_can_be_understood(results):
    text = str(results["count"])
    for part in (
        "count of up-down at h, k = 1 (orthogonal): IIA 1.000 (95% interval",
        "the network without an intervention: 1.000 of sequences correct",
        "above the nearest null control, ",
        "worst source value, ",
        "cause, where only the variable differs: IIA",
        "isolation, where only the rest differs: IIA",
        "of the norm off the natural span, ",
        "farther out than natural states (natural ",
        "times the natural distance to states of the same values",
        "control whole_state: IIA",
    ):
        assert part in text
    dormant = replace(results["count"], naturalness=replace(results["count"].naturalness, dormant_share=0.9))
    assert "90% of the effect dormant" in str(dormant)
    assert dormant.verdict.word == "off-manifold"
    transfers = replace(results["count"].metrics, isolation=results["count"].controls["whole_state"])
    assert "WARNING: the swap transfers more than the variable" in str(replace(results["count"], metrics=transfers))


def test_the_print_of_results_is_short(results):
    four = Results([replace(result, k=k) for result in results.all for k in (1, 2)])
    for text in (repr(four), str(four)):
        assert len(text) < 2000
        assert "tensor" not in text
        assert "count: IIA 1.000" in text
        assert "best of 2 alignments" in text
    assert "tensor" not in repr(results["count"].alignment)


def test_the_table_has_a_row_for_each_score_and_the_worst_kind_of_untrained_networks(results):
    table = results.table()
    rows = table.filter(table["variable"] == "count")
    assert rows["control"].to_list() == [
        "none", "shuffled_labels", "random_subspace", "principal_components", "neurons", "whole_state", "untrained",
    ]  # fmt: skip
    count = results["count"]
    assert rows["iia"][0] == count.iia
    assert rows["iia"][-1] == max(count.controls[name].iia for name in ("untrained 1", "untrained 2"))
    assert rows["selectivity"][0] == count.selectivity[1].value


def test_each_metric_is_taken_from_test_interventions_once():
    constructed = magnitude_network(**TASK.roles)
    data = counterfactuals(ALGORITHM, "count", n_train=1, n_validation=1, n_test=50)
    test = TestSet(constructed.network, data, "count", "h")
    known = {"count": subspace(constructed.writes["count"])}
    assert test.score("known", known).iia == 1
    assert test.score("everything", {"count": whole_state(2)}).n == 50
    for take in (test.score, test.evaluate):
        with pytest.raises(InvalidArgumentError, match="already given the metric 'known'; choose on validation"):
            take("known", known)


def test_a_search_does_not_take_test_interventions():
    network = hidden().network
    train = cached(network, "count", 50, "train")
    data = counterfactuals(ALGORITHM, "count", n_train=1, n_validation=1, n_test=50)
    test = TestSet(network, data, "count", "h")
    with pytest.raises(Exception, match=r"(?i)type|attribute"):
        searched(network, [problem("count", k=1)], {"count": (train, test)}, QUICK)


def test_other_data_gives_other_test_interventions_to_the_alignment_and_its_controls():
    network = hidden().network
    data, fresh = (counterfactuals(ALGORITHM, "count", seed=seed, **TINY) for seed in (0, 1))
    fitted = fit(network, data, 1, controls=[RandomSubspace(), Untrained(scrambled(0))], options=BRIEF)
    for test_data in (data, fresh):
        result = evaluate(fitted, test_data)["count"]
        for control in fitted.controls:
            test = TestSet(control.network, test_data, "count", "h")
            score = test.score("again", control.alignments["count", 1])
            assert torch.equal(result.controls[control.name].correct, score.correct)


def test_neurons_are_found_where_the_variable_is_in_neurons():
    network = magnitude_network(**TASK.roles, d=D).network
    for variable, unit in (("count", 0), ("phase", 1)):
        assert rank_neurons(network, cached(network, variable, 300, "validation"))[0] == unit


def test_neurons_of_several_k_are_ranked_once_and_are_the_first_of_one_order(monkeypatch):
    ranked, network, data = [], hidden().network, counterfactuals(ALGORITHM, ["count", "phase"], **TINY)
    monkeypatch.setattr(_training_set, "rank_neurons", lambda *given: ranked.append(rank_neurons(*given)) or ranked[-1])
    (control,) = fit(network, data, [1, 2], controls=[SingleNeurons()], options=BRIEF).controls
    assert len(ranked) == 2
    for (variable, k), alignments in control.alignments.items():
        write, _ = alignments[variable].tensors
        assert write.argmax(0).tolist() == ranked[variable == "phase"][:k]
        assert write.sum() == k


def test_a_search_within_the_natural_span_never_leaves_it():
    within = Oblique(coordinates="natural-span")
    result = align_orthogonal(hidden(12).network, ALGORITHM, "count", 1, function=within, options=QUICK, **FEW)["count"]
    assert result.iia > 0.95
    assert result.naturalness.off_span_share < 0.01
    assert result.naturalness.dormant_share == 0


def test_controls_take_no_more_steps_than_the_search():
    steps = {}

    def note(name, values):
        steps[name] = values["step"]
        assert list(values) == ["step", "count.k1", "phase.k1"]  # the two variables, not their controls

    controls = [ShuffledLabels(), Untrained([scrambled(0), scrambled(1)])]
    fitted = fit(hidden().network, counterfactuals(ALGORITHM, ["count", "phase"], **TINY), 1, controls=controls,
                 options=QUICK, on_step=note)  # fmt: skip
    assert set(steps) == {"alignment", "untrained 1", "untrained 2"}
    assert 0 < steps["untrained 1"] <= steps["alignment"] / 2 + QUICK.validate_every
    assert steps["untrained 2"] == steps["untrained 1"]
    shuffled = fitted.controls[0]
    assert shuffled.name == "shuffled_labels"
    for key, search in shuffled.searches.items():
        assert search.total_steps <= fitted.searches[key].total_steps
    assert repr(fitted) == (
        "FittedAlignments(oblique-natural-span at h: count (k = 1), phase (k = 1); controls: shuffled_labels, "
        "untrained 1, untrained 2)"
    )


def test_an_alignment_does_not_depend_on_its_controls():
    data = counterfactuals(ALGORITHM, "count", n_train=500, n_validation=200, n_test=10)
    options = replace(QUICK, steps=200)
    alone, beside = (
        fit(hidden().network, data, 1, controls=controls, options=options) for controls in ([], [ShuffledLabels()])
    )
    key = ("count", 1)
    for name in ("restart", "best_step", "total_steps"):
        assert getattr(alone.searches[key], name) == getattr(beside.searches[key], name)
    pair = (fitted.alignments[key]["count"].tensors for fitted in (alone, beside))
    torch.testing.assert_close(*pair, atol=1e-4, rtol=1e-4)


def test_variables_in_one_map_do_not_overlap():
    results = align_orthogonal(hidden().network, ALGORITHM, ["count", "phase"], 1, joint=True, options=QUICK, **FEW)
    count, phase = results["count"], results["phase"]
    assert min(count.iia, phase.iia) >= 0.98
    assert (count.restart, count.total_steps) == (phase.restart, phase.total_steps)
    (write, read), (write_phase, read_phase) = count.alignment.tensors, phase.alignment.tensors
    assert max((read_phase @ write).abs().max(), (read @ write_phase).abs().max()) < 1e-5
    assert count.controls.keys() == phase.controls.keys()


def test_a_learned_mask_and_an_initial_frame_are_reached_from_align():
    constructed = hidden()
    learned = align_orthogonal(
        constructed.network, ALGORITHM, "count", 6, mask=sc.BoundaryMask(), options=BRIEF, **TINY
    )
    assert learned["count", 6].alignment.k == 5  # the boundary starts at four fifths
    frame = constructed.writes["count"]
    started = align_orthogonal(
        constructed.network, ALGORITHM, "count", 1, initial_frame=frame, controls=[], options=BRIEF, **TINY
    )
    assert (started["count"].validation_iia, started["count"].restart) == (1, 0)


@dataclass(frozen=True)
class FirstNeurons(ComputedControl):
    """A user's computed control: the first k neurons."""

    name, is_null = "first_neurons", True

    def alignment(self, interventions, k, generator):
        return neurons(interventions.train.base_states.shape[1], range(k))


@dataclass(frozen=True)
class OtherPhase(SearchedControl):
    """A user's searched control: the same bases, with the sources of the interventions in reversed order."""

    name = "reversed_sources"

    def subjects(self, network, data):
        def reverse(drawn):
            rows = torch.arange(len(drawn)).flip(0)
            return replace(drawn, sources=tuple(source.select(rows) for source in drawn.sources))

        splits = {
            split: {name: reverse(drawn) for name, drawn in getattr(data, split).items()}
            for split in ("train", "validation", "test")
        }
        return {self.name: (network, replace(data, **splits, cause={}, isolation={}))}


def test_a_users_own_controls_appear_in_results(tmp_path):
    controls = [FirstNeurons(), OtherPhase()]
    results = align_orthogonal(
        hidden().network, ALGORITHM, ["count", "phase"], [1, 2], controls=controls, options=QUICK, **FEW
    )
    for result in results.all:
        assert list(result.controls) == ["first_neurons", "reversed_sources"]
        assert result.null_controls == ("first_neurons", "reversed_sources")
        assert result.paired_controls == ("first_neurons",)
        assert result.score.low > result.controls["first_neurons"].high
    assert results["count"].score.low > results["count"].controls["reversed_sources"].high
    assert set(results.table()["control"]) == {"none", "first_neurons", "reversed_sources"}
    results.save(tmp_path / "own.safetensors")
    assert_equal(sc.load(tmp_path / "own.safetensors")["phase", 2], results["phase", 2])


@dataclass(frozen=True)
class OfAnotherVariable(SearchedControl):
    name = "another"

    def subjects(self, network, data):
        return {self.name: (network, counterfactuals(ALGORITHM, "phase", **TINY))}


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (
            [Untrained(scrambled(0)), Untrained(scrambled(1))],
            r"got twice: untrained\. .*Untrained\(\[first, sec",
        ),
        ([RandomSubspace(), PrincipalComponents(), RandomSubspace()], "got twice: random_subspace"),
        ([OfAnotherVariable()], "control 'another' needs interventions on count, .* it has interventions on phase"),
        ([Untrained(hidden(5).network)], "architecture of the trained one"),
    ],
)
def test_controls_that_do_not_fit_are_refused(controls, message):
    with pytest.raises(InvalidArgumentError, match=message):
        align_orthogonal(hidden().network, ALGORITHM, "count", 1, controls=controls, options=BRIEF, **TINY)


@dataclass(frozen=True, kw_only=True)
class Cubes(AlignmentFunction):
    """A user's non-linear function: a rotated frame whose coordinates are cubed and scaled."""

    name = "cubes"
    scale: float = 1.0

    def initialise(self, d, k, start, generator):
        matrix = torch.randn(d, d, generator=generator)
        if start is not None:
            matrix = torch.cat([start[0].detach(), matrix[:, k:]], 1)
        return (nn.Parameter(matrix),)

    def _encode(self, tensors, states):
        rotated = states @ torch.linalg.qr(tensors[0]).Q
        return self.scale * rotated + 0.1 * rotated**3

    def swap_batched(self, tensors, k, base, source, weights):
        frames = torch.linalg.qr(tensors[0]).Q
        moved = ((source - base) @ frames)[..., :k]
        return base + (moved if weights is None else moved * weights) @ frames[..., :k].mT

    def read_batched(self, tensors, k, states):
        return self._encode(tensors, states)[..., :k]

    def width(self, tensors):
        return len(tensors[0])


@pytest.mark.parametrize("coordinates", ["state", "centred"])
def test_a_users_own_non_linear_function_is_fitted_saved_and_loaded(coordinates, tmp_path):
    function = Cubes(scale=2.0, coordinates=coordinates)
    controls = [ShuffledLabels()]
    results = align_orthogonal(
        hidden().network, ALGORITHM, "count", 1, function=function, controls=controls, options=QUICK, **FEW
    )
    assert results["count"].iia >= 0.95
    assert results["count"].function == function.label
    path = tmp_path / "own.safetensors"
    results.save(path)
    assert_equal(sc.load(path, classes=[Cubes])["count"], results["count"])
    with pytest.raises(CheckpointError, match=r"class 'Cubes', which symscope does not have.*classes=\[Cubes\]"):
        sc.load(path)


def test_single_neurons_leave_no_gradients_and_no_mode_behind():
    network = hidden().network.train()
    data = counterfactuals(ALGORITHM, "count", **TINY)
    fit(network, data, 1, controls=[SingleNeurons()], options=BRIEF)
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
