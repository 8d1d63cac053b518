"""The runner with jobs that do nothing: planning, lookup of results, overhead of a job, memory of the driver.

Each number is measured in a new process. If Ray is installed, it is measured on a cluster of one node on this machine.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from benchmarks.rows import Row, Setting, peak_memory
from symscope.runner import Event, Executor, Job, JobSpec, Plan, Store, local, open_store, run
from symscope.runner.work_folder import Attempt
from symscope.studies import declared_text, plan_study, read_study

SIZES = (10_000, 100_000)
RUN_LOCALLY, RUN_ON_RAY = 2_000, 1_000
MANY = """\
name: many
title: How long does it take to look up all results?
tasks: [{{name: multi-object}}, {{name: single-object}}]
networks: [{{kind: gru, sizes: [16]}}]
seeds: [{seeds}]
alignments: [{{algorithm: up-down, variables: [count, phase], k: [d/2]}}]
whole_state_swaps: 1000
"""
STAGE = "benchmarks.runner:nothing"


def nothing(*_: object) -> dict[str, str]:
    """A stage that does nothing."""
    return {"device": "none"}


def grid(jobs: int) -> Iterator[Job]:
    """Jobs with the dependencies of a study: one in three is independent, and the remaining two need it."""
    for index in range((jobs + 2) // 3):
        name = f"network{index}"
        common = {"seed": index, "task": {"name": "none", "options": {}}, "network": {"kind": "none", "d": 128}}
        yield Job(f"train/{name}", STAGE, {**common, "what": "train"})
        for what in ("align", "swap")[: jobs - 3 * index - 1]:
            yield Job(f"{what}/{name}", STAGE, {**common, "what": what}, (f"train/{name}",))


class Instant(Executor):
    """Executor that reports each job as done without running it, so that only the work of the driver remains."""

    def __init__(self) -> None:
        self._names: list[str] = []

    @property
    def free_slots(self) -> int:
        return 64 - len(self._names)

    @property
    def busy(self) -> bool:
        return bool(self._names)

    def submit(self, store: Store, spec: JobSpec) -> None:
        self._names.append(spec.name)

    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        names, self._names = self._names, []
        for name in names:
            handle(Event("done", name, seconds=0.0))

    def close(self) -> None:
        self._names.clear()


def plan_and_schedule(jobs: int, folder: str) -> dict[str, float]:
    began = time.perf_counter()
    plan = Plan(grid(jobs), result_version="1")
    planned = time.perf_counter()
    assert len(run(plan, open_store(folder, study="bench"), Instant()).done) == jobs
    ended = time.perf_counter()
    return {"planning": planned - began, "scheduling": ended - planned, "memory": peak_memory()}


def run_and_run_again(jobs: int, folder: str) -> dict[str, float]:
    plan, store = Plan(grid(jobs), result_version="1"), open_store(folder, study="bench")
    run(Plan([Job("warm up", STAGE)], result_version="1"), store, local(1))
    first = run(plan, store, local(1))
    again = run(plan, store, local(1))
    assert len(first.done) == len(again.cached) == jobs
    return {"first": first.seconds, "again": again.seconds, "memory": peak_memory()}


def run_on_ray(jobs: int, folder: str) -> dict[str, float]:
    import ray  # noqa: PLC0415  (an extra)
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    from symscope.runner.ray import RayExecutor  # noqa: PLC0415

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    executor = RayExecutor(cluster.address)
    executor.connect()
    store = open_store(folder, study="bench")
    small = Plan([Job(f"warm up {i}", STAGE, {"i": i}) for i in range(40)], result_version="1")
    run(small, store, executor)
    plan = Plan(grid(jobs), result_version="1")
    outcome = run(plan, store, executor)
    assert len(outcome.done) == jobs
    ray.shutdown()
    cluster.shutdown()
    return {"first": outcome.seconds, "memory": peak_memory()}


def measure(function: Callable[[int, str], dict[str, float]], jobs: int) -> dict[str, float]:
    """Measurements of a function in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import json, sys; import benchmarks.runner as r; "
            f"print(json.dumps(r.{function.__name__}({jobs}, {folder!r} + '/store')))"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def finished_study(networks: int, folder: str) -> dict[str, float]:
    """Seconds of two commands on a study whose results are all stored (as dummies: its jobs do not run)."""
    declaration = Path(folder).parent / "many.yaml"
    text = MANY.format(seeds=", ".join(map(str, range(networks // 2))))
    declaration.write_text(text)
    study = read_study(text, "many")
    plan, store = plan_study(study), open_store(folder, study="many")
    now = datetime.now(UTC)
    for job in plan:
        spec = plan.spec(job.name)
        work = store.work_folder(spec.location)
        work.prepare()
        (work.path / "part.scores.parquet").write_bytes(b"dummy")
        store.commit(spec, {"device": "none"}, Attempt(now, now, 1.0, resumed=False))
    record_outputs(Path(folder), declared_text(study))
    seconds = {"jobs": float(len(plan))}
    for command in ("plan", "run"):
        code = f"from symscope.cli import main; main(['study', {command!r}, {str(declaration)!r}, '--out', {folder!r}])"
        began = time.perf_counter()
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds[command] = time.perf_counter() - began
        assert "jobs are done" in ended.stdout or "Nothing to do" in ended.stdout
    return seconds


def record_outputs(folder: Path, declaration: str) -> None:
    """Writes the declaration and its digest, like a run that has written its report."""
    (folder / "study.yaml").write_text(declaration)
    digest = hashlib.sha256(declaration.encode()).hexdigest()
    (folder / "outputs.json").write_text(json.dumps({"sha256": {"study.yaml": digest}}))


def rows(_: Setting) -> Iterator[Row]:
    for jobs in SIZES:
        measured = [measure(plan_and_schedule, jobs) for _ in range(3)]
        yield Row.of(f"planning {jobs:,} jobs", [m["planning"] for m in measured], "s")
        each = [1e3 * m["scheduling"] / jobs for m in measured]
        yield Row.of(f"work of the driver for each of {jobs:,} jobs", each, "ms", "jobs that end at once")
        yield Row.of(f"peak memory of the driver, {jobs:,} jobs", [m["memory"] for m in measured], "MiB")
    measured = [measure(run_and_run_again, RUN_LOCALLY) for _ in range(3)]
    each = [1e3 * m["first"] / RUN_LOCALLY for m in measured]
    yield Row.of("overhead of a job, one worker process", each, "ms", f"{RUN_LOCALLY:,} jobs; flushed to the disk")
    again = [1e3 * m["again"] / RUN_LOCALLY for m in measured]
    yield Row.of("lookup of a stored result", again, "ms", "by size and time of its files")
    measured = [measure(finished_study, 10_000 // 3)]
    for command in ("plan", "run"):
        took = [m[command] for m in measured]
        yield Row.of(
            f"`study {command}`, all {measured[0]['jobs']:,.0f} results stored", took, "s", "from start to end"
        )
    if find_spec("ray"):
        measured = [measure(run_on_ray, RUN_ON_RAY) for _ in range(3)]
        each = [1e3 * m["first"] / RUN_ON_RAY for m in measured]
        yield Row.of("overhead of a job, Ray on one node of 2 CPUs", each, "ms", f"{RUN_ON_RAY:,} jobs")
        yield Row.of("peak memory of the driver with Ray", [m["memory"] for m in measured], "MiB")
