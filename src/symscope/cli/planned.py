"""Output of `symscope study plan`: the jobs of a study, the state of their results, and an estimate of the time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from symscope.cli.console import format_duration, log, out, print_result, unwrapped
from symscope.errors import StoreError
from symscope.runner import Check, Job, Plan, Store
from symscope.runner.store import store_at
from symscope.studies import Study, plan_study
from symscope.studies.estimate import Estimate, Kind, by_measuring, from_results, kind_of, memory_of


def print_plan(study: Study, address: str, *, workers: int, threads: int, measure: bool) -> "TimeLeft":
    """Prints the jobs of a study by stage and network, which of them are cached at an address, and the time left."""
    plan = plan_study(study)
    store = _store(address, study)
    checks = store.check_all(plan.location(job.name) for job in plan) if store is not None else {}
    states = {job.name: checks.get(plan.location(job.name), Check("missing")).state for job in plan}
    to_do = [name for name, state in states.items() if state != "valid"]
    known = from_results(plan, store, (n for n in states if states[n] == "valid")) if store and to_do else {}
    if measure:
        unknown = [name for name in to_do if kind_of(plan[name]) not in known]
        known |= by_measuring(plan, unknown, threads, log)
    print_result(f"{study.name}: {study.title}")
    _print_table(plan, states, known)
    if store is not None:
        _print_unneeded(plan, store)
    _print_time(plan, to_do, known, workers)
    _print_memory(study, workers)
    times = [known[kind] for name in to_do if (kind := kind_of(plan[name])) in known]
    total = sum((time.seconds for time in times), start=0.0)
    return TimeLeft(len(to_do), total, len(to_do) - len(times), at_most=any(time.at_most for time in times))


@dataclass(frozen=True)
class TimeLeft:
    """Jobs of a study that are not done, their seconds of work, and how many of them have an unknown time."""

    jobs: int
    seconds: float
    unknown: int
    at_most: bool


def print_total(studies: Sequence[TimeLeft], workers: int) -> None:
    """Prints the time of all studies of a collection, which run one after the other."""
    jobs, seconds = sum(study.jobs for study in studies), sum(study.seconds for study in studies)
    unknown = sum(study.unknown for study in studies)
    bound = "at most " if any(study.at_most for study in studies) else "about "
    known = f", {bound}{format_duration(seconds)} of work: {bound}{format_duration(seconds / workers)} with {workers} "
    print_result(
        f"\nAll {len(studies)} studies: {jobs} jobs to do"
        + (f"{known}at a time" if jobs > unknown else "")
        + (f"; the time of {unknown} jobs is unknown (--measure times shortened jobs)." if unknown else ".")
    )


def _store(address: str, study: Study) -> Store | None:
    """The existing store, if any. Raises StoreError if it holds another study."""
    store = store_at(address, study.name)
    identity = store.read_identity()
    if identity is not None and identity["study"] != study.name:
        raise StoreError(f"{address} holds the results of study {identity['study']!r}, not of {study.name!r}")
    return None if identity is None else store


def _print_table(plan: Plan, states: dict[str, str], known: dict[Kind, Estimate]) -> None:
    rows: dict[tuple[str, str], list[Job]] = {}
    for job in plan:
        rows.setdefault((job.name.partition("/")[0], _network(job)), []).append(job)
    table = Table("stage", "network", "jobs", "cached", "damaged", "to do", "each", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for (stage, network), jobs in rows.items():
        count = Counter(states[job.name] for job in jobs)
        times = [known[kind] for job in jobs if (kind := kind_of(job)) in known]
        to_do = len(jobs) - count["valid"]
        table.add_row(
            stage, network, str(len(jobs)), str(count["valid"]), str(count["damaged"] or ""), str(to_do), _each(times)
        )
    unwrapped(out).print(table)


def _each(times: list[Estimate]) -> str:
    if not times:
        return ""
    mean = format_duration(sum(time.seconds for time in times) / len(times))
    return f"at most {mean}" if any(time.at_most for time in times) else mean


def _network(job: Job) -> str:
    """Kind and size of the network of a job, as far as its arguments give them, and the kind of its partner."""
    arguments = {**job.arguments, **job.arguments.get("network", {}), **_question(job)}
    sizes = {"d": "d = {}", "layers": "{} layers"}
    parts = [str(arguments["label"])] if "label" in arguments else []
    named = ", ".join([*parts, *(text.format(arguments[name]) for name, text in sizes.items() if name in arguments)])
    return f"{named}; {arguments['partner']['label']}" if "partner" in arguments else named


def _question(job: Job) -> dict[str, object]:
    """The network of a measurement of a calibration, with the names of the arguments of other jobs."""
    question = job.arguments.get("question")
    return {} if question is None else {"label": question["network"], "d": question["d"]}


def _print_unneeded(plan: Plan, store: Store) -> None:
    needed = {plan.location(job.name) for job in plan}
    count = sum(location not in needed for location in store.locations())
    if count:
        print_result(
            f"The store holds {count} results that this study does not need: of a different declaration, or of a "
            "different version of the code. `symscope store gc` lists them."
        )


def _print_time(plan: Plan, to_do: list[str], known: dict[Kind, Estimate], workers: int) -> None:
    if not to_do:
        print_result(f"All {len(plan)} jobs are done.")
        return
    times = [known[kind] for name in to_do if (kind := kind_of(plan[name])) in known]
    unknown = len(to_do) - len(times)
    if not times:
        print_result(
            f"{len(to_do)} of {len(plan)} jobs to do. No job of these kinds has finished, so their time is unknown; "
            "--measure times shortened jobs."
        )
        return
    total = sum(time.seconds for time in times)
    bound = "at most " if any(time.at_most for time in times) else "about "
    print_result(
        f"{len(to_do)} of {len(plan)} jobs to do, {bound}{format_duration(total)} of work on this machine: "
        f"{bound}{format_duration(total / min(workers, len(to_do)))} with {workers} at a time"
        + (f"; the time of {unknown} jobs is unknown (--measure times shortened jobs)." if unknown else ".")
    )


def _print_memory(study: Study, workers: int) -> None:
    memory = memory_of(study)
    print_result(
        f"Memory, roughly: up to {_gigabytes(memory.job)} for each job, {_gigabytes(memory.job * workers)} with "
        f"{workers} at a time; {_gigabytes(memory.disk)} of weights on disk."
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
