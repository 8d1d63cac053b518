"""Jobs of a group are done in one call, and kept one by one."""

import pytest

from symscope.errors import ConfigurationError
from symscope.runner import Job, Plan, local, open_store, run

STAGES = "tests.runner.stages:"
EVERYWHERE = pytest.mark.parametrize("workers", [0, 2])

pytestmark = pytest.mark.usefixtures("light_path")


def make_plan(*texts, group="together"):
    members = [Job(t, STAGES + "write_together", {"text": t}, ("before",), group=group) for t in texts]
    return Plan([Job("before", STAGES + "write", {"text": "before"}), *members], result_version="1")


def together(store, plan, name):
    return store.manifest(plan.location(name)).facts["together"]


@EVERYWHERE
def test_a_group_is_one_call_and_each_member_has_its_result(store, log, workers):
    plan = make_plan("a", "b", "c")
    outcome = run(plan, store, local(workers), on_event=log)
    assert set(outcome.done) == {"before", "a", "b", "c"}
    for name in "abc":
        assert (store.fetch(plan.location(name)) / "text.txt").read_text() == f"{name}\nbefore"
        assert together(store, plan, name) == 3
        assert log.kinds(name) == ["started", "done"]
    assert not list(store.folder.glob("work/*/*"))


@EVERYWHERE
def test_a_new_member_is_done_without_the_others(store, workers):
    assert run(make_plan("a", "b"), store, local(workers)).ok
    plan = make_plan("a", "b", "c")
    outcome = run(plan, store, local(workers))
    assert outcome.done == ("c",)
    assert together(store, plan, "c") == 1


@EVERYWHERE
def test_a_member_fails_alone(store, workers):
    plan = make_plan("a", "bad", "c")
    outcome = run(plan, store, local(workers))
    assert set(outcome.done) == {"before", "a", "c"}
    assert "no such luck" in outcome.failed["bad"]


def test_the_group_is_no_part_of_the_key():
    one, other = make_plan("a", "b"), make_plan("a", "b", group="elsewhere")
    assert one.location("a") == other.location("a")


def test_members_have_one_stage_and_the_same_needs():
    jobs = [Job("a", STAGES + "write", group="g"), Job("b", STAGES + "write_together", group="g")]
    with pytest.raises(ConfigurationError, match="b is in group 'g' with a, which has another stage or other needs"):
        Plan(jobs, result_version="1")


def test_a_group_whose_process_died_while_it_was_handed_over_is_handed_over(store, monkeypatch):
    """So no member is computed again in other company than it first was."""
    plan = make_plan("a", "b", "c")
    taken = []

    def die_after_one(location):
        if taken and "together" in location:
            raise KeyboardInterrupt
        taken.append(location) if "together" in location else None
        take(location)

    take = store.take
    monkeypatch.setattr(store, "take", die_after_one)
    with pytest.raises(KeyboardInterrupt):
        run(plan, store, local(0))
    again = open_store(store.folder, study="test")
    states = sorted(again.check(plan.location(name)).state for name in "abc")
    assert states == ["missing", "missing", "whole"]
    monkeypatch.setattr("symscope.runner.execute._call", None)  # nothing is computed any more
    assert run(plan, again, local(0)).ok
    assert {together(again, plan, name) for name in "abc"} == {3}
    assert again.verify() == {}
    assert not list(store.folder.glob("work/*/*"))


def test_a_group_whose_process_died_before_all_was_written_is_done_again_as_a_whole(store, monkeypatch):
    plan = make_plan("a", "b", "c")
    finished = []

    def die_after_one(ticket, facts, stretch):
        if ticket.name in "abc" and finished:
            raise KeyboardInterrupt
        finished.append(ticket.name) if ticket.name in "abc" else None
        finish(ticket, facts, stretch)

    finish = store.finish
    monkeypatch.setattr(store, "finish", die_after_one)
    with pytest.raises(KeyboardInterrupt):
        run(plan, store, local(0))
    again = open_store(store.folder, study="test")
    assert {again.check(plan.location(name)).state for name in "abc"} == {"missing"}
    assert run(plan, again, local(0)).ok
    assert {together(again, plan, name) for name in "abc"} == {3}
