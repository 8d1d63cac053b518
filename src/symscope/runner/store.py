"""The store keeps each result under its location, whole or not at all.

    store.json                          format, and which study this is
    results/<function>/<key>/           a result: the stage's files and manifest.json
    failures/<function>/<key>.json      the traceback of a job that failed last time

Jobs are done on a `Workbench`; the store takes what is finished there. A folder on this machine is a `FolderStore`; any
other place that fsspec can reach, such as `s3://bucket/study`, is a `RemoteStore`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from symscope.errors import StoreError
from symscope.runner.jobs import Ticket
from symscope.runner.manifest import Manifest
from symscope.runner.workbench import Stretch, Workbench

STORE_FORMAT = 1
STORE_FILE = "store.json"


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a result can be used: `whole`, `missing`, or `damaged`, with what is wrong in `fault`."""

    state: Literal["whole", "missing", "damaged"]
    fault: str = ""


class Store(ABC):
    """Results of one study, at one place. Make it with `open_store`, or `existing_store` only to read.

    Attributes:
        address: the folder or URL.
        study: name of the study whose results these are.
        bench: where this machine does the jobs.
    """

    address: str
    study: str
    bench: Workbench

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Store) and (self.address, self.study) == (other.address, other.study)

    def __hash__(self) -> int:
        return hash((self.address, self.study))

    # What every place offers in its own way.

    @abstractmethod
    def claim(self) -> None:
        """Writes the identity, or compares it with the one that is there."""

    @abstractmethod
    def read_identity(self) -> dict[str, Any] | None:
        """Format and study of what is there, or None."""

    @abstractmethod
    def locations(self) -> Iterator[str]:
        """Locations of all results, damaged ones too, sorted."""

    @abstractmethod
    def manifest(self, location: str) -> Manifest:
        """The manifest of a result; raises CheckpointError if it is missing or damaged."""

    @abstractmethod
    def check(self, location: str, *, deep: bool = False) -> Check:
        """Whether a result can be used; `deep` reads every byte."""

    @abstractmethod
    def check_all(self, locations: Iterable[str]) -> dict[str, Check]:
        """The quick check of many results at once."""

    @abstractmethod
    def fetch(self, location: str) -> Path:
        """A local folder with the files of a result, to read only; raises CheckpointError if it cannot be used."""

    @abstractmethod
    def take(self, location: str) -> None:
        """Takes a finished result from the bench, in one step that happens or does not."""

    @abstractmethod
    def remove(self, location: str) -> None:
        """Removes a result."""

    @abstractmethod
    def leftovers(self) -> Iterator[tuple[str, int]]:
        """What belongs to no whole result and no job under way: its path below the store, and its bytes."""

    @abstractmethod
    def remove_leftover(self, path: str) -> None:
        """Removes one of `leftovers`."""

    @abstractmethod
    def read_note(self, path: str) -> bytes | None:
        """Bytes of a small file of the store, or None if there is none."""

    @abstractmethod
    def write_note(self, path: str, text: str) -> None:
        """Writes a small file of the store, whole or not at all."""

    @abstractmethod
    def remove_note(self, path: str) -> None:
        """Removes a small file of the store, if it is there."""

    # What follows from it.

    def verify(self) -> dict[str, str]:
        """Location and fault of each damaged result; reads every byte of the store. Empty if all is well."""
        checks = {location: self.check(location, deep=True) for location in self.locations()}
        return {location: check.fault for location, check in checks.items() if check.state == "damaged"}

    def lock(self, location: str) -> AbstractContextManager[bool]:
        """Holds the lock of a job, and yields whether it could be had; it never waits."""
        return self.bench.lock(location)

    def begin(self, location: str) -> tuple[Path, bool]:
        """A working folder with only `scratch` in it, and whether that holds something from an interrupted attempt.

        A damaged result in the job's place is removed. Call it with the job's lock held.
        """
        self.remove(location)
        return self.bench.begin(location)

    def commit(self, ticket: Ticket, facts: Mapping[str, Any], stretch: Stretch) -> None:
        """Makes the working folder of a job its result; call it with the job's lock held.

        Raises:
            StoreError: if the result cannot be written, as on a full disk.
            CheckpointError: if the stage left something that cannot be stored.
        """
        self.finish(ticket, facts, stretch)
        self.publish(ticket)

    def finish(self, ticket: Ticket, facts: Mapping[str, Any], stretch: Stretch) -> None:
        """The first half of `commit`: all is on the disk, and `publish` is all that is left to do."""
        try:
            self.bench.finish(ticket, facts, stretch)
        except OSError as error:
            raise self._cannot_keep(ticket.name, error) from error

    def publish(self, ticket: Ticket) -> None:
        """The second half of `commit`."""
        try:
            self.take(ticket.location)
        except OSError as error:
            raise self._cannot_keep(ticket.name, error) from error
        self.bench.clear(ticket.location)
        self.forget_failure(ticket.location)

    def record_failure(self, ticket: Ticket, text: str) -> None:
        """Keeps the traceback of a failed job, for a later run that does not retry it."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"name": ticket.name, "failed": now, "text": text}
        self.write_note(_failure_note(ticket.location), json.dumps(record, indent=1))

    def failure(self, location: str) -> str | None:
        """The traceback of a job that failed when it was last tried, else None."""
        try:
            return str(json.loads(self.read_note(_failure_note(location)) or b"null")["text"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a record that cannot be read only means that the job is tried again

    def forget_failure(self, location: str) -> None:
        """Removes the record of a failure, if there is one."""
        self.remove_note(_failure_note(location))

    def identity(self) -> str:
        """What `store.json` says."""
        return json.dumps({"format": STORE_FORMAT, "study": self.study}, indent=1) + "\n"

    def compare_identity(self, found: Mapping[str, Any]) -> None:
        """Raises StoreError if another study is there."""
        if found["study"] != self.study:
            raise StoreError(
                f"{self.address} holds the results of study {found['study']!r}, not of {self.study!r}: "
                "choose another folder"
            )

    def parse_identity(self, content: bytes) -> dict[str, Any]:
        """Reads what `identity` wrote, also an older one; raises StoreError."""
        try:
            found = json.loads(content)
            version, _ = int(found["format"]), found["study"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.address}/{STORE_FILE} is damaged: choose another folder, or restore that file (it names the "
                "study of the folder)"
            ) from error
        if version > STORE_FORMAT:
            raise StoreError(
                f"{self.address} was written by a newer symscope (store format {version}, this one knows "
                f"{STORE_FORMAT}): upgrade symscope, or choose another folder"
            )
        return found

    def not_writable(self, error: Exception) -> StoreError:
        """What to raise when the place cannot be written at all."""
        told = getattr(error, "strerror", None) or error
        return StoreError(f"results cannot be written to {self.address}: {told}; choose another folder")

    def _cannot_keep(self, name: str, error: OSError) -> StoreError:
        return StoreError(
            f"the result of {name} cannot be written to {self.address}: {error.strerror or error}; "
            "make room there, or whatever it asks for, and run the same again: finished results are kept"
        )


def _failure_note(location: str) -> str:
    return f"failures/{location}.json"
