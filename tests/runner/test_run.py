import os

import pytest

from symscope.errors import InvalidArgumentError
from symscope.runner import Job, Plan, local, run

STAGES = "tests.runner.stages:"
EVERYWHERE = pytest.mark.parametrize("workers", [0, 2])

pytestmark = pytest.mark.usefixtures("light_path")


def make_plan(*jobs):
    return Plan(jobs, result_version="1")


@EVERYWHERE
def test_jobs_receive_the_results_that_they_need(store, log, workers):
    jobs = [
        Job(name, STAGES + "write", {"text": name}, needs)
        for name, needs in {"c": ("a", "b"), "b": ("a",), "a": ()}.items()
    ]
    plan = make_plan(*jobs)
    outcome = run(plan, store, local(workers), on_event=log)
    assert outcome.ok
    assert outcome.done == ("a", "b", "c")
    assert (store.path(plan.location("c")) / "text.txt").read_text() == "c\na\nb\na"
    assert all(log.kinds(name) == ["started", "done"] for name in "abc")
    last_progress = [event.progress for event in log if event.kind == "progress"][-1]
    assert last_progress is not None
    assert last_progress.fields == {"texts": 3}
    assert (log[-1].ended, log[-1].total) == (3, 3)
    assert outcome.summary().startswith("3 done in ")


@EVERYWHERE
def test_cached_jobs_do_not_run_again(store, tmp_path, log, workers):
    calls = tmp_path / "calls"
    plan = make_plan(*(Job(t, STAGES + "count_calls", {"text": t, "log": str(calls)}) for t in "abc"))
    assert run(plan, store, local(workers)).ok
    again = run(plan, store, local(workers), on_event=log)
    assert again.cached == ("a", "b", "c")
    assert not again.done
    assert [event.kind for event in log] == ["cached"] * 3
    assert sorted(calls.read_text().split()) == ["a", "b", "c"]


@EVERYWHERE
@pytest.mark.parametrize("how", ["value", "exit", "memory"])
def test_failures_are_collected_while_the_remaining_jobs_run(store, log, workers, how):
    plan = make_plan(
        Job("bad", STAGES + "fail", {"how": how}),
        Job("after", STAGES + "write", {"text": "after"}, ("bad", "good")),
        Job("long after", STAGES + "write", {"text": "long after"}, ("after",)),
        Job("good", STAGES + "write", {"text": "good"}),
        Job("better", STAGES + "write", {"text": "better"}, ("good",)),
    )
    outcome = run(plan, store, local(workers), on_event=log)
    assert not outcome.ok
    assert set(outcome.done) == {"good", "better"}
    assert outcome.skipped == {"after": "bad", "long after": "bad"}
    assert list(outcome.failed) == ["bad"]
    text = outcome.failed["bad"]
    assert "no such luck" in text
    assert "stages.py" in text
    assert "execute.py" not in text
    assert [(event.kind, event.text) for event in log if event.job == "after"] == [("skipped", "bad")]
    assert "1 failed, 2 skipped" in outcome.summary()


@EVERYWHERE
def test_a_stage_that_cannot_be_imported_is_a_failure(store, workers):
    plan = make_plan(Job("module", "no.such.module:stage"), Job("function", STAGES + "wrote"))
    outcome = run(plan, store, local(workers))
    assert "No module named 'no'" in outcome.failed["module"]
    assert "did you mean 'write'" in outcome.failed["function"]


def test_a_failed_job_runs_again_on_request(store, tmp_path, log):
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    plan = make_plan(
        Job("job", STAGES + "fail_while_file_exists", {"obstacle": str(obstacle)}),
        Job("after", STAGES + "nothing", {}, ("job",)),
    )
    assert not run(plan, store, local(0)).ok
    obstacle.unlink()
    outcome = run(plan, store, local(0), on_event=log)
    assert "the obstacle exists" in outcome.failed["job"]
    assert outcome.skipped == {"after": "job"}
    assert [event.kind for event in log] == ["failed", "skipped"]
    assert run(plan, store, local(0), retry_failed=True).ok
    assert run(plan, store, local(0)).ok


@pytest.mark.parametrize(("stage", "message"), [("die", "killed by SIGKILL"), ("leave", "exit code 7")])
def test_a_worker_that_dies_fails_only_its_job(store, stage, message):
    jobs = [Job(f"good{i}", STAGES + "write", {"text": str(i)}) for i in range(6)]
    outcome = run(make_plan(*jobs[:3], Job("bad", STAGES + stage), *jobs[3:]), store, local(2))
    assert set(outcome.done) == {job.name for job in jobs}
    assert message in outcome.failed["bad"]
    if stage == "die":
        assert "logged before the end" in outcome.failed["bad"]
        assert "printed before the end" in outcome.failed["bad"]


def test_when_all_workers_die_the_run_ends(store):
    outcome = run(make_plan(*(Job(f"bad{i}", STAGES + "leave", {"i": i}) for i in range(5))), store, local(2))
    assert len(outcome.failed) == 5


def test_workers_are_reused_and_their_environment_sets_threads(store):
    plan = make_plan(*(Job(f"job{i}", STAGES + "print_and_inspect", {"i": i}) for i in range(12)))
    assert run(plan, store, local(2, threads=3)).ok
    facts = [store.manifest(plan.location(job.name)).facts for job in plan]
    assert len({fact["pid"] for fact in facts}) <= 2
    assert os.getpid() not in {fact["pid"] for fact in facts}
    expected = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    assert all(fact == {"pid": fact["pid"], **expected} for fact in facts)


def test_the_user_can_choose_how_idle_threads_wait(store, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    plan = make_plan(Job("job", STAGES + "print_and_inspect"))
    assert run(plan, store, local(1)).ok
    assert store.manifest(plan.location("job")).facts["OMP_WAIT_POLICY"] == "ACTIVE"


def test_frequent_progress_is_throttled_and_the_last_report_is_kept(store, log, monkeypatch):
    monkeypatch.setattr("symscope.runner.execute.PROGRESS_INTERVAL_S", 3600.0)
    run(make_plan(Job("job", STAGES + "many_reports")), store, local(0), on_event=log)
    assert [event.progress.done for event in log if event.kind == "progress"] == [1, 2000]


def test_an_error_of_the_callback_ends_the_run_and_its_workers(store):
    workers = []

    def fail(event):
        if event.kind == "progress":
            workers.append(event.progress.fields["pid"])
            raise RuntimeError("the display failed")

    plan = make_plan(Job("job", STAGES + "sleep", {"seconds": 60}))
    with pytest.raises(RuntimeError, match="the display failed"):
        run(plan, store, local(1), on_event=fail)
    with pytest.raises(ProcessLookupError):
        os.kill(workers[0], 0)


@pytest.mark.parametrize(("workers", "threads"), [(-1, 1), (1, 0)])
def test_invalid_numbers_are_refused(store, workers, threads):
    with pytest.raises(InvalidArgumentError, match="got"):
        run(make_plan(), store, local(workers, threads=threads))


def test_an_empty_plan_is_done(store):
    assert run(make_plan(), store, local(2)).summary().startswith("nothing to do")
