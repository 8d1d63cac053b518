"""Reading and writing files of tables: paths are literal, and writes are atomic."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from symscope.errors import StoreError


def replace_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then rename it to `path` in one step; returns `path`.

    `StoreError` when the folder cannot be made or written; the temporary file is removed on every failure.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"cannot write {path}: {reason}; choose a folder that you may write to") from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)  # mkstemp makes it private; a result is meant to be shared
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_parquet(path: Path) -> pl.DataFrame:
    """The table in one Parquet file.

    `polars.read_parquet` expands `*`, `?`, `[` and `{` in a path to all matching files; here they are literal.

    Raises:
        OSError: the file cannot be opened.
        polars.exceptions.PolarsError: the file is not a Parquet file.
    """
    with path.open("rb") as stream:
        return pl.read_parquet(stream)
