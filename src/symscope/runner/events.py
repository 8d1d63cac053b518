"""What a run tells while it goes: progress of a stage, events of jobs, and the outcome at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EventKind = Literal["there", "damaged", "waiting", "started", "progress", "done", "lost", "failed", "skipped"]
FieldValue = float | int | str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: `done` of `total` units (updates, batches, ...), and what to show beside it.

    `total` is None where the end is not known; `text` says in a few words what is going on (`training`);
    `fields` are the latest figures to show, such as `{"loss": 0.01, "accuracy": 0.999}`.
    """

    done: float | int
    total: float | int | None = None
    text: str = ""
    fields: Mapping[str, FieldValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one job of a run.

    - `there`: its result is already in the store, whole; nothing is done.
    - `damaged`: its stored result is damaged (`text` says how); it will be done again.
    - `waiting`: another process on this store is doing it; it is looked at again later.
    - `started`, `progress` (in `progress`), `done` (after `seconds`).
    - `lost`: the machine or process that did it died (`text` says how); it is started again elsewhere.
    - `failed`: `text` is the traceback, or says how the worker process died. `lasting` where the same would fail again,
      as far as one can tell: that is remembered. A full disk or memory is not.
    - `skipped`: a job that it needs failed; `text` is that job's name.

    `settled` of `total` jobs of the plan had come to their end (there, done, failed or skipped) with this event.
    """

    kind: EventKind
    job: str
    progress: Progress | None = None
    seconds: float | int | None = None
    text: str = ""
    lasting: bool = False
    settled: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, by names of jobs; a job is in exactly one of the four.

    `failed` maps a job to its traceback, `skipped` maps a job to the failed job that it needs.
    """

    done: tuple[str, ...]
    there: tuple[str, ...]
    failed: Mapping[str, str]
    skipped: Mapping[str, str]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every job of the plan has its result in the store."""
        return not self.failed and not self.skipped

    def summary(self) -> str:
        """One line: `12 done, 3 already there, 1 failed, 2 skipped in 8.1 s`."""
        counts = [
            (len(self.done), "done"),
            (len(self.there), "already there"),
            (len(self.failed), "failed"),
            (len(self.skipped), "skipped"),
        ]
        told = ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing to do"
        return f"{told} in {self.seconds:.1f} s"
