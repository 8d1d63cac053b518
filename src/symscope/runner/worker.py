"""A worker process: reads jobs as lines of JSON from its standard input, tells events as lines on its standard output.

It is started by `pool.py`, and ends as soon as its input ends. Since the input is a pipe from the parent, the worker
never outlives the parent, however that died. No pickle crosses the pipes, and the parent's main module is not
imported, so scripts need no `if __name__ == "__main__"` and notebooks work.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, cast

from symscope.runner.events import Event, Progress
from symscope.runner.execute import execute
from symscope.runner.jobs import Ticket
from symscope.runner.places import store_at
from symscope.runner.store import Store


def main() -> None:
    """Does one job after the other until the input ends."""
    # Ctrl-C in a terminal reaches this process too; it is the parent that decides, and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _take_standard_output()
    faulthandler.enable(sys.stderr)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(sys.stdin.buffer, lines), daemon=True).start()

    def send(event: Event) -> None:
        channel.write(encode_event(event))
        channel.flush()

    while True:
        store, tickets = decode_order(lines.get())
        execute(store, tickets, send)


def encode_order(store: Store, tickets: Sequence[Ticket]) -> bytes:
    """Jobs to do in a store, as one line."""
    address = store.address if "://" in store.address else str(Path(store.address).absolute())
    order = {"address": address, "study": store.study, "tickets": [asdict(ticket) for ticket in tickets]}
    return json.dumps(order).encode() + b"\n"


def decode_order(line: bytes) -> tuple[Store, tuple[Ticket, ...]]:
    """Reads what `encode_order` wrote."""
    order = json.loads(line)
    return store_at(order["address"], order["study"]), tuple(Ticket(**ticket) for ticket in order["tickets"])


def encode_event(event: Event) -> bytes:
    """An event as one line; figures of other libraries (0-dimensional arrays and tensors) become floats."""
    return json.dumps(asdict(event), default=float).encode() + b"\n"


def decode_event(line: bytes) -> Event:
    """Reads what `encode_event` wrote."""
    fields: dict[str, Any] = json.loads(line)
    progress = fields.pop("progress")
    return Event(**fields, progress=None if progress is None else Progress(**progress))


def _take_standard_output() -> BinaryIO:
    """Keeps standard output for events; what a stage prints goes to standard error, a file of the parent's."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    cast(TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)  # so that little is lost when the process dies
    return channel


def _read_lines(stream: BinaryIO, lines: queue.SimpleQueue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    # The parent has ended or wants no more. The job under way is dropped at once: it can be killed at any moment.
    os._exit(0)
