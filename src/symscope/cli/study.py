"""`symscope study`: list, show, plan, run."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from symscope.cli.console import FAILED, err, log, out, print_result, report_errors, unwrapped
from symscope.cli.display import Display
from symscope.cli.explore import write_study_explorer
from symscope.errors import ClusterError, InvalidArgumentError, SymscopeError
from symscope.files import EXPLORER_FILE
from symscope.runner import Executor, Outcome, Plan, Store, local, open_store, run

if TYPE_CHECKING:  # imports torch
    from symscope.studies import Study

study_app = typer.Typer(no_args_is_help=True, help="Run a study: train networks, search variables in them, report.")

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A preset (see `symscope study list`) or a YAML file.")]
Folder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for results and report (default: out/STUDY).")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URL", help="URL for results, such as s3://bucket/study (default: the folder of --out)."
    ),
]
Seeds = Annotated[
    list[int] | None, typer.Option("--seed", help="Seed to use instead of those of the study; may be repeated.")
]
Device = Annotated[str | None, typer.Option(help="Device: cpu, cuda, cuda:1, ... (default: cpu)")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Number of worker processes; 0 runs all jobs in this process (default: one per core)"),
]


@study_app.command("list")
def list_studies() -> None:
    """List the presets, with their questions and networks."""
    from symscope.studies import preset, preset_names

    table = Table("preset", "question", "networks", box=None, pad_edge=False)
    for name in preset_names():
        study = preset(name)
        sizes = "; ".join(f"{network.kind} d = {', '.join(map(str, network.sizes))}" for network in study.networks)
        seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
        table.add_row(name, study.title, f"{sizes or 'none trained'}; {seeds}")
    unwrapped(out).print(table)


@study_app.command("show")
def show_study(name: StudyName) -> None:
    """Print the declaration of a study, as a template for a new study."""
    with report_errors():
        out.out(declaration_of(name)[0], end="")


@study_app.command("plan")
def show_plan(
    name: StudyName,
    folder: Folder = None,
    address: Address = None,
    seed: Seeds = None,
    device: Device = None,
    workers: Workers = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Run shortened jobs (seconds to minutes) to estimate the time.")
    ] = False,
) -> None:
    """Print the jobs of a study, which of them are cached, and an estimate of the remaining time."""
    with report_errors():
        from symscope.cli.planned import print_plan

        study = _study(name, seed, device)
        parallel = max(1, _cores() if workers is None else workers)
        threads = max(1, _cores() // parallel)
        print_plan(study, address or str(_folder(folder, study)), workers=parallel, threads=threads, measure=measure)


@study_app.command("run")
def run_study(  # noqa: PLR0913, PLR0917  (options of a command)
    name: StudyName,
    folder: Folder = None,
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
        bool, typer.Option("--retry-failed", help="Run jobs again that failed in an earlier run.")
    ] = False,
) -> None:
    """Run a study, or continue an interrupted one, and write its report."""
    with report_errors():
        from symscope.studies import declared_text, plan_study

        study = _study(name, seed, device)
        plan = plan_study(study)
        folder = _folder(folder, study)
        open_store(folder, study=study.name)  # the folder of the report, which holds no results if --store is given
        store = open_store(address or folder, study=study.name)
        executor, where = _executor(plan, workers, cluster, gpus)
        log(f"{study.name}: {study.title}")
        log(f"{len(plan)} jobs, {where}, results in {store.address}; Ctrl-C pauses.")
        with Display(err, plan) as display:
            outcome = run(plan, store, executor, on_event=display.show, retry_failed=retry_failed)
        log(outcome.summary())
        _log_failures(outcome, retry_failed=retry_failed)
        _report(study, plan, store, outcome, folder, declared_text(study))
        if not outcome.ok:
            raise typer.Exit(FAILED)


def _report(study: "Study", plan: Plan, store: Store, outcome: Outcome, folder: Path, declaration: str) -> None:
    """Writes the derived files of a study, unless they exist undamaged."""
    if not outcome.done and not outcome.cached:
        raise typer.Exit(FAILED)
    from symscope.cli.results import outputs_are_current, write_outputs

    if outcome.ok and not outcome.done and outputs_are_current(folder, declaration):
        print_result(f"Nothing to do: all results, tables and figures are valid.\nReport: {folder / 'report.html'}")
        if (folder / EXPLORER_FILE).is_file():
            print_result(f"Explorer: {folder / EXPLORER_FILE}")
        return
    from symscope.studies import collect

    inputs = collect(study, plan, store, outcome, shlex.join(["symscope", *sys.argv[1:]]))
    finished = {*outcome.done, *outcome.cached}
    explorer = None
    if study.alignments:
        locations = [plan.location(job.name) for job in plan if job.name in finished]
        explorer = write_study_explorer(store, study.title, locations, folder)
    write_outputs(inputs, folder, declaration, explorer)


def _folder(folder: Path | None, study: "Study") -> Path:
    return Path("out") / study.name if folder is None else folder


def _executor(plan: Plan, workers: int | None, cluster: str | None, gpus: float | None) -> tuple[Executor, str]:
    if cluster is None and gpus is not None:
        raise InvalidArgumentError("--gpus needs a Ray cluster: pass --ray as well, such as --ray auto")
    if cluster is not None:
        if workers is not None:
            raise InvalidArgumentError(
                "--workers does not apply to --ray: the cluster determines the number of parallel jobs"
            )
        try:
            from symscope.runner.ray import RayExecutor
        except ImportError as error:
            raise ClusterError(f"Ray is not installed ({error}): pip install 'symscope[cluster]'") from error

        executor = RayExecutor(cluster, gpus=gpus or 0.0)
        return executor, f"on {executor.connect()}"
    independent = sum(not job.needs for job in plan)
    parallel = min(_cores(), independent) if workers is None else workers
    return local(parallel, threads=max(1, _cores() // max(1, parallel))), f"{max(parallel, 1)} at a time"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _study(name: str, seeds: list[int] | None, device: str | None) -> "Study":
    from symscope.studies import check_study, read_study

    study = read_study(*declaration_of(name))
    changed = {"seeds": seeds} if seeds else {}
    changed |= {"device": device} if device else {}
    return check_study({**study.model_dump(mode="json"), **changed}, f"study {study.name}") if changed else study


def declaration_of(name: str) -> tuple[str, str]:
    """YAML text of a study, and its name in error messages."""
    from symscope.studies import preset_text

    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise SymscopeError(f"there is no file {name}; `symscope study list` lists the presets")
        try:
            return path.read_text(encoding="utf-8"), name
        except (OSError, UnicodeDecodeError) as error:
            raise SymscopeError(f"{name} cannot be read as UTF-8 text: {error}") from error
    return preset_text(name), f"preset {name}"


def _log_failures(outcome: Outcome, *, retry_failed: bool) -> None:
    for name, trace in outcome.failed.items():
        err.rule(f"failed: {name}")
        log(trace)
    for name, cause in outcome.skipped.items():
        log(f"skipped: {name} (needs {cause}, which failed)")
    if outcome.failed and not outcome.done and not retry_failed:
        log("Failed jobs were skipped; pass --retry-failed to retry them.")
