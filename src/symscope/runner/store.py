"""The store keeps each result in a folder of its own, written whole or not at all.

    store.json                          format, and which study this is
    results/<function>/<key>/           a result: the stage's files and manifest.json
    work/<function>/<key>/              a job under way, or interrupted: its scratch/ outlives the interruption
    failures/<function>/<key>.json      the traceback of a job that failed last time
    locks/<function>/<key>.lock         held by the process that does the job; the lock dies with the process

A result is made in `work`, flushed to the disk and then renamed into `results`, so what lies there was whole once;
sizes and checksums in its manifest tell whether it still is.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from symscope.errors import CheckpointError, StoreError
from symscope.runner.files import flush_folder, remove_tree, write_whole
from symscope.runner.jobs import Ticket
from symscope.runner.manifest import (
    MANIFEST_NAME,
    Manifest,
    fault_of_files,
    installed_versions,
    python_version,
    record_files,
)

STORE_FORMAT = 1
STORE_FILE = "store.json"
SCRATCH = "scratch"
_OPENING_LOCK = ".store.lock"
_OPENING_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a result can be used: `whole`, `missing`, or `damaged`, with what is wrong in `fault`."""

    state: Literal["whole", "missing", "damaged"]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """When a stage ran: start and end in UTC, and how long by a clock that does not jump."""

    started: datetime
    finished: datetime
    seconds: float
    resumed: bool


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results of one study. Make it with `Store.open`, or `Store.existing` only to read.

    `study` is the study's name and `declaration` a hash of what it declares; a folder holds one of them.
    """

    folder: Path
    study: str
    declaration: str

    @classmethod
    def open(cls, folder: Path | str, *, study: str, declaration: str) -> Store:
        """Makes a store in a new or empty folder, or goes on with the one of this study that is there.

        Raises:
            StoreError: if the folder cannot be written, holds another study, is of a newer format, or holds
                something else than a store. Nothing in it is changed then.
        """
        store = cls(Path(folder), study, declaration)
        _check_place(store.folder)
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(store.folder / _OPENING_LOCK, timeout=_OPENING_PATIENCE_S):
                store._write_or_compare_identity()
            with tempfile.TemporaryFile(dir=store.folder):  # the lock file may be there already, so try to make one
                pass
        except Timeout as error:
            raise StoreError(
                f"another process has been opening {folder} for {_OPENING_PATIENCE_S:.0f} s: wait for it, or end it"
            ) from error
        except StoreError:
            raise
        except OSError as error:
            raise _not_writable(store.folder, error) from error
        return store

    @classmethod
    def existing(cls, folder: Path | str) -> Store:
        """The store that is in a folder, to read from it; nothing is written.

        Raises:
            StoreError: if there is none, or it is of a newer format.
        """
        found = _read_identity(Path(folder))
        if found is None:
            raise StoreError(f"{folder} holds no results: there is no {STORE_FILE} in it; check the path")
        return cls(Path(folder), found["study"], found["declaration"])

    def path(self, location: str) -> Path:
        """Folder of a result; locations come from `Plan.location` and from manifests."""
        return self.folder / "results" / location

    def manifest(self, location: str) -> Manifest:
        """The manifest of a result; raises CheckpointError if it is missing or damaged."""
        path = self.path(location) / MANIFEST_NAME
        try:
            return Manifest.from_bytes(path.read_bytes())
        except FileNotFoundError as error:
            raise CheckpointError(f"no result at {path.parent}") from error
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error

    def check(self, location: str, *, deep: bool = False) -> Check:
        """Whether a result can be used.

        A file that still has the size and the time of last change from its commit is trusted unless `deep`, which
        reads every byte.
        """
        folder = self.path(location)
        if not folder.exists():
            return Check("missing")
        try:
            manifest = self.manifest(location)
        except CheckpointError as error:
            return Check("damaged", str(error))
        if manifest.location != location:
            return Check("damaged", f"{MANIFEST_NAME} belongs to {manifest.location}")
        fault = fault_of_files(folder, manifest.files, deep=deep)
        return Check("damaged", fault) if fault else Check("whole")

    def locations(self) -> Iterator[str]:
        """Locations of all results, damaged ones too, sorted."""
        for folder in sorted((self.folder / "results").glob("*/*")):
            yield f"{folder.parent.name}/{folder.name}"

    def verify(self) -> dict[str, str]:
        """Location and fault of each damaged result; reads every byte of the store. Empty if all is well."""
        checks = {location: self.check(location, deep=True) for location in self.locations()}
        return {location: check.fault for location, check in checks.items() if check.state == "damaged"}

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

        A damaged result in the job's place is removed. Call it with the job's lock held.
        """
        remove_tree(self.path(location))
        folder = self.folder / "work" / location
        rescued = folder.with_name(f"{folder.name}.{SCRATCH}")
        scratch = folder / SCRATCH
        folder.mkdir(parents=True, exist_ok=True)
        if rescued.exists() and not scratch.exists():  # the process died in the midst of `commit`
            rescued.rename(scratch)
        scratch.mkdir(exist_ok=True)
        for entry in folder.iterdir():
            if entry.name != SCRATCH:
                remove_tree(entry)
        return folder, any(scratch.iterdir())

    def commit(self, ticket: Ticket, facts: Mapping[str, Any], stretch: Stretch) -> None:
        """Makes the working folder of a job its result, flushed to the disk, in one rename.

        Call it with the job's lock held.

        Raises:
            StoreError: if the result cannot be written, as on a full disk.
            CheckpointError: if the stage left something that cannot be stored.
        """
        work = self.folder / "work" / ticket.location
        rescued = work.with_name(f"{work.name}.{SCRATCH}")
        try:
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
                files=record_files(work, leave_out=SCRATCH),
            )
            for folder in [path for path in work.rglob("*") if path.is_dir()]:
                flush_folder(folder)
            write_whole(work / MANIFEST_NAME, manifest.to_bytes().decode())
            # Scratch is put aside and not deleted, so that nothing is lost if the process dies before the next rename.
            remove_tree(rescued)
            (work / SCRATCH).rename(rescued)
            result = self.path(ticket.location)
            result.parent.mkdir(parents=True, exist_ok=True)
            work.rename(result)
            flush_folder(result.parent)
        except OSError as error:
            raise StoreError(
                f"the result of {ticket.name} cannot be written to {self.folder}: {error.strerror or error}; "
                "make room there, or whatever it asks for, and run the same again: finished results are kept"
            ) from error
        remove_tree(rescued)
        self.forget_failure(ticket.location)

    def record_failure(self, ticket: Ticket, text: str) -> None:
        """Keeps the traceback of a failed job, for a later run that does not retry it."""
        path = self._failure_path(ticket.location)
        path.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_whole(path, json.dumps({"name": ticket.name, "failed": now, "text": text}, indent=1))

    def failure(self, location: str) -> str | None:
        """The traceback of a job that failed when it was last tried, else None."""
        try:
            return str(json.loads(self._failure_path(location).read_bytes())["text"])
        except (OSError, ValueError, KeyError):  # a record that cannot be read only means that the job is tried again
            return None

    def forget_failure(self, location: str) -> None:
        """Removes the record of a failure, if there is one."""
        self._failure_path(location).unlink(missing_ok=True)

    def _failure_path(self, location: str) -> Path:
        return self.folder / "failures" / f"{location}.json"

    def _write_or_compare_identity(self) -> None:
        found = _read_identity(self.folder)
        if found is None:
            identity = {"format": STORE_FORMAT, "study": self.study, "declaration": self.declaration}
            write_whole(self.folder / STORE_FILE, json.dumps(identity, indent=1) + "\n")
        elif found["study"] != self.study:
            raise StoreError(
                f"{self.folder} holds the results of study {found['study']!r}, not of {self.study!r}: "
                "choose another folder"
            )
        elif found["declaration"] != self.declaration:
            raise StoreError(
                f"{self.folder} holds study {self.study!r} with another declaration (other values than now): "
                "choose another folder, or run it with the values of then"
            )


def _check_place(folder: Path) -> None:
    """Raises StoreError if the folder is no place for a store, before anything is written to it."""
    try:
        if folder.exists() and not folder.is_dir():
            raise StoreError(f"{folder} is a file: choose a folder")
        entries = [entry.name for entry in folder.iterdir()] if folder.exists() else []
    except StoreError:
        raise
    except OSError as error:
        raise _not_writable(folder, error) from error
    others = [name for name in entries if not name.startswith((".store", STORE_FILE))]
    if others and not (folder / STORE_FILE).exists():
        shown = ", ".join(sorted(others)[:3])
        raise StoreError(f"{folder} holds other things ({shown}) and no results: choose a new or an empty folder")


def _read_identity(folder: Path) -> dict[str, Any] | None:
    path = folder / STORE_FILE
    try:
        found = json.loads(path.read_bytes())
        version, _, _ = int(found["format"]), found["study"], found["declaration"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is damaged: choose another folder, or restore that file (it names the study of the folder)"
        ) from error
    if version > STORE_FORMAT:
        raise StoreError(
            f"{folder} was written by a newer symscope (store format {version}, this one knows {STORE_FORMAT}): "
            "upgrade symscope, or choose another folder"
        )
    return found


def _not_writable(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"results cannot be written to {folder}: {error.strerror or error}; choose another folder")
