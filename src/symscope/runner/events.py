"""Events of a run: progress of a stage, what happens to a job, and the outcome at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

EventKind = Literal["cached", "damaged", "waiting", "started", "progress", "done", "lost", "failed", "skipped"]
FieldValue = float | int | str


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a stage: `done` of `total` units (updates, batches, ...).

    `total` is None if it is unknown; `text` names the current phase in a few words (`training`); `fields` are the
    latest figures to display, such as `{"loss": 0.01, "accuracy": 0.999}`. A report for an experiment tracker has
    `values` too, numbers by name, and the `name` of what they are of; such a report is never left out.
    """

    done: float | int
    total: float | int | None = None
    text: str = ""
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    values: Mapping[str, float | int] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """A change of state of one job.

    - `cached`: the store holds a valid result; the job does not run.
    - `damaged`: the stored result is damaged (`text` says how); the job runs again.
    - `waiting`: another process on this store runs the job; the result is looked up again later.
    - `started`, `progress` (in `progress`), `done` (after `seconds`).
    - `lost`: the machine or process that ran the job died (`text` says how); the job starts again elsewhere.
    - `failed`: `text` is the traceback, or says how the worker process died. The store records `permanent` failures:
      those that another attempt would probably repeat. A full disk or exhausted memory is not permanent.
    - `skipped`: a job that this job needs failed; `text` is the name of the failed job.

    `ended` of `total` jobs of the plan are cached, done, failed or skipped, this event included.
    """

    kind: EventKind
    job: str
    progress: Progress | None = None
    seconds: float | int | None = None
    text: str = ""
    permanent: bool = False
    ended: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run, by names of jobs; each job of the plan is in exactly one of the four.

    `failed` maps a job to its traceback, `skipped` maps a job to the failed job that it needs.
    """

    done: tuple[str, ...]
    cached: tuple[str, ...]
    failed: Mapping[str, str]
    skipped: Mapping[str, str]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the store holds the results of all jobs of the plan."""
        return not self.failed and not self.skipped

    def summary(self) -> str:
        """One line: `12 done, 3 cached, 1 failed, 2 skipped in 8.1 s`."""
        counts = {"done": self.done, "cached": self.cached, "failed": self.failed, "skipped": self.skipped}
        parts = [f"{len(jobs)} {word}" for word, jobs in counts.items() if jobs]
        return f"{', '.join(parts) or 'nothing to do'} in {self.seconds:.1f} s"
