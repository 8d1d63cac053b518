"""`symscope study`: list, show, plan, run."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from symscope.cli.console import FAILED, err, errors_told, out, say, tell, whole_lines
from symscope.cli.display import Display
from symscope.errors import ClusterError, InvalidArgumentError, SymscopeError
from symscope.runner import Executor, Outcome, Plan, Store, local, open_store, run

if TYPE_CHECKING:  # the science takes seconds to import, and --help should not
    from symscope.studies import Study

study_app = typer.Typer(no_args_is_help=True, help="Run a study: train networks, look for variables in them, report.")

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A preset (see `symscope study list`) or a YAML file.")]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for results and report; the same to go on.")]
Address = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Keep the results there, such as s3://bucket/study (default: --out)."),
]
Seeds = Annotated[
    list[int] | None, typer.Option("--seed", help="Train this seed in place of the study's; repeat it for several.")
]
Device = Annotated[str | None, typer.Option(help="Where to compute: cpu, cuda, cuda:1 ... (default: cpu)")]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Jobs at a time; 0: all in this process (default: one a core)")
]


@study_app.command("list")
def list_studies() -> None:
    """List the presets, with the question that each asks."""
    from symscope.studies import preset, preset_names

    table = Table("preset", "question", "networks", box=None, pad_edge=False)
    for name in preset_names():
        study = preset(name)
        sizes = "; ".join(f"{network.kind} d = {', '.join(map(str, network.sizes))}" for network in study.networks)
        seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
        table.add_row(name, study.title, f"{sizes or 'none trained'}; {seeds}")
    whole_lines(out).print(table)


@study_app.command("show")
def show_study(name: StudyName) -> None:
    """Print a study as it is declared: the start of one of your own."""
    with errors_told():
        out.out(declaration_of(name)[0], end="")


@study_app.command("plan")
def show_plan(
    name: StudyName,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder in which it is run, or was begun.")
    ] = None,
    address: Address = None,
    seed: Seeds = None,
    device: Device = None,
    workers: Workers = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time shortened jobs (seconds to minutes) for a better estimate of time.")
    ] = False,
) -> None:
    """Print what a study would run, what of it is there already, and how long the rest may take."""
    with errors_told():
        from symscope.cli.planned import print_plan

        study = _study(name, seed, device)
        place = address or (str(folder) if folder is not None else None)
        at_a_time = max(1, _cores() if workers is None else workers)
        print_plan(study, place, workers=at_a_time, threads=max(1, _cores() // at_a_time), measure=measure)


@study_app.command("run")
def run_study(  # noqa: PLR0913, PLR0917  (options of a command)
    name: StudyName,
    folder: Folder,
    address: Address = None,
    seed: Seeds = None,
    device: Device = None,
    workers: Workers = None,
    cluster: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Run on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT."),
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(min=0, help="With --ray: GPUs for each job; 0.25 lets four share one.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed in an earlier run.")
    ] = False,
) -> None:
    """Run a study, or go on with it where it was interrupted, and write its report."""
    with errors_told():
        from symscope.studies import declared_text, plan_study

        study = _study(name, seed, device)
        plan = plan_study(study)
        open_store(folder, study=study.name)  # the folder of the report is claimed as well
        store = open_store(address or folder, study=study.name)
        executor, where = _executor(plan, workers, cluster, gpus)
        tell(f"{study.name}: {study.title}")
        tell(f"{len(plan)} jobs, {where}, results in {store.address}; Ctrl-C pauses.")
        with Display(err, plan) as display:
            outcome = run(plan, store, executor, on_event=display.show, retry_failed=retry_failed)
        tell(outcome.summary())
        _tell_failures(outcome, retry_failed=retry_failed)
        _report(study, plan, store, outcome, folder, declared_text(study))
        if not outcome.ok:
            raise typer.Exit(FAILED)


def _report(study: "Study", plan: Plan, store: Store, outcome: Outcome, folder: Path, declared: str) -> None:
    page, copy = folder / "report.html", folder / "study.yaml"
    if outcome.ok and not outcome.done and page.is_file() and copy.is_file() and copy.read_text("utf-8") == declared:
        say(f"Nothing was to be done; `symscope report {folder}` writes the report again.\nReport: {page}")
        return
    if not outcome.done and not outcome.there:
        raise typer.Exit(FAILED)
    from symscope.cli.results import write_report_and_tell
    from symscope.report import save_inputs
    from symscope.studies import collect

    inputs = collect(study, plan, store, outcome, shlex.join(["symscope", *sys.argv[1:]]))
    save_inputs(inputs, folder)
    write_report_and_tell(inputs, folder)
    copy.write_text(declared, encoding="utf-8")  # last: it says that the report is of this declaration


def _executor(plan: Plan, workers: int | None, cluster: str | None, gpus: float | None) -> tuple[Executor, str]:
    if cluster is None and gpus is not None:
        raise InvalidArgumentError("--gpus shares the GPUs of a Ray cluster: give --ray as well (--ray auto, say)")
    if cluster is not None:
        if workers is not None:
            raise InvalidArgumentError("--workers is for this machine; with --ray the cluster says how many jobs fit")
        try:
            from symscope.runner.ray import RayExecutor
        except ImportError as error:
            raise ClusterError(f"Ray is not installed ({error}): pip install 'symscope[cluster]'") from error

        executor = RayExecutor(cluster, gpus=gpus or 0.0)
        return executor, f"on {executor.connect()}"
    independent = sum(not job.needs for job in plan)
    at_a_time = min(_cores(), independent) if workers is None else workers
    return local(at_a_time, threads=max(1, _cores() // max(1, at_a_time))), f"{max(at_a_time, 1)} at a time"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _study(name: str, seeds: list[int] | None, device: str | None) -> "Study":
    from symscope.studies import check_study, read_study

    study = read_study(*declaration_of(name))
    changed = {"seeds": seeds} if seeds else {}
    changed |= {"device": device} if device else {}
    return check_study({**study.model_dump(mode="json"), **changed}, f"study {study.name}") if changed else study


def declaration_of(name: str) -> tuple[str, str]:
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


def _tell_failures(outcome: Outcome, *, retry_failed: bool) -> None:
    for name, trace in outcome.failed.items():
        err.rule(f"failed: {name}")
        tell(trace)
    for name, cause in outcome.skipped.items():
        tell(f"skipped: {name}, since {cause} failed")
    if outcome.failed and not outcome.done and not retry_failed:
        tell("What failed in an earlier run is not tried again: --retry-failed does.")
