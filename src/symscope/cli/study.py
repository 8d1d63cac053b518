"""`symscope study`: list, show, plan, run."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from symscope.cli.console import FAILED, err, log, out, print_result, report_errors, unwrapped
from symscope.cli.display import Display
from symscope.cli.explore import write_study_explorer
from symscope.errors import ClusterError, InvalidArgumentError, SymscopeError
from symscope.files import EXPLORER_FILE
from symscope.runner import Event, Executor, Outcome, Plan, Store, local, open_store, run

if TYPE_CHECKING:  # imports torch
    from symscope.studies import Study
    from symscope.studies.collection import StudyCollection

study_app = typer.Typer(no_args_is_help=True, help="Run a study: train networks, search variables in them, report.")

TrackerName = StrEnum("TrackerName", ["tensorboard", "wandb", "mlflow"])


def _complete_study(incomplete: str) -> list[str]:
    """Names of presets and YAML files that begin with a text; imports nothing, so that the shell does not wait."""
    presets = (Path(__file__).parents[1] / "studies" / "presets").glob("*.yaml")
    names = [path.stem for path in presets] + [str(path) for path in Path().glob("*.y*ml")]
    return sorted(name for name in names if name.startswith(incomplete))


StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY", help="A preset (see `symscope study list`) or a YAML file.", autocompletion=_complete_study
    ),
]
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
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the declaration: training.epochs=40, networks.0.sizes=[48]; may be repeated.",
    ),
]
Device = Annotated[str | None, typer.Option(help="Device: cpu, cuda, cuda:1, ... (default: cpu)")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Number of worker processes; 0 runs all jobs in this process (default: one per core)"),
]


@study_app.command("list")
def list_studies() -> None:
    """List the presets, with their questions and networks."""
    from symscope.studies import preset, preset_names, preset_text
    from symscope.studies.collection import read_collection
    from symscope.studies.presets import COLLECTIONS

    table = Table("preset", "question", "networks", box=None, pad_edge=False)
    for name in COLLECTIONS:
        collection = read_collection(preset_text(name), f"preset {name}")
        table.add_row(name, collection.title, f"the studies {', '.join(collection.studies)}")
    for name in preset_names():
        study = preset(name)
        sizes = "; ".join(f"{network.kind} d = {', '.join(map(str, network.sizes))}" for network in study.networks)
        seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
        table.add_row(name, study.title, f"{sizes or 'none trained'}; {seeds}")
    unwrapped(out).print(table)


@study_app.command("show")
def show_study(name: StudyName, settings: Settings = None) -> None:
    """Print the declaration of a study, as a template for a new study; with --set, as it would run, with defaults."""
    with report_errors():
        if not settings:
            out.out(declaration_of(name)[0], end="")
            return
        from symscope.studies import declared_text

        out.out("---\n".join(declared_text(study) for study in _studies(name, settings, None, None)[0]), end="")


@study_app.command("plan")
def show_plan(
    name: StudyName,
    folder: Folder = None,
    address: Address = None,
    seed: Seeds = None,
    device: Device = None,
    workers: Workers = None,
    settings: Settings = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Run shortened jobs (seconds to minutes) to estimate the time.")
    ] = False,
) -> None:
    """Print the jobs of a study, which of them are cached, and an estimate of the remaining time."""
    with report_errors():
        from symscope.cli.collection import part_of
        from symscope.cli.planned import print_plan, print_total

        studies, collection = _studies(name, settings, seed, device)
        parallel = max(1, _cores() if workers is None else workers)
        threads = max(1, _cores() // parallel)
        folder = _folder(folder, studies[0] if collection is None else collection)
        left = []
        for study in studies:
            store_address = address or str(folder)
            store_address = store_address if collection is None else part_of(store_address, study)
            left.append(print_plan(study, store_address, workers=parallel, threads=threads, measure=measure))
        if collection is not None:
            print_total(left, parallel)


@study_app.command("run")
def run_study(  # noqa: PLR0913, PLR0917  (options of a command)
    name: StudyName,
    folder: Folder = None,
    address: Address = None,
    seed: Seeds = None,
    device: Device = None,
    workers: Workers = None,
    settings: Settings = None,
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
    trackers: Annotated[
        list[TrackerName] | None,
        typer.Option("--track", help="Record trainings and searches in DIR/tracking; may be repeated."),
    ] = None,
) -> None:
    """Run a study, or continue an interrupted one, and write its report."""
    with report_errors():
        options = RunOptions(workers, cluster, gpus, retry_failed, tuple(trackers or ()))
        studies, collection = _studies(name, settings, seed, device)
        if collection is None:
            done = _run_one(studies[0], _folder(folder, studies[0]), address, options)
        else:
            from symscope.cli.collection import part_of, run_parts, write_claims_page

            to = _folder(folder, collection)
            folders = {study.name: Path(part_of(to, study)) for study in studies}

            def run_part(study: "Study") -> bool:
                return _run_one(study, folders[study.name], part_of(address, study) if address else None, options)

            done = run_parts(studies, to, run_part)
            write_claims_page(list(folders.values()), to, collection.title, shlex.join(["symscope", *sys.argv[1:]]))
        if not done:
            raise typer.Exit(FAILED)


@dataclass(frozen=True)
class RunOptions:
    """How jobs run: the options of `study run` that do not change any result."""

    workers: int | None
    cluster: str | None
    gpus: float | None
    retry_failed: bool
    trackers: "tuple[TrackerName, ...]"


def _run_one(study: "Study", folder: Path, address: str | None, options: RunOptions) -> bool:
    """Runs one study and writes its report; returns whether all jobs are done."""
    from symscope.studies import declared_text, plan_study

    plan = plan_study(study)
    open_store(folder, study=study.name)  # the folder of the report, which holds no results if --store is given
    store = open_store(address or folder, study=study.name)
    executor, where = _executor(plan, options.workers, options.cluster, options.gpus)
    log(f"{study.name}: {study.title}")
    log(f"{len(plan)} jobs, {where}, results in {store.address}; Ctrl-C pauses.")
    with Display(err, plan) as display, _tracked(options.trackers, folder) as track:

        def on_event(event: Event) -> None:
            display.show(event)
            track(event)

        outcome = run(plan, store, executor, on_event=on_event, retry_failed=options.retry_failed)
    log(outcome.summary())
    _log_failures(outcome, retry_failed=options.retry_failed)
    if outcome.done or outcome.cached:
        _report(study, plan, store, outcome, folder, declared_text(study))
    return outcome.ok


def _report(study: "Study", plan: Plan, store: Store, outcome: Outcome, folder: Path, declaration: str) -> None:
    """Writes the derived files of a study, unless they exist undamaged."""
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
    (folder / EXPLORER_FILE).unlink(missing_ok=True)  # the report links the page if there is one
    if study.alignments:
        locations = [plan.location(job.name) for job in plan if job.name in finished]
        explorer = write_study_explorer(store, study.title, locations, folder)
    write_outputs(inputs, folder, declaration, explorer)


@contextmanager
def _tracked(names: "Sequence[TrackerName]", folder: Path) -> Iterator[Callable[[Event], None]]:
    """A callback for events that records them with all named trackers, in folders below `tracking`."""
    from symscope.studies.progress import steps_of_events
    from symscope.tracking import make_tracker

    with ExitStack() as stack:
        made = [stack.enter_context(make_tracker(name, folder / "tracking" / name)) for name in dict.fromkeys(names)]
        record = [steps_of_events(tracker) for tracker in made]

        def on_event(event: Event) -> None:
            for each in record:
                each(event)

        yield on_event


def _folder(folder: Path | None, study: "Study | StudyCollection") -> Path:
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


def _studies(
    name: str, texts: list[str] | None, seeds: list[int] | None, device: str | None
) -> "tuple[list[Study], StudyCollection | None]":
    """The study of a name, or those of a collection, with the values that options of the command line replace."""
    from symscope.studies import read_study
    from symscope.studies.collection import is_collection, read_collection, studies_of
    from symscope.studies.settings import Setting, read_setting

    settings = [read_setting(text) for text in texts or []]
    settings += [Setting(("seeds",), seeds, "--seed")] if seeds else []
    settings += [Setting(("device",), device, "--device")] if device else []
    text, where = declaration_of(name)
    if not is_collection(text):
        return [read_study(text, where, settings)], None
    collection = read_collection(text, where)
    return studies_of(collection, settings), collection


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
