"""Kills, Ctrl-C and two processes at once: results are the same as without interruption."""

import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.runner.small_study import make_plan

from symscope.runner import Job, Plan, existing_store, local, open_store, run

STEPS, SECONDS = 12, 0.004


def contents(store, plan):
    """Contents of all files of all results, without the manifests, which record times."""
    files = {}
    for job in plan:
        location = plan.location(job.name)
        for relative in store.manifest(location).files:
            files[job.name, relative] = (store.path(location) / relative).read_bytes()
    return files


def uninterrupted(folder):
    plan = make_plan(steps=STEPS, seconds=0)
    store = open_store(folder, study="small")
    assert run(plan, store, local(0)).ok
    return contents(store, plan)


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def read_until_progress(program):
    for line in program.stdout:
        if line.startswith("progress"):
            return
    raise AssertionError("the program ended without any progress")


def kill_at_random_moments(start_program, tmp_path, *, kills, workers, seed):
    """Starts the small study, kills it, starts it again, ...; a finished study is followed by a new study."""
    rng = random.Random(seed)
    # The duration of a step is an argument and thus part of the keys, but not of the results.
    plan, expected = make_plan(steps=STEPS, seconds=SECONDS), uninterrupted(tmp_path / "calm")
    killed, finished, resumed = 0, 0, False
    while (kills_more := killed < kills or (not resumed and killed < 10 * kills)) or not finished:
        folder = tmp_path / f"study{finished}"
        program = start_program(folder, workers=workers, steps=STEPS, seconds=SECONDS)
        if kills_more:
            assert program.stdout.readline()  # it has started
            later = max(1, killed / kills)  # on a busy machine, until a kill hits a running job
            time.sleep(rng.uniform(0, 0.35) * later)
            program.kill()
        program.communicate()
        killed += program.returncode == -signal.SIGKILL
        if program.returncode == 0:
            finished += 1
            store = existing_store(folder)
            assert store.verify() == {}
            assert contents(store, plan) == expected
            resumed |= any(store.manifest(plan.location(job.name)).resumed for job in plan)
        else:
            assert program.returncode == -signal.SIGKILL
    assert resumed  # otherwise no kill hit a running job


@pytest.mark.parametrize("workers", [0, 2])
def test_results_do_not_change_when_the_study_is_killed_at_random_moments(start_program, tmp_path, workers):
    kill_at_random_moments(start_program, tmp_path, kills=8, workers=workers, seed=workers)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_results_do_not_change_when_the_study_is_killed_at_fifty_random_moments(start_program, tmp_path, workers):
    kill_at_random_moments(start_program, tmp_path, kills=50, workers=workers, seed=10 + workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_continues_from_its_checkpoints(start_program, tmp_path, workers, number):
    folder = tmp_path / "study"
    program = start_program(folder, workers=workers, steps=STEPS, seconds=0.02)
    read_until_progress(program)
    program.send_signal(number)
    program.communicate(timeout=60)
    assert program.returncode == 130
    assert list(folder.glob("work/*/*/scratch/checkpoint.json"))
    program = start_program(folder, workers=workers, steps=STEPS, seconds=0.02)
    program.communicate(timeout=60)
    assert program.returncode == 0
    plan = make_plan(steps=STEPS, seconds=0.02)
    store = existing_store(folder)
    assert contents(store, plan) == uninterrupted(tmp_path / "calm")
    assert any(store.manifest(plan.location(job.name)).resumed for job in plan)


def test_ctrl_c_in_a_terminal_reaches_the_process_group_and_no_job_fails(start_program, tmp_path, monkeypatch):
    # A terminal sends SIGINT to the workers too; they ignore it, and their parent ends them.
    started = subprocess.Popen

    def in_a_group(*args, **kwargs):
        return started(*args, **kwargs, process_group=0)

    monkeypatch.setattr(subprocess, "Popen", in_a_group)
    program = start_program(tmp_path / "study", workers=2, steps=STEPS, seconds=0.02)
    read_until_progress(program)
    os.killpg(program.pid, signal.SIGINT)
    output, _ = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "failed" not in output


def test_a_run_restores_the_handler_of_sigterm(store):
    before = signal.getsignal(signal.SIGTERM)
    run(Plan([], result_version="1"), store, local(0))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_works_outside_of_the_main_thread(store):
    plan = Plan([Job("job", "tests.runner.stages:nothing")], result_version="1")
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run(plan, store, local(0))))
    thread.start()
    thread.join()
    assert outcomes[0].ok


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_do_not_outlive_a_killed_parent(start_program, tmp_path):
    folder = tmp_path / "study"
    program = start_program(folder, workers=2, steps=2, seconds=30)  # the workers sleep and do not poll
    wait_for(lambda: len(list(folder.glob("work/*/*/scratch"))) == 2)
    children = children_of(program.pid)
    assert len(children) == 2
    program.kill()
    program.wait()
    wait_for(lambda: not any(is_alive(child) for child in children), seconds=30)


def children_of(pid):
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    parsed = [re.fullmatch(r"(\d+) \(.*\) \S (\d+) .*", stat, re.DOTALL) for stat in stats]
    return [int(match[1]) for match in parsed if match and int(match[2]) == pid]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_processes_that_share_a_store_run_each_job_once(start_program, tmp_path):
    programs = [start_program(tmp_path / "study", workers=workers, steps=STEPS, seconds=0.01) for workers in (0, 2, 0)]
    outputs = [program.communicate(timeout=60)[0].splitlines() for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0]
    done = [line for lines in outputs for line in lines if line.startswith("done ")]
    assert sorted(done) == sorted(set(done))
    assert len(done) == 9
    plan = make_plan(steps=STEPS, seconds=0.01)
    assert contents(existing_store(tmp_path / "study"), plan) == uninterrupted(tmp_path / "calm")


def test_a_run_waits_for_a_job_that_another_process_runs(store, log, light_path):
    plan = Plan([Job("job", "tests.runner.stages:nothing")], result_version="1")

    lock = store.work_folder(plan.location("job")).lock()
    assert lock.__enter__()

    def release_when_waiting(event):
        log(event)
        if event.kind == "waiting":
            lock.__exit__(None, None, None)

    outcome = run(plan, store, local(1), on_event=release_when_waiting)
    assert outcome.done == ("job",)
    assert log.kinds("job") == ["waiting", "started", "done"]
