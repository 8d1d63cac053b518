"""Executors on this machine: in the current process, or in worker processes.

An executor accepts jobs while it has free slots (`submit`) and passes on their events (`receive`). The last event of a
submitted job is exactly one of `done`, `cached`, `waiting` and `failed`.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from symscope.errors import InvalidArgumentError
from symscope.runner.events import Event
from symscope.runner.execute import execute
from symscope.runner.jobs import JobSpec
from symscope.runner.store import Store
from symscope.runner.worker import decode_event, encode_request

PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Environment variables that let idle threads of OpenMP sleep instead of spin. They must be set before torch is
imported. Spinning threads make programs many times slower on a machine whose cores are busy."""

LAST_EVENTS = frozenset({"done", "cached", "waiting", "failed"})
"""Kinds of the last event of a submitted job."""

_THREADS_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from symscope.runner.worker import main; main()"
_JOIN_TIMEOUT_S = 2.0
_MAX_OUTPUT = 4000
"""Characters of the output of a dead worker that its error message quotes."""


def worker_environment(threads: int) -> dict[str, str]:
    """Environment variables of a worker process: the number of its threads, and how idle threads wait."""
    waiting = {name: os.environ.get(name, value) for name, value in PASSIVE_WAITING.items()}
    return {**waiting, **dict.fromkeys(_THREADS_VARIABLES, str(threads))}


class Executor(ABC):
    """Executes jobs. Leaving its `with` block ends all running jobs at once; it can be used again."""

    @property
    @abstractmethod
    def free_slots(self) -> int:
        """Number of jobs that can be submitted now."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether a submitted job has not ended."""

    @abstractmethod
    def submit(self, store: Store, spec: JobSpec) -> None:
        """Accepts a job for a store; requires a free slot."""

    @abstractmethod
    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        """Waits for an event, at most `timeout` seconds, and passes on all events that have arrived."""

    @abstractmethod
    def close(self) -> None:
        """Ends all running jobs at once; their work folders remain."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class InlineExecutor(Executor):
    """Executes one job at a time in this process, during `receive`."""

    def __init__(self) -> None:
        self._request: tuple[Store, JobSpec] | None = None

    @property
    def free_slots(self) -> int:
        return int(self._request is None)

    @property
    def busy(self) -> bool:
        return self._request is not None

    def submit(self, store: Store, spec: JobSpec) -> None:
        self._request = store, spec

    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        request, self._request = self._request, None
        if request is not None:
            execute(*request, handle)

    def close(self) -> None:
        self._request = None


def local(workers: int, threads: int = 1) -> Executor:
    """Executor on this machine with this many worker processes; 0 runs one job after another in this process."""
    return WorkerPool(workers, threads) if workers else InlineExecutor()


@dataclass(eq=False)
class _Worker:
    """The parent's end of a worker process.

    `job` is the name of its current job, "" if it is idle. All output of the process goes to the file `output`; that of
    the current job begins at `output_start`.
    """

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    job: str = ""
    output_start: int = 0
    reader: threading.Thread = field(init=False)


class WorkerPool(Executor):
    """Executes jobs in persistent worker processes, which start when they are first needed.

    Each worker computes with `threads` threads, which `worker_environment` sets.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        if workers < 1 or threads < 1:
            raise InvalidArgumentError(f"workers and threads must be 1 or more, got {workers} and {threads}")
        self._max_workers = workers
        self._threads = threads
        self._workers: list[_Worker] = []
        self._inbox: queue.SimpleQueue[tuple[_Worker, Event | None]] = queue.SimpleQueue()

    @property
    def free_slots(self) -> int:
        return self._max_workers - sum(bool(worker.job) for worker in self._workers)

    @property
    def busy(self) -> bool:
        return any(worker.job for worker in self._workers)

    def submit(self, store: Store, spec: JobSpec) -> None:
        idle = [worker for worker in self._workers if not worker.job]
        worker = idle[0] if idle else self._start_worker()
        worker.job = spec.name
        worker.output_start = os.fstat(worker.output.fileno()).st_size
        assert worker.process.stdin is not None
        with suppress(BrokenPipeError):  # the worker died while it was idle; the end of its output reports this
            worker.process.stdin.write(encode_request(store, spec))
            worker.process.stdin.flush()

    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        try:
            worker, event = self._inbox.get(timeout=timeout)
            while True:
                self._pass_on(worker, event, handle)
                worker, event = self._inbox.get_nowait()
        except queue.Empty:
            return

    def close(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(_JOIN_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            self._release(worker)
        self._workers.clear()

    def _pass_on(self, worker: _Worker, event: Event | None, handle: Callable[[Event], None]) -> None:
        """Handles one message of a worker; None means that its process has died."""
        if event is None:
            self._workers.remove(worker)
            worker.process.wait()
            text = _describe_death(worker)
            self._release(worker)
            if worker.job:
                handle(Event("failed", worker.job, text=text))
            return
        if event.kind in LAST_EVENTS:
            worker.job = ""
        handle(event)

    def _start_worker(self) -> _Worker:
        output = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
        process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env={**os.environ, **worker_environment(self._threads)},
        )
        worker = _Worker(process, output)
        self._workers.append(worker)
        worker.reader = threading.Thread(target=self._read_events, args=(worker,), daemon=True)
        worker.reader.start()
        return worker

    def _read_events(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            if line.endswith(b"\n"):  # a worker that dies may leave an incomplete line
                self._inbox.put((worker, decode_event(line)))
        self._inbox.put((worker, None))

    def _release(self, worker: _Worker) -> None:
        worker.reader.join(_JOIN_TIMEOUT_S)
        for stream in (worker.process.stdin, worker.process.stdout, worker.output):
            if stream is not None:
                with suppress(BrokenPipeError):  # it had not read its last request
                    stream.close()


def _describe_death(worker: _Worker) -> str:
    code = worker.process.returncode
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        how = f"was killed by {name}"
        if -code == getattr(signal, "SIGKILL", None):
            how += " (the system often does this when memory runs out: try fewer workers)"
    else:
        how = f"ended with exit code {code}"
    worker.output.seek(worker.output_start)
    output = worker.output.read().decode(errors="replace").strip()[-_MAX_OUTPUT:]
    return f"the worker process {how}" + (f"; its last output:\n{output}" if output else "")
