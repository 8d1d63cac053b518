"""Executes on a Ray cluster: the only file that knows Ray.

The cluster's workers do what a worker process on this machine does: they take the job's lock, call the stage and commit
the result to the store themselves, so results never pass through the driver, and the driver may die without loss. The
store must be reachable from every node: a folder that all share, or a URL.

When a worker or its node dies, its jobs are started again elsewhere, a few times; in a shared folder they go on from
their last checkpoint. What comes back from a job are its last events; its progress comes through a mailbox, an actor
beside the driver, which may be lost without harm.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, final

import ray
from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from symscope.errors import ClusterError, InvalidArgumentError, StoreError
from symscope.runner.events import Event
from symscope.runner.execute import execute
from symscope.runner.jobs import Ticket
from symscope.runner.places import existing_store
from symscope.runner.pool import ENDS_A_TICKET, THREADS_VARIABLE, Executor
from symscope.runner.store import Store
from symscope.runner.worker import decode_event, decode_order, encode_event, encode_order

MOST_TRIES = 3
"""How often a job is started whose worker or node dies; a job that kills its worker would else go on for ever."""

LEAST_SUBMITTED = 16
"""At least so many jobs are handed to Ray at once, so that a cluster that grows with the demand sees some."""

PROGRESS_APART_S = 1.0
_LOOK_S = 0.5
_RESOURCES_KNOWN_S = 2.0
_PATIENCE_S = 5.0


@final
class RayExecutor(Executor):
    """Executes on the cluster at an address: `auto`, `host:port`, or `ray://host:port`.

    Args:
        address: where the cluster is; `auto` finds the one that this machine belongs to.
        cpus: CPUs of each job, and its threads.
        gpus: GPUs of each job; a quarter lets four share one, whose memory must hold them.

    Raises:
        InvalidArgumentError: a job needs a CPU at least, and GPUs are a share of one or a whole number.
    """

    def __init__(self, address: str = "auto", *, cpus: int = 1, gpus: float | int = 0) -> None:
        if cpus < 1:
            raise InvalidArgumentError(f"a job needs 1 CPU or more, got {cpus}")
        if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
            raise InvalidArgumentError(f"GPUs of a job are a share of one, such as 0.25, or a whole number, got {gpus}")
        self._address, self._cpus, self._gpus = address, cpus, gpus
        self._orders: dict[Any, tuple[Store, Sequence[Ticket]]] = {}
        self._tries: Counter[str] = Counter()
        self._mailbox: Any = None
        self._letters: Any = None
        self._connected = False
        self._room_known = (float("-inf"), 0)
        self._next_look = 0.0

    def connect(self) -> str:
        """Connects, and says to what; `ClusterError` where there is no cluster, or none of these GPUs."""
        if not self._connected:
            _check_that_someone_listens(self._address)
            own = [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))]
            environment = {THREADS_VARIABLE: str(self._cpus), "PYTHONPATH": os.pathsep.join(own)}
            try:
                ray.init(
                    self._address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"env_vars": environment},
                )
            except (ConnectionError, TimeoutError, RuntimeError, ValueError, RayError) as error:
                raise ClusterError(
                    f"no Ray cluster can be used at {self._address!r}: {error}; start one with `ray start --head`, or "
                    "give its address"
                ) from error
            self._connected = True
        resources = ray.cluster_resources()
        if self._gpus > resources.get("GPU", 0.0):
            self.close()
            raise ClusterError(
                f"each job asks for {self._gpus:g} GPUs, and the cluster has {resources.get('GPU', 0):g}: add a node "
                "with GPUs, or leave --gpus out"
            )
        nodes = sum(node["Alive"] for node in ray.nodes())
        gpus = f", {resources['GPU']:g} GPUs" if resources.get("GPU") else ""
        return f"a Ray cluster of {nodes} node{'s' if nodes > 1 else ''}, {resources.get('CPU', 0):g} CPUs{gpus}"

    @property
    def room(self) -> int:
        """Twice as many orders as the cluster has places for, less those submitted: none waits for the driver."""
        self.connect()
        known_at, slots = self._room_known
        if time.monotonic() > known_at + _RESOURCES_KNOWN_S:
            resources = ray.cluster_resources()
            slots = int(resources.get("CPU", 0.0) / self._cpus)
            if self._gpus:
                slots = min(slots, int(resources.get("GPU", 0.0) / self._gpus))
            self._room_known = time.monotonic(), slots
        return max(LEAST_SUBMITTED, 2 * slots) - len(self._orders)

    @property
    def busy(self) -> bool:
        """Whether an order has not ended."""
        return bool(self._orders)

    def submit(self, store: Store, tickets: Sequence[Ticket]) -> None:
        """Hands an order to the cluster."""
        if self._mailbox is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
            self._mailbox = ray.remote(_Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        work = ray.remote(_work).options(
            name=tickets[0].name, num_cpus=self._cpus, num_gpus=self._gpus, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._tries.update(ticket.name for ticket in tickets)
        self._orders[work.remote(encode_order(store, tickets), self._mailbox)] = store, tickets

    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        """Waits for the end of an order, at most half a second, and hands over what has come."""
        ready, _ = ray.wait(list(self._orders), num_returns=1, timeout=min(timeout, _LOOK_S))
        if ready:
            ready, _ = ray.wait(list(self._orders), num_returns=len(self._orders), timeout=0)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_S
            self._look_into_the_mailbox(handle)
        for reference in ready:
            self._take(reference, *self._orders.pop(reference), handle)

    def close(self) -> None:
        """Ends the jobs and leaves the cluster."""
        if not self._connected:
            return
        for reference in self._orders:
            with suppress(RayError, ValueError, RuntimeError):
                ray.cancel(reference, force=True)
        self._orders.clear()
        self._mailbox = self._letters = None
        self._connected = False
        ray.shutdown()

    def _take(self, reference: Any, store: Store, tickets: Sequence[Ticket], handle: Callable[[Event], None]) -> None:
        try:
            for line in ray.get(reference):
                handle(decode_event(line))
        except RayTaskError as error:  # nothing of the stage's: `execute` tells that as an event
            self._fail(tickets, str(error.cause), handle)
        except RuntimeEnvSetupError as error:
            self._fail(tickets, str(error), handle)
        except RayError as error:
            told = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            if self._tries[tickets[0].name] >= MOST_TRIES:
                self._fail(tickets, f"its worker died {MOST_TRIES} times, the last time by {told}", handle)
                return
            for ticket in tickets:
                handle(Event("lost", ticket.name, text=told))
            self.submit(store, tickets)

    def _fail(self, tickets: Sequence[Ticket], text: str, handle: Callable[[Event], None]) -> None:
        for ticket in tickets:
            handle(Event("failed", ticket.name, text=text))

    def _look_into_the_mailbox(self, handle: Callable[[Event], None]) -> None:
        if self._mailbox is None:
            return
        if self._letters is None:
            self._letters = self._mailbox.take.remote()
        if not ray.wait([self._letters], timeout=0)[0]:
            return
        try:
            lines = ray.get(self._letters)
            self._letters = self._mailbox.take.remote()
        except RayError:  # its node died; the next order gets another
            self._mailbox = self._letters = None
            return
        under_way = {ticket.name for _, tickets in self._orders.values() for ticket in tickets}
        for event in map(decode_event, lines):
            if event.job in under_way:
                handle(event)


class _Mailbox:
    """Keeps the last word of each job until the driver looks."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], bytes] = {}

    def put(self, job: str, kind: str, line: bytes) -> None:
        self._lines[job, kind] = line

    def take(self) -> list[bytes]:
        lines = list(self._lines.values())
        self._lines.clear()
        return lines


def _work(order: bytes, mailbox: Any) -> list[bytes]:
    """Does an order on whatever node this is, and returns its last events."""
    store, tickets = decode_order(order)
    try:
        existing_store(store.address)
    except StoreError as error:
        raise StoreError(
            f"{error} (on node {socket.gethostname()}: a store in a folder must be shared by all nodes; --store takes "
            "a URL that all can reach)"
        ) from error
    ended: list[bytes] = []
    next_progress = 0.0

    def send(event: Event) -> None:
        nonlocal next_progress
        if event.kind in ENDS_A_TICKET:
            ended.append(encode_event(event))
            return
        if event.kind == "progress":
            if time.monotonic() < next_progress:
                return
            next_progress = time.monotonic() + PROGRESS_APART_S
        mailbox.put.remote(event.job, event.kind, encode_event(event))

    execute(store, tickets, send)
    return ended


def _check_that_someone_listens(address: str) -> None:
    """Ray itself waits for minutes for a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        if address in ("auto", "local"):
            return
        raise ClusterError(f"{address!r} is no address of a Ray cluster: auto, host:port, or ray://host:port")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error.strerror or error}): check the address (`ray status` on a "
            "node of it), or start one with `ray start --head --port=6379`"
        ) from error
