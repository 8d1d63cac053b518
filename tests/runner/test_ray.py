"""The Ray executor on a real cluster of several nodes on this machine, one of which is killed during a run."""

import os
import socket
import time
from pathlib import Path

import pytest

from symscope.errors import ClusterError, InvalidArgumentError
from symscope.runner import Job, Plan, existing_store, local, open_store, run

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from symscope.runner.ray import RayExecutor  # noqa: E402

STAGES = "tests.runner.stages:"
ROOT = Path(__file__).parents[2]

# Warnings about sockets and files that Ray itself leaves open.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.xdist_group("ray"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head without CPUs, as the driver's machine may be, and a node with one CPU and a GPU."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    # The cluster detects a dead node after 2 s; the defaults of Ray take half a minute.
    detection = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": detection}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, num_gpus=1)  # Ray only counts GPUs
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def chains(count, *, steps, **options):
    arguments = {"steps": steps, "seconds": 0, **options}
    first = [Job(f"first{i}", STAGES + "chain", {"seed": i, **arguments}) for i in range(count)]
    needs = tuple(job.name for job in first)
    last = Job("last", STAGES + "chain", {"seed": "last", "steps": 2, "seconds": 0}, needs)
    return Plan([*first, last], result_version="1")


def digests(store, plan):
    return {job.name: (store.fetch(plan.location(job.name)) / "digest.txt").read_text() for job in plan}


def test_a_node_that_is_killed_loses_only_its_running_jobs(cluster, tmp_path, log):
    store, reference = (open_store(tmp_path / name, study="test") for name in ("store", "reference"))
    doomed = cluster.add_node(num_cpus=2)
    # Jobs on the doomed node never pass their first step; all jobs wait until a job has reached it there.
    plan = chains(6, steps=3, hold_on=doomed.node_id, flag=str(tmp_path / "reached"))
    killed = []

    def kill_node(event):
        log(event)
        if not killed and event.kind == "progress" and event.progress.text == doomed.node_id:
            killed.append(event.job)
            cluster.remove_node(doomed, allow_graceful=False)

    outcome = run(plan, store, RayExecutor(cluster.address), on_event=kill_node)
    assert outcome.ok, outcome.failed
    assert len(outcome.done) == len(set(outcome.done)) == len(plan)
    lost = {event.job for event in log if event.kind == "lost"}
    assert killed[0] in lost
    assert store.verify() == {}
    resumed = {job.name for job in plan if store.manifest(plan.location(job.name)).resumed}
    assert killed[0] in resumed <= lost  # jobs on the node that survived ran once
    assert run(plan, reference, local(0)).ok
    assert digests(store, plan) == digests(reference, plan)


def test_failures_and_cached_jobs_are_as_on_one_machine(cluster, tmp_path, log):
    plan = Plan(
        [
            Job("good", STAGES + "write", {"text": "good"}),
            Job("bad", STAGES + "fail", {"how": "value"}),
            Job("after", STAGES + "write", {"text": "after"}, ("bad",)),
            Job("better", STAGES + "write", {"text": "better"}, ("good",)),
        ],
        result_version="1",
    )
    store = open_store(tmp_path / "store", study="test")
    outcome = run(plan, store, RayExecutor(cluster.address), on_event=log)
    assert set(outcome.done) == {"good", "better"}
    assert "no such luck" in outcome.failed["bad"]
    assert "stages.py" in outcome.failed["bad"]
    assert outcome.skipped == {"after": "bad"}
    again = run(plan, store, RayExecutor(cluster.address))
    assert set(again.cached) == {"good", "better"}


@pytest.mark.slow
def test_a_job_that_always_kills_its_worker_fails(cluster, tmp_path, log):
    plan = Plan([Job("bad", STAGES + "die"), Job("good", STAGES + "nothing")], result_version="1")
    outcome = run(plan, open_store(tmp_path / "store", study="test"), RayExecutor(cluster.address), on_event=log)
    assert outcome.done == ("good",)
    assert "its worker died 3 times" in outcome.failed["bad"]
    assert [event.kind for event in log if event.job == "bad" and event.kind == "lost"] == ["lost", "lost"]


@pytest.mark.slow
def test_jobs_share_a_gpu(cluster, tmp_path):
    # Two jobs at a time need two CPUs on one node with a GPU, which Ray only counts. Each job waits for the next job.
    node = cluster.add_node(num_cpus=4, num_gpus=1)
    plan = Plan(
        [Job(f"job{i}", STAGES + "meet", {"i": i, "folder": str(tmp_path), "count": 3}) for i in range(4)],
        result_version="1",
    )
    store = open_store(tmp_path / "store", study="test")
    assert run(plan, store, RayExecutor(cluster.address, gpus=0.25)).ok
    assert {store.manifest(plan.location(job.name)).facts["gpu"] for job in plan} == {"0"}
    cluster.remove_node(node)


@pytest.mark.slow
def test_a_store_at_a_url_is_written_by_the_workers(cluster, tmp_path, monkeypatch):
    url = f"file://{tmp_path}/remote"
    plan = chains(3, steps=3)
    store = open_store(url, study="test")
    assert run(plan, store, RayExecutor(cluster.address)).ok
    assert existing_store(url).verify() == {}
    reference = open_store(tmp_path / "reference", study="test")
    assert run(plan, reference, local(0)).ok
    assert digests(store, plan) == digests(reference, plan)


@pytest.mark.slow
def test_a_folder_that_a_node_does_not_share_gives_a_clear_error(cluster, tmp_path):
    plan = Plan([Job("job", STAGES + "nothing")], result_version="1")
    store = open_store(tmp_path / "store", study="test")

    class Elsewhere(type(store)):
        """As if the folder were on another machine."""

        def __init__(self):
            super().__init__(store.folder, store.study)
            self.address = "/not/on/this/node"

    outcome = run(plan, Elsewhere(), RayExecutor(cluster.address))
    assert "all nodes must share the folder" in outcome.failed["job"]


@pytest.mark.slow
def test_an_interruption_ends_the_jobs_on_the_cluster(cluster, tmp_path):
    plan = Plan([Job("job", STAGES + "sleep", {"seconds": 60})], result_version="1")
    store = open_store(tmp_path / "store", study="test")
    pids = []

    def interrupt(event):
        if event.kind == "progress":
            pids.append(event.progress.fields["pid"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan, store, RayExecutor(cluster.address), on_event=interrupt)
    end = time.monotonic() + 60
    while Path(f"/proc/{pids[0]}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pids[0]}").exists()
    assert list((tmp_path / "store").glob("work/sleep/*/scratch"))


def test_an_address_where_nothing_listens_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        port = taken.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            with pytest.raises(ClusterError, match="no Ray cluster answers"):
                RayExecutor(address).connect()
        with pytest.raises(ClusterError, match="is not an address"):
            RayExecutor("nonsense").connect()


def test_more_gpus_than_the_cluster_has_are_refused(cluster):
    with pytest.raises(ClusterError, match="requests 64 GPUs"):
        RayExecutor(cluster.address, gpus=64).connect()
    for wrong in (-1, 1.5):
        with pytest.raises(InvalidArgumentError, match="GPUs of a job"):
            RayExecutor(cluster.address, gpus=wrong)
    with pytest.raises(InvalidArgumentError, match="1 CPU"):
        RayExecutor(cluster.address, cpus=0)
