"""Executor on a Ray cluster. This is the only module that imports Ray.

Workers of the cluster do the same as worker processes on one machine: they acquire the lock of a job, call the stage
and commit the result to the store. Results never pass through the driver, and the driver may die without loss. The
store must be reachable from every node: a shared folder, or a URL.

If a worker or its node dies, its jobs start again elsewhere, a limited number of times; in a shared folder they
continue from their last checkpoint. A job returns its last event. Its progress goes through a mailbox, an actor on the
node of the driver, whose loss does no harm.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, final

import ray
from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from symscope.errors import ClusterError, InvalidArgumentError, StoreError
from symscope.runner.events import Event
from symscope.runner.execute import execute
from symscope.runner.jobs import JobSpec
from symscope.runner.pool import LAST_EVENTS, Executor, worker_environment
from symscope.runner.store import Store, existing_store
from symscope.runner.worker import decode_event, decode_request, encode_event, encode_request

MAX_ATTEMPTS = 3
"""Attempts to run a job whose worker or node dies. The limit stops jobs that kill their worker."""

MIN_SUBMITTED = 16
"""Minimum number of jobs that are submitted to Ray at once, so that an autoscaling cluster sees demand."""

PROGRESS_INTERVAL_S = 1.0
_POLL_INTERVAL_S = 0.5
_RESOURCES_INTERVAL_S = 2.0
_CONNECT_TIMEOUT_S = 5.0


@final
class RayExecutor(Executor):
    """Executes jobs on the cluster at an address: `auto`, `host:port`, or `ray://host:port`.

    Args:
        address: address of the cluster; `auto` finds the cluster to which this machine belongs.
        cpus: CPUs of each job, and its number of threads.
        gpus: GPUs of each job; with 0.25, four jobs share a GPU, whose memory must be large enough for all four.

    Raises:
        InvalidArgumentError: `cpus` is below 1, or `gpus` is neither a fraction of one GPU nor a whole number.
    """

    def __init__(self, address: str = "auto", *, cpus: int = 1, gpus: float | int = 0) -> None:
        if cpus < 1:
            raise InvalidArgumentError(f"a job needs 1 CPU or more, got {cpus}")
        if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
            raise InvalidArgumentError(
                f"GPUs of a job must be a fraction of one GPU, such as 0.25, or a whole number, got {gpus}"
            )
        self._address, self._cpus, self._gpus = address, cpus, gpus
        self._requests: dict[Any, tuple[Store, JobSpec]] = {}
        self._attempts: Counter[str] = Counter()
        self._mailbox: Any = None
        self._messages: Any = None
        self._connected = False
        self._slots = (float("-inf"), 0)
        self._next_poll = 0.0

    def connect(self) -> str:
        """Connects, and returns a description of the cluster; raises ClusterError if it or its GPUs are missing."""
        if not self._connected:
            _check_listening(self._address)
            paths = [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))]
            environment = {**worker_environment(self._cpus), "PYTHONPATH": os.pathsep.join(paths)}
            try:
                ray.init(
                    self._address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"env_vars": environment},
                )
            except (ConnectionError, TimeoutError, RuntimeError, ValueError, RayError) as error:
                raise ClusterError(
                    f"no usable Ray cluster at {self._address!r}: {error}; start a cluster with `ray start --head`, or "
                    "pass its address"
                ) from error
            self._connected = True
        resources = ray.cluster_resources()
        if self._gpus > resources.get("GPU", 0.0):
            self.close()
            raise ClusterError(
                f"each job requests {self._gpus:g} GPUs, and the cluster has {resources.get('GPU', 0):g}: add a node "
                "with GPUs, or omit --gpus"
            )
        nodes = sum(node["Alive"] for node in ray.nodes())
        gpus = f", {resources['GPU']:g} GPUs" if resources.get("GPU") else ""
        return f"a Ray cluster of {nodes} node{'s' if nodes > 1 else ''}, {resources.get('CPU', 0):g} CPUs{gpus}"

    @property
    def free_slots(self) -> int:
        """Twice the number of jobs that fit into the cluster, minus those submitted, so that no node waits."""
        self.connect()
        updated, slots = self._slots
        if time.monotonic() > updated + _RESOURCES_INTERVAL_S:
            resources = ray.cluster_resources()
            slots = int(resources.get("CPU", 0.0) / self._cpus)
            if self._gpus:
                slots = min(slots, int(resources.get("GPU", 0.0) / self._gpus))
            self._slots = time.monotonic(), slots
        return max(MIN_SUBMITTED, 2 * slots) - len(self._requests)

    @property
    def busy(self) -> bool:
        return bool(self._requests)

    def submit(self, store: Store, spec: JobSpec) -> None:
        if self._mailbox is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
            self._mailbox = ray.remote(_Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        task = ray.remote(_execute_request).options(
            name=spec.name, num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._attempts[spec.name] += 1
        self._requests[task.remote(encode_request(store, spec), self._mailbox)] = store, spec

    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        ready, _ = ray.wait(list(self._requests), num_returns=1, timeout=min(timeout, _POLL_INTERVAL_S))
        if ready:
            ready, _ = ray.wait(list(self._requests), num_returns=len(self._requests), timeout=0)
        if time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + _POLL_INTERVAL_S
            self._read_mailbox(handle)
        for reference in ready:
            self._pass_on(reference, *self._requests.pop(reference), handle)

    def close(self) -> None:
        if not self._connected:
            return
        for reference in self._requests:
            with suppress(RayError, ValueError, RuntimeError):
                ray.cancel(reference, force=True)
        self._requests.clear()
        self._attempts.clear()
        self._mailbox = self._messages = None
        self._connected = False
        ray.shutdown()

    def _pass_on(self, reference: Any, store: Store, spec: JobSpec, handle: Callable[[Event], None]) -> None:
        """Handles the end of a task."""
        try:
            handle(decode_event(ray.get(reference)))
        except RayTaskError as error:  # not an error of the stage, which `execute` reports as an event
            handle(Event("failed", spec.name, text=str(error.cause)))
        except RuntimeEnvSetupError as error:
            handle(Event("failed", spec.name, text=str(error)))
        except RayError as error:
            cause = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            if self._attempts[spec.name] >= MAX_ATTEMPTS:
                text = f"its worker died {MAX_ATTEMPTS} times, the last time by {cause}"
                handle(Event("failed", spec.name, text=text))
                return
            handle(Event("lost", spec.name, text=cause))
            self.submit(store, spec)

    def _read_mailbox(self, handle: Callable[[Event], None]) -> None:
        if self._mailbox is None:
            return
        if self._messages is None:
            self._messages = self._mailbox.take_all.remote()
        if not ray.wait([self._messages], timeout=0)[0]:
            return
        try:
            lines = ray.get(self._messages)
            self._messages = self._mailbox.take_all.remote()
        except RayError:  # its node died; the next job gets a new mailbox
            self._mailbox = self._messages = None
            return
        running = {spec.name for _, spec in self._requests.values()}
        for event in map(decode_event, lines):
            if event.job in running:
                handle(event)


class _Mailbox:
    """Keeps the latest event of each kind of each job until the driver reads it."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], bytes] = {}

    def put(self, job: str, kind: str, line: bytes) -> None:
        self._lines[job, kind] = line

    def take_all(self) -> list[bytes]:
        lines = list(self._lines.values())
        self._lines.clear()
        return lines


def _execute_request(request: bytes, mailbox: Any) -> bytes:
    """Executes a job on the node of this process, and returns its last event."""
    store, spec = decode_request(request)
    try:
        existing_store(store.address)
    except StoreError as error:
        raise StoreError(
            f"{error} (on node {socket.gethostname()}: all nodes must share the folder of a store; --store takes a URL "
            "that all nodes can reach)"
        ) from error
    last = b""
    next_progress = 0.0

    def send(event: Event) -> None:
        nonlocal last, next_progress
        if event.kind in LAST_EVENTS:
            last = encode_event(event)
            return
        if event.kind == "progress":
            if time.monotonic() < next_progress and not (event.progress and event.progress.values):
                return
            next_progress = time.monotonic() + PROGRESS_INTERVAL_S
        mailbox.put.remote(event.job, event.kind, encode_event(event))

    execute(store, spec, send)
    return last


def _check_listening(address: str) -> None:
    """Raises ClusterError if nothing listens at the address; Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        if address in ("auto", "local"):
            return
        raise ClusterError(f"{address!r} is not an address of a Ray cluster: auto, host:port, or ray://host:port")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): check the address (`ray status` on a "
            "node of the cluster), or start a cluster with `ray start --head --port=6379`"
        ) from error
