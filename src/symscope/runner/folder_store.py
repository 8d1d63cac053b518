"""A store in a folder of this machine, or of a file system that several machines share.

A result is made in `work`, flushed to the disk and then renamed into `results`, so what lies there was whole once;
sizes and checksums in its manifest tell whether it still is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, final

from filelock import FileLock, Timeout

from symscope.errors import CheckpointError, StoreError
from symscope.files import flush_folder, write_text
from symscope.runner.files import files_below, remove_tree
from symscope.runner.manifest import MANIFEST_NAME, Manifest, fault_of_files
from symscope.runner.store import STORE_FILE, Check, Store
from symscope.runner.workbench import Workbench

_OPENING_LOCK = ".store.lock"
_OPENING_PATIENCE_S = 30.0


@final
class FolderStore(Store):
    """Results in a folder; jobs are done in the same folder, so that any machine that shares it can go on with them."""

    def __init__(self, folder: Path, study: str) -> None:
        self.folder, self.address, self.study = folder, str(folder), study
        self.bench = Workbench(folder)

    def claim(self) -> None:
        """Writes the identity, or compares it with the one that is there."""
        self._check_place()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / _OPENING_LOCK, timeout=_OPENING_PATIENCE_S):
                found = self.read_identity()
                if found is None:
                    write_text(self.folder / STORE_FILE, self.identity())
                else:
                    self.compare_identity(found)
            with tempfile.TemporaryFile(dir=self.folder):  # the lock file may be there already, so try to make one
                pass
        except Timeout as error:
            raise StoreError(
                f"another process has been opening {self.folder} for {_OPENING_PATIENCE_S:.0f} s: wait, or end it"
            ) from error
        except StoreError:
            raise
        except OSError as error:
            raise self.not_writable(error) from error

    def read_identity(self) -> dict[str, Any] | None:
        """Format and study of what is there, or None."""
        path = self.folder / STORE_FILE
        try:
            return self.parse_identity(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error

    def path(self, location: str) -> Path:
        """Folder of a result; locations come from `Plan.location` and from manifests."""
        return self.folder / "results" / location

    def locations(self) -> Iterator[str]:
        """Locations of all results, damaged ones too, sorted."""
        for folder in sorted((self.folder / "results").glob("*/*")):
            yield f"{folder.parent.name}/{folder.name}"

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

    def check_all(self, locations: Iterable[str]) -> dict[str, Check]:
        """The quick check of many results at once."""
        return {location: self.check(location) for location in locations}

    def fetch(self, location: str) -> Path:
        """The folder of a result."""
        return self.path(location)

    def take(self, location: str) -> None:
        """Takes a finished result from the bench by one rename."""
        result = self.path(location)
        result.parent.mkdir(parents=True, exist_ok=True)
        self.bench.place(location).rename(result)
        flush_folder(result.parent)

    def remove(self, location: str) -> None:
        """Removes a result."""
        remove_tree(self.path(location))

    def leftovers(self) -> Iterator[tuple[str, int]]:
        """Work of jobs that were interrupted and whose lock nobody holds, and records of failures."""
        for place in sorted((self.folder / "work").glob("*/*")):
            location = f"{place.parent.name}/{place.name.partition('.')[0]}"
            with self.lock(location) as held:
                if held:
                    yield f"work/{place.parent.name}/{place.name}", _bytes_below(place)
        for note in sorted((self.folder / "failures").glob("*/*.json")):
            yield str(note.relative_to(self.folder)), note.stat().st_size

    def remove_leftover(self, path: str) -> None:
        """Removes one of `leftovers`."""
        remove_tree(self.folder / path)

    def read_note(self, path: str) -> bytes | None:
        """Bytes of a small file of the store, or None if there is none."""
        try:
            return (self.folder / path).read_bytes()
        except FileNotFoundError:
            return None

    def write_note(self, path: str, text: str) -> None:
        """Writes a small file of the store, whole or not at all."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / path, text)

    def remove_note(self, path: str) -> None:
        """Removes a small file of the store, if it is there."""
        (self.folder / path).unlink(missing_ok=True)

    def _check_place(self) -> None:
        """Raises StoreError if the folder is no place for a store, before anything is written to it."""
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise StoreError(f"{self.folder} is a file: choose a folder")
            entries = [entry.name for entry in self.folder.iterdir()] if self.folder.exists() else []
        except StoreError:
            raise
        except OSError as error:
            raise self.not_writable(error) from error
        others = [name for name in entries if not name.startswith((".store", STORE_FILE))]
        if others and not (self.folder / STORE_FILE).exists():
            shown = ", ".join(sorted(others)[:3])
            raise StoreError(
                f"{self.folder} holds other things ({shown}) and no results: choose a new or an empty folder"
            )


def _bytes_below(path: Path) -> int:
    return sum(file.lstat().st_size for file in files_below(path)) if path.is_dir() else path.lstat().st_size
