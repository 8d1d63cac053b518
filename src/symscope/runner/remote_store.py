"""A store wherever fsspec reaches: object storage, another machine, memory.

Such places have no rename of folders and no locks. A result's files are written first, below a name made of the
contents, and its manifest last, in one write: what has a manifest is whole. Two machines that do the same job at the
same time both do it, and the manifest written last wins with its own files; neither harms the other.

    results/<function>/<key>/manifest.json
    results/<function>/<key>/<digest>/...      the files that the manifest of that digest records

Jobs are done on this machine's disk, below the user's cache folder (`SYMSCOPE_CACHE` names another), where results that
are read are kept as well.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

from symscope.errors import CheckpointError, StoreError
from symscope.runner.files import remove_tree
from symscope.runner.manifest import MANIFEST_NAME, Manifest, fault_of_files
from symscope.runner.store import STORE_FILE, Check, Store
from symscope.runner.workbench import Workbench

CACHE_VARIABLE = "SYMSCOPE_CACHE"


@final
class RemoteStore(Store):
    """Results at a URL."""

    def __init__(self, url: str, study: str) -> None:
        self.address, self.study = url.rstrip("/"), study
        self._cache = _cache_folder() / hashlib.sha256(self.address.encode()).hexdigest()[:16]
        self.bench = Workbench(self._cache)
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415  (a folder needs none of it)

            self._files, self._root = url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"{url} cannot be reached: {error} (a store is a folder, or a URL that fsspec knows; s3:// needs the "
                "package s3fs, gs:// gcsfs, az:// adlfs)"
            ) from error

    def claim(self) -> None:
        """Writes the identity, or compares it with the one that is there."""
        found = self.read_identity()
        if found is not None:
            self.compare_identity(found)
            return
        try:
            others = [entry.rpartition("/")[2] for entry in self._list("")]
            if others:
                shown = ", ".join(sorted(others)[:3])
                raise StoreError(f"{self.address} holds other things ({shown}) and no results: choose an empty place")
            self.write_note(STORE_FILE, self.identity())
        except StoreError:
            raise
        except _REMOTE_FAULTS as error:
            raise self.not_writable(error) from error

    def read_identity(self) -> dict[str, Any] | None:
        """Format and study of what is there, or None."""
        try:
            content = self.read_note(STORE_FILE)
        except _REMOTE_FAULTS as error:
            raise StoreError(f"{self.address} cannot be read: {error}") from error
        return None if content is None else self.parse_identity(content)

    def locations(self) -> Iterator[str]:
        """Locations of all results, damaged ones too, sorted."""
        yield from sorted({"/".join(path.split("/")[1:3]) for path in self._find("results")})

    def manifest(self, location: str) -> Manifest:
        """The manifest of a result; raises CheckpointError if it is missing or damaged."""
        return Manifest.from_bytes(self._manifest_bytes(location))

    def check(self, location: str, *, deep: bool = False) -> Check:
        """Whether a result can be used: it has a whole manifest; `deep` reads its files as well."""
        there = self._find(f"results/{location}")
        if not there:
            return Check("missing")
        try:
            content = self._manifest_bytes(location)
            manifest = Manifest.from_bytes(content)
        except CheckpointError as error:
            return Check("damaged", str(error))
        if manifest.location != location:
            return Check("damaged", f"{MANIFEST_NAME} belongs to {manifest.location}")
        fault = self._fault_of_files(f"results/{location}/{_digest(content)}", manifest, there, deep=deep)
        return Check("damaged", fault) if fault else Check("whole")

    def _fault_of_files(self, folder: str, manifest: Manifest, there: Mapping[str, int], *, deep: bool) -> str:
        for relative, record in manifest.files.items():
            path = f"{folder}/{relative}"
            if path not in there:
                return f"{relative} is missing"
            if there[path] != record.size:
                return f"{relative} has {there[path]} bytes instead of {record.size}"
            if deep and hashlib.sha256(self._files.cat_file(self._at(path))).hexdigest() != record.sha256:
                return f"{relative} has other bytes than were written (its SHA-256 differs)"
        return ""

    def check_all(self, locations: Iterable[str]) -> dict[str, Check]:
        """The quick check of many results at once: one listing, since the manifest is written last."""
        files = self._find("results")
        some = {"/".join(path.split("/")[1:3]) for path in files}

        def check(location: str) -> Check:
            if f"results/{location}/{MANIFEST_NAME}" in files:
                return Check("whole")
            return Check("damaged", "its manifest was never written") if location in some else Check("missing")

        return {location: check(location) for location in locations}

    def fetch(self, location: str) -> Path:
        """A copy on this machine, every byte compared with the manifest."""
        content = self._manifest_bytes(location)
        manifest = Manifest.from_bytes(content)
        folder = self._cache / "results" / location / _digest(content)
        if not folder.is_dir() or fault_of_files(folder, manifest.files, deep=True):
            copying = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
            try:
                for relative in manifest.files:
                    (copying / relative).parent.mkdir(parents=True, exist_ok=True)
                    self._files.get_file(self._at(f"results/{location}/{folder.name}/{relative}"), copying / relative)
            except _REMOTE_FAULTS as error:
                raise CheckpointError(f"{location} cannot be fetched from {self.address}: {error}") from error
            copying.mkdir(parents=True, exist_ok=True)
            fault = fault_of_files(copying, manifest.files, deep=True)
            if fault:
                shutil.rmtree(copying)
                raise CheckpointError(f"{location} in {self.address} is damaged: {fault}; run the study again")
            remove_tree(folder)
            copying.rename(folder)
        return folder

    def take(self, location: str) -> None:
        """Takes a finished result from the bench: its files, then its manifest."""
        place = self.bench.place(location)
        content = (place / MANIFEST_NAME).read_bytes()
        try:
            for relative in Manifest.from_bytes(content).files:
                path = self._at(f"results/{location}/{_digest(content)}/{relative}")
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(place / relative), path)
            self._write(f"results/{location}/{MANIFEST_NAME}", content)
        except OSError:
            raise
        except _REMOTE_FAULTS as error:
            raise OSError(str(error)) from error

    def remove(self, location: str) -> None:
        """Removes a result, its manifest first."""
        self.remove_note(f"results/{location}/{MANIFEST_NAME}")
        self.remove_leftover(f"results/{location}")

    def leftovers(self) -> Iterator[tuple[str, int]]:
        """Files that no manifest records (a machine died while it wrote them), and records of failures."""
        files = self._find("results")
        for location in self.locations():
            try:
                kept = f"results/{location}/{_digest(self._manifest_bytes(location))}/"
            except CheckpointError:
                continue
            mine = f"results/{location}/"
            for path, size in files.items():
                if path.startswith(mine) and not path.startswith(kept) and path != f"{mine}{MANIFEST_NAME}":
                    yield path, size
        yield from self._find("failures").items()

    def remove_leftover(self, path: str) -> None:
        """Removes one of `leftovers`."""
        if self._files.exists(self._at(path)):
            self._files.rm(self._at(path), recursive=True)

    def read_note(self, path: str) -> bytes | None:
        """Bytes of a small file of the store, or None if there is none."""
        try:
            return self._files.cat_file(self._at(path))
        except FileNotFoundError:
            return None

    def write_note(self, path: str, text: str) -> None:
        """Writes a small file of the store in one write."""
        self._write(path, text.encode())

    def remove_note(self, path: str) -> None:
        """Removes a small file of the store, if it is there."""
        if self._files.exists(self._at(path)):
            self._files.rm_file(self._at(path))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _write(self, path: str, content: bytes) -> None:
        self._files.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(self._at(path), content)

    def _list(self, path: str) -> list[str]:
        try:
            return self._files.ls(self._at(path), detail=False)
        except FileNotFoundError:
            return []

    def _find(self, path: str) -> dict[str, int]:
        """Paths below the store, and sizes, of all files below a path of it."""
        self._files.invalidate_cache()  # others write here, too
        try:
            found = self._files.find(self._at(path), detail=True)
        except FileNotFoundError:
            return {}
        start = len(self._root.rstrip("/")) + 1
        return {name[start:]: int(entry["size"]) for name, entry in found.items()}

    def _manifest_bytes(self, location: str) -> bytes:
        try:
            content = self.read_note(f"results/{location}/{MANIFEST_NAME}")
        except _REMOTE_FAULTS as error:
            raise CheckpointError(f"the manifest of {location} cannot be read: {error}") from error
        if content is None:
            raise CheckpointError(f"no result at {self.address}/results/{location}")
        return content


_REMOTE_FAULTS = (OSError, ValueError, RuntimeError)
"""What the file systems of fsspec raise: most translate to OSError, some libraries below them do not."""


def _cache_folder() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symscope"


def _digest(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest()[:16]
