"""Display of a running study, on a terminal and in a pipe."""

import io

from rich.console import Console

from symscope.cli.console import format_bytes, format_duration
from symscope.cli.display import Display, short_names
from symscope.runner import Event, Job, Plan, Progress

PLAN = Plan(
    [Job(f"train/{i}", "module:train", {"i": i}) for i in range(20)]
    + [Job(f"align/{i}", "module:align", {"i": i}, (f"train/{i}",)) for i in range(20)],
    result_version="1",
)


def screen(*, terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=160, highlight=False), text


def events(display: Display) -> None:
    for ended in range(1, 9):
        display.show(Event("cached", f"train/{ended + 10}", ended=ended, total=40))
    display.show(Event("started", "train/0", ended=8, total=40))
    display.show(Event("progress", "train/0", Progress(100, 1000, "training", {"loss": 0.25}), ended=8, total=40))
    display.show(Event("started", "train/1", ended=8, total=40))
    display.show(Event("progress", "train/1", Progress(7, None, "warming up"), ended=8, total=40))
    display.show(Event("done", "train/0", seconds=12.0, ended=9, total=40))
    display.show(Event("started", "train/2", ended=9, total=40))
    display.show(Event("lost", "train/2", text="NodeDiedError: gone", ended=9, total=40))
    display.show(Event("failed", "train/3", text="Traceback\nValueError: no such luck", ended=10, total=40))
    display.show(Event("skipped", "align/3", text="train/3", ended=11, total=40))


def test_in_a_pipe_every_event_is_a_line_and_cached_jobs_are_summarised() -> None:
    console, text = screen(terminal=False)
    with Display(console, PLAN) as display:
        events(display)
    lines = text.getvalue().splitlines()
    assert sum("cached" in line for line in lines) == 5
    assert "train/0: training 100/1000: loss 0.25" in lines
    assert "[9/40] train/0: done in 12 s" in lines
    assert "[9/40] train/2: lost: NodeDiedError: gone" in lines
    assert "[10/40] train/3: failed: ValueError: no such luck" in lines
    assert "[11/40] align/3: skipped: train/3" in lines


def test_on_a_terminal_a_table_shows_running_jobs_and_results() -> None:
    console, _ = screen(terminal=True)
    display = Display(console, PLAN)
    events(display)
    with console.capture() as captured:
        console.print(display._table())
    text = captured.get()
    assert "11/40 jobs" in text
    assert "8 cached, 1 done, 1 failed, 1 skipped" in text
    assert "jobs/" in text
    assert "training" not in text  # that job has ended
    assert "warming up" in text
    assert "done  train/0  12 s  loss 0.25" in text


def test_the_time_left_counts_all_jobs_of_the_study() -> None:
    console, _ = screen(terminal=True)
    display = Display(console, PLAN)
    now = display._start + 20
    display.show(Event("started", "align/1", ended=0, total=40))
    assert display._rate_and_time_left(now) == ""
    display.show(Event("done", "train/0", seconds=10.0, ended=1, total=40))
    # 19 trainings of 10 s one after another; the duration of an alignment is unknown.
    assert "more than 3 min left" in display._rate_and_time_left(now)
    display.show(Event("done", "align/0", seconds=4.0, ended=2, total=40))
    # 19 trainings of 10 s and 18 alignments of 4 s; the running alignment is due.
    assert "about 4 min left" in display._rate_and_time_left(now)


def test_the_time_left_uses_the_progress_of_running_jobs_before_any_has_finished() -> None:
    console, _ = screen(terminal=True)
    display = Display(console, Plan(list(PLAN)[:20], result_version="1"))
    display.show(Event("started", "train/0", total=20))
    display.show(Event("progress", "train/0", Progress(0, 100, "training"), total=20))
    display._running["train/0"].last = Progress(50, 100, "training")
    running = display._running["train/0"]
    running.started = running.phase_started = display._start
    # 10 s for half a training: 10 s left of this one, and 20 s for each of 19 more.
    assert display._seconds_left(display._start + 10) == (390.0, True)


def test_short_names_keep_the_parts_that_differ() -> None:
    searches = [f"align/multi-object-gru-d{d}-seed0/up-down-h-oblique-{v}" for d in (8, 64) for v in ("count", "phase")]
    short = short_names(["train/multi-object-gru-d8-seed0", "train/multi-object-gru-d64-seed0", *searches])
    assert list(short.values()) == [
        "train/d8", "train/d64",
        "align/d8-count", "align/d8-phase", "align/d64-count", "align/d64-phase",
    ]  # fmt: skip
    assert short_names(["train/only-job"]) == {"train/only-job": "train/only-job"}
    ambiguous = ["swap/a-b", "swap/b-a"]  # the same parts in a different order
    assert short_names(ambiguous) == {name: name for name in ambiguous}


def test_a_narrow_terminal_shows_the_names_of_jobs_completely() -> None:
    names = [f"align/multi-object-gru-d48-seed{seed}/up-down-h-oblique-natural-span-count" for seed in range(3)]
    plan = Plan([Job(name, "module:align", {"name": name}) for name in names], result_version="1")
    console = Console(file=io.StringIO(), force_terminal=True, width=60, highlight=False)
    display = Display(console, plan)
    figures = {"lowest IIA": 0.123, "highest IIA": 0.987, "loss": 0.5}
    for name in names:
        display.show(Event("started", name, total=3))
        display.show(Event("progress", name, Progress(100, 2000, "search: shuffled labels", figures), total=3))
    with console.capture() as captured:
        console.print(display._table())
    assert all(f"align/seed{seed}" in captured.get() for seed in range(3))


def test_durations_and_sizes_have_suitable_units() -> None:
    assert [format_duration(s) for s in (0.04, 9.96, 59.0, 60.0, 3600.0, 86_400.0, 400_000.0)] == [
        "0.0 s", "10.0 s", "59 s", "1 min", "1.0 h", "24.0 h", "4.6 days",
    ]  # fmt: skip
    assert [format_bytes(b) for b in (0, 999, 1000, 2_500_000, 7 * 10**12)] == [
        "0 B", "999 B", "1.0 kB", "2.5 MB", "7000.0 GB",
    ]  # fmt: skip
