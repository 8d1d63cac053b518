"""What a person sees while a study runs, on a terminal and in a pipe."""

import io

from rich.console import Console

from symscope.cli.console import shown_bytes, shown_duration
from symscope.cli.display import Display
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
    for settled in range(1, 9):
        display.show(Event("there", f"train/{settled + 10}", settled=settled, total=40))
    display.show(Event("started", "train/0", settled=8, total=40))
    display.show(Event("progress", "train/0", Progress(100, 1000, "training", {"loss": 0.25}), settled=8, total=40))
    display.show(Event("started", "train/1", settled=8, total=40))
    display.show(Event("progress", "train/1", Progress(7, None, "warming up"), settled=8, total=40))
    display.show(Event("done", "train/0", seconds=12.0, settled=9, total=40))
    display.show(Event("started", "train/2", settled=9, total=40))
    display.show(Event("lost", "train/2", text="NodeDiedError: gone", settled=9, total=40))
    display.show(Event("failed", "train/3", text="Traceback\nValueError: no such luck", settled=10, total=40))
    display.show(Event("skipped", "align/3", text="train/3", settled=11, total=40))


def test_in_a_pipe_every_event_is_a_line_and_what_was_there_is_told_briefly() -> None:
    console, text = screen(terminal=False)
    with Display(console, PLAN) as display:
        events(display)
    lines = text.getvalue().splitlines()
    assert sum("already there" in line for line in lines) == 5
    assert "train/0: training 100/1000: loss 0.25" in lines
    assert "[9/40] train/0: done in 12 s" in lines
    assert "[9/40] train/2: lost: NodeDiedError: gone" in lines
    assert "[10/40] train/3: failed: ValueError: no such luck" in lines
    assert "[11/40] align/3: skipped: train/3" in lines


def test_on_a_terminal_a_table_shows_what_runs_and_what_came_out() -> None:
    console, _ = screen(terminal=True)
    display = Display(console, PLAN)
    events(display)
    with console.capture() as captured:
        console.print(display._table())
    shown = captured.get()
    assert "11/40 jobs" in shown
    assert "8 already there, 1 done, 1 failed, 1 skipped" in shown
    assert "jobs/" in shown
    assert "training" not in shown  # that job has ended
    assert "warming up" in shown
    assert "done  train/0  12 s  loss 0.25" in shown


def test_the_time_left_is_told_once_a_job_of_every_kind_has_ended() -> None:
    console, _ = screen(terminal=True)
    display = Display(console, PLAN)
    display.show(Event("started", "align/1", settled=0, total=40))
    display.show(Event("done", "train/0", seconds=10.0, settled=1, total=40))
    assert "left" not in display._rate_and_rest(display._start + 20)
    display.show(Event("done", "align/0", seconds=4.0, settled=2, total=40))
    assert "left" in display._rate_and_rest(display._start + 20)


def test_durations_and_sizes_are_shown_in_the_unit_that_fits() -> None:
    assert [shown_duration(s) for s in (0.04, 9.96, 59.0, 60.0, 3600.0, 86_400.0, 400_000.0)] == [
        "0.0 s", "10.0 s", "59 s", "1 min", "1.0 h", "24.0 h", "4.6 days",
    ]  # fmt: skip
    assert [shown_bytes(b) for b in (0, 999, 1000, 2_500_000, 7 * 10**12)] == [
        "0 B", "999 B", "1.0 kB", "2.5 MB", "7000.0 GB",
    ]  # fmt: skip
