"""Atomic writes: after a crash at any moment, a file has its old content or its new content, never a part of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

EXPLORER_FILE = "explorer.html"
"""Name of the page in which the networks of a study run: the command line writes it, and the report links it."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Context that replaces `path` by a new file, if its block succeeds.

    The block receives the path of a temporary file in the same folder and writes it. At the end of the block, the
    temporary file is flushed to the disk and renamed to `path`. If anything raises, it is removed and `path` is
    unchanged. Several processes and machines may write the same path at the same time; the last one wins.

    Raises:
        OSError: the folder does not exist, cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        yield temporary
        flush_file(temporary)
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file as UTF-8, with unchanged line ends, through `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode())


def flush_file(path: Path) -> None:
    """Waits until the bytes of a file are on the disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def flush_folder(path: Path) -> None:
    """Waits until the entries of a folder are on the disk."""
    if os.name == "nt":  # Windows cannot open folders; its renames are journalled.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
