"""Where jobs are executed: in this process, or in worker processes. Both offer what `schedule.py` asks.

An executor takes orders, one ticket or those of a group, while it has room (`submit`), and hands over events
(`receive`). A ticket that was submitted ends with exactly one of the events `done`, `there`, `waiting` and `failed`.
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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from symscope.errors import InvalidArgumentError
from symscope.runner.events import Event
from symscope.runner.execute import execute
from symscope.runner.jobs import Ticket
from symscope.runner.store import Store
from symscope.runner.worker import decode_event, encode_order

THREADS_VARIABLE = "SYMSCOPE_THREADS"
"""Environment variable with the number of threads that a stage shall use, for what the others do not reach."""

ENDS_A_TICKET = frozenset({"done", "there", "waiting", "failed"})

_THREADS_VARIABLES = (THREADS_VARIABLE, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from symscope.runner.worker import main; main()"
_PATIENCE_S = 2.0
_OUTPUT_SHOWN = 4000


class Executor(ABC):
    """Executes tickets somewhere. Leaving its `with` block ends at once whatever goes on; it can be used again."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many orders can be submitted now."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether a submitted ticket has not ended."""

    @abstractmethod
    def submit(self, store: Store, tickets: Sequence[Ticket]) -> None:
        """Takes an order for a store; call it only where there is room."""

    @abstractmethod
    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        """Waits for an event, at most `timeout` seconds, and hands over what has come."""

    @abstractmethod
    def close(self) -> None:
        """Ends at once whatever still goes on; working folders remain."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class InlineExecutor(Executor):
    """Executes in this process, one order at a time, while `receive` waits."""

    def __init__(self) -> None:
        self._order: tuple[Store, Sequence[Ticket]] | None = None

    @property
    def room(self) -> int:
        """One, unless an order was submitted and not received yet."""
        return int(self._order is None)

    @property
    def busy(self) -> bool:
        """Whether an order was submitted and not received yet."""
        return self._order is not None

    def submit(self, store: Store, tickets: Sequence[Ticket]) -> None:
        """Takes an order for the next `receive`."""
        self._order = store, tickets

    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        """Executes the order, and hands over its events as they come."""
        order, self._order = self._order, None
        if order is not None:
            execute(*order, handle)

    def close(self) -> None:
        """Nothing goes on between two calls, and what was not begun is dropped."""
        self._order = None


def local(workers: int, threads: int = 1) -> Executor:
    """Executes on this machine: in so many worker processes, or for 0 in this one, one job after the other."""
    return WorkerPool(workers, threads) if workers else InlineExecutor()


@dataclass(eq=False)
class _Worker:
    """The parent's end of a worker process.

    `under_way` are the names of the jobs of its order that have not ended. What the process prints goes to the file
    `output`; that of the order under way begins at `output_start`.
    """

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    under_way: set[str] = field(default_factory=set)
    output_start: int = 0
    reader: threading.Thread = field(init=False)


class WorkerPool(Executor):
    """Executes in persistent worker processes, started when first needed.

    `threads` of each worker are told by OMP_NUM_THREADS, MKL_NUM_THREADS, OPENBLAS_NUM_THREADS and SYMSCOPE_THREADS in
    its environment.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        if workers < 1 or threads < 1:
            raise InvalidArgumentError(f"workers and threads must be 1 or more, got {workers} and {threads}")
        self._most = workers
        self._threads = threads
        self._workers: list[_Worker] = []
        self._inbox: queue.SimpleQueue[tuple[_Worker, Event | None]] = queue.SimpleQueue()

    @property
    def room(self) -> int:
        """Workers without an order, those included that are not started yet."""
        return self._most - sum(bool(worker.under_way) for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Whether a worker has an order."""
        return any(worker.under_way for worker in self._workers)

    def submit(self, store: Store, tickets: Sequence[Ticket]) -> None:
        """Hands an order to an idle worker, or starts one."""
        idle = [worker for worker in self._workers if not worker.under_way]
        worker = idle[0] if idle else self._start_worker()
        worker.under_way = {ticket.name for ticket in tickets}
        worker.output_start = os.fstat(worker.output.fileno()).st_size
        assert worker.process.stdin is not None
        with suppress(BrokenPipeError):  # it died while it was idle; the end of its output tells so, as always
            worker.process.stdin.write(encode_order(store, tickets))
            worker.process.stdin.flush()

    def receive(self, handle: Callable[[Event], None], *, timeout: float) -> None:
        """Waits for an event, and hands over all that have come."""
        try:
            worker, event = self._inbox.get(timeout=timeout)
            while True:
                self._take(worker, event, handle)
                worker, event = self._inbox.get_nowait()
        except queue.Empty:
            return

    def close(self) -> None:
        """Ends the worker processes."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            self._release(worker)
        self._workers.clear()

    def _take(self, worker: _Worker, event: Event | None, handle: Callable[[Event], None]) -> None:
        if event is None:
            self._workers.remove(worker)
            worker.process.wait()
            text = _describe_death(worker)
            self._release(worker)
            for name in sorted(worker.under_way):
                handle(Event("failed", name, text=text))
            return
        if event.kind in ENDS_A_TICKET:
            worker.under_way.discard(event.job)
        handle(event)

    def _start_worker(self) -> _Worker:
        environment = {**os.environ, **dict.fromkeys(_THREADS_VARIABLES, str(self._threads))}
        output = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
        process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment,
        )
        worker = _Worker(process, output)
        self._workers.append(worker)
        worker.reader = threading.Thread(target=self._read_events, args=(worker,), daemon=True)
        worker.reader.start()
        return worker

    def _read_events(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            if line.endswith(b"\n"):  # a worker that died amid a line leaves half of it
                self._inbox.put((worker, decode_event(line)))
        self._inbox.put((worker, None))

    def _release(self, worker: _Worker) -> None:
        worker.reader.join(_PATIENCE_S)
        for stream in (worker.process.stdin, worker.process.stdout, worker.output):
            if stream is not None:
                with suppress(BrokenPipeError):  # it had not read its last order
                    stream.close()


def _describe_death(worker: _Worker) -> str:
    code = worker.process.returncode
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        how = f"was killed by {name}"
        if -code == getattr(signal, "SIGKILL", None):
            how += " (often the system does that when memory runs out: try fewer workers)"
    else:
        how = f"ended with exit code {code}"
    worker.output.seek(worker.output_start)
    said = worker.output.read().decode(errors="replace").strip()[-_OUTPUT_SHOWN:]
    return f"the worker process {how}" + (f"; it last said:\n{said}" if said else "")
