"""Store in a folder of this machine, or of a file system that several machines share.

A result is flushed to the disk in its work folder and then renamed into `results`, so every result was complete once.
The sizes and checksums in its manifest detect later damage.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from filelock import FileLock, Timeout

from symscope.errors import CheckpointError, StoreError
from symscope.files import flush_folder, write_text
from symscope.runner.files import fault_of_files, files_below, remove_tree
from symscope.runner.manifest import MANIFEST_NAME
from symscope.runner.store import Check, Store

_OPENING_LOCK = ".store.lock"
_OPENING_TIMEOUT_S = 30.0


@final
class FolderStore(Store):
    """Results in a folder. Jobs run in the same folder, so any machine that shares it can resume them."""

    def __init__(self, folder: Path, study: str) -> None:
        self.folder, self.work_root, self.address, self.study = folder, folder, str(folder), study

    def read(self, path: str) -> bytes | None:
        try:
            return (self.folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / path, text)

    def delete(self, path: str) -> None:
        remove_tree(self.folder / path)

    def entries(self) -> list[str]:
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file: choose a folder")
        names = [entry.name for entry in self.folder.iterdir()] if self.folder.exists() else []
        return [name for name in names if not name.startswith(".store")]

    @contextmanager
    def _opening(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / _OPENING_LOCK, timeout=_OPENING_TIMEOUT_S):
                yield
        except Timeout as error:
            raise StoreError(
                f"another process has been opening {self.folder} for {_OPENING_TIMEOUT_S:.0f} s: wait, or end it"
            ) from error
        with tempfile.TemporaryFile(dir=self.folder):  # an existing lock file does not show that the folder is writable
            pass

    def path(self, location: str) -> Path:
        """Folder of a result."""
        return self.folder / "results" / location

    def locations(self) -> Iterator[str]:
        for folder in sorted((self.folder / "results").glob("*/*")):
            yield f"{folder.parent.name}/{folder.name}"

    def check(self, location: str, *, deep: bool = False) -> Check:
        """Checks a result; the quick check trusts files with the size and time of the last change of the commit."""
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
        return Check("damaged", fault) if fault else Check("valid")

    def check_all(self, locations: Iterable[str]) -> dict[str, Check]:
        return {location: self.check(location) for location in locations}

    def fetch(self, location: str) -> Path:
        return self.path(location)

    def publish(self, location: str) -> None:
        result = self.path(location)
        result.parent.mkdir(parents=True, exist_ok=True)
        self.work_folder(location).path.rename(result)
        flush_folder(result.parent)

    def leftovers(self) -> Iterator[tuple[str, int]]:
        """Work of interrupted jobs whose lock is free, and records of failures."""
        for folder in sorted((self.folder / "work").glob("*/*")):
            location = f"{folder.parent.name}/{folder.name.partition('.')[0]}"
            with self.work_folder(location).lock() as acquired:
                if acquired:
                    yield folder.relative_to(self.folder).as_posix(), _bytes_below(folder)
        for record in sorted((self.folder / "failures").glob("*/*.json")):
            yield record.relative_to(self.folder).as_posix(), record.stat().st_size


def _bytes_below(path: Path) -> int:
    return sum(file.lstat().st_size for file in files_below(path)) if path.is_dir() else path.lstat().st_size
