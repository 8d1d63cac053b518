"""One case of a target: a mutated input, its outcome, and what the outcome may not be."""

import importlib
import os
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from symscope.errors import SymscopeError

TIME_LIMIT_S = 10.0
"""Processor time of a case. A case that waits without work is ended by `python -m fuzz` after two minutes."""
MEMORY_LIMIT = 3 * 2**30
"""Address space that a case may add to that of the process."""


class TooSlowError(BaseException):
    """A case took longer than the limit; no code catches it."""


class SilentError(Exception):
    """An input was accepted that must be refused."""


@dataclass(frozen=True)
class Finding:
    """A case whose outcome is neither success nor an error of symscope."""

    target: str
    case: str
    text: str


@dataclass
class Watch:
    """What a process has done since the case began, by Python's audit events."""

    folder: Path | None = None
    faults: list[str] | None = None

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.faults is None:
            return
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path, flags = os.fsdecode(arguments[0]), arguments[2]
            written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            allowed = (str(self.folder), tempfile.gettempdir() + "/fuzz", "/dev/null")
            if written and not os.path.abspath(path).startswith(allowed) and "__pycache__" not in path:
                self.faults.append(f"wrote {path}")
        elif (event == "import" and str(arguments[0]).startswith("fuzz_canary")) or event in ("os.system", "os.exec"):
            self.faults.append(f"{event} {arguments[0]}")


WATCH = Watch()


def watch_process() -> None:
    """Starts to watch what this process does; it cannot be ended, so call it once."""
    if WATCH.faults is None:
        sys.addaudithook(WATCH.hook)


def load_target(name: str, folder: Path) -> Any:
    """The target of a name, with its examples made in a folder."""
    return importlib.import_module(f"fuzz.targets.{name}").Target(folder)


def run_case(target: Any, name: str, number: int, seed: int, folder: Path) -> Finding | None:
    """Runs one case of a target; None where its outcome is as it should be."""
    draws = Random(f"{name} {seed} {number}")
    return run_input(target, name, target.draw(draws), folder, f"seed {seed}, case {number}")


def run_input(target: Any, name: str, content: Any, folder: Path, case: str) -> Finding | None:
    """Runs a target on an input."""
    work = Path(tempfile.mkdtemp(dir=folder))
    WATCH.folder, WATCH.faults = folder, []
    text = ""
    try:
        with _limits(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.run(content, work)
    except SymscopeError as error:
        text = "" if str(error).strip() else f"an error without a message: {error!r}"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  (whatever is raised here is a finding)
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {str(error)[:300]} at {last.filename}:{last.lineno}"
    finally:
        faults, WATCH.faults = WATCH.faults, None
        _remove(work)
    text = text or "; ".join(faults)
    return Finding(name, case, text) if text else None


@contextmanager
def _limits() -> Iterator[None]:
    """Limits of processor time and address space."""

    def stop(*_: object) -> None:
        raise TooSlowError(f"more than {TIME_LIMIT_S:.0f} s of processor time")

    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before, (soft, hard) = signal.signal(signal.SIGPROF, stop), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_LIMIT, hard))
    signal.setitimer(signal.ITIMER_PROF, TIME_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.rmdir()
