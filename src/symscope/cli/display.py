"""What a run is doing: a live table on a terminal, plain lines in a pipe."""

import time
from collections import Counter, deque
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from symscope.cli.console import shown_duration
from symscope.runner import Event, Plan, Progress

PLAIN_LINE_EVERY_S = 10.0
RECENT_SHOWN = 5
RUNNING_SHOWN = 16
SAID = {"there": "already there", "damaged": "damaged, done again", "waiting": "done by another process"}


@dataclass
class _Running:
    """A job under way. Its rate counts from where it was first seen, since it may have gone on from a checkpoint."""

    begun: float
    first: Progress | None = None
    progress: Progress | None = None

    def take(self, progress: Progress) -> None:
        if self.first is None or self.first.text != progress.text:
            self.begun, self.first = time.monotonic(), progress
        self.progress = progress

    def columns(self, now: float) -> tuple[str | ProgressBar, ...]:
        """What it does, how far it is and how fast, a bar, the time left, the latest figures."""
        first, last, seconds = self.first, self.progress, now - self.begun
        if first is None or last is None:
            return "", shown_duration(seconds), "", "", ""
        if not last.total:
            return last.text, f"{last.done:.0f}", "", "", _figures(last)
        rate = (last.done - first.done) / seconds if seconds > 1 else 0.0
        left = shown_duration((last.total - last.done) / rate) if rate else ""
        at = f"{last.done:.0f}/{last.total:.0f}" + (f", {rate:.0f}/s" if rate >= 1 else "")
        bar = ProgressBar(total=float(last.total), completed=float(last.done), width=12)
        return last.text, at, bar, left, _figures(last)


class Display:
    """Shows the events of a run. Use it as a context manager."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._left = Counter(_kind(job.name) for job in plan)
        self._total = len(plan)
        self._settled = 0
        self._kinds: Counter[str] = Counter()
        self._seconds: dict[str, list[float]] = {}
        self._running: dict[str, _Running] = {}
        self._recent: deque[str] = deque(maxlen=RECENT_SHOWN)
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
        """Takes one event."""
        self._settled = event.settled
        if event.kind == "progress" and event.progress is not None:
            self._running.setdefault(event.job, _Running(time.monotonic())).take(event.progress)
            if not self._console.is_terminal:
                self._plain_progress(event.job, event.progress)
            return
        if event.kind == "started":
            self._running[event.job] = _Running(time.monotonic())
            return
        ended = self._running.pop(event.job, None)
        if event.kind in ("done", "there", "failed", "skipped"):
            self._left[_kind(event.job)] -= 1
            self._kinds[event.kind] += 1
        if event.kind == "there":
            if self._kinds["there"] <= RECENT_SHOWN:  # of ten thousand, the first tell enough
                self._line(event)
            return
        if event.kind == "done":
            self._seconds.setdefault(_kind(event.job), []).append(event.seconds or 0.0)
            figures = f"  {_figures(ended.progress)}" if ended is not None and ended.progress is not None else ""
            self._recent.append(f"{event.job}  {shown_duration(event.seconds or 0.0)}{figures}")
        self._line(event)

    def _line(self, event: Event) -> None:
        if event.kind == "done" and self._console.is_terminal:
            return  # among the recent ones of the table
        took = f" in {event.seconds:.0f} s" if event.seconds is not None else ""
        why = f": {event.text.splitlines()[-1]}" if event.text else ""
        word = SAID.get(event.kind, event.kind)
        self._console.print(
            f"[{event.settled}/{event.total}] {event.job}: {word}{took}{why}", markup=False, soft_wrap=True
        )

    def _plain_progress(self, job: str, progress: Progress) -> None:
        if time.monotonic() - self._last_line.get(job, float("-inf")) < PLAIN_LINE_EVERY_S:
            return
        self._last_line[job] = time.monotonic()
        upto = f"/{progress.total:.0f}" if progress.total is not None else ""
        line = f"{job}: {progress.text} {progress.done:.0f}{upto}: {_figures(progress)}"
        self._console.print(line, markup=False, soft_wrap=True)

    def _table(self) -> Group:
        """The whole picture: how far the study is, what runs, what came out last."""
        now = time.monotonic()
        head = Table.grid(padding=(0, 2))
        counts = ", ".join(f"{count} {SAID.get(kind, kind)}" for kind, count in self._kinds.items())
        head.add_row(
            ProgressBar(total=max(1, self._total), completed=self._settled, width=24),
            Text(f"{self._settled}/{self._total} jobs"),
            Text(counts),
            Text(self._rate_and_rest(now)),
        )
        running = Table("running", "", "at", "", "left", "latest", box=None, pad_edge=False, header_style="dim")
        telling = [(job, one) for job, one in self._running.items() if one.progress is not None]
        quiet = [(job, one) for job, one in self._running.items() if one.progress is None]
        for job, under_way in (telling + quiet)[:RUNNING_SHOWN]:
            running.add_row(job, *under_way.columns(now))
        parts: list[object] = [head, running]
        if len(self._running) > RUNNING_SHOWN:
            parts.append(Text(f"... and {len(self._running) - RUNNING_SHOWN} more", style="dim"))
        parts += [Text(f"done  {line}", style="dim", overflow="ellipsis", no_wrap=True) for line in self._recent]
        return Group(*parts)  # type: ignore[arg-type]

    def _rate_and_rest(self, now: float) -> str:
        done = self._kinds["done"]
        if not done:
            return ""
        rate = done / (now - self._start)
        told = f"{rate * 60:.1f} jobs/min" if rate < 1 else f"{rate:.1f} jobs/s"
        known = {kind: sum(seconds) / len(seconds) for kind, seconds in self._seconds.items()}
        if any(count and kind not in known for kind, count in self._left.items()):
            return told  # of some kind none has ended yet
        left = sum(count * known.get(kind, 0.0) for kind, count in self._left.items())
        left -= sum(now - under_way.begun for under_way in self._running.values())
        return f"{told}, about {shown_duration(max(0.0, left) / max(1, len(self._running)))} left"


def _figures(progress: Progress) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in progress.fields.items()
    )


def _kind(job: str) -> str:
    """What comes before the first slash of a job's name: jobs of a kind take about as long as each other."""
    return job.partition("/")[0]
