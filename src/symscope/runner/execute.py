"""Executes one job, here and now: takes its lock, calls its stage, commits its result."""

from __future__ import annotations

import importlib
import json
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.runner.canonical import canonical_json, json_faults
from symscope.runner.events import Event, Progress
from symscope.runner.jobs import Ticket
from symscope.runner.store import Store, Stretch

StageFunction = Callable[
    [Mapping[str, Any], Mapping[str, Path], Path, Callable[[Progress], None]], Mapping[str, Any] | None
]

REPORTS_APART_S = 0.1
"""Progress of one job is passed on at most this often; the last report (done = total) always is."""


def execute(store: Store, ticket: Ticket, send: Callable[[Event], None]) -> None:
    """Executes a job unless another process does or did, and tells how it went.

    Sends `started`, any number of `progress`, and at last one of `done`, `there` (another process made the result
    meanwhile), `waiting` (another process holds the job's lock) or `failed`. An interruption (KeyboardInterrupt) is
    let through; the working folder remains and the lock is released.
    """
    try:
        with store.lock(ticket.location) as held:
            if not held:
                last = Event("waiting", ticket.name)
            elif store.check(ticket.location, deep=True).state == "whole":
                last = Event("there", ticket.name)
            else:
                last = _execute_locked(store, ticket, send)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever a stage raises is told as its failure)
        last = Event("failed", ticket.name, text=_traceback_of(error))
    send(last)


def load_stage(path: str) -> StageFunction:
    """The function that `package.module:function` names.

    Raises:
        ImportError: if the module cannot be imported.
        UnknownNameError: if it has no such function.
    """
    module_name, _, function_name = path.rpartition(":")
    module = importlib.import_module(module_name)
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UnknownNameError(f"stage function of {module_name}", function_name, known)
    return cast(StageFunction, function)


def _execute_locked(store: Store, ticket: Ticket, send: Callable[[Event], None]) -> Event:
    send(Event("started", ticket.name))
    # The stage gets what a worker process would get, a copy made by JSON, so that every executor does the same.
    arguments = json.loads(canonical_json(ticket.arguments))
    needs = {name: store.path(location) for name, location in ticket.needs.items()}
    started, clock = datetime.now(UTC), time.monotonic()
    stage = load_stage(ticket.stage)
    folder, resumed = store.begin(ticket.location)
    facts = stage(arguments, needs, folder, _throttled(ticket.name, send))
    faults = json_faults(facts, "facts") if facts is None or isinstance(facts, Mapping) else ["they are no mapping"]
    if faults:
        raise InvalidArgumentError(f"{ticket.stage} returned facts that cannot be kept as JSON: {'; '.join(faults)}")
    seconds = time.monotonic() - clock
    store.commit(ticket, facts or {}, Stretch(started, datetime.now(UTC), seconds, resumed))
    return Event("done", ticket.name, seconds=seconds)


def _throttled(name: str, send: Callable[[Event], None]) -> Callable[[Progress], None]:
    next_time = 0.0

    def report(progress: Progress) -> None:
        nonlocal next_time
        now = time.monotonic()
        complete = progress.total is not None and progress.done >= progress.total
        if now >= next_time or complete:
            next_time = now + REPORTS_APART_S
            send(Event("progress", name, progress=progress))

    return report


def _traceback_of(error: BaseException) -> str:
    """The traceback from the stage on, without the frames that lead to it."""
    start = trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        if trace.tb_frame.f_code.co_filename == __file__:
            start = trace.tb_next
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, start)).rstrip()
