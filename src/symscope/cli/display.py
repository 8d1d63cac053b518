"""Display of a running study: a live table on a terminal, plain lines in a pipe."""

import re
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from symscope.cli.console import format_duration
from symscope.runner import Event, Plan, Progress

PLAIN_LINE_INTERVAL_S = 10.0
MAX_RECENT = 5
MAX_RUNNING = 16
EVENT_TEXT = {"damaged": "damaged, runs again", "waiting": "another process runs this job"}


@dataclass
class _Running:
    """A running job. Its rate counts from the first report of a phase, since a job may continue from a checkpoint."""

    started: float = field(default_factory=time.monotonic)
    phase_started: float = 0.0
    first: Progress | None = None
    last: Progress | None = None

    def update(self, progress: Progress) -> None:
        if self.first is None or self.first.text != progress.text:
            self.phase_started, self.first = time.monotonic(), progress
        self.last = progress

    def rate(self, now: float) -> float:
        """Units per second; 0 if it is unknown."""
        seconds = now - self.phase_started
        if self.first is None or self.last is None or seconds <= 1:
            return 0.0
        return (self.last.done - self.first.done) / seconds

    def seconds_left(self, now: float) -> float | None:
        """Estimated time until the end of the current phase; None if it is unknown."""
        rate = self.rate(now)
        return (self.last.total - self.last.done) / rate if rate > 0 and self.last and self.last.total else None

    def columns(self, now: float) -> tuple[str | ProgressBar, ...]:
        """Phase, position and rate, bar, time left, latest figures."""
        last = self.last
        if last is None:
            return "", format_duration(now - self.started), "", "", ""
        if not last.total:
            return last.text, f"{last.done:.0f}", "", "", _figures(last)
        rate, left = self.rate(now), self.seconds_left(now)
        position = f"{last.done:.0f}/{last.total:.0f}" + (f", {rate:.0f}/s" if rate >= 1 else "")
        bar = ProgressBar(total=float(last.total), completed=float(last.done), width=12)
        return last.text, position, bar, "" if left is None else format_duration(left), _figures(last)


class Display:
    """Context manager that displays the events of a run."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._left = Counter(_stage(job.name) for job in plan)
        self._labels = short_names([job.name for job in plan])
        self._total = len(plan)
        self._ended = 0
        self._kinds: Counter[str] = Counter()
        self._seconds: dict[str, list[float]] = {}
        self._running: dict[str, _Running] = {}
        self._recent: deque[str] = deque(maxlen=MAX_RECENT)
        self._last_line: dict[str, float] = {}
        self._start = time.monotonic()
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, event: Event) -> None:
        """Displays one event."""
        self._ended = event.ended
        if event.kind == "progress" and event.progress is not None:
            self._running.setdefault(event.job, _Running()).update(event.progress)
            if not self._console.is_terminal:
                self._print_progress(event.job, event.progress)
            return
        if event.kind == "started":
            self._running[event.job] = _Running()
            return
        running = self._running.pop(event.job, None)
        if event.kind in ("done", "cached", "failed", "skipped"):
            self._left[_stage(event.job)] -= 1
            self._kinds[event.kind] += 1
        if event.kind == "cached":
            if self._kinds["cached"] <= MAX_RECENT:  # a study may have thousands
                self._print_line(event)
            return
        if event.kind == "done":
            self._seconds.setdefault(_stage(event.job), []).append(event.seconds or 0.0)
            figures = f"  {_figures(running.last)}" if running is not None and running.last is not None else ""
            self._recent.append(f"{event.job}  {format_duration(event.seconds or 0.0)}{figures}")
        self._print_line(event)

    def _print_line(self, event: Event) -> None:
        if event.kind == "done" and self._console.is_terminal:
            return  # the table lists recent jobs
        duration = f" in {event.seconds:.0f} s" if event.seconds is not None else ""
        cause = f": {event.text.splitlines()[-1]}" if event.text else ""
        text = EVENT_TEXT.get(event.kind, event.kind)
        self._console.print(f"[{event.ended}/{event.total}] {event.job}: {text}{duration}{cause}", soft_wrap=True)

    def _print_progress(self, job: str, progress: Progress) -> None:
        if time.monotonic() - self._last_line.get(job, float("-inf")) < PLAIN_LINE_INTERVAL_S:
            return
        self._last_line[job] = time.monotonic()
        total = f"/{progress.total:.0f}" if progress.total is not None else ""
        line = f"{job}: {progress.text} {progress.done:.0f}{total}: {_figures(progress)}"
        self._console.print(line, soft_wrap=True)

    def _table(self) -> Group:
        """Progress of the study, running jobs, and recent results."""
        now = time.monotonic()
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=max(1, self._total), completed=self._ended, width=24),
            Text(f"{self._ended}/{self._total} jobs"),
            Text(", ".join(f"{count} {kind}" for kind, count in self._kinds.items())),
            Text(self._rate_and_time_left(now)),
        )
        running = Table(box=None, pad_edge=False, header_style="dim")
        running.add_column("running", no_wrap=True, overflow="fold")  # names are never truncated
        for name in ("phase", "at", "", "left", "latest"):
            running.add_column(name, no_wrap=name == "left", overflow="ellipsis")
        reporting = [(job, state) for job, state in self._running.items() if state.last is not None]
        silent = [(job, state) for job, state in self._running.items() if state.last is None]
        for job, state in (reporting + silent)[:MAX_RUNNING]:
            running.add_row(self._labels.get(job, job), *state.columns(now))
        parts: list[object] = [head, running]
        if len(self._running) > MAX_RUNNING:
            parts.append(Text(f"... and {len(self._running) - MAX_RUNNING} more", style="dim"))
        parts += [Text(f"done  {line}", style="dim", overflow="fold") for line in self._recent]
        return Group(*parts)  # type: ignore[arg-type]

    def _rate_and_time_left(self, now: float) -> str:
        parts = []
        if done := self._kinds["done"]:
            rate = done / max(1e-3, now - self._start)
            parts.append(f"{rate * 60:.1f} jobs/min" if rate < 1 else f"{rate:.1f} jobs/s")
        seconds, exact = self._seconds_left(now)
        if seconds:
            parts.append(f"{'about' if exact else 'more than'} {format_duration(seconds)} left")
        return ", ".join(parts)

    def _seconds_left(self, now: float) -> tuple[float, bool]:
        """Estimated time until the end of the study, and whether the duration of all its jobs is known.

        The duration of a job is the mean over finished jobs of its stage. Where none has finished, it is estimated
        from the progress of a running job.
        """
        durations = {stage: sum(seconds) / len(seconds) for stage, seconds in self._seconds.items()}
        left_of_running = {job: state.seconds_left(now) for job, state in self._running.items()}
        for job, left in left_of_running.items():
            if left is not None:
                durations.setdefault(_stage(job), now - self._running[job].started + left)
        work, exact = 0.0, True
        waiting = self._left - Counter(map(_stage, self._running))
        for stage, count in waiting.items():
            exact &= stage in durations
            work += count * durations.get(stage, 0.0)
        for job, left in left_of_running.items():
            duration = durations.get(_stage(job))
            exact &= duration is not None
            by_duration = max(0.0, (duration or 0.0) - (now - self._running[job].started))
            work += by_duration if left is None else left
        return work / max(1, len(self._running)), exact


def short_names(names: Sequence[str]) -> Mapping[str, str]:
    """Names without the parts that all jobs of a stage share, so that a narrow table shows the parts that differ.

    `train/multi-object-gru-d48-seed0` and `train/multi-object-gru-d48-seed1` become `train/seed0` and `train/seed1`.
    """
    stages: dict[str, list[str]] = {}
    for name in names:
        stages.setdefault(_stage(name), []).append(name)
    short: dict[str, str] = {}
    for stage, members in stages.items():
        parts = {name: re.split(r"[/-]", name)[1:] for name in members}
        shared = set.intersection(*map(set, parts.values())) if len(members) > 1 else set()
        labels = {name: _joined(stage, (part for part in parts[name] if part not in shared)) for name in members}
        short |= labels if len(set(labels.values())) == len(members) else {name: name for name in members}
    return short


def _joined(stage: str, parts: Iterable[str]) -> str:
    return f"{stage}/{'-'.join(parts)}".removesuffix("/")


def _figures(progress: Progress) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in progress.fields.items()
    )


def _stage(job: str) -> str:
    """The part of a job's name before the first slash. Jobs of a stage take about the same time."""
    return job.partition("/")[0]
