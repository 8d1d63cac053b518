"""Prints what a study would run."""

from collections import Counter
from pathlib import Path

from rich.table import Table

from symscope.cli.console import out, say, shown_duration, tell, whole_lines
from symscope.errors import StoreError
from symscope.runner import Check, Job, Plan, Store, existing_store
from symscope.studies import Study, plan_study
from symscope.studies.estimate import Estimate, Kind, by_measuring, from_results, kind_of, memory_of


def print_plan(study: Study, place: str | None, *, workers: int, threads: int, measure: bool) -> None:
    """Prints the jobs of a study by kind, what of them is in the store at `place`, and an estimate of time."""
    plan = plan_study(study)
    store = _store(place, study)
    checks = store.check_all(plan.location(job.name) for job in plan) if store is not None else {}
    states = {job.name: checks.get(plan.location(job.name), Check("missing")).state for job in plan}
    to_do = [name for name, state in states.items() if state != "whole"]
    known = from_results(plan, store, (n for n in states if states[n] == "whole")) if store and to_do else {}
    if measure:
        wanted = [name for name in to_do if kind_of(plan[name]) not in known]
        known |= by_measuring(plan, wanted, threads, tell)
    say(f"{study.name}: {study.title}")
    _print_table(plan, states, known)
    if store is not None:
        _tell_others(plan, store)
    _tell_time(plan, to_do, known, workers)
    _tell_memory(study, workers)


def _store(place: str | None, study: Study) -> Store | None:
    """The store, if there is one yet; a place that holds another study is an error."""
    if place is None or ("://" not in place and not Path(place).exists()):
        return None
    store = existing_store(place)
    if store.study != study.name:
        raise StoreError(f"{place} holds the results of study {store.study!r}, not of {study.name!r}")
    return store


def _print_table(plan: Plan, states: dict[str, str], known: dict[Kind, Estimate]) -> None:
    rows: dict[tuple[str, str], list[Job]] = {}
    for job in plan:
        rows.setdefault((_stage(job), _network(job)), []).append(job)
    table = Table("jobs", "of", "total", "there", "damaged", "to do", "each", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for (stage, network), jobs in rows.items():
        count = Counter(states[job.name] for job in jobs)
        times = [known[kind] for job in jobs if (kind := kind_of(job)) in known]
        to_do = len(jobs) - count["whole"]
        table.add_row(
            stage, network, str(len(jobs)), str(count["whole"]), str(count["damaged"] or ""), str(to_do), _each(times)
        )
    whole_lines(out).print(table)


def _each(times: list[Estimate]) -> str:
    if not times:
        return ""
    mean = shown_duration(sum(time.seconds for time in times) / len(times))
    return f"at most {mean}" if any(time.at_most for time in times) else mean


def _stage(job: Job) -> str:
    return job.name.partition("/")[0]


def _network(job: Job) -> str:
    """The network of a job, as far as its arguments name one."""
    arguments = job.arguments
    if "question" in arguments:
        return f"{arguments['question']['network']}, d = {arguments['question']['d']}"
    if "network" in arguments:
        return f"{arguments['network']['label']}, d = {arguments['network']['d']}"
    return f"d = {arguments['d']}" if "d" in arguments else f"{arguments['layers']} layers"


def _tell_memory(study: Study, workers: int) -> None:
    memory = memory_of(study)
    say(
        f"Memory, roughly: up to {_gigabytes(memory.job)} for each job, {_gigabytes(memory.job * workers)} with "
        f"{workers} at a time; {_gigabytes(memory.disk)} of weights on disk."
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _tell_others(plan: Plan, store: Store) -> None:
    mine = {plan.location(job.name) for job in plan}
    others = sum(location not in mine for location in store.locations())
    if others:
        say(
            f"{others} other results are in the store: of another declaration, or of another version of the code. "
            f"`symscope store gc` lists them."
        )


def _tell_time(plan: Plan, to_do: list[str], known: dict[Kind, Estimate], workers: int) -> None:
    if not to_do:
        say(f"All {len(plan)} jobs are done: there is nothing to run.")
        return
    times = [known[kind] for name in to_do if (kind := kind_of(plan[name])) in known]
    unknown = len(to_do) - len(times)
    if not times:
        say(
            f"{len(to_do)} of {len(plan)} jobs to do. None of their kinds has ended yet, so no time is told; "
            "--measure times some."
        )
        return
    total = sum(time.seconds for time in times)
    bound = "at most " if any(time.at_most for time in times) else "about "
    say(
        f"{len(to_do)} of {len(plan)} jobs to do, {bound}{shown_duration(total)} of work on this machine: "
        f"{bound}{shown_duration(total / min(workers, len(to_do)))} with {workers} at a time"
        + (f"; of {unknown} jobs the time is not known (--measure times some)." if unknown else ".")
    )
