"""Draws of base, source and stops; the algorithm's counterfactual itself is tested with the algorithms."""

import pytest
import torch
from jaxtyping import TypeCheckError

from symscope.algorithms import RunningTotal, UpDown
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import InterventionProtocol, counterfactuals, draw_interventions
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)
AT_TRIGGER = InterventionProtocol(position="trigger")


def runs_of(drawn):
    return (drawn.base, *drawn.sources)


def token_at_the_stop(run):
    return run.inputs.gather(1, run.position[:, None])[:, 0]


def test_stops_are_uniform_over_all_positions_but_the_ends() -> None:
    drawn = draw_interventions(UpDown(multi_object(quantities=[3], held_out=[])), ["count"], 7000, generator(0))
    for run in runs_of(drawn):
        counts = torch.bincount(run.position, minlength=9)
        assert counts[0] == counts[8] == 0  # BOS and EOS
        assert (counts[1:8] - 1000).abs().max() < 150  # 5 standard deviations


def test_values_are_those_of_the_algorithm_at_the_stop() -> None:
    for run in runs_of(draw_interventions(ALGORITHM, ["count"], 500, generator(1))):
        for row, position in enumerate(run.position.tolist()):
            tokens = run.inputs[row, : position + 1].tolist()
            demos = sum(token in TASK.demo for token in tokens)
            assert int(run.values["count"][row]) == demos - tokens.count(TASK.response)
            assert int(run.values["phase"][row]) == int(TASK.trigger in tokens)


def test_the_targets_have_the_swapped_count() -> None:
    drawn = draw_interventions(ALGORITHM, ["count"], 500, generator(2))
    assert torch.equal(drawn.fed, drawn.targets[:, :-1])
    assert torch.equal(drawn.counterfactual_values["count"], drawn.sources[0].values["count"])
    assert torch.equal(drawn.counterfactual_values["phase"], drawn.base.values["phase"])
    for row, length in enumerate(drawn.lengths.tolist()):
        tokens = drawn.targets[row, :length].tolist()
        demos = sum(token in TASK.demo for token in tokens)
        in_demo_phase = drawn.base.values["phase"][row] == 0
        assert tokens.count(TASK.trigger) == int(in_demo_phase)
        assert 0 <= demos <= (3 if in_demo_phase else 0)
        assert tokens.count(TASK.response) == int(drawn.sources[0].values["count"][row]) + demos
        assert tokens[-1] == TASK.vocabulary.eos
        # The algorithm determines the responses and EOS, and nothing else.
        determined = [token in (TASK.response, TASK.vocabulary.eos) for token in tokens]
        assert drawn.target_mask[row, :length].tolist() == determined


def test_a_seed_fixes_the_draws() -> None:
    first, same, different = (draw_interventions(ALGORITHM, ["phase"], 50, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.targets, same.targets)
    assert torch.equal(first.base.inputs, same.base.inputs)
    assert first.base.inputs.shape != different.base.inputs.shape or not torch.equal(
        first.base.inputs, different.base.inputs
    )


def test_counterfactuals_draw_every_split_of_every_variable() -> None:
    data = counterfactuals(ALGORITHM, ["count", "phase"], n_train=40, n_validation=30, n_test=20, seed=3)
    assert data.variables == ("count", "phase")
    for split, size in (("train", 40), ("validation", 30), ("test", 20), ("cause", 10), ("isolation", 10)):
        assert {name: len(drawn) for name, drawn in getattr(data, split).items()} == {"count": size, "phase": size}
    assert data["phase"].variables == ("phase",)
    assert repr(data) == "CounterfactualData(up-down: count, phase; interventions: train 80, validation 60, test 40)"
    assert data.value_names == {"count": (), "phase": ("demo", "resp")}
    # The draws of a variable and split depend on nothing else that is drawn.
    alone = counterfactuals(ALGORITHM, "phase", n_train=40, n_validation=5, n_test=20, seed=3)
    assert torch.equal(alone.train["phase"].targets, data.train["phase"].targets)
    assert not torch.equal(data.train["count"].base.inputs[:30, :3], data.validation["count"].base.inputs[:, :3])


@pytest.mark.parametrize("name", ["multi-object", "same-object-void"])
def test_stops_at_a_named_position(name: str) -> None:
    task = make_task(name)
    demo = set(task.demo.tolist())
    for position in task.named_positions:
        protocol = InterventionProtocol(position=position)
        data = counterfactuals(UpDown(task), "count", n_train=200, n_validation=5, n_test=40, protocol=protocol)
        for drawn in (data.train["count"], data.test["count"], data.cause["count"]):
            for run in runs_of(drawn):
                for row, stop in zip(run.inputs.tolist(), run.position.tolist(), strict=True):
                    trigger = row.index(task.trigger)
                    last_demo = max(i for i in range(trigger) if row[i] in demo)
                    assert stop == (trigger if position == "trigger" else last_demo)


def test_no_sequence_stops_after_an_excluded_token() -> None:
    protocol = InterventionProtocol(excluded_tokens=("T", "D1"))
    data = counterfactuals(ALGORITHM, "count", n_train=2000, n_validation=5, n_test=100, protocol=protocol)
    for drawn in (data.train["count"], data.test["count"], data.isolation["count"]):
        for run in runs_of(drawn):
            assert not torch.isin(
                token_at_the_stop(run), torch.tensor(TASK.vocabulary.encode(protocol.excluded_tokens))
            ).any()


@pytest.mark.parametrize(
    ("variables", "count", "protocol", "error", "message"),
    [
        (["counts"], 5, InterventionProtocol(), UnknownNameError, "did you mean 'count'"),
        ([], 5, InterventionProtocol(), InvalidArgumentError, "at least one variable"),
        (["count"], 0, InterventionProtocol(), InvalidArgumentError, "at least one intervention"),
        (["count"], 5, InterventionProtocol(excluded_tokens=("trigger",)), UnknownNameError, "token 'trigger'"),
        (["count"], 5, InterventionProtocol(position="triger"), UnknownNameError, "did you mean 'trigger'"),
        (
            ["count"],
            5,
            InterventionProtocol(excluded_tokens=("D1", "D2", "D3", "T", "R")),
            InvalidArgumentError,
            "no position to stop at",
        ),
    ],
)
def test_draws_that_are_not_possible_are_refused(variables, count, protocol, error, message) -> None:
    with pytest.raises(error, match=message):
        draw_interventions(ALGORITHM, variables, count, generator(0), protocol)


def test_protocols_that_are_not_possible_are_refused() -> None:
    for extra in (-1, True):
        with pytest.raises(InvalidArgumentError, match="'quantity' or an integer of at least 0"):
            InterventionProtocol(extra_demo_tokens=extra)
    with pytest.raises((InvalidArgumentError, TypeCheckError)):
        InterventionProtocol(excluded_tokens="T")
    total = RunningTotal(make_task("arithmetic"))
    with pytest.raises(UnknownNameError, match="'arithmetic' 'trigger': known: none"):
        draw_interventions(total, ["total"], 10, generator(0), AT_TRIGGER)
    with pytest.raises(InvalidArgumentError, match="at least one variable, got none"):
        counterfactuals(ALGORITHM, [])
    with pytest.raises(InvalidArgumentError, match="n_train must be at least 1, got 0"):
        counterfactuals(ALGORITHM, "count", n_train=0)
