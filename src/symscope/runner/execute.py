"""Executes a job or a group of jobs, here and now: takes the locks, calls the stage, commits the results."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from symscope.errors import InvalidArgumentError
from symscope.imports import import_object
from symscope.runner.canonical import canonical_json, json_faults
from symscope.runner.events import Event, Progress
from symscope.runner.jobs import Ticket
from symscope.runner.store import Store
from symscope.runner.workbench import Stretch

REPORTS_APART_S = 0.1
"""Progress of one job is passed on at most this often; the last report (done = total) always is."""


@dataclass(frozen=True, slots=True)
class Member:
    """One job of a group, as its stage gets it: the arguments, and the folder for the result (with its `scratch`)."""

    arguments: Mapping[str, Any]
    folder: Path


def execute(store: Store, tickets: Sequence[Ticket], send: Callable[[Event], None]) -> None:
    """Executes a job, or the jobs of a group, unless another process does or did, and tells how each went.

    For each job at last one of `done`, `there` (another process made the result meanwhile), `waiting` (another process
    holds the job's lock) or `failed` is sent; before it, `started` and any number of `progress`, if the stage is
    called. An interruption (KeyboardInterrupt) is let through; the working folders remain and the locks are released.
    """
    ended: dict[str, Event] = {}
    try:
        with ExitStack() as locks:
            mine = []
            for ticket in tickets:
                if not locks.enter_context(store.lock(ticket.location)):
                    ended[ticket.name] = Event("waiting", ticket.name)
                elif store.check(ticket.location, deep=True).state == "whole":
                    ended[ticket.name] = Event("there", ticket.name)
                else:
                    mine.append(ticket)
            if mine:
                ended |= _execute_locked(store, mine, send)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever a stage raises is told as its failure)
        left = [ticket.name for ticket in tickets if ticket.name not in ended]
        ended |= {name: _failure(name, error) for name in left}
    for event in ended.values():
        send(event)


def _execute_locked(store: Store, tickets: Sequence[Ticket], send: Callable[[Event], None]) -> dict[str, Event]:
    for ticket in tickets:
        send(Event("started", ticket.name))
    if all(store.bench.is_finished(ticket.location) for ticket in tickets):
        # A process died when all was written and only had to be handed over. Of a group that is either so for every
        # member that is missing, or none has been handed over and all are done again, in the same company.
        for ticket in tickets:
            store.publish(ticket)
        return {ticket.name: Event("done", ticket.name, seconds=0.0) for ticket in tickets}
    # The imports of a worker's first job are not counted as time of the job.
    stage = import_object(tickets[0].stage, "stage")
    started, clock = datetime.now(UTC), time.monotonic()
    needs = {name: store.fetch(location) for name, location in tickets[0].needs.items()}
    begun = [store.begin(ticket.location) for ticket in tickets]
    # The stage gets what a worker process would get, a copy made by JSON, so that every executor does the same.
    members = [
        Member(json.loads(canonical_json(ticket.arguments)), folder)
        for ticket, (folder, _) in zip(tickets, begun, strict=True)
    ]
    told = _call(stage, tickets[0], members, needs, _throttled(tickets[0].name, send))
    seconds = (time.monotonic() - clock) / len(tickets)
    ended, finished = {}, []
    for ticket, facts, (_, resumed) in zip(tickets, told, begun, strict=True):
        try:
            store.finish(ticket, _checked(facts, ticket), Stretch(started, datetime.now(UTC), seconds, resumed))
            finished.append(ticket)
        except Exception as error:
            if len(tickets) == 1:
                raise
            ended[ticket.name] = _failure(ticket.name, error)
    for ticket in finished:
        store.publish(ticket)
        ended[ticket.name] = Event("done", ticket.name, seconds=seconds)
    return ended


def _call(
    stage: Callable[..., Any],
    first: Ticket,
    members: Sequence[Member],
    needs: Mapping[str, Path],
    report: Callable[[Progress], None],
) -> Sequence[Any]:
    """What the stage tells of each job: facts, or the error that kept one of a group from its result."""
    if not first.group:
        return [stage(members[0].arguments, needs, members[0].folder, report)]
    told = stage(members, needs, report)
    if len(told) != len(members):
        raise InvalidArgumentError(f"{first.stage} returned {len(told)} facts for {len(members)} members")
    return told


def _checked(facts: Any, ticket: Ticket) -> Mapping[str, Any]:
    if isinstance(facts, Exception):
        raise facts
    faults = json_faults(facts, "facts") if facts is None or isinstance(facts, Mapping) else ["they are no mapping"]
    if faults:
        raise InvalidArgumentError(f"{ticket.stage} returned facts that cannot be kept as JSON: {'; '.join(faults)}")
    return facts or {}


def _failure(name: str, error: BaseException) -> Event:
    return Event("failed", name, text=_traceback_of(error), lasting=not _is_of_the_surroundings(error))


def _is_of_the_surroundings(error: BaseException) -> bool:
    """Whether the same job may well succeed elsewhere or later: no memory, no disk, a module that is not there."""
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
