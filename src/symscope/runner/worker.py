"""Worker process: reads jobs as lines of JSON from standard input, writes events as lines to standard output.

`pool.py` starts it. It ends when its input ends: the input is a pipe from the parent process, so the worker never
outlives the parent. No pickle crosses the pipes, and the parent's main module is not imported, so scripts need no
`if __name__ == "__main__"` and notebooks work.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, cast

from symscope.runner.events import Event, Progress
from symscope.runner.execute import execute
from symscope.runner.jobs import JobSpec
from symscope.runner.store import Store, store_at


def main() -> None:
    """Executes one job after another until the input ends."""
    # Ctrl-C in a terminal reaches this process too; the parent handles it and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _reserve_standard_output()
    faulthandler.enable(sys.stderr)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(sys.stdin.buffer, lines), daemon=True).start()

    def send(event: Event) -> None:
        channel.write(encode_event(event))
        channel.flush()

    while True:
        execute(*decode_request(lines.get()), send)


def encode_request(store: Store, spec: JobSpec) -> bytes:
    """A job and the store of its result, as one line."""
    address = store.address if "://" in store.address else str(Path(store.address).absolute())
    return json.dumps({"address": address, "study": store.study, "job": asdict(spec)}).encode() + b"\n"


def decode_request(line: bytes) -> tuple[Store, JobSpec]:
    """Inverse of `encode_request`."""
    request = json.loads(line)
    return store_at(request["address"], request["study"]), JobSpec(**request["job"])


def encode_event(event: Event) -> bytes:
    """An event as one line; 0-dimensional arrays and tensors become floats."""
    return json.dumps(asdict(event), default=float).encode() + b"\n"


def decode_event(line: bytes) -> Event:
    """Inverse of `encode_event`."""
    fields: dict[str, Any] = json.loads(line)
    progress = fields.pop("progress")
    return Event(**fields, progress=None if progress is None else Progress(**progress))


def _reserve_standard_output() -> BinaryIO:
    """Reserves standard output for events; output of a stage goes to standard error, a file of the parent."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    cast(TextIOWrapper, sys.stdout).reconfigure(line_buffering=True)  # little is lost when the process dies
    return channel


def _read_lines(stream: BinaryIO, lines: queue.SimpleQueue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    # The parent has ended or closed the pipe. The current job can be killed at any moment.
    os._exit(0)
