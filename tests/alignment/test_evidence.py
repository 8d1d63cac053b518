"""Evidence on networks whose answer is known: its company says what is so, is kept without loss, and is used once."""

from dataclasses import replace

import pytest
import torch
from symscope.alignment.search import Question, search
from symscope.alignment.unseen import Unseen, draw_unseen
from symscope.interventions import draw_interventions, prepare

from symscope.algorithms import UpDown, UpUp
from symscope.alignment import Blocks, SearchOptions, Subspace, find, load_evidence, save_evidence, whole_state
from symscope.alignment.controls import NULL_CONTROLS, best_neurons
from symscope.analysis import summary
from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.networks import change_basis, magnitude_network, random_orthogonal, two_counts_network
from symscope.seeds import generator
from symscope.statistics import paired_difference
from symscope.tasks import multi_object
from symscope.training.checkpoints import save_tensors

TASK = multi_object()
ALGORITHM = UpDown(TASK)
QUICK = SearchOptions(learning_rate=3e-2, batch=64, steps=400, validate_every=50, starts=3, patience=4)
FEW = (1000, 200, 400)
D = 6


def hidden(d=D, seed=0):
    return change_basis(magnitude_network(**TASK.roles, d=d), random_orthogonal(d, generator(seed, "disguise")))


def scrambled(seed):
    fresh = hidden().network
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.normal_(generator=generator(seed))
    return fresh


@pytest.fixture(scope="module")
def evidence():
    fresh = [scrambled(0), scrambled(1)]
    return find(hidden().network, ALGORITHM, ["count", "phase"], 1, untrained=fresh, counts=FEW, options=QUICK)


def test_what_is_there_is_above_every_control_and_its_company_says_so(evidence):
    for one in evidence:
        seen = one.examined
        assert one.score.iia >= 0.98, str(one)
        assert set(one.controls) == {
            "untrained 1", "untrained 2", "shuffled_labels", "random_subspace", "principal_components", "neurons",
            "whole_state",
        }  # fmt: skip
        assert min(seen.matters.iia, seen.cause.iia, seen.isolation.iia) >= 0.95
        assert all(part.iia > 0.8 for part in seen.by_value.values())
        assert sum(part.n for part in seen.by_value.values()) == one.score.n == 400
        nearest, above = one.selectivity
        assert nearest.split(" ")[0] in NULL_CONTROLS
        assert 0 < above.low <= above.value <= above.high
    count, phase = evidence
    assert set(count.examined.by_value) <= set(range(21))
    assert set(phase.examined.by_value) == {0, 1}


def test_selectivity_is_above_the_nearest_null_control_and_nothing_else(evidence):
    (count, _) = evidence
    named = {name: count.controls[name] for name in ("untrained 1", "random_subspace")}
    nearest, above = replace(count, controls={**named, "whole_state": count.score}).selectivity
    best = max(named, key=lambda name: named[name].iia)
    assert nearest == best
    assert above.value == pytest.approx(count.score.iia - named[best].iia)
    both = [paired_difference(count.score.correct.numpy(), one.correct.numpy()) for one in named.values()]
    assert above.low == min(one.low for one in both)
    assert replace(count, controls={"whole_state": count.score}).selectivity is None
    assert tuple(summary.NULL_CONTROLS) == NULL_CONTROLS  # said twice, since analysis imports no torch


def test_a_variable_of_another_algorithm_is_not_above_its_controls():
    """The magnitude network holds one count. What a search for a second one reaches, others reach too."""
    found = find(hidden().network, UpUp(TASK), ["resp_count"], 2, counts=FEW, options=replace(QUICK, steps=200))
    assert found[0].score.high < 0.5
    assert found[0].selectivity[1].value < 0.4


def examine(constructed, algorithm, variable, function):
    draws = draw_unseen(algorithm, variable, 500, 0)
    return Unseen(constructed.network, draws, "h").examine("one", function)


@pytest.mark.parametrize("make", [magnitude_network, two_counts_network])
def test_a_swap_of_everything_has_cause_and_no_isolation_and_no_divergence(make):
    constructed = make(**TASK.roles, d=D)
    algorithm = ALGORITHM if make is magnitude_network else UpUp(TASK)
    for variable in constructed.writes:
        seen = examine(constructed, algorithm, variable, whole_state(D))
        assert (seen.cause.iia, seen.isolation.iia) == (1, 0)
        assert seen.matters.iia == 0
        assert (seen.divergence.outside, seen.divergence.nearest) == pytest.approx((0, 0), abs=1e-3)


@pytest.mark.parametrize("hide", [False, True])
def test_dormant_directions_are_seen(hide):
    """A network that would read a count off a spare axis too, on which no natural state has anything."""
    constructed, matrix = magnitude_network(**TASK.roles, d=D), torch.eye(D)
    with torch.no_grad():
        constructed.network.output.weight[:, 2] = constructed.network.output.weight[:, 0]
    if hide:
        matrix = random_orthogonal(D, generator(0))
        constructed = change_basis(constructed, matrix)
    count, spare = matrix[:, :1], matrix[:, 2:3]
    known = examine(constructed, ALGORITHM, "count", Subspace(count))
    assert (known.score.iia, known.dormant) == (1, 0)
    assert known.divergence.outside == pytest.approx(0, abs=1e-3)
    # The difference of the counts is read where it is, and all of it written where no state has been.
    dormant = examine(constructed, ALGORITHM, "count", Subspace(spare, (count + spare).T))
    assert (dormant.score.iia, dormant.cause.iia, dormant.isolation.iia, dormant.dormant) == (1, 1, 1, 1)
    assert dormant.divergence.outside > 0.5


def test_everything_is_kept_without_loss(evidence, tmp_path):
    save_evidence(tmp_path / "found.safetensors", evidence, {"of": "a test"})
    again = load_evidence(tmp_path / "found.safetensors")
    states = torch.randn(7, D, generator=generator(0)), torch.randn(7, D, generator=generator(1))
    for one, other in zip(evidence, again, strict=True):
        assert str(one) == str(other)
        assert one.row() == other.row()
        assert torch.equal(one.function.swap(*states), other.function.swap(*states))
        assert torch.equal(one.score.correct, other.score.correct)
        assert one.examined.by_value.keys() == other.examined.by_value.keys()
        assert one.examined.divergence == other.examined.divergence
        for name, control in one.controls.items():
            assert torch.equal(control.correct, other.controls[name].correct)
    save_tensors(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {"functions": {}})
    with pytest.raises(CheckpointError, match="does not hold evidence"):
        load_evidence(tmp_path / "other.safetensors")


def test_a_person_understands_what_is_printed(evidence):
    shown = str(evidence[0])
    for part in (
        "count of up-down at h, k = 1: IIA 1.000 (95% interval",
        "above the best null control, ",
        "worst value put in, ",
        "cause, where only the variable differs: IIA",
        "isolation, where only the rest differs: IIA",
        "of the norm outside the natural span",
        "control whole_state: IIA",
    ):
        assert part in shown
    bad = replace(evidence[0], examined=replace(evidence[0].examined, dormant=0.9))
    assert "WARNING: much of the effect runs through directions in which natural states do not vary" in str(bad)


def test_a_number_is_taken_from_test_interventions_once():
    constructed = magnitude_network(**TASK.roles)
    unseen = Unseen(constructed.network, draw_unseen(ALGORITHM, "count", 50, 0), "h")
    known = Subspace(constructed.writes["count"])
    assert unseen.score("known", known).iia == 1
    assert unseen.score("everything", whole_state(2)).n == 50
    with pytest.raises(InvalidArgumentError, match="given the number 'known' already; choose on validation"):
        unseen.score("known", known)
    with pytest.raises(InvalidArgumentError, match="'known' already"):
        unseen.examine("known", known)


def test_a_search_does_not_take_test_interventions():
    constructed = magnitude_network(**TASK.roles)
    train = prepare(constructed.network, draw_interventions(ALGORITHM, ["count"], 50, generator(0)), "h")
    unseen = Unseen(constructed.network, draw_unseen(ALGORITHM, "count", 50, 0), "h")
    with pytest.raises(Exception, match=r"(?i)type|attribute"):
        search(constructed.network, [Question({"count": train}, {"count": unseen}, Blocks({"count": 1}), 0)], QUICK)


def test_neurons_are_found_where_the_variable_is_in_neurons():
    constructed = magnitude_network(**TASK.roles, d=D)
    for variable, at in (("count", 0), ("phase", 1)):
        drawn = draw_interventions(ALGORITHM, [variable], 300, generator(0))
        chosen = best_neurons(constructed.network, prepare(constructed.network, drawn, "h"), 1)
        assert chosen.write[:, 0].argmax() == at
        assert chosen.write.sum() == 1


def test_the_latent_loss_has_targets_and_lowers_divergence():
    network, random = (
        hidden(12).network,
        replace(QUICK, first="random", starts=1, learning_rate=1e-2, steps=600, patience=20),
    )
    plain, pulled = (
        find(network, ALGORITHM, ["count"], 1, counts=FEW, options=replace(random, latent_weight=weight))[0]
        for weight in (0.0, 3.0)
    )
    assert min(plain.score.iia, pulled.score.iia) > 0.95
    assert plain.examined.divergence.outside > 0.3
    assert pulled.examined.divergence.outside < 0.05


def test_a_search_within_the_span_of_natural_states_never_leaves_it():
    view = {"view": "spanned"}
    (one,) = find(hidden(12).network, ALGORITHM, ["count"], 1, function_options=view, counts=FEW, options=QUICK)
    assert one.score.iia > 0.95
    assert one.examined.divergence.outside < 0.01
    assert one.examined.dormant == 0


def test_controls_take_no_more_steps_than_the_search():
    seen = {}

    def note(which, step, best):
        seen[which] = step
        assert len(best) == 2  # the questions that were asked, not those beside them

    two = [scrambled(0), scrambled(1)]
    find(
        hidden().network, ALGORITHM, ["count", "phase"], 1, untrained=two, counts=(500, 100, 100), options=QUICK,
        on_validation=note,
    )  # fmt: skip
    assert set(seen) == {"trained", "untrained 1", "untrained 2"}
    half = seen["trained"] / 2
    assert 0 < seen["untrained 1"] <= max(half + QUICK.validate_every, QUICK.validate_every)
    assert seen["untrained 2"] == seen["untrained 1"]


def test_what_is_found_does_not_depend_on_the_controls_beside_it():
    sets = {
        part: prepare(hidden().network, draw_interventions(ALGORITHM, ["count"], count, generator(0, part)), "h")
        for part, count in (("train", 500), ("validation", 200))
    }
    other = prepare(hidden().network, draw_interventions(ALGORITHM, ["phase"], 500, generator(0)), "h")
    asked = Question({"count": sets["train"]}, {"count": sets["validation"]}, Blocks({"count": 1}), 0)
    beside = replace(asked, train={"count": other}, starts=1, until=0)
    options = replace(QUICK, steps=200)
    (alone,) = search(hidden().network, [asked], options)
    (together, control) = search(hidden().network, [asked, beside], options)
    assert (together.start, together.step, together.steps) == (alone.start, alone.step, alone.steps)
    torch.testing.assert_close(together.function.write, alone.function.write, atol=1e-4, rtol=1e-4)
    assert control.steps <= together.steps


def test_questions_have_limits_of_their_own():
    train, validation = (
        prepare(hidden().network, draw_interventions(ALGORITHM, ["count"], count, generator(count)), "h")
        for count in (300, 100)
    )
    asked = Question({"count": train}, {"count": validation}, Blocks({"count": 1}), 0)
    long = replace(QUICK, steps=200, wanted=2.0, patience=100)
    short, one, until = replace(asked, steps=60), replace(asked, starts=1), replace(asked, starts=2, until=0)
    told = search(hidden().network, [short, one, until], long)
    assert [found.steps for found in told] == [3 * 100, 200, 2 * 100]


def test_variables_that_are_looked_for_together_do_not_overlap():
    count, phase = find(hidden().network, ALGORITHM, ["count", "phase"], 1, together=True, counts=FEW, options=QUICK)
    assert min(count.score.iia, phase.score.iia) >= 0.98
    assert (count.start, count.steps) == (phase.start, phase.steps)
    for one, other in ((count, phase), (phase, count)):
        product = one.function.write @ one.function.read @ other.function.write @ other.function.read
        assert product.abs().max() < 1e-5
