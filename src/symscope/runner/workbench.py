"""Where jobs are done: a local folder with a place for each job under way, and its lock.

    work/<function>/<key>/              a job under way, or interrupted: its scratch/ outlives the interruption
    locks/<function>/<key>.lock         held by the process that does the job; the lock dies with the process

A result is finished here, flushed to the disk, manifest last; the store then takes it as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from symscope.errors import CheckpointError
from symscope.files import flush_folder, write_text
from symscope.runner.files import remove_tree
from symscope.runner.jobs import Ticket
from symscope.runner.manifest import (
    MANIFEST_NAME,
    Manifest,
    fault_of_files,
    installed_versions,
    python_version,
    record_files,
)

SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Stretch:
    """When a stage ran: start and end in UTC, and how long by a clock that does not jump."""

    started: datetime
    finished: datetime
    seconds: float
    resumed: bool


@dataclass(frozen=True, slots=True)
class Workbench:
    """The places of jobs under way, below `folder`."""

    folder: Path

    def place(self, location: str) -> Path:
        """The working folder of a job."""
        return self.folder / "work" / location

    @contextmanager
    def lock(self, location: str) -> Iterator[bool]:
        """Holds the lock of a job, and yields whether it could be had; it never waits."""
        path = self.folder / "locks" / f"{location}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            # Removed while it is held: whoever opened it meanwhile sees that it has no name any more, and tries again.
            with suppress(OSError):
                path.unlink()
            lock.release()

    def begin(self, location: str) -> tuple[Path, bool]:
        """A working folder with only `scratch` in it, and whether that holds something from an interrupted attempt.

        Call it with the job's lock held.
        """
        folder = self.place(location)
        rescued, scratch = _rescued(folder), folder / SCRATCH
        folder.mkdir(parents=True, exist_ok=True)
        if rescued.exists() and not scratch.exists():  # the process died while the result was finished
            rescued.rename(scratch)
        scratch.mkdir(exist_ok=True)
        for entry in folder.iterdir():
            if entry.name != SCRATCH:
                remove_tree(entry)
        return folder, any(scratch.iterdir())

    def finish(self, ticket: Ticket, facts: Mapping[str, Any], stretch: Stretch) -> None:
        """Completes the working folder with its manifest, and puts its scratch aside.

        Raises:
            OSError: as on a full disk.
            CheckpointError: if the stage left something that cannot be stored.
        """
        folder = self.place(ticket.location)
        manifest = Manifest(
            name=ticket.name,
            stage=ticket.stage,
            location=ticket.location,
            arguments=ticket.arguments,
            needs=ticket.needs,
            facts=facts,
            packages=installed_versions(),
            python=python_version(),
            started=stretch.started.isoformat(timespec="seconds"),
            finished=stretch.finished.isoformat(timespec="seconds"),
            seconds=round(stretch.seconds, 3),
            resumed=stretch.resumed,
            files=record_files(folder, leave_out=SCRATCH),
            result_version=ticket.result_version,
        )
        for subfolder in [path for path in folder.rglob("*") if path.is_dir()]:
            flush_folder(subfolder)
        write_text(folder / MANIFEST_NAME, manifest.to_bytes().decode())
        self._put_scratch_aside(folder)

    def is_finished(self, location: str) -> bool:
        """Whether a whole result lies in the working folder, since the process died before the store took it."""
        folder = self.place(location)
        try:
            manifest = Manifest.from_bytes((folder / MANIFEST_NAME).read_bytes())
        except (OSError, CheckpointError):
            return False
        if manifest.location != location or fault_of_files(folder, manifest.files, deep=True):
            return False
        self._put_scratch_aside(folder)  # it may have died between the two
        return True

    def clear(self, location: str) -> None:
        """Drops what is left of a job once the store has its result."""
        remove_tree(self.place(location))
        remove_tree(_rescued(self.place(location)))

    def _put_scratch_aside(self, folder: Path) -> None:
        """It is not deleted, so that nothing is lost if the process dies before the store has all."""
        if (folder / SCRATCH).exists():
            remove_tree(_rescued(folder))
            (folder / SCRATCH).rename(_rescued(folder))


def _rescued(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.{SCRATCH}")
