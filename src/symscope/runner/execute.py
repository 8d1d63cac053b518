"""Execution of one job in this process: acquires the lock, calls the stage, commits the result."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from symscope.errors import InvalidArgumentError
from symscope.imports import import_object
from symscope.runner.events import Event, Progress
from symscope.runner.jobs import JobSpec, canonical_json, json_faults
from symscope.runner.store import Store
from symscope.runner.work_folder import Attempt

PROGRESS_INTERVAL_S = 0.1
"""Minimum time between two progress events of one job; the last (done = total), and one with values, is always sent."""


def execute(store: Store, spec: JobSpec, send: Callable[[Event], None]) -> None:
    """Executes a job, unless another process runs it or has finished it, and sends events.

    The last event is `done`, `cached` (another process has made the result), `waiting` (another process holds the
    lock) or `failed`. If the stage is called, `started` and any number of `progress` come before. An interruption
    (KeyboardInterrupt) propagates; the work folder remains and the lock is released.
    """
    try:
        with store.work_folder(spec.location).lock() as acquired:
            if not acquired:
                last = Event("waiting", spec.name)
            elif store.check(spec.location, deep=True).state == "valid":
                last = Event("cached", spec.name)
            else:
                last = _execute_locked(store, spec, send)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (any error of a stage is the failure of its job)
        last = Event("failed", spec.name, text=_traceback_of(error), permanent=not _is_environmental(error))
    send(last)


def _execute_locked(store: Store, spec: JobSpec, send: Callable[[Event], None]) -> Event:
    send(Event("started", spec.name))
    if store.commit_completed(spec):
        return Event("done", spec.name, seconds=0.0)
    stage = import_object(spec.stage, "stage")  # imports are slow in a new worker, so they are not timed
    started, clock = datetime.now(UTC), time.monotonic()
    needs = {name: store.fetch(location) for name, location in spec.needs.items()}
    store.remove(spec.location)  # a damaged result
    work = store.work_folder(spec.location)
    resumed = work.prepare()
    # A copy by JSON, as worker processes receive it, so that all executors pass the same arguments.
    arguments = json.loads(canonical_json(spec.arguments))
    facts = _checked_facts(stage(arguments, needs, work.path, _throttled(spec.name, send)), spec.stage)
    seconds = time.monotonic() - clock
    store.commit(spec, facts, Attempt(started, datetime.now(UTC), seconds, resumed))
    return Event("done", spec.name, seconds=seconds)


def _checked_facts(facts: Any, stage: str) -> Mapping[str, Any]:
    faults = json_faults(facts, "facts") if facts is None or isinstance(facts, Mapping) else ["they are not a mapping"]
    if faults:
        raise InvalidArgumentError(f"{stage} returned facts that cannot be stored as JSON: {'; '.join(faults)}")
    return facts or {}


def _is_environmental(error: BaseException) -> bool:
    """Whether the job may succeed elsewhere or later: no memory, no disk, a missing module."""
    return (
        isinstance(error, MemoryError | OSError | ImportError)
        or type(error).__name__ == "OutOfMemoryError"  # of a GPU
        or "can't allocate memory" in str(error)  # torch's, on the CPU
    )


def _throttled(name: str, send: Callable[[Event], None]) -> Callable[[Progress], None]:
    next_time = 0.0

    def report(progress: Progress) -> None:
        nonlocal next_time
        now = time.monotonic()
        complete = progress.total is not None and progress.done >= progress.total
        if now >= next_time or complete or progress.values:
            next_time = now + PROGRESS_INTERVAL_S
            send(Event("progress", name, progress=progress))

    return report


def _traceback_of(error: BaseException) -> str:
    """The traceback from the stage on, without the frames of this module."""
    start = trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        if trace.tb_frame.f_code.co_filename == __file__:
            start = trace.tb_next
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, start)).rstrip()
