"""The Ray executor on a real cluster of several nodes on this machine, one of which is killed in the middle."""

import json
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

# Ray's own sockets and files are its affair.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.xdist_group("ray"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head without CPUs, as the driver's machine may be, and two nodes that work."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    # A dead node is noticed after 2 s; Ray's own settings take half a minute.
    noticed = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": noticed}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1, num_gpus=1)  # a GPU that Ray only counts
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def chains(count, *, steps, seconds):
    first = [Job(f"first{i}", STAGES + "chain", {"seed": i, "steps": steps, "seconds": seconds}) for i in range(count)]
    needs = tuple(job.name for job in first)
    last = Job("last", STAGES + "chain", {"seed": "last", "steps": 2, "seconds": 0}, needs)
    return Plan([*first, last], result_version="1")


def digests(store, plan):
    return {job.name: (store.fetch(plan.location(job.name)) / "digest.txt").read_text() for job in plan}


def test_a_node_that_is_killed_loses_only_what_it_was_doing(cluster, tmp_path, log):
    plan = chains(6, steps=50, seconds=0.05)
    store, calm = (open_store(tmp_path / name, study="test") for name in ("store", "calm"))
    doomed = cluster.add_node(num_cpus=2)
    killed = []

    def kill_in_the_middle(event):
        log(event)
        # Well before the end of a job that is known to be on the doomed node: progress is heard of a second late.
        if not killed and event.kind == "progress" and event.progress.text == doomed.node_id:
            killed.append(event.job)
            cluster.remove_node(doomed, allow_graceful=False)

    outcome = run(plan, store, RayExecutor(cluster.address), on_event=kill_in_the_middle)
    assert killed
    assert outcome.ok, outcome.failed
    assert outcome.done == tuple(dict.fromkeys(outcome.done))  # each once
    lost = {event.job for event in log if event.kind == "lost"}
    assert killed[0] in lost
    assert len(lost) <= 2  # it has two places
    assert store.verify() == {}
    resumed = {job.name for job in plan if store.manifest(plan.location(job.name)).resumed}
    assert resumed <= lost  # whatever was done elsewhere was not touched
    assert run(plan, calm, local(0)).ok
    assert digests(store, plan) == digests(calm, plan)


def test_failures_and_what_is_there_are_as_on_one_machine(cluster, tmp_path, log):
    plan = Plan(
        [
            Job("good", STAGES + "write", {"text": "good"}),
            Job("bad", STAGES + "fail", {"how": "value"}),
            Job("after", STAGES + "write", {"text": "after"}, ("bad",)),
            Job("m1", STAGES + "write_together", {"text": "m1"}, ("good",), group="m"),
            Job("m2", STAGES + "write_together", {"text": "m2"}, ("good",), group="m"),
        ],
        result_version="1",
    )
    store = open_store(tmp_path / "store", study="test")
    outcome = run(plan, store, RayExecutor(cluster.address), on_event=log)
    assert set(outcome.done) == {"good", "m1", "m2"}
    assert "no such luck" in outcome.failed["bad"]
    assert "stages.py" in outcome.failed["bad"]
    assert outcome.skipped == {"after": "bad"}
    again = run(plan, store, RayExecutor(cluster.address))
    assert set(again.there) == {"good", "m1", "m2"}


@pytest.mark.slow
def test_a_worker_that_always_dies_is_given_up(cluster, tmp_path, log):
    plan = Plan([Job("bad", STAGES + "die"), Job("good", STAGES + "nothing")], result_version="1")
    outcome = run(plan, open_store(tmp_path / "store", study="test"), RayExecutor(cluster.address), on_event=log)
    assert outcome.done == ("good",)
    assert "its worker died 3 times" in outcome.failed["bad"]
    assert [event.kind for event in log if event.job == "bad" and event.kind == "lost"] == ["lost", "lost"]


@pytest.mark.slow
def test_jobs_share_a_gpu(cluster, tmp_path):
    # One CPU a job would leave no two at a time on this cluster; Ray only counts its GPU.
    node = cluster.add_node(num_cpus=4)
    gpu_node = cluster.add_node(num_cpus=4, num_gpus=1)
    plan = Plan([Job(f"job{i}", STAGES + "span", {"i": i, "seconds": 0.6}) for i in range(4)], result_version="1")
    store = open_store(tmp_path / "store", study="test")
    executor = RayExecutor(cluster.address, gpus=0.25)
    assert run(plan, store, executor).ok
    spans = [json.loads((store.fetch(plan.location(j.name)) / "span.json").read_text()) for j in plan]
    together = max(sum(a["start"] <= b["start"] < a["end"] for a in spans if a["gpu"] == b["gpu"]) for b in spans)
    assert together >= 2
    assert {span["gpu"] for span in spans} <= {"0"}
    for one in (node, gpu_node):
        cluster.remove_node(one)


@pytest.mark.slow
def test_a_store_at_a_url_is_written_by_the_workers(cluster, tmp_path, monkeypatch):
    url = f"file://{tmp_path}/remote"
    plan = chains(3, steps=3, seconds=0)
    store = open_store(url, study="test")
    assert run(plan, store, RayExecutor(cluster.address)).ok
    assert existing_store(url).verify() == {}
    calm = open_store(tmp_path / "calm", study="test")
    assert run(plan, calm, local(0)).ok
    assert digests(store, plan) == digests(calm, plan)


@pytest.mark.slow
def test_a_folder_that_a_node_does_not_see_is_a_clear_failure(cluster, tmp_path):
    plan = Plan([Job("job", STAGES + "nothing")], result_version="1")
    store = open_store(tmp_path / "store", study="test")

    class Elsewhere(type(store)):
        """As if the folder were on another machine."""

        def __init__(self):
            super().__init__(store.folder, store.study)
            self.address = "/not/on/this/node"

    outcome = run(plan, Elsewhere(), RayExecutor(cluster.address))
    assert "must be shared by all nodes" in outcome.failed["job"]


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
    end = time.monotonic() + 10
    while Path(f"/proc/{pids[0]}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pids[0]}").exists()
    assert list((tmp_path / "store").glob("work/sleep/*/scratch"))


def test_an_address_where_nobody_answers_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        port = taken.getsockname()[1]
        start = time.monotonic()
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            with pytest.raises(ClusterError, match="no Ray cluster answers"):
                RayExecutor(address).connect()
        with pytest.raises(ClusterError, match="is no address"):
            RayExecutor("nonsense").connect()
        assert time.monotonic() - start < 15


def test_more_gpus_than_there_are_is_refused(cluster):
    with pytest.raises(ClusterError, match="asks for 64 GPUs"):
        RayExecutor(cluster.address, gpus=64).connect()
    for wrong in (-1, 1.5):
        with pytest.raises(InvalidArgumentError, match="GPUs of a job"):
            RayExecutor(cluster.address, gpus=wrong)
    with pytest.raises(InvalidArgumentError, match="1 CPU"):
        RayExecutor(cluster.address, cpus=0)
