"""Runs a plan: starts each job when its needs are done, and collects failures while the remaining jobs continue."""

from __future__ import annotations

import heapq
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType

from symscope.runner.events import Event, Outcome
from symscope.runner.jobs import Plan
from symscope.runner.pool import Executor
from symscope.runner.store import Check, Store

RETRY_INTERVAL_S = 0.25
"""Time until a job that another process runs is tried again."""

_MAX_WAIT_S = 3600.0


def run(
    plan: Plan,
    store: Store,
    executor: Executor,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    retry_failed: bool = False,
) -> Outcome:
    """Executes all jobs of a plan whose results are not valid in the store.

    Args:
        plan: the jobs.
        store: the store of their results.
        executor: executes the jobs: `local(workers)`, or a cluster. It is closed at the end.
        on_event: called in this process and thread for each event, in order.
        retry_failed: whether to run jobs again whose stage raised an error in an earlier run; otherwise they count as
            failed, with the recorded traceback. Failures for lack of memory, disk or a machine are always retried.

    Returns:
        The jobs that were done, cached, failed and skipped. Failures of jobs do not raise.

    Raises:
        KeyboardInterrupt: on Ctrl-C and on SIGTERM, after the workers have ended. Finished results and the scratch
            folders of running jobs are kept; a second call continues from there.
    """
    clock = time.monotonic()
    schedule = _Schedule(plan, store, on_event)
    with _terminated_as_interrupted():
        schedule.load_cached(retry_failed=retry_failed)
        with executor:
            _drive(executor, store, schedule)
    return schedule.outcome(time.monotonic() - clock)


def _drive(executor: Executor, store: Store, schedule: _Schedule) -> None:
    while not schedule.finished:
        while executor.free_slots and (name := schedule.next_job()):
            executor.submit(store, schedule.plan.spec(name))
        wait = schedule.seconds_until_retry()
        if executor.busy:
            executor.receive(schedule.handle, timeout=min(wait, _MAX_WAIT_S))
        else:
            time.sleep(wait)  # other processes run all remaining jobs


class _Schedule:
    """State of a run: the jobs that have ended, those that can start, and those that wait."""

    def __init__(self, plan: Plan, store: Store, on_event: Callable[[Event], None]) -> None:
        self.plan = plan
        self._store = store
        self._on_event = on_event
        self._position = {job.name: position for position, job in enumerate(plan)}
        self._names = list(self._position)
        self._dependents: dict[str, list[str]] = {name: [] for name in self._names}
        for job in plan:
            for need in job.needs:
                self._dependents[need].append(job.name)
        self._unmet: dict[str, int] = {}
        self._ready: list[int] = []
        self._locked: deque[tuple[float, str]] = deque()
        self._reported_waiting: set[str] = set()
        self._done: dict[str, None] = {}  # dictionaries as ordered sets
        self._cached: dict[str, None] = {}
        self._failed: dict[str, str] = {}
        self._skipped: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        """Whether all jobs have ended."""
        return self._ended == len(self.plan)

    @property
    def _ended(self) -> int:
        return len(self._done) + len(self._cached) + len(self._failed) + len(self._skipped)

    def load_cached(self, *, retry_failed: bool) -> None:
        """Looks up all results, and finds the jobs that can start."""
        valid = self._find_valid()
        for name in self._names:
            if name in valid:
                self._cached[name] = None
                self._emit(Event("cached", name))
        for name in self._names:
            if name in valid or name in self._skipped:
                continue
            recorded_failure = None if retry_failed else self._store.failure(self.plan.location(name))
            if recorded_failure is not None:
                self._fail(name, recorded_failure)
                continue
            unmet = sum(need not in valid for need in self.plan[name].needs)
            self._unmet[name] = unmet
            if not unmet:
                heapq.heappush(self._ready, self._position[name])

    def next_job(self) -> str | None:
        """The first job of the plan that can start now, or None."""
        now = time.monotonic()
        while self._locked and self._locked[0][0] <= now:
            heapq.heappush(self._ready, self._position[self._locked.popleft()[1]])
        return self._names[heapq.heappop(self._ready)] if self._ready else None

    def seconds_until_retry(self) -> float:
        """Time until a job that another process runs is tried again; infinite if there is none."""
        return max(0.0, self._locked[0][0] - time.monotonic()) if self._locked else float("inf")

    def handle(self, event: Event) -> None:
        """Handles an event of the executor."""
        if event.kind == "waiting":
            self._locked.append((time.monotonic() + RETRY_INTERVAL_S, event.job))
            if event.job in self._reported_waiting:
                return
            self._reported_waiting.add(event.job)
        elif event.kind == "failed":
            if event.permanent:
                with suppress(OSError):  # on a full disk the failure is reported but not recorded
                    self._store.record_failure(self.plan.spec(event.job), event.text)
            self._fail(event.job, event.text)
            return
        elif event.kind in ("done", "cached"):
            (self._done if event.kind == "done" else self._cached)[event.job] = None
            for dependent in self._dependents[event.job]:
                self._meet_need(dependent)
        self._emit(event)

    def outcome(self, seconds: float) -> Outcome:
        """The outcome of the run."""
        return Outcome(tuple(self._done), tuple(self._cached), self._failed, self._skipped, seconds)

    def _find_valid(self) -> set[str]:
        """Names of the jobs with valid results.

        Results are checked by size and time; those that a job of this run will read are first read completely. The
        plan is walked backwards, since a damaged need must run again and then reads its own needs.
        """
        quick = self._store.check_all(self.plan.location(name) for name in self._names)
        valid = {name for name in self._names if self._is_valid(name, quick[self.plan.location(name)])}
        deeply_checked: set[str] = set()
        for name in reversed(self._names):
            if name in valid:
                continue
            for need in self.plan[name].needs:
                if need in valid and need not in deeply_checked:
                    deeply_checked.add(need)
                    if not self._is_valid(need, self._store.check(self.plan.location(need), deep=True)):
                        valid.remove(need)
        return valid

    def _is_valid(self, name: str, check: Check) -> bool:
        if check.state == "damaged":
            self._emit(Event("damaged", name, text=check.fault))
        return check.state == "valid"

    def _meet_need(self, name: str) -> None:
        if name in self._unmet:
            self._unmet[name] -= 1
            if not self._unmet[name]:
                heapq.heappush(self._ready, self._position[name])

    def _fail(self, name: str, text: str) -> None:
        self._failed[name] = text
        self._emit(Event("failed", name, text=text))
        affected = deque(self._dependents[name])
        while affected:
            dependent = affected.popleft()
            if dependent in self._skipped or dependent in self._failed or dependent in self._cached:
                continue
            self._skipped[dependent] = name
            self._emit(Event("skipped", dependent, text=name))
            affected.extend(self._dependents[dependent])

    def _emit(self, event: Event) -> None:
        self._on_event(replace(event, ended=self._ended, total=len(self.plan)))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Makes SIGTERM raise KeyboardInterrupt like Ctrl-C, if this thread can set signal handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (the signature of a handler)
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
