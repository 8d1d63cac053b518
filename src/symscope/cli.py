"""The command line: the only place that prints.

Exit codes: 0 all is done; 1 a job failed (the rest is done, and reported); 2 the command or the study is wrong;
130 interrupted, and the same command goes on.
"""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from symscope.errors import SymscopeError
from symscope.runner import Event, Outcome, Store, run

if TYPE_CHECKING:  # the science takes seconds to import, and --help should not
    import polars as pl

    from symscope.report import ReportInputs
    from symscope.studies import Study

PLAIN_LINE_EVERY_S = 10.0
FAILED, WRONG, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="symscope",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does this neural network compute with this variable? A microscope for symbols in neural networks.",
    epilog="Start with: symscope study run quick --out out/quick",
)
study_app = typer.Typer(no_args_is_help=True, help="Run a study: train networks, look for variables in them, report.")
app.add_typer(study_app, name="study")
out, err = Console(highlight=False), Console(stderr=True, highlight=False)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A preset (see `symscope study list`) or a YAML file.")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for results and report; the same to go on.")]


def main() -> None:
    """Entry point of the command `symscope`."""
    app()


@app.callback(invoke_without_command=True)
def _top(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        out.print(f"symscope {version('symscope')}")
        raise typer.Exit


@study_app.command("list")
def list_studies() -> None:
    """List the presets, with the question that each asks."""
    from symscope.studies import preset, preset_names

    table = Table("preset", "question", "networks", box=None, pad_edge=False)
    for name in preset_names():
        study = preset(name)
        sizes = "; ".join(f"{network.kind} d = {', '.join(map(str, network.sizes))}" for network in study.networks)
        seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
        table.add_row(name, study.title, f"{sizes}; {seeds}")
    _whole_lines(out).print(table)


@study_app.command("show")
def show_study(name: StudyName) -> None:
    """Print a study as it is declared: the start of one of your own."""
    with _errors_told():
        out.out(_declaration(name)[0], end="")


@study_app.command("run")
def run_study(
    name: StudyName,
    folder: Folder,
    seed: Annotated[
        list[int] | None, typer.Option(help="Train this seed in place of the study's; repeat it for several.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute: cpu, cuda, cuda:1 ... (default: cpu)")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Jobs at a time; 0: all in this process (default: one a core)")
    ] = None,
) -> None:
    """Run a study, or go on with it where it was interrupted, and write its report."""
    with _errors_told():
        from symscope.report import save_inputs
        from symscope.studies import collect, declaration_key, plan_study, read_study

        study = _with_options(read_study(*_declaration(name)), seed, device)
        plan = plan_study(study)
        store = Store.open(folder, study=study.name, declaration=declaration_key(study))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        networks = sum(not job.needs for job in plan)
        at_a_time = min(cores, networks) if workers is None else workers
        err.print(f"{study.name}: {study.title}", soft_wrap=True)
        err.print(
            f"{len(plan)} jobs, {max(at_a_time, 1)} at a time, results in {folder}; Ctrl-C pauses.", soft_wrap=True
        )
        with _Display(err) as display:
            threads = max(1, cores // max(1, at_a_time))
            outcome = run(plan, store, workers=at_a_time, threads=threads, on_event=display.show)
        err.print(outcome.summary())
        _tell_failures(outcome)
        page = folder / "report.html"
        if outcome.ok and not outcome.done and page.is_file():
            out.print(f"Nothing was to be done; `symscope report {folder}` writes the report again.", soft_wrap=True)
            out.print(f"Report: {page}", soft_wrap=True)
            return
        if not outcome.done and not outcome.there:
            raise typer.Exit(FAILED)
        inputs = collect(study, plan, store, outcome, _same_command())
        save_inputs(inputs, folder)
        _write_report(inputs, folder)
        if not outcome.ok:
            raise typer.Exit(FAILED)


@app.command("report")
def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study that was run.")]) -> None:
    """Write the report of a study again, from the tables in its folder."""
    with _errors_told():
        from symscope.report import load_inputs

        _write_report(load_inputs(folder), folder)


def _declaration(name: str) -> tuple[str, str]:
    """The YAML text of a study, and what to call it."""
    from symscope.studies import preset_text

    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise SymscopeError(f"there is no file {name}; `symscope study list` names the presets")
        try:
            return path.read_text(encoding="utf-8"), name
        except (OSError, UnicodeDecodeError) as error:
            raise SymscopeError(f"{name} cannot be read as UTF-8 text: {error}") from error
    return preset_text(name), f"preset {name}"


def _with_options(study: "Study", seeds: list[int] | None, device: str | None) -> "Study":
    from symscope.studies import check_study

    changed = {"seeds": seeds} if seeds else {}
    changed |= {"device": device} if device else {}
    return check_study({**study.model_dump(mode="json"), **changed}, f"study {study.name}") if changed else study


def _same_command() -> str:
    return shlex.join(["symscope", *sys.argv[1:]])


def _write_report(inputs: "ReportInputs", folder: Path) -> None:
    from symscope.report import write_report

    _print_tables(inputs)
    files = write_report(inputs, folder)
    out.print(f"Report: {files.page}", soft_wrap=True)


def _print_tables(inputs: "ReportInputs") -> None:
    """What was learned, and every score: the figures that the report shows."""
    from symscope.analysis.summary import learning

    tables = inputs.tables
    if "behaviour" in tables or "training" in tables:
        _print_rows(learning(tables.get("behaviour"), tables.get("training")), "trial accuracy and training")
    if "scores" in tables:
        _print_rows(tables["scores"], "interchange intervention accuracy (IIA), 95% interval")
    if "whole_state" in tables:
        _print_rows(tables["whole_state"], "whole-state swaps: share that goes on as the source, and as the base")


def _print_rows(frame: "pl.DataFrame", title: str) -> None:
    """A table as it is in a pipe; on a terminal, columns that say the same in every row go into the title."""
    hidden = {"start", "validation_iia", "steps", "redrawn", "trained_n", "held_out_n", "extrapolated_n"}
    shown = frame.select(name for name in frame.columns if name not in hidden)
    if out.is_terminal and shown.height > 1:
        same = [name for name in shown.columns if shown[name].n_unique() == 1 and not shown[name].dtype.is_float()]
        title = f"{title} ({', '.join(f'{name} {shown[name][0]}' for name in same)})" if same else title
        shown = shown.drop(same)
    out.print(title, style="italic", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name, dtype in shown.schema.items():
        table.add_column(name, no_wrap=True, justify="right" if dtype.is_numeric() else "left")
    for row in shown.iter_rows():
        table.add_row(*("" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    _whole_lines(out).print(table)
    out.print()


def _whole_lines(console: Console) -> Console:
    """In a pipe every row keeps its line: there is no terminal whose width would matter."""
    return console if console.is_terminal else Console(highlight=False, width=240)


def _tell_failures(outcome: Outcome) -> None:
    for name, trace in outcome.failed.items():
        err.rule(f"failed: {name}")
        err.print(trace, markup=False, soft_wrap=True)
    for name, cause in outcome.skipped.items():
        err.print(f"skipped: {name}, since {cause} failed", markup=False, soft_wrap=True)


@contextmanager
def _errors_told() -> Iterator[None]:
    """Errors of the family become one message and an exit code; an interruption says how to go on."""
    try:
        yield
    except SymscopeError as error:
        err.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(WRONG) from error
    except KeyboardInterrupt:
        err.print("\nInterrupted. What is finished is kept; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None


class _Display:
    """Shows the events of a run: bars on a terminal, plain lines in a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: dict[str, TaskID] = {}
        self._last_line: dict[str, float] = {}
        columns = (BarColumn(bar_width=16), TimeRemainingColumn(), TextColumn("left"), TextColumn("{task.description}"))
        self._progress = Progress(*columns, TextColumn("{task.fields[shown]}"), console=console, transient=True)

    def __enter__(self) -> "_Display":
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def show(self, event: Event) -> None:
        """Shows one event."""
        if event.kind == "progress" and event.progress is not None:
            self._show_progress(event)
            return
        if event.kind == "started" and self._console.is_terminal:
            self._bars[event.job] = self._progress.add_task(event.job, total=None, shown="")
            return
        if event.job in self._bars:
            self._progress.remove_task(self._bars.pop(event.job))
        took = f" in {event.seconds:.0f} s" if event.seconds is not None else ""
        why = f": {event.text.splitlines()[-1]}" if event.text else ""
        told = {"there": "already there", "damaged": "damaged, done again", "waiting": "done by another process"}
        word = told.get(event.kind, event.kind)
        self._console.print(
            f"[{event.settled}/{event.total}] {event.job}: {word}{took}{why}", markup=False, soft_wrap=True
        )

    def _show_progress(self, event: Event) -> None:
        progress = event.progress
        assert progress is not None
        shown = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in progress.fields.items()
        )
        if event.job in self._bars:
            text = f"{event.job}: {progress.text}"
            self._progress.update(
                self._bars[event.job], completed=progress.done, total=progress.total, description=text, shown=shown
            )
        elif time.monotonic() - self._last_line.get(event.job, float("-inf")) >= PLAIN_LINE_EVERY_S:
            self._last_line[event.job] = time.monotonic()
            upto = f"/{progress.total:.0f}" if progress.total is not None else ""
            self._console.print(
                f"{event.job}: {progress.text} {progress.done:.0f}{upto}: {shown}", markup=False, soft_wrap=True
            )
