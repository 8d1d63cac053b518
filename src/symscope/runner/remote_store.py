"""Store at a URL that fsspec can open: object storage, another machine, memory.

Such places have no rename of folders and no locks. The files of a result are written first, below a name derived from
their contents, and the manifest last, in one write: a result with a manifest is complete. If two machines run the same
job at the same time, the later manifest and its files win, and both results are intact.

    results/<function>/<key>/manifest.json
    results/<function>/<key>/<digest>/...      the files that the manifest with this digest records

Jobs run on the local disk, below the user's cache folder (`SYMSCOPE_CACHE` sets another), which also keeps copies of
results that are read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import final

from fsspec.core import url_to_fs

from symscope.errors import CheckpointError, StoreError
from symscope.runner.files import fault_of_files, remove_tree
from symscope.runner.manifest import MANIFEST_NAME, Manifest
from symscope.runner.store import STORAGE_ERRORS, Check, Store

CACHE_VARIABLE = "SYMSCOPE_CACHE"


@final
class RemoteStore(Store):
    """Results at a URL."""

    def __init__(self, url: str, study: str) -> None:
        self.address, self.study = url.rstrip("/"), study
        self.work_root = _cache_folder() / hashlib.sha256(self.address.encode()).hexdigest()[:16]
        try:
            self._files, self._root = url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"{url} cannot be reached: {error} (a store is a folder, or a URL that fsspec can open; s3:// needs "
                "the package s3fs, gs:// gcsfs, az:// adlfs)"
            ) from error

    def read(self, path: str) -> bytes | None:
        try:
            return self._files.cat_file(self._absolute(path))
        except FileNotFoundError:
            return None

    def write(self, path: str, text: str) -> None:
        self._files.makedirs(self._absolute(path).rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(self._absolute(path), text.encode())

    def delete(self, path: str) -> None:
        # Not `rm(recursive=True)`, which reads `*`, `?` and `[` in a path as a pattern on most file systems.
        self._files.invalidate_cache()  # other processes write to the same place
        if self._files.isfile(self._absolute(path)):
            self._files.rm_file(self._absolute(path))
            return
        folders = [self._absolute(path)]
        with suppress(FileNotFoundError):
            for name, entry in self._files.find(self._absolute(path), withdirs=True, detail=True).items():
                if entry["type"] == "directory":
                    folders.append(name)
                else:
                    self._files.rm_file(name)
        for folder in sorted(set(folders), key=len, reverse=True):
            with suppress(*STORAGE_ERRORS):  # object storage has no folders
                self._files.rmdir(folder)

    def entries(self) -> list[str]:
        try:
            return [name.rpartition("/")[2] for name in self._files.ls(self._root, detail=False)]
        except FileNotFoundError:
            return []

    def locations(self) -> Iterator[str]:
        yield from _locations_of(self._list("results"))

    def check(self, location: str, *, deep: bool = False) -> Check:
        sizes = self._list(f"results/{location}")
        if not sizes:
            return Check("missing")
        try:
            content = self.manifest_bytes(location)
            manifest = Manifest.from_bytes(content)
        except CheckpointError as error:
            return Check("damaged", str(error))
        if manifest.location != location:
            return Check("damaged", f"{MANIFEST_NAME} belongs to {manifest.location}")
        fault = self._fault_of_files(f"results/{location}/{_digest(content)}", manifest, sizes, deep=deep)
        return Check("damaged", fault) if fault else Check("valid")

    def _fault_of_files(self, folder: str, manifest: Manifest, sizes: Mapping[str, int], *, deep: bool) -> str:
        for relative, record in manifest.files.items():
            path = f"{folder}/{relative}"
            if path not in sizes:
                return f"{relative} is missing"
            if sizes[path] != record.size:
                return f"{relative} has {sizes[path]} bytes instead of {record.size}"
            if deep and hashlib.sha256(self._files.cat_file(self._absolute(path))).hexdigest() != record.sha256:
                return f"{relative} has changed since it was written (its SHA-256 differs)"
        return ""

    def check_all(self, locations: Iterable[str]) -> dict[str, Check]:
        """Quick check by a single listing: a result with a manifest is complete, since the manifest is written last."""
        files = self._list("results")
        known = set(_locations_of(files))

        def check(location: str) -> Check:
            if f"results/{location}/{MANIFEST_NAME}" in files:
                return Check("valid")
            return Check("damaged", "its manifest was never written") if location in known else Check("missing")

        return {location: check(location) for location in locations}

    def fetch(self, location: str) -> Path:
        """A local copy, each byte compared with the manifest."""
        content = self.manifest_bytes(location)
        manifest = Manifest.from_bytes(content)
        folder = self.work_root / "results" / location / _digest(content)
        if folder.is_dir() and not fault_of_files(folder, manifest.files, deep=True):
            return folder
        download = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        download.mkdir(parents=True, exist_ok=True)
        try:
            for relative in manifest.files:
                (download / relative).parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(
                    self._absolute(f"results/{location}/{folder.name}/{relative}"), str(download / relative)
                )
        except STORAGE_ERRORS as error:
            raise CheckpointError(f"{location} cannot be fetched from {self.address}: {error}") from error
        fault = fault_of_files(download, manifest.files, deep=True)
        if fault:
            remove_tree(download)
            raise CheckpointError(f"{location} in {self.address} is damaged: {fault}; run the study again")
        remove_tree(folder)
        download.rename(folder)
        return folder

    def publish(self, location: str) -> None:
        folder = self.work_folder(location).path
        content = (folder / MANIFEST_NAME).read_bytes()
        try:
            for relative in Manifest.from_bytes(content).files:
                path = self._absolute(f"results/{location}/{_digest(content)}/{relative}")
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(folder / relative), path)
            self.write(f"results/{location}/{MANIFEST_NAME}", content.decode())
        except OSError:
            raise
        except STORAGE_ERRORS as error:
            raise OSError(str(error)) from error

    def leftovers(self) -> Iterator[tuple[str, int]]:
        """Files that no manifest records (a machine died while it wrote them), and records of failures."""
        files = self._list("results")
        for location in _locations_of(files):
            try:
                recorded = f"results/{location}/{_digest(self.manifest_bytes(location))}/"
            except CheckpointError:
                continue
            prefix, manifest = f"results/{location}/", f"results/{location}/{MANIFEST_NAME}"
            for path, size in files.items():
                if path.startswith(prefix) and not path.startswith(recorded) and path != manifest:
                    yield path, size
        yield from self._list("failures").items()

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _list(self, path: str) -> dict[str, int]:
        """Paths relative to the address, and sizes, of all files below a path."""
        self._files.invalidate_cache()  # other processes write to the same place
        try:
            files = self._files.find(self._absolute(path), detail=True)
        except FileNotFoundError:
            return {}
        start = len(self._root.rstrip("/")) + 1
        return {name[start:]: int(entry["size"]) for name, entry in files.items()}


def _locations_of(paths: Iterable[str]) -> list[str]:
    return sorted({"/".join(path.split("/")[1:3]) for path in paths})


def _cache_folder() -> Path:
    folder = os.environ.get(CACHE_VARIABLE)
    return Path(folder) if folder else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symscope"


def _digest(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest()[:16]
