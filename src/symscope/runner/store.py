"""signatures first"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a result: where it comes from and what it consists of."""

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


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a result can be used."""

    state: Literal["whole", "missing", "damaged"]
    fault: str = ""


class Store:
    """A folder of results."""

    folder: Path
    study: str
    declaration: str

    @classmethod
    def open(cls, folder: Path | str, *, study: str, declaration: str) -> Store:
        """Makes the store, or goes on with the one that is there; StoreError if it holds another study."""
        raise NotImplementedError

    @classmethod
    def existing(cls, folder: Path | str) -> Store:
        """The store in a folder, to read from it; StoreError if there is none."""
        raise NotImplementedError

    def path(self, location: str) -> Path:
        """Folder of a result; `location` comes from `plan.location(name)` or `manifest.location`."""
        raise NotImplementedError

    def check(self, location: str, *, deep: bool = False) -> Check: ...

    def manifest(self, location: str) -> Manifest:
        """CheckpointError if missing or damaged."""
        raise NotImplementedError

    def manifests(self) -> Iterator[Manifest]:
        """Of all results that are there."""
        raise NotImplementedError

    def verify(self) -> Mapping[str, str]:
        """Location -> fault of every damaged result; reads every byte."""
        raise NotImplementedError
