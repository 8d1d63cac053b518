"""Files of a result: records with checksums, checks, listing and removal."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from symscope.errors import CheckpointError
from symscope.files import flush_file


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes, SHA-256, and time of the last change in nanoseconds when the result was committed."""

    size: int
    sha256: str
    mtime_ns: int


def record_files(folder: Path, *, exclude: str, reserved: str) -> dict[str, FileRecord]:
    """Records of all files below a folder, by relative path; flushes the files to the disk.

    Args:
        folder: folder of a job.
        exclude: name of a subfolder that is left out.
        reserved: name that no file in `folder` may have.

    Raises:
        CheckpointError: an entry is neither a file nor a folder, or has the reserved name.
    """
    records = {}
    for path in files_below(folder):
        relative = path.relative_to(folder)
        if relative.parts[0] == exclude:
            continue
        if path.is_symlink() or not path.is_file():
            raise CheckpointError(f"{relative} is not a plain file: a result may hold only files and folders")
        if relative.as_posix() == reserved:
            raise CheckpointError(f"a stage may not write {reserved}: return a mapping of facts instead")
        flush_file(path)
        status = path.stat()
        records[relative.as_posix()] = FileRecord(status.st_size, sha256_of(path), status.st_mtime_ns)
    return records


def fault_of_files(folder: Path, records: Mapping[str, FileRecord], *, deep: bool) -> str:
    """Description of the first damaged file, "" if there is none.

    The quick check trusts a file with the recorded size and time of the last change, and reads the rest; the `deep`
    check reads every file.
    """
    for relative, record in records.items():
        path = folder / relative
        try:
            status = path.stat()
            if status.st_size != record.size:
                return f"{relative} has {status.st_size} bytes instead of {record.size}"
            if (deep or status.st_mtime_ns != record.mtime_ns) and sha256_of(path) != record.sha256:
                return f"{relative} has changed since it was written (its SHA-256 differs)"
        except OSError as error:
            return f"{relative} cannot be read: {error.strerror or error}"
    return ""


def sha256_of(path: Path) -> str:
    """SHA-256 of the contents of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """All entries below a folder that are not folders, sorted within each folder."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from files_below(entry)
        else:
            yield entry


def remove_tree(path: Path) -> None:
    """Removes a file, or a folder with all its contents, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
