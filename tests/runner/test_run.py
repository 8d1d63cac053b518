import os
import subprocess
import sys

import pytest

from symscope.errors import InvalidArgumentError
from symscope.runner import Job, Plan, local, run

STAGES = "tests.runner.stages:"
EVERYWHERE = pytest.mark.parametrize("workers", [0, 2])

pytestmark = pytest.mark.usefixtures("light_path")


def make_plan(*jobs):
    return Plan(jobs, result_version="1")


@EVERYWHERE
def test_jobs_get_the_results_that_they_need(store, log, workers):
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
    assert (log[-1].settled, log[-1].total) == (3, 3)
    assert outcome.summary().startswith("3 done in ")


@EVERYWHERE
def test_what_is_there_is_not_done_again(store, tmp_path, log, workers):
    calls = tmp_path / "calls"
    plan = make_plan(*(Job(t, STAGES + "count_calls", {"text": t, "log": str(calls)}) for t in "abc"))
    assert run(plan, store, local(workers)).ok
    again = run(plan, store, local(workers), on_event=log)
    assert again.there == ("a", "b", "c")
    assert not again.done
    assert [event.kind for event in log] == ["there"] * 3
    assert sorted(calls.read_text().split()) == ["a", "b", "c"]


@EVERYWHERE
@pytest.mark.parametrize("how", ["value", "exit", "memory"])
def test_failures_are_collected_while_the_rest_goes_on(store, log, workers, how):
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


def test_a_failed_job_is_tried_again_when_asked(store, tmp_path, log):
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    plan = make_plan(
        Job("job", STAGES + "fail_until_told", {"obstacle": str(obstacle)}),
        Job("after", STAGES + "nothing", {}, ("job",)),
    )
    assert not run(plan, store, local(0)).ok
    obstacle.unlink()
    outcome = run(plan, store, local(0), on_event=log)
    assert "the obstacle is there" in outcome.failed["job"]
    assert outcome.skipped == {"after": "job"}
    assert [event.kind for event in log] == ["failed", "skipped"]
    assert run(plan, store, local(0), retry_failed=True).ok
    assert run(plan, store, local(0)).ok


@pytest.mark.parametrize(("stage", "told"), [("die", "killed by SIGKILL"), ("leave", "exit code 7")])
def test_a_worker_that_dies_fails_its_job_only(store, stage, told):
    jobs = [Job(f"good{i}", STAGES + "write", {"text": str(i)}) for i in range(6)]
    outcome = run(make_plan(*jobs[:3], Job("bad", STAGES + stage), *jobs[3:]), store, local(2))
    assert set(outcome.done) == {job.name for job in jobs}
    assert told in outcome.failed["bad"]
    if stage == "die":
        assert "told before the end" in outcome.failed["bad"]
        assert "printed before the end" in outcome.failed["bad"]


def test_when_all_workers_die_the_run_ends(store):
    outcome = run(make_plan(*(Job(f"bad{i}", STAGES + "leave", {"i": i}) for i in range(5))), store, local(2))
    assert len(outcome.failed) == 5


def test_workers_are_kept_and_have_their_threads(store):
    plan = make_plan(*(Job(f"job{i}", STAGES + "say", {"i": i}) for i in range(12)))
    assert run(plan, store, local(2, threads=3)).ok
    facts = [store.manifest(plan.location(job.name)).facts for job in plan]
    assert len({fact["pid"] for fact in facts}) <= 2
    assert os.getpid() not in {fact["pid"] for fact in facts}
    assert all(fact[name] == "3" for fact in facts for name in fact if name != "pid")


def test_progress_is_thinned_out_and_its_end_always_told(store, log):
    run(make_plan(Job("job", STAGES + "many_reports")), store, local(0), on_event=log)
    told = [event.progress.done for event in log if event.kind == "progress"]
    assert told[-1] == 2000
    assert len(told) < 100


def test_an_error_of_the_callback_ends_the_run_and_its_workers(store):
    workers = []

    def break_down(event):
        if event.kind == "progress":
            workers.append(event.progress.fields["pid"])
            raise RuntimeError("the display broke")

    plan = make_plan(Job("job", STAGES + "sleep", {"seconds": 60}))
    with pytest.raises(RuntimeError, match="the display broke"):
        run(plan, store, local(1), on_event=break_down)
    with pytest.raises(ProcessLookupError):
        os.kill(workers[0], 0)


@pytest.mark.parametrize(("workers", "threads"), [(-1, 1), (1, 0)])
def test_senseless_numbers_are_refused(store, workers, threads):
    with pytest.raises(InvalidArgumentError, match="got"):
        run(make_plan(), store, local(workers, threads=threads))


def test_an_empty_plan_is_done(store):
    assert run(make_plan(), store, local(2)).summary().startswith("nothing to do")


def test_the_overhead_of_a_job_is_small(light_path, tmp_path):
    # In a process without run-time type checks, which would cost more than all else; the best of three, since the
    # machine may be busy with other tests.
    program = f"""
import sys
from symscope.runner import Job, Plan, local, open_store, run
plan = Plan([Job(f"job{{i}}", "{STAGES}nothing", {{"i": i}}) for i in range(200)], result_version="1")
for attempt in range(3):
    store = open_store({str(tmp_path)!r} + f"/{{attempt}}", study="test")
    first, again = (run(plan, store, local(1)).seconds / 200 for _ in range(2))
    sys.stdout.write(f"{{first}} {{again}}\\n")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(light_path)}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    first, again = zip(*(map(float, line.split()) for line in told.stdout.splitlines()), strict=True)
    assert min(first) < 0.020
    assert min(again) < 0.001
