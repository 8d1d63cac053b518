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
    """Is done at once."""
    return {"device": "cpu"}


def write(arguments, needs, folder, report):
    """Writes its text, and below it what its needs wrote."""
    texts = [arguments["text"], *((path / "text.txt").read_text() for path in needs.values())]
    (folder / "text.txt").write_text("\n".join(texts))
    (folder / "parts").mkdir()
    (folder / "parts" / "length.json").write_text(json.dumps(len(texts)))
    (folder / "scratch" / "notes.txt").write_text("dropped")
    report(Progress(1, 1, "writing", {"texts": len(texts)}))
    return {"device": "cpu", "texts": len(texts)}


def count_calls(arguments, needs, folder, report):
    """Appends a line to a file outside of the store, so that a test sees how often it ran."""
    with Path(arguments["log"]).open("a") as log:
        log.write(f"{arguments['text']}\n")
    time.sleep(arguments.get("seconds", 0))
    (folder / "text.txt").write_text(arguments["text"])


def chain(arguments, needs, folder, report):
    """A long computation that checkpoints each step, and goes on from the last checkpoint."""
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
        report(Progress(step, arguments["steps"], _where()))
    (folder / "digest.txt").write_text(state["digest"])
    (folder / "large.bin").write_bytes(state["digest"].encode() * 20_000)


def _where():
    """The Ray node that this runs on, so that a test can kill the right one."""
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray and ray.is_initialized() else "here"


def fail(arguments, needs, folder, report):
    """Raises what it is told to."""
    (folder / "scratch" / "kept.txt").write_text("from the failed attempt")
    raise {"value": ValueError, "exit": SystemExit, "memory": MemoryError}[arguments["how"]]("no such luck")


def fail_until_told(arguments, needs, folder, report):
    """Fails as long as a file is there."""
    if Path(arguments["obstacle"]).exists():
        raise RuntimeError("the obstacle is there")


def die(arguments, needs, folder, report):
    """Ends its process as the system would."""
    sys.stdout.write("printed before the end\n")
    sys.stderr.write("told before the end\n")
    os.kill(os.getpid(), signal.SIGKILL)


def leave(arguments, needs, folder, report):
    """Leaves without a word."""
    os._exit(7)


def sleep(arguments, needs, folder, report):
    """Says which process it is in, and sleeps."""
    (folder / "scratch" / "begun").touch()
    report(Progress(0, 1, fields={"pid": os.getpid()}))
    time.sleep(arguments["seconds"])


def say(arguments, needs, folder, report):
    """Prints, which may not disturb anything, and tells its surroundings."""
    sys.stdout.write("a line that a stage prints\n{not json}\n")
    names = ("SYMSCOPE_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {"pid": os.getpid(), **{name: os.environ.get(name, "") for name in names}}


def bad_facts(arguments, needs, folder, report):
    """Returns something that is not JSON."""
    return {"device": object()}


def own_manifest(arguments, needs, folder, report):
    """Writes a file that is not its to write."""
    (folder / "manifest.json").write_text("{}")


def link(arguments, needs, folder, report):
    """Leaves a link that may lead anywhere."""
    (folder / "link").symlink_to(__file__)


def many_reports(arguments, needs, folder, report):
    """Reports more often than anyone can read."""
    for done in range(1, 2001):
        report(Progress(done, 2000))


def span(arguments, needs, folder, report):
    """Sleeps, and tells from when to when, and on which GPU."""
    start = time.time()
    time.sleep(arguments["seconds"])
    seen = {"start": start, "end": time.time(), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
    (folder / "span.json").write_text(json.dumps(seen))


def write_together(members, needs, report):
    """Writes each member's text, and what its need wrote; says in what company it was. A text `bad` fails alone."""
    before = [(path / "text.txt").read_text() for path in needs.values()]
    told = []
    for member in members:
        if member.arguments["text"] == "bad":
            told.append(ValueError("no such luck"))
            continue
        (member.folder / "text.txt").write_text("\n".join([member.arguments["text"], *before]))
        told.append({"together": len(members)})
    report(Progress(1, 1, "writing"))
    return told


def take_memory(arguments, needs, folder, report):
    """Asks for more memory than this process may have."""
    resource.setrlimit(resource.RLIMIT_AS, (arguments["limit"], resource.RLIM_INFINITY))
    try:
        bytearray(arguments["bytes"])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
