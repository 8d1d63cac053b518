"""Stores: each keeps the results of one study, and every result is complete or absent.

    store.json                          format, and name of the study
    results/<function>/<key>/           a result: the files of the stage and manifest.json
    failures/<function>/<key>.json      traceback of a job that failed in its last attempt

Jobs run in a local `WorkFolder`; the store publishes a complete result in one step. A folder is a `FolderStore`; any
URL that fsspec can open, such as `s3://bucket/study`, is a `RemoteStore`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from symscope.errors import CheckpointError, StoreError
from symscope.runner.jobs import JobSpec
from symscope.runner.manifest import MANIFEST_NAME, Manifest
from symscope.runner.work_folder import Attempt, WorkFolder

STORE_FORMAT = 1
STORE_FILE = "store.json"

STORAGE_ERRORS = (OSError, ValueError, RuntimeError)
"""Errors of file systems: most raise OSError, some libraries behind fsspec do not."""


@dataclass(frozen=True, slots=True)
class Check:
    """State of a result: `valid`, `missing`, or `damaged` as `fault` describes."""

    state: Literal["valid", "missing", "damaged"]
    fault: str = ""


class Store(ABC):
    """Results of one study at one address. Make it with `open_store`, or with `existing_store` to read only.

    Attributes:
        address: the folder or URL.
        study: name of the study.
        work_root: local folder in which jobs run.
    """

    address: str
    study: str
    work_root: Path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and (self.address, self.study) == (other.address, other.study)

    def __hash__(self) -> int:
        return hash((self.address, self.study))

    # Methods of each kind of store. A `path` is relative to the address, and its characters are literal.

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Contents of a small file; None if it does not exist."""

    @abstractmethod
    def write(self, path: str, text: str) -> None:
        """Writes a small file in one step."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Deletes a file, or a folder with all its contents, if it exists."""

    @abstractmethod
    def entries(self) -> list[str]:
        """Names of files and folders at the address, without those that opening a store leaves."""

    @abstractmethod
    def locations(self) -> Iterator[str]:
        """Locations of all results, damaged ones included, sorted."""

    @abstractmethod
    def check(self, location: str, *, deep: bool = False) -> Check:
        """Checks a result by the sizes of its files; the `deep` check reads every byte."""

    @abstractmethod
    def check_all(self, locations: Iterable[str]) -> dict[str, Check]:
        """Quick check of many results."""

    @abstractmethod
    def fetch(self, location: str) -> Path:
        """A local folder with the files of a result, read only; raises CheckpointError if the result is unusable."""

    @abstractmethod
    def publish(self, location: str) -> None:
        """Moves a complete result from its work folder into the store, in one step that succeeds or does nothing."""

    @abstractmethod
    def leftovers(self) -> Iterator[tuple[str, int]]:
        """Path and size in bytes of everything that belongs neither to a result nor to a running job."""

    def _opening(self) -> AbstractContextManager[object]:
        """Context in which the store is initialised; it may hold a lock and raise StoreError or OSError."""
        return nullcontext()

    # Methods that follow from them.

    def initialise(self) -> None:
        """Writes the identity of the store, or compares it with the existing one.

        Raises:
            StoreError: the address cannot be written, holds another study, a newer format or unrelated files. Nothing
                is changed then.
        """
        try:
            self._check_unoccupied()
            with self._opening():
                identity = self.read_identity()
                if identity is None:
                    self.write(STORE_FILE, json.dumps({"format": STORE_FORMAT, "study": self.study}, indent=1) + "\n")
                elif identity["study"] != self.study:
                    raise StoreError(
                        f"{self.address} holds the results of study {identity['study']!r}, not of {self.study!r}: "
                        "choose another folder"
                    )
        except StoreError:
            raise
        except STORAGE_ERRORS as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"results cannot be written to {self.address}: {reason}; choose another folder") from error

    def _check_unoccupied(self) -> None:
        entries = self.entries()
        if entries and STORE_FILE not in entries:
            names = ", ".join(sorted(entries)[:3])
            raise StoreError(
                f"{self.address} holds other files ({names}) and no results: choose a new or an empty folder"
            )

    def read_identity(self) -> dict[str, Any] | None:
        """Format and study of the existing store; None if there is no store. Raises StoreError."""
        try:
            content = self.read(STORE_FILE)
        except STORAGE_ERRORS as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"{self.address}/{STORE_FILE} cannot be read: {reason}") from error
        if content is None:
            return None
        try:
            identity = json.loads(content)
            version, _ = int(identity["format"]), identity["study"]
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise StoreError(
                f"{self.address}/{STORE_FILE} is damaged: choose another folder, or restore that file (it names the "
                "study of the folder)"
            ) from error
        if version > STORE_FORMAT:
            raise StoreError(
                f"{self.address} was written by a newer symscope (store format {version}; this version reads "
                f"{STORE_FORMAT}): upgrade symscope, or choose another folder"
            )
        return identity

    def manifest(self, location: str) -> Manifest:
        """Manifest of a result; raises CheckpointError if it is missing or damaged."""
        return Manifest.from_bytes(self.manifest_bytes(location))

    def manifest_bytes(self, location: str) -> bytes:
        """Contents of the manifest file; raises CheckpointError if it is missing or unreadable."""
        try:
            content = self.read(f"results/{location}/{MANIFEST_NAME}")
        except STORAGE_ERRORS as error:
            raise CheckpointError(f"the manifest of {location} cannot be read: {error}") from error
        if content is None:
            raise CheckpointError(f"no result at {self.address}/results/{location}")
        return content

    def remove(self, location: str) -> None:
        """Removes a result, its manifest first: without it the rest is not a valid result."""
        self.delete(f"results/{location}/{MANIFEST_NAME}")
        self.delete(f"results/{location}")

    def verify(self) -> dict[str, str]:
        """Location and fault of each damaged result, after reading every byte of the store."""
        checks = {location: self.check(location, deep=True) for location in self.locations()}
        return {location: check.fault for location, check in checks.items() if check.state == "damaged"}

    def work_folder(self, location: str) -> WorkFolder:
        """The folder in which a job runs, with its lock."""
        return WorkFolder(self.work_root, location)

    def commit(self, spec: JobSpec, facts: Mapping[str, Any], attempt: Attempt) -> None:
        """Makes the contents of a work folder the result of its job. The caller holds the lock of the job.

        Raises:
            StoreError: the result cannot be written, as on a full disk.
            CheckpointError: the stage left an entry that a result may not hold.
        """
        try:
            self.work_folder(spec.location).complete(spec, facts, attempt)
        except OSError as error:
            raise self._cannot_write(spec.name, error) from error
        self._publish(spec)

    def commit_completed(self, spec: JobSpec) -> bool:
        """Commits a result that is complete in its work folder, since a process died before publishing it.

        Returns False if there is none. The caller holds the lock of the job. Raises StoreError like `commit`.
        """
        if not self.work_folder(spec.location).is_complete():
            return False
        self._publish(spec)
        return True

    def _publish(self, spec: JobSpec) -> None:
        try:
            self.publish(spec.location)
        except OSError as error:
            raise self._cannot_write(spec.name, error) from error
        self.work_folder(spec.location).clear()
        self.delete(_failure_path(spec.location))

    def _cannot_write(self, name: str, error: OSError) -> StoreError:
        return StoreError(
            f"the result of {name} cannot be written to {self.address}: {error.strerror or error}; free space or fix "
            "the cause, and run the same command again: finished results are kept"
        )

    def record_failure(self, spec: JobSpec, text: str) -> None:
        """Stores the traceback of a failed job. Later runs skip the job unless they retry failed jobs."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.write(_failure_path(spec.location), json.dumps({"name": spec.name, "failed": now, "text": text}, indent=1))

    def failure(self, location: str) -> str | None:
        """The traceback of a job whose last attempt failed, else None."""
        try:
            return str(json.loads(self.read(_failure_path(location)) or b"null")["text"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None  # an unreadable record only means that the job runs again


def open_store(address: Path | str, *, study: str) -> Store:
    """Makes a store at a new or empty address, or opens the existing store of this study.

    Args:
        address: a folder, or a URL that fsspec can open, such as `s3://bucket/folder`.
        study: name of the study.

    Raises:
        StoreError: the address cannot be written, holds another study, a newer format or unrelated files. Nothing is
            changed then.
    """
    store = store_at(address, study)
    store.initialise()
    return store


def existing_store(address: Path | str) -> Store:
    """Opens the store at an address to read it; writes nothing.

    Raises:
        StoreError: there is no store, or it has a newer format.
    """
    identity = store_at(address, "").read_identity()
    if identity is None:
        raise StoreError(f"{address} holds no results: {STORE_FILE} is missing; check the path")
    return store_at(address, identity["study"])


def store_at(address: Path | str, study: str) -> Store:
    """The store at an address, without any check."""
    if "://" in str(address):
        from symscope.runner.remote_store import RemoteStore  # noqa: PLC0415  (imports this module, and fsspec)

        return RemoteStore(str(address), study)
    from symscope.runner.folder_store import FolderStore  # noqa: PLC0415  (imports this module)

    return FolderStore(Path(address), study)


def _failure_path(location: str) -> str:
    return f"failures/{location}.json"
