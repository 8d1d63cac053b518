"""Which kind of store an address means."""

from __future__ import annotations

from pathlib import Path

from symscope.errors import StoreError
from symscope.runner.folder_store import FolderStore
from symscope.runner.remote_store import RemoteStore
from symscope.runner.store import STORE_FILE, Store


def open_store(address: Path | str, *, study: str) -> Store:
    """Makes a store in a new or empty place, or goes on with the one of this study that is there.

    Args:
        address: a folder, or a URL that fsspec knows, such as `s3://bucket/folder`.
        study: the study's name.

    Raises:
        StoreError: if the place cannot be written, holds another study, is of a newer format, or holds something else
            than a store. Nothing in it is changed then.
    """
    store = store_at(address, study)
    store.claim()
    return store


def existing_store(address: Path | str) -> Store:
    """The store that is at a place, to read from it; nothing is written.

    Raises:
        StoreError: if there is none, or it is of a newer format.
    """
    found = store_at(address, "").read_identity()
    if found is None:
        raise StoreError(f"{address} holds no results: there is no {STORE_FILE} in it; check the path")
    return store_at(address, found["study"])


def store_at(address: Path | str, study: str) -> Store:
    """A store that was opened elsewhere, taken on trust."""
    if "://" in str(address):
        return RemoteStore(str(address), study)
    return FolderStore(Path(address), study)
