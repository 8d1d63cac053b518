"""Manifest of a result: its inputs, the versions and duration of the run, and the checksums of its files."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

from symscope.errors import CheckpointError
from symscope.runner.files import FileRecord

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 1

RECORDED_PACKAGES = ("symscope", "torch", "numpy", "scipy", "scikit-learn", "polars", "safetensors", "pydantic")
"""Packages whose versions each manifest records, if they are installed."""

_CHECKSUM_FIELD = b',\n "checksum": "'


@dataclass(frozen=True, slots=True)
class Manifest:
    """Record of how a result was made and of its files.

    `location` is its address in the store, `needs` maps the names of the needed jobs to their locations, `facts` is
    the return value of the stage, `result_version` the version of the code's results. `started` and `finished` are
    UTC, ISO 8601; `seconds` comes from a monotonic clock and covers the last attempt if the job was `resumed` after an
    interruption. `files` maps paths relative to the result's folder to their records.
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
        """Indented JSON; the last field is a checksum of all text before it."""
        body = json.dumps({"format": MANIFEST_FORMAT, **asdict(self)}, indent=1, allow_nan=False).encode()
        head = body.removesuffix(b"\n}")
        return head + _CHECKSUM_FIELD + hashlib.sha256(head).hexdigest().encode() + b'"\n}\n'

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Inverse of `to_bytes`; raises CheckpointError if any byte has changed."""
        head, mark, tail = content.rpartition(_CHECKSUM_FIELD)
        if not mark or tail != hashlib.sha256(head).hexdigest().encode() + b'"\n}\n':
            raise CheckpointError(f"{MANIFEST_NAME} is damaged: its checksum does not match its text")
        fields = json.loads(head + b"\n}")
        version = fields.pop("format")
        if version != MANIFEST_FORMAT:
            raise CheckpointError(f"{MANIFEST_NAME} has format {version}; this version reads {MANIFEST_FORMAT}")
        files = {path: FileRecord(**record) for path, record in fields.pop("files").items()}
        return cls(**fields, files=files)


@lru_cache(maxsize=1)
def installed_versions() -> Mapping[str, str]:
    """Versions of those recorded packages that are installed."""
    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def python_version() -> str:
    """Python version and platform, such as `3.11.9 (Linux x86_64)`."""
    return f"{platform.python_version()} ({platform.system()} {platform.machine()})"
