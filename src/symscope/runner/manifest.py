"""A manifest says where a result comes from and of which bytes it consists; it lies beside the result's files."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from symscope.errors import CheckpointError
from symscope.files import flush_file
from symscope.runner.files import files_below, sha256_of

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 1

RECORDED_PACKAGES = ("symscope", "torch", "numpy", "scipy", "scikit-learn", "polars", "safetensors", "pydantic")
"""Packages whose versions every result carries, as far as they are installed."""

_CHECKSUM_FIELD = b',\n "checksum": "'


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes, SHA-256, and time of last change in nanoseconds when the result was committed."""

    size: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a result.

    `location` is its address in the store, `needs` maps the names of the needed jobs to their locations, `facts` is
    what the stage returned, `result_version` that of the code. `started` and `finished` are UTC, ISO 8601; `seconds` is
    measured by a clock that does not jump: of a job that was `resumed` after an interruption the last stretch, of a
    group each member's share. `files` maps paths relative to the result's folder to their records.
    """

    name: str
    stage: str
    location: str
    arguments: Mapping[str, Any]
    needs: Mapping[str, str]
    facts: Mapping[str, Any]
    packages: Mapping[str, str]
    python: str
    started: str
    finished: str
    seconds: float
    resumed: bool
    files: Mapping[str, FileRecord]
    result_version: str = ""

    def to_bytes(self) -> bytes:
        """JSON for people to read, its last field a checksum of all before it."""
        body = json.dumps({"format": MANIFEST_FORMAT, **asdict(self)}, indent=1, allow_nan=False).encode()
        head = body.removesuffix(b"\n}")
        return head + _CHECKSUM_FIELD + hashlib.sha256(head).hexdigest().encode() + b'"\n}\n'

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Reads what `to_bytes` wrote; raises CheckpointError if a single byte of it is another."""
        head, mark, tail = content.rpartition(_CHECKSUM_FIELD)
        if not mark or tail != hashlib.sha256(head).hexdigest().encode() + b'"\n}\n':
            raise CheckpointError(f"{MANIFEST_NAME} is damaged: its checksum does not fit its text")
        fields = json.loads(head + b"\n}")
        found = fields.pop("format")
        if found != MANIFEST_FORMAT:
            raise CheckpointError(f"{MANIFEST_NAME} has format {found}; this version reads {MANIFEST_FORMAT}")
        files = {path: FileRecord(**record) for path, record in fields.pop("files").items()}
        return cls(**fields, files=files)


def record_files(folder: Path, *, leave_out: str) -> dict[str, FileRecord]:
    """Flushes all files below a folder to the disk and records them, except those below the subfolder `leave_out`.

    Raises:
        CheckpointError: if something is neither a file nor a folder, or has the manifest's name.
    """
    records = {}
    for path in files_below(folder):
        relative = path.relative_to(folder)
        if relative.parts[0] == leave_out:
            continue
        if path.is_symlink() or not path.is_file():
            raise CheckpointError(f"{relative} is not a plain file: a result may hold only files and folders")
        if relative.as_posix() == MANIFEST_NAME:
            raise CheckpointError(f"a stage may not write {MANIFEST_NAME}: return a mapping of facts instead")
        flush_file(path)
        status = path.stat()
        records[relative.as_posix()] = FileRecord(status.st_size, sha256_of(path), status.st_mtime_ns)
    return records


def fault_of_files(folder: Path, records: Mapping[str, FileRecord], *, deep: bool) -> str:
    """What is wrong with a result's files, "" if nothing.

    Not `deep` trusts a file that has the recorded size and time of last change, and reads only the others; `deep`
    reads them all.
    """
    for relative, record in records.items():
        path = folder / relative
        try:
            status = path.stat()
            if status.st_size != record.size:
                return f"{relative} has {status.st_size} bytes instead of {record.size}"
            if (deep or status.st_mtime_ns != record.mtime_ns) and sha256_of(path) != record.sha256:
                return f"{relative} has other bytes than were written (its SHA-256 differs)"
        except OSError as error:
            return f"{relative} cannot be read: {error.strerror or error}"
    return ""


@lru_cache(maxsize=1)
def installed_versions() -> Mapping[str, str]:
    """Versions of the recorded packages that are installed."""
    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def python_version() -> str:
    """Such as `3.11.9 (Linux x86_64)`."""
    return f"{platform.python_version()} ({platform.system()} {platform.machine()})"
