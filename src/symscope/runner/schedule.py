"""Runs a plan: each job as soon as its needs are done, failures collected while the rest goes on."""

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

LOOK_AGAIN_S = 0.25
"""How often a job that another process is doing is looked at again."""

_WAIT_S = 3600.0


def run(
    plan: Plan,
    store: Store,
    executor: Executor,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    retry_failed: bool = False,
) -> Outcome:
    """Does every job of a plan whose result is not in the store, whole.

    Args:
        plan: the jobs.
        store: where results are looked up and kept.
        executor: who does the jobs: `local(workers)`, or a cluster. It is closed at the end.
        on_event: called in this process and thread for each event, in order.
        retry_failed: whether jobs whose stage raised in an earlier run are tried again; otherwise they count as failed,
            with the traceback of then. What failed for want of memory, disk or a machine is always tried again.

    Returns:
        What was done, was there, failed and was skipped. Failures of jobs do not raise.

    Raises:
        KeyboardInterrupt: on Ctrl-C and on SIGTERM, after the workers have ended. Finished results are kept, and so
            are the scratch folders of the jobs under way: run the same again to go on.
    """
    clock = time.monotonic()
    schedule = _Schedule(plan, store, on_event)
    with _terminated_as_interrupted():
        schedule.settle_what_is_there(retry_failed=retry_failed)
        with executor:
            _drive(executor, store, schedule)
    return schedule.outcome(time.monotonic() - clock)


def _drive(executor: Executor, store: Store, schedule: _Schedule) -> None:
    while not schedule.finished:
        while executor.room and (names := schedule.next_jobs()):
            executor.submit(store, [schedule.plan.ticket(name) for name in names])
        wait = schedule.seconds_until_look_again()
        if executor.busy:
            executor.receive(schedule.handle, timeout=min(wait, _WAIT_S))
        else:
            time.sleep(wait)  # all that is left is being done by another process


class _Schedule:
    """What of a plan is settled, what can start, and what waits."""

    def __init__(self, plan: Plan, store: Store, on_event: Callable[[Event], None]) -> None:
        self.plan = plan
        self._store = store
        self._on_event = on_event
        self._place = {job.name: place for place, job in enumerate(plan)}
        self._names = list(self._place)
        self._dependents: dict[str, list[str]] = {name: [] for name in self._names}
        for job in plan:
            for need in job.needs:
                self._dependents[need].append(job.name)
        self._unmet: dict[str, int] = {}
        self._ready: list[int] = []
        self._ready_groups: dict[str, list[str]] = {}
        self._elsewhere: deque[tuple[float, str]] = deque()
        self._told_waiting: set[str] = set()
        self._done: dict[str, None] = {}  # dictionaries as ordered sets
        self._there: dict[str, None] = {}
        self._failed: dict[str, str] = {}
        self._skipped: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        """Whether every job is settled."""
        return self._settled == len(self.plan)

    @property
    def _settled(self) -> int:
        return len(self._done) + len(self._there) + len(self._failed) + len(self._skipped)

    def settle_what_is_there(self, *, retry_failed: bool) -> None:
        """Looks up all results, and finds the jobs that can start."""
        whole = self._find_whole()
        for name in self._names:
            if name in whole:
                self._there[name] = None
                self._emit(Event("there", name))
        for name in self._names:
            if name in whole or name in self._skipped:
                continue
            known_failure = None if retry_failed else self._store.failure(self.plan.location(name))
            if known_failure is not None:
                self._fail(name, known_failure)
                continue
            unmet = sum(need not in whole for need in self.plan[name].needs)
            self._unmet[name] = unmet
            if not unmet:
                self._make_ready(name)

    def next_jobs(self) -> list[str]:
        """The first job of the plan that can start now, with all of its group that can; none if there is none."""
        now = time.monotonic()
        while self._elsewhere and self._elsewhere[0][0] <= now:
            self._make_ready(self._elsewhere.popleft()[1])
        if not self._ready:
            return []
        name = self._names[heapq.heappop(self._ready)]
        return self._ready_groups.pop(self.plan[name].group, [name])

    def _make_ready(self, name: str) -> None:
        group = self.plan[name].group
        if group in self._ready_groups:
            self._ready_groups[group].append(name)
            return
        if group:
            self._ready_groups[group] = [name]
        heapq.heappush(self._ready, self._place[name])

    def seconds_until_look_again(self) -> float:
        """Until a job that another process holds is to be looked at again; infinite if there is none."""
        return max(0.0, self._elsewhere[0][0] - time.monotonic()) if self._elsewhere else float("inf")

    def handle(self, event: Event) -> None:
        """Takes an event of the executor."""
        if event.kind == "waiting":
            self._elsewhere.append((time.monotonic() + LOOK_AGAIN_S, event.job))
            if event.job in self._told_waiting:
                return
            self._told_waiting.add(event.job)
        elif event.kind == "failed":
            if event.lasting:
                with suppress(OSError):  # on a full disk the failure is told all the same, only not remembered
                    self._store.record_failure(self.plan.ticket(event.job), event.text)
            self._fail(event.job, event.text)
            return
        elif event.kind in ("done", "there"):
            (self._done if event.kind == "done" else self._there)[event.job] = None
            for dependent in self._dependents[event.job]:
                self._meet_need(dependent)
        self._emit(event)

    def outcome(self, seconds: float) -> Outcome:
        """How it ended."""
        return Outcome(tuple(self._done), tuple(self._there), self._failed, self._skipped, seconds)

    def _find_whole(self) -> set[str]:
        """Names of the jobs whose results can be used.

        Results are checked by size and time; those that a job is going to read are read and checked wholly first. The
        plan is walked backwards, since a need that turns out damaged has to be done again and has needs itself.
        """
        quick = self._store.check_all(self.plan.location(name) for name in self._names)
        whole = {name for name in self._names if self._take_check(name, quick[self.plan.location(name)])}
        checked: set[str] = set()
        for name in reversed(self._names):
            if name in whole:
                continue
            for need in self.plan[name].needs:
                if need in whole and need not in checked:
                    checked.add(need)
                    if not self._take_check(need, self._store.check(self.plan.location(need), deep=True)):
                        whole.remove(need)
        return whole

    def _take_check(self, name: str, check: Check) -> bool:
        if check.state == "damaged":
            self._emit(Event("damaged", name, text=check.fault))
        return check.state == "whole"

    def _meet_need(self, name: str) -> None:
        if name in self._unmet:
            self._unmet[name] -= 1
            if not self._unmet[name]:
                self._make_ready(name)

    def _fail(self, name: str, text: str) -> None:
        self._failed[name] = text
        self._emit(Event("failed", name, text=text))
        unsettled = deque(self._dependents[name])
        while unsettled:
            dependent = unsettled.popleft()
            if dependent in self._skipped or dependent in self._failed or dependent in self._there:
                continue
            self._skipped[dependent] = name
            self._emit(Event("skipped", dependent, text=name))
            unsettled.extend(self._dependents[dependent])

    def _emit(self, event: Event) -> None:
        self._on_event(replace(event, settled=self._settled, total=len(self.plan)))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Lets SIGTERM do what Ctrl-C does, where this thread may decide on signals."""
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
