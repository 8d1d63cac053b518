"""Tiny stages for the tests of the runner, importable by worker processes."""

import hashlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

from symscope.runner import Progress


def nothing(arguments, needs, folder, report):
    """Returns immediately."""
    return {"device": "cpu"}


def write(arguments, needs, folder, report):
    """Writes its text, followed by the texts of its needs."""
    texts = [arguments["text"], *((path / "text.txt").read_text() for path in needs.values())]
    (folder / "text.txt").write_text("\n".join(texts))
    (folder / "parts").mkdir()
    (folder / "parts" / "length.json").write_text(json.dumps(len(texts)))
    (folder / "scratch" / "notes.txt").write_text("dropped")
    report(Progress(1, 1, "writing", {"texts": len(texts)}))
    return {"device": "cpu", "texts": len(texts)}


def count_calls(arguments, needs, folder, report):
    """Appends a line to a file outside the store, so that a test can count the calls."""
    with Path(arguments["log"]).open("a") as log:
        log.write(f"{arguments['text']}\n")
    time.sleep(arguments.get("seconds", 0))
    (folder / "text.txt").write_text(arguments["text"])


def chain(arguments, needs, folder, report):
    """A long computation that checkpoints each step, and continues from the last checkpoint.

    With `hold_on`, the id of a Ray node, no job passes its first step before a job on that node has reported it, and
    jobs on that node never pass it.
    """
    checkpoint = folder / "scratch" / "checkpoint.json"
    state = {"step": 0, "digest": "".join((path / "digest.txt").read_text() for path in needs.values())}
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
    while state["step"] < arguments["steps"]:
        step = state["step"] + 1
        text = f"{arguments['seed']} {step} {state['digest']}"
        state = {"step": step, "digest": hashlib.sha256(text.encode()).hexdigest()}
        time.sleep(arguments["seconds"])
        temporary = checkpoint.with_suffix(".tmp")
        temporary.write_text(json.dumps(state))
        temporary.replace(checkpoint)
        report(Progress(step, arguments["steps"], _node()))
        while "hold_on" in arguments and step == 1 and not _released(Path(arguments["flag"]), arguments["hold_on"]):
            time.sleep(0.05)
            report(Progress(step, arguments["steps"], _node()))
    (folder / "digest.txt").write_text(state["digest"])
    (folder / "large.bin").write_bytes(state["digest"].encode() * 20_000)


def _released(flag, node):
    if _node() == node:
        flag.touch()
        return False
    return flag.exists()


def _node():
    """Id of the Ray node on which this process runs, "" without Ray."""
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray and ray.is_initialized() else ""


def fail(arguments, needs, folder, report):
    """Raises the error that its arguments name."""
    (folder / "scratch" / "kept.txt").write_text("from the failed attempt")
    raise {"value": ValueError, "exit": SystemExit, "memory": MemoryError}[arguments["how"]]("no such luck")


def fail_while_file_exists(arguments, needs, folder, report):
    """Fails while a file exists."""
    if Path(arguments["obstacle"]).exists():
        raise RuntimeError("the obstacle exists")


def die(arguments, needs, folder, report):
    """Kills its process as the system would."""
    sys.stdout.write("printed before the end\n")
    sys.stderr.write("logged before the end\n")
    os.kill(os.getpid(), signal.SIGKILL)


def leave(arguments, needs, folder, report):
    """Exits without a message."""
    os._exit(7)


def sleep(arguments, needs, folder, report):
    """Reports its process id, and sleeps."""
    (folder / "scratch" / "begun").touch()
    report(Progress(0, 1, fields={"pid": os.getpid()}))
    time.sleep(arguments["seconds"])


def print_and_inspect(arguments, needs, folder, report):
    """Prints lines that must not disturb the events, and returns its environment."""
    sys.stdout.write("a line that a stage prints\n{not json}\n")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
    return {"pid": os.getpid(), **{name: os.environ.get(name, "") for name in names}}


def bad_facts(arguments, needs, folder, report):
    """Returns a value that is not JSON."""
    return {"device": object()}


def own_manifest(arguments, needs, folder, report):
    """Writes the manifest, which a stage may not write."""
    (folder / "manifest.json").write_text("{}")


def link(arguments, needs, folder, report):
    """Leaves a symbolic link."""
    (folder / "link").symlink_to(__file__)


def many_reports(arguments, needs, folder, report):
    """Reports progress 2,000 times at once."""
    for done in range(1, 2001):
        report(Progress(done, 2000))


def meet(arguments, needs, folder, report):
    """Waits until `count` jobs run at the same time or have run; returns its GPU."""
    meeting = Path(arguments["folder"])
    (meeting / f"job{arguments['i']}.started").touch()
    while len(list(meeting.glob("*.started"))) < arguments["count"]:
        time.sleep(0.05)
    return {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "")}


def take_memory(arguments, needs, folder, report):
    """Requests more memory than this process may have."""
    resource.setrlimit(resource.RLIMIT_AS, (arguments["limit"], resource.RLIM_INFINITY))
    try:
        bytearray(arguments["bytes"])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
