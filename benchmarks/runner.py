"""The runner with jobs that do nothing: planning, looking up what is there, overhead of a job, memory of the driver.

Each figure is taken in a process of its own, so that its memory is only what it needs. Ray is measured where it is
installed, on a cluster of one node on this machine.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from benchmarks.rows import Row, Setting
from symscope.runner import Event, Executor, Job, Plan, Store, local, open_store, run
from symscope.runner.jobs import Ticket
from symscope.runner.workbench import Stretch
from symscope.studies import declared_text, plan_study, read_study

SIZES = (10_000, 100_000)
RUN_LOCALLY, RUN_ON_RAY = 2_000, 1_000
MANY = """\
name: many
title: How long does it take to see that all is there?
tasks: [{{name: multi-object}}, {{name: single-object}}]
networks: [{{kind: gru, sizes: [16]}}]
seeds: [{seeds}]
alignments: [{{algorithm: up-down, variables: [count, phase], k: [d/2]}}]
whole_state_swaps: 1000
"""
STAGE = "benchmarks.runner:nothing"


def nothing(*_: object) -> dict[str, str]:
    """A job that does nothing."""
    return {"device": "none"}


def grid(jobs: int) -> Iterator[Job]:
    """Jobs as a study has them: one in three stands alone, the two others need it."""
    for index in range((jobs + 2) // 3):
        name = f"network{index}"
        common = {"seed": index, "task": {"name": "none", "options": {}}, "network": {"kind": "none", "d": 128}}
        yield Job(f"train/{name}", STAGE, {**common, "what": "train"})
        for what in ("align", "swap")[: jobs - 3 * index - 1]:
            yield Job(f"{what}/{name}", STAGE, {**common, "what": what}, (f"train/{name}",))


class Instant(Executor):
    """Says of each job at once that it is done: what is left is the driver's own work."""

    def __init__(self) -> None:
        self._names: list[str] = []

    @property
    def room(self) -> int:
        return 64 - len(self._names)

    @property
    def busy(self) -> bool:
        return bool(self._names)

    def submit(self, store: Store, tickets: Sequence[Ticket]) -> None:
        self._names += [ticket.name for ticket in tickets]

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
    assert len(first.done) == len(again.there) == jobs
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


def peak_memory() -> float:
    """Peak of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(function: Callable[[int, str], dict[str, float]], jobs: int) -> dict[str, float]:
    """What a function measures in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import json, sys; import benchmarks.runner as r; "
            f"print(json.dumps(r.{function.__name__}({jobs}, {folder!r} + '/store')))"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def finished_study(networks: int, folder: str) -> dict[str, float]:
    """The two commands on a study of which every result is there (made up: its jobs are not run)."""
    declaration = Path(folder).parent / "many.yaml"
    text = MANY.format(seeds=", ".join(map(str, range(networks // 2))))
    declaration.write_text(text)
    study = read_study(text, "many")
    plan, store = plan_study(study), open_store(folder, study="many")
    now = datetime.now(UTC)
    for job in plan:
        ticket = plan.ticket(job.name)
        begun, _ = store.begin(ticket.location)
        (begun / "part.scores.parquet").write_bytes(b"made up")
        store.commit(ticket, {"device": "none"}, Stretch(now, now, 1.0, resumed=False))
    (Path(folder) / "report.html").touch()
    (Path(folder) / "study.yaml").write_text(declared_text(study))
    found = {"jobs": float(len(plan))}
    for command in ("plan", "run"):
        code = f"from symscope.cli import main; main(['study', {command!r}, {str(declaration)!r}, '--out', {folder!r}])"
        began = time.perf_counter()
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found[command] = time.perf_counter() - began
        assert "there is nothing to run" in ended.stdout or "Nothing was to be done" in ended.stdout
    return found


def rows(_: Setting) -> Iterator[Row]:
    for jobs in SIZES:
        found = [apart(plan_and_schedule, jobs) for _ in range(3)]
        yield Row.of(f"planning {jobs:,} jobs", [f["planning"] for f in found], "s")
        each = [1e3 * f["scheduling"] / jobs for f in found]
        yield Row.of(f"driver's own work for a job, of {jobs:,}", each, "ms", "jobs that end at once")
        yield Row.of(f"peak memory of the driver, {jobs:,} jobs", [f["memory"] for f in found], "MB")
    found = [apart(run_and_run_again, RUN_LOCALLY) for _ in range(3)]
    each = [1e3 * f["first"] / RUN_LOCALLY for f in found]
    yield Row.of("overhead of a job, one worker process", each, "ms", f"{RUN_LOCALLY:,} jobs; flushed to the disk")
    again = [1e3 * f["again"] / RUN_LOCALLY for f in found]
    yield Row.of("looking up a result that is there", again, "ms", "by size and time of its files")
    found = [apart(finished_study, 10_000 // 3)]
    for command in ("plan", "run"):
        took = [f[command] for f in found]
        yield Row.of(f"`study {command}`, all {found[0]['jobs']:,.0f} results there", took, "s", "from start to end")
    if find_spec("ray"):
        found = [apart(run_on_ray, RUN_ON_RAY) for _ in range(3)]
        each = [1e3 * f["first"] / RUN_ON_RAY for f in found]
        yield Row.of("overhead of a job, Ray on one node of 2 CPUs", each, "ms", f"{RUN_ON_RAY:,} jobs")
        yield Row.of("peak memory of the driver with Ray", [f["memory"] for f in found], "MB")
