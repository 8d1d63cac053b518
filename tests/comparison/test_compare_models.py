"""Model alignment search on networks whose variables are known."""

import pytest
import torch

import symscope as sc
from symscope.alignment import SearchOptions, fit
from symscope.alignment.functions import LinearFunction, Oblique, Orthogonal
from symscope.comparison import ComparedModel, RecordedStates, compare_models, minimal_dimensions
from symscope.comparison._compare_models import drawn_data
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import counterfactuals
from symscope.networks import (
    CONSTRUCTED,
    Network,
    change_basis,
    make_network,
    random_invertible,
    random_orthogonal,
)
from symscope.seeds import generator

TASK = sc.make_task("multi-object")
UP_DOWN, UP_UP = sc.make_algorithm("up-down", TASK), sc.make_algorithm("up-up", TASK)
OBLIQUE, ORTHOGONAL = Oblique(coordinates="natural-span"), Orthogonal(coordinates="natural-span")
D = 8
SMALL = {"n_train": 300, "n_validation": 100, "n_test": 100, "similarities": False, "progress": False}


def constructed(kind: str, seed: int, condition: float | None = None) -> Network:
    """A constructed network in an orthogonal change of basis, or in an invertible one of a condition number."""
    draws = generator(seed, "basis")
    matrix = random_orthogonal(D, draws) if condition is None else random_invertible(D, condition, draws)
    return change_basis(CONSTRUCTED[kind](d=D, **TASK.roles), matrix).network


def iias(models, function: LinearFunction = OBLIQUE, k: int = 1, variables="count", algorithm=UP_DOWN, **options):
    """IIA of each direction, by target and source."""
    steps = options.pop("steps", 5)
    found = compare_models(
        models, algorithm, variables, k=k, function=function, options=SearchOptions(steps=steps), **{**SMALL, **options}
    )
    return {(e.variable, e.target, e.source): e.score.iia for e in found.transfers if e.score is not None}, found


def named(**networks) -> list[ComparedModel]:
    return [ComparedModel(network, name=name) for name, network in networks.items()]


@pytest.mark.parametrize("function", [OBLIQUE, ORTHOGONAL], ids=["oblique", "orthogonal"])
def test_one_variable_in_two_orthogonal_changes_of_basis_transfers_in_all_directions(function):
    scores, found = iias(named(a=constructed("magnitude", 0), b=constructed("magnitude", 1)), function)
    assert min(scores.values()) == 1
    assert {each.controls["random_frame"].iia < 0.3 for each in found.transfers} == {True}
    assert {each.controls["shuffled_labels"].iia < 0.3 for each in found.transfers} == {True}


def test_an_invertible_change_of_basis_needs_an_oblique_map():
    models = named(a=constructed("magnitude", 0, 20.0), b=constructed("magnitude", 1, 20.0))
    assert min(iias(models, OBLIQUE)[0].values()) == 1
    assert min(iias(models, ORTHOGONAL)[0].values()) < 0.9


def test_the_matrix_is_that_of_interventions_one_by_one():
    networks = {"a": constructed("magnitude", 0, 20.0), "b": constructed("two-counts", 1, 20.0)}
    data = counterfactuals(UP_DOWN, "count", n_train=300, n_validation=100, n_test=40)
    found = iias(named(**networks), ORTHOGONAL, algorithm=data, variables=None)[1]
    test = data.test["count"]
    for target, source in (("a", "a"), ("a", "b"), ("b", "a")):
        into, taken = networks[target], networks[source]
        write, read = found.frames["count", 1, target], found.frames["count", 1, source]
        correct = []
        for row in range(len(test)):
            run = into.run_until(test.base.inputs[row : row + 1], test.base.position[row : row + 1], "h")
            value = taken.states_at(test.sources[0].inputs[row : row + 1], test.sources[0].position[row : row + 1], "h")
            moved = read.coordinates(value) - write.coordinates(run.states)
            mask = test.target_mask[row : row + 1]
            features = into.resume(run.rewrite(run.states + moved @ write.write.T), test.fed[row : row + 1], mask)
            correct.append(bool((into.readout(features).argmax(-1) == test.targets[row : row + 1][mask]).all()))
        assert found[target, source].score.correct.tolist() == correct
    assert 0 < sum(correct) < len(correct)


def test_what_is_held_in_both_networks_transfers_and_what_is_not_does_not():
    magnitude, counts, angle = (
        constructed(kind, seed) for seed, kind in enumerate(("magnitude", "two-counts", "angle"))
    )
    difference = iias(named(magnitude=magnitude, counts=counts), k=2)[0]
    assert min(difference.values()) > 0.99  # the count of Up-Down is the difference of the two counts
    demo = iias(named(magnitude=magnitude, counts=counts), variables="demo_count", algorithm=UP_UP, k=1)[0]
    assert demo["demo_count", "counts", "counts"] > 0.99
    assert demo["demo_count", "magnitude", "counts"] < 0.6
    turned = iias(named(magnitude=magnitude, angle=angle), k=2)[0]
    assert turned["count", "angle", "magnitude"] < 0.5  # no linear map turns a number into a point of a circle
    assert turned["count", "magnitude", "magnitude"] == 1


def test_within_one_model_it_is_the_search_of_fit():
    network = make_network("gru", 12, len(TASK.vocabulary), generator(0, "network"))
    sc.train(network, TASK, seed=0, options=sc.TrainingOptions(learning_rate=3e-3, epochs=15))
    data = counterfactuals(UP_DOWN, "count", n_train=600, n_validation=200, n_test=200)
    options = SearchOptions(steps=25)
    one = compare_models([network], data, k=2, options=options, similarities=False, progress=False)
    reference = fit(network, data, 2, controls=(), options=options)
    assert one.searches[0].validation_iia == pytest.approx(reference.searches["count", 2].validation_iia, abs=0.02)
    frame = one.frames["count", 2, "gru 0"]
    states = torch.randn(50, 12)
    other = torch.randn(50, 12)
    ours = states + (frame.coordinates(other) - frame.coordinates(states)) @ frame.write.T
    theirs = reference.alignments["count", 2]["count"].swap(states, other)
    assert (ours - theirs).norm() / (theirs - states).norm() < 0.1


def test_networks_of_different_kind_and_width_compare_with_untrained_twins():
    vocabulary = len(TASK.vocabulary)
    models = [
        ComparedModel(
            make_network(kind, d, vocabulary, generator(seed, "network")),
            untrained=make_network(kind, d, vocabulary, generator(9, "network")),
        )
        for seed, (kind, d) in enumerate((("gru", 8), ("transformer-nope", 16)))
    ]
    found = iias(models, k=2, n_train=200, steps=5)[1]
    assert {(each.target, each.source) for each in found.transfers} == {
        (target, source) for target in found.models for source in found.models
    }
    assert all({"untrained", "shuffled_labels", "random_frame"} == set(each.controls) for each in found.transfers)
    assert found.warnings  # the networks do not do the task


def test_several_variables_share_one_map():
    models = named(a=constructed("magnitude", 0, 3.0), b=constructed("magnitude", 1, 3.0))
    scores, found = iias(models, variables=["count", "phase"], joint=True)
    assert min(scores.values()) > 0.98
    count, phase = found.frames["count", 1, "a"], found.frames["phase", 1, "a"]
    assert (phase.read @ count.write).abs().max() < 1e-3  # writing one does not change the other


def test_tokens_in_another_order_are_matched_by_name():
    names = TASK.vocabulary.names
    order = torch.randperm(len(names), generator=generator(3))
    network = constructed("magnitude", 0)
    shuffled = Reordered(constructed("magnitude", 1), order)
    tokens = [names[int(at)] for at in order]
    scores, found = iias([ComparedModel(network, name="a"), ComparedModel(shuffled, name="b", tokens=tokens)])
    assert min(scores.values()) == 1
    assert found.accuracy == {"a": 1, "b": 1}
    assert min(iias([ComparedModel(network, name="a"), ComparedModel(shuffled, name="b")])[0].values()) < 0.5
    with pytest.raises(InvalidArgumentError, match="missing of the data: EOS"):
        iias([network, ComparedModel(shuffled, tokens=[*(t for t in tokens if t != "EOS"), "END"])])


class Reordered(Network):
    """A network whose token `i` is the token `order[i]` of another."""

    def __init__(self, network: Network, order: torch.Tensor) -> None:
        super().__init__()
        self.network, self.order = network, order
        for name in ("sites", "default_site", "architecture", "vocabulary"):
            setattr(self, name, getattr(network, name))

    def features(self, tokens, lengths=None):
        return self.network.features(self.order[tokens], lengths)

    def readout(self, features, dropout=None):
        return self.network.readout(features)[..., self.order]

    def states(self, tokens, site):
        return self.network.states(self.order[tokens], site)

    def run_until(self, tokens, positions, site):
        return self.network.run_until(self.order[tokens], positions, site)

    def resume(self, state, fed, target_mask):
        return self.network.resume(state, self.order[fed], target_mask)


def test_a_model_that_is_only_recorded_is_a_source():
    network, hidden = constructed("magnitude", 0), constructed("magnitude", 1)
    recorded = RecordedStates(lambda tokens, position: hidden.states_at(tokens, position, hidden.default_site))
    found = iias(named(a=network, recorded=recorded))[1]
    assert found["a", "recorded"].score.iia == 1
    assert found["recorded", "a"].score is None
    assert found.accuracy["recorded"] is None
    with pytest.raises(InvalidArgumentError, match="no model can be resumed"):
        iias(named(b=recorded))


def test_two_dimensions_carry_a_count_and_a_phase():
    data = counterfactuals(UP_DOWN, "count+phase", n_train=300, n_validation=100, n_test=100)
    options = SearchOptions(steps=5)
    curve = minimal_dimensions(constructed("magnitude", 0, 5.0), data, k=[1, 2, 99], options=options, progress=False)
    assert curve.variables == "count+phase"
    assert curve[2].score.iia == 1
    assert curve[1].score.iia < 0.9
    assert curve.smallest == 2
    network, twin = constructed("magnitude", 0, 5.0), constructed("two-counts", 1)
    model = ComparedModel(network, untrained=twin)
    with_twin = minimal_dimensions(model, data, k=[2], options=options, progress=False)
    assert "untrained" in with_twin[2].controls


def test_measures_of_similarity_stand_beside_the_matrix():
    models = named(a=constructed("magnitude", 0), b=constructed("magnitude", 1))
    found = iias(models, similarities=True, n_test=60, n_train=200, steps=5)[1]
    table = found.similarity_table()
    assert dict(zip(table["measure"], table["value"], strict=True))["cka"] == pytest.approx(1, abs=1e-6)
    assert found.table().height == 4
    orders = {
        measure: [row[0] for row in rows.select("first").rows()] for (measure,), rows in table.group_by("measure")
    }
    assert orders["cka"] == ["a"]
    assert orders["state_stitching_rank_2"] == ["a", "b"]  # a map has a direction


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"variables": "colour"}, UnknownNameError, "colour"),
        ({"k": 9}, InvalidArgumentError, "cannot take 9"),
        ({"function": sc.Reversible()}, InvalidArgumentError, "linear"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        iias(named(a=constructed("magnitude", 0), b=constructed("magnitude", 1)), **change)


def test_frames_fit_into_the_narrowest_natural_span_and_a_narrower_control_is_reported():
    """The natural states of the magnitude network have 2 dimensions; those of the untrained network have 1."""
    network, narrow = constructed("magnitude", 0), make_network("gru", D, len(TASK.vocabulary), generator(0, "network"))
    with torch.no_grad():
        for name, weights in narrow.named_parameters():
            weights.fill_(1.0 if name.endswith("input_bias") else 0.0)  # all units are equal
    models = [
        sc.ComparedModel(network, name="a", untrained=narrow),
        sc.ComparedModel(constructed("magnitude", 1), name="b"),
    ]
    matrix, found = iias(models, k=4, variables="count+phase")
    assert {each.rank for each in found.transfers} == {2}
    assert min(matrix.values()) > 0.99
    (reason,) = found.unfitted_controls.values()
    assert "1 dimensions" in reason
    assert f"control a, untrained could not be fitted: {reason}" in str(found)
    assert all("untrained" not in each.controls for each in found.transfers)


def test_all_models_run_on_the_same_data():
    data = counterfactuals(UP_DOWN, "count", n_train=10, n_validation=10, n_test=10)
    with pytest.raises(InvalidArgumentError, match="same inputs"):
        drawn_data([data, data], "count", {})


def test_models_need_different_names_and_one_vocabulary():
    network = constructed("magnitude", 0)
    with pytest.raises(InvalidArgumentError, match="got twice: a"):
        iias([ComparedModel(network, name="a"), ComparedModel(network, name="a")])
    with pytest.raises(InvalidArgumentError, match="has 5 tokens"):
        iias([network, make_network("gru", 8, 5, generator(0))])
