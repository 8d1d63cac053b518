"""Draws of base, source and cuts; the algorithm's own swap is tested with the algorithms."""

import time

import pytest
import torch

from symscope.algorithms import RunningTotal, UpDown
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interventions import draw_interventions
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)


def test_cuts_are_uniform_over_all_positions_but_the_ends() -> None:
    drawn = draw_interventions(UpDown(multi_object(quantities=[3], held_out=[])), ["count"], 7000, generator(0))
    for positions in (drawn.base_positions, drawn.source_positions):
        counts = torch.bincount(positions, minlength=9)
        assert counts[0] == counts[8] == 0  # BOS and EOS
        assert (counts[1:8] - 1000).abs().max() < 150  # 5 standard deviations


def test_tokens_can_be_left_out_of_the_cuts() -> None:
    drawn = draw_interventions(ALGORITHM, ["count"], 2000, generator(0), not_at=["T"])
    at = drawn.base.gather(1, drawn.base_positions[:, None])
    assert not (at == TASK.trigger).any()
    with pytest.raises(UnknownNameError, match="token 'trigger'"):
        draw_interventions(ALGORITHM, ["count"], 5, generator(0), not_at=["trigger"])


def test_values_are_those_of_the_algorithm_at_the_cut() -> None:
    drawn = draw_interventions(ALGORITHM, ["count"], 500, generator(1))
    for tokens, positions, values in (
        (drawn.base, drawn.base_positions, drawn.base_values),
        (drawn.source, drawn.source_positions, drawn.source_values),
    ):
        for row in range(len(drawn)):
            seen = tokens[row, : positions[row] + 1].tolist()
            ups = sum(token in TASK.demo for token in seen)
            assert int(values["count"][row]) == ups - seen.count(TASK.response)
            assert int(values["phase"][row]) == int(TASK.trigger in seen)


def test_what_follows_has_the_swapped_count() -> None:
    drawn = draw_interventions(ALGORITHM, ["count"], 500, generator(2))
    for row in range(len(drawn)):
        then = drawn.continuation[row, : drawn.lengths[row]].tolist()
        more = sum(token in TASK.demo for token in then)
        in_demo = drawn.base_values["phase"][row] == 0
        assert (more <= 3 and then.count(TASK.trigger) == 1) if in_demo else (more == then.count(TASK.trigger) == 0)
        assert then.count(TASK.response) == int(drawn.source_values["count"][row]) + more
        assert then[-1] == TASK.vocabulary.eos


def test_own_continuation_shows_what_the_base_still_had() -> None:
    drawn = draw_interventions(ALGORITHM, ["count"], 500, generator(3), more_demo="own")
    for row in range(len(drawn)):
        later = drawn.base[row, drawn.base_positions[row] + 1 :].tolist()
        then = drawn.continuation[row].tolist()
        if drawn.base_values["phase"][row] == 0:
            assert sum(t in TASK.demo for t in then) == sum(t in TASK.demo for t in later)


def test_a_seed_fixes_the_draws() -> None:
    one, same, other = (draw_interventions(ALGORITHM, ["phase"], 50, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one.continuation, same.continuation)
    assert torch.equal(one.base, same.base)
    assert one.base.shape != other.base.shape or not torch.equal(one.base, other.base)


def test_drawing_the_papers_12_000_takes_less_than_two_seconds() -> None:
    began = time.process_time()
    for count in (10_000, 1_000, 1_000):
        draw_interventions(ALGORITHM, ["count"], count, generator(0))
    assert time.process_time() - began < 2


def test_less_than_no_more_demo_tokens_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="at least 0 more"):
        draw_interventions(ALGORITHM, ["count"], 5, generator(0), more_demo=-1)


@pytest.mark.parametrize(
    ("variables", "count", "error", "message"),
    [
        (["counts"], 5, UnknownNameError, "did you mean 'count'"),
        ([], 5, InvalidArgumentError, "at least one variable"),
        (["count"], 0, InvalidArgumentError, "at least one intervention"),
    ],
)
def test_errors(variables, count, error, message) -> None:
    with pytest.raises(error, match=message):
        draw_interventions(ALGORITHM, variables, count, generator(0))


@pytest.mark.parametrize("name", ["multi-object", "same-object-void"])
def test_cuts_at_a_landmark(name: str) -> None:
    task = make_task(name)
    demo = set(task.demo.tolist())
    for at in task.named_positions:
        drawn = draw_interventions(UpDown(task), ["count"], 200, generator(0), at=at)
        for tokens, positions in ((drawn.base, drawn.base_positions), (drawn.source, drawn.source_positions)):
            for row, position in zip(tokens.tolist(), positions.tolist(), strict=True):
                trigger = row.index(task.trigger)
                expected = trigger if at == "trigger" else max(i for i in range(trigger) if row[i] in demo)
                assert position == expected
    with pytest.raises(UnknownNameError, match="did you mean 'trigger'"):
        draw_interventions(UpDown(task), ["count"], 10, generator(0), at="triger")
    arithmetic = make_task("arithmetic")
    with pytest.raises(UnknownNameError, match="unknown named position of task 'arithmetic' 'trigger': known: none"):
        draw_interventions(RunningTotal(arithmetic), ["total"], 10, generator(0), at="trigger")
