"""Full disk, exhausted memory, a clock that jumps: each gives a clear error, and nothing is lost."""

import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from tests.runner.conftest import ROOT
from tests.runner.small_study import make_plan

from symscope.runner import Job, Plan, existing_store, local, open_store, run

STAGES = "tests.runner.stages:"


def start_small_study(folder, light_path, *, workers, limit):
    command = [sys.executable, "-m", "tests.runner.small_study", str(folder), str(workers), "3", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(light_path)}
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=limit
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_job_that_exceeds_the_file_size_limit_fails_and_the_same_command_continues(tmp_path, light_path, workers):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))  # large.bin has 1.3 MB

    ended = start_small_study(tmp_path / "s", light_path, workers=workers, limit=limit)
    assert ended.returncode == 1, ended.stderr
    assert "failed first0" in ended.stdout
    store = existing_store(tmp_path / "s")
    assert list(store.locations()) == []
    # The failure is not recorded: the job runs again from its checkpoint without --retry-failed.
    assert start_small_study(tmp_path / "s", light_path, workers=workers, limit=None).returncode == 0
    plan = make_plan(steps=3, seconds=0.0)
    assert store.verify() == {}
    assert store.manifest(plan.location("first0")).resumed


def test_a_job_that_runs_out_of_memory_is_not_recorded_as_failed(store, tmp_path):
    plan = Plan([Job("big", STAGES + "fail", {"how": "memory"}), Job("good", STAGES + "nothing")], result_version="1")
    outcome = run(plan, store, local(0))
    assert outcome.done == ("good",)
    assert "MemoryError" in outcome.failed["big"]
    assert store.failure(plan.location("big")) is None


def test_exhausted_memory_fails_only_its_job(store, light_path):
    plan = Plan(
        [Job("big", STAGES + "take_memory", {"limit": 2 << 30, "bytes": 8 << 30}), Job("good", STAGES + "nothing")],
        result_version="1",
    )
    outcome = run(plan, store, local(1))
    assert outcome.done == ("good",)
    assert "MemoryError" in outcome.failed["big"]


@pytest.mark.parametrize("jump", [-3e8, 3e8])
def test_a_clock_that_jumps_changes_nothing(store, monkeypatch, jump, log):
    class Jumping(datetime):
        calls = 0

        @classmethod
        def now(cls, tz=None):
            cls.calls += 1
            return datetime.fromtimestamp(time.time() + jump * (cls.calls % 2), UTC)

    plan = make_plan(steps=3, seconds=0)
    monkeypatch.setattr("symscope.runner.execute.datetime", Jumping)
    assert run(plan, store, local(0)).ok
    assert Jumping.calls
    for job in plan:
        assert 0 <= store.manifest(plan.location(job.name)).seconds < 60
        folder = store.fetch(plan.location(job.name))
        for path in folder.iterdir():  # and files that seem to be from a different year
            os.utime(path, (time.time() + jump, time.time() + jump))
    assert len(run(plan, store, local(0), on_event=log).cached) == len(plan)
    assert {event.kind for event in log} == {"cached"}


def test_a_store_that_becomes_read_only_during_a_run_loses_nothing(store, monkeypatch):
    plan = make_plan(steps=2, seconds=0)
    publish, published = store.publish, []

    def refuse_later(location):
        if len(published) >= 3:
            raise OSError(30, "Read-only file system")
        published.append(location)
        publish(location)

    monkeypatch.setattr(store, "publish", refuse_later)
    outcome = run(plan, store, local(0))
    assert len(outcome.done) == 3
    assert all("Read-only file system; free space" in text for text in outcome.failed.values())
    monkeypatch.undo()
    again = run(plan, open_store(store.folder, study="test"), local(0))
    assert again.ok
    assert len(again.cached) == 3
