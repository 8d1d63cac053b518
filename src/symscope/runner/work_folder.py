"""Local folder in which one job runs, with the lock of the job."""

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
from symscope.runner.files import fault_of_files, record_files, remove_tree
from symscope.runner.jobs import JobSpec
from symscope.runner.manifest import MANIFEST_NAME, Manifest, installed_versions, python_version

SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a stage: start and end in UTC, monotonic duration, whether it resumed an earlier attempt."""

    started: datetime
    finished: datetime
    seconds: float
    resumed: bool


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """Folder of a job that runs or was interrupted, below `root`.

        work/<function>/<key>/            files of the job; scratch/ is kept after an interruption
        work/<function>/<key>.scratch/    scratch of a job whose result is complete but not yet in the store
        locks/<function>/<key>.lock       held by the process that runs the job; released when the process dies

    All methods except `lock` require that the caller holds the lock.
    """

    root: Path
    location: str

    @property
    def path(self) -> Path:
        """The folder that the stage writes to."""
        return self.root / "work" / self.location

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Tries to acquire the lock without waiting, and yields whether it succeeded."""
        path = self.root / "locks" / f"{self.location}.lock"
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
            # The file is deleted while the lock is held: a process that has just opened it detects that the name is
            # gone, and tries again.
            with suppress(OSError):
                path.unlink()
            lock.release()

    def prepare(self) -> bool:
        """Makes the folder with only `scratch` in it; returns whether `scratch` has files of an interrupted attempt."""
        scratch = self.path / SCRATCH
        self.path.mkdir(parents=True, exist_ok=True)
        if self._kept_scratch.exists() and not scratch.exists():  # the process died while the result was completed
            self._kept_scratch.rename(scratch)
        scratch.mkdir(exist_ok=True)
        for entry in self.path.iterdir():
            if entry.name != SCRATCH:
                remove_tree(entry)
        return any(scratch.iterdir())

    def complete(self, spec: JobSpec, facts: Mapping[str, Any], attempt: Attempt) -> None:
        """Flushes all files to the disk, writes the manifest last, and moves scratch out of the folder.

        Raises:
            OSError: a file cannot be written, as on a full disk.
            CheckpointError: the stage left an entry that a result may not hold.
        """
        manifest = Manifest(
            name=spec.name,
            stage=spec.stage,
            location=spec.location,
            arguments=spec.arguments,
            needs=spec.needs,
            facts=facts,
            packages=installed_versions(),
            python=python_version(),
            started=attempt.started.isoformat(timespec="seconds"),
            finished=attempt.finished.isoformat(timespec="seconds"),
            seconds=round(attempt.seconds, 3),
            resumed=attempt.resumed,
            files=record_files(self.path, exclude=SCRATCH, reserved=MANIFEST_NAME),
            result_version=spec.result_version,
        )
        for subfolder in [path for path in self.path.rglob("*") if path.is_dir()]:
            flush_folder(subfolder)
        write_text(self.path / MANIFEST_NAME, manifest.to_bytes().decode())
        self._move_scratch_out()

    def is_complete(self) -> bool:
        """Whether the folder holds a complete result, since a process died before the store received it."""
        try:
            manifest = Manifest.from_bytes((self.path / MANIFEST_NAME).read_bytes())
        except (OSError, CheckpointError):
            return False
        if manifest.location != self.location or fault_of_files(self.path, manifest.files, deep=True):
            return False
        self._move_scratch_out()  # the process may have died before this step of `complete`
        return True

    def clear(self) -> None:
        """Removes all that remains of the job once the store holds its result."""
        remove_tree(self.path)
        remove_tree(self._kept_scratch)

    @property
    def _kept_scratch(self) -> Path:
        return self.path.with_name(f"{self.path.name}.{SCRATCH}")

    def _move_scratch_out(self) -> None:
        """Keeps scratch, so that nothing is lost if the process dies before the store has the result."""
        if (self.path / SCRATCH).exists():
            remove_tree(self._kept_scratch)
            (self.path / SCRATCH).rename(self._kept_scratch)
