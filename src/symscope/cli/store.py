"""`symscope store`: list, show, verify and remove results."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from symscope.cli.console import FAILED, format_bytes, format_duration, out, print_result, report_errors, unwrapped
from symscope.errors import CheckpointError, UnknownNameError
from symscope.runner import Store, existing_store

store_app = typer.Typer(no_args_is_help=True, help="Results of a study: list, show, verify, remove.")

Address = Annotated[str, typer.Argument(metavar="STORE", help="The folder of a study, or the URL of its store.")]


@store_app.command("ls")
def list_store(address: Address) -> None:
    """List all results: name, state, duration, size, device."""
    with report_errors():
        from symscope.runner.query import list_results

        store = existing_store(address)
        table = Table(
            "name", "state", "duration", "size", "device", "finished", "symscope", "location", box=None, pad_edge=False
        )
        rows = list_results(store).sort("name", nulls_last=True)
        for row in rows.iter_rows(named=True):
            if row["name"] is None:
                table.add_row("?", row["state"], "", "", "", "", "", row["location"])
                continue
            code = f"{json.loads(row['packages']).get('symscope', '?')}, results {row['result_version'] or '?'}"
            table.add_row(
                row["name"],
                row["state"],
                format_duration(row["seconds"]),
                format_bytes(row["bytes"]),
                row["device"],
                row["finished"].removesuffix("+00:00"),
                code,
                row["location"],
            )
        unwrapped(out).print(table)
        damaged = rows.filter(rows["state"] == "damaged").height
        print_result(
            f"{store.study}: {rows.height} results, {format_bytes(int(rows['bytes'].sum() or 0))}, {damaged} damaged"
        )


@store_app.command("show")
def show_result(
    address: Address,
    name: Annotated[str, typer.Argument(metavar="RESULT", help="Name of a job, or a location from `store ls`.")],
) -> None:
    """Print the record of one result: inputs, versions, device, duration, files and their checksums."""
    with report_errors():
        store = existing_store(address)
        location = _location(store, name)
        check = store.check(location, deep=True)
        print_result(
            json.dumps({"state": check.state, "fault": check.fault, **asdict(store.manifest(location))}, indent=1)
        )
        if check.state != "valid":
            raise typer.Exit(FAILED)


@store_app.command("verify")
def verify_store(address: Address) -> None:
    """Read every byte of every result and compare it with its checksum; exit code 1 if any is damaged."""
    with report_errors():
        store = existing_store(address)
        faults = store.verify()
        for location, fault in faults.items():
            print_result(f"{location}: {fault}")
        count = sum(1 for _ in store.locations())
        if faults:
            print_result(f"{len(faults)} of {count} results are damaged; the next run of the study makes them again")
            raise typer.Exit(FAILED)
        print_result(f"all {count} results are valid")


@store_app.command("gc")
def collect_garbage(
    address: Address,
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]", help="Keep the results of this study (default: the study that was run last)."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the listed entries.")] = False,
) -> None:
    """List or remove results of a different declaration or version, interrupted work, and records of failures."""
    with report_errors():
        store = existing_store(address)
        needed = _needed(store, study)
        freed = 0
        for location in list(store.locations()):
            if needed is None or location in needed:
                continue
            freed += _size(store, location)
            print_result(f"results/{location}: not needed by the study")
            if yes:
                store.remove(location)
        for path, size in list(store.leftovers()):
            freed += size
            print_result(f"{path}: leftover")
            if yes:
                store.delete(path)
        if needed is None:
            print_result(
                "The store has no declaration, so needed results are unknown: name the study to list the rest."
            )
        print_result(f"{format_bytes(freed)} {'freed' if yes else 'to free; pass --yes to remove the listed entries'}")


def _needed(store: Store, name: str | None) -> set[str] | None:
    """Locations of all results of the study; None if no study is named and the store has no declaration."""
    from symscope.cli.study import declaration_of
    from symscope.studies import plan_study, read_study

    copy = Path(store.address) / "study.yaml"
    if name is None and not copy.is_file():
        return None
    study = read_study(*declaration_of(str(copy) if name is None else name))
    if study.name != store.study:
        raise CheckpointError(f"{store.address} holds the results of study {store.study!r}, not of {study.name!r}")
    plan = plan_study(study)
    return {plan.location(job.name) for job in plan}


def _location(store: Store, name: str) -> str:
    locations = {}
    for location in store.locations():
        if location == name:
            return location
        try:
            locations[store.manifest(location).name] = location
        except CheckpointError:
            continue  # without a manifest the name is unknown
    if name not in locations:
        raise UnknownNameError("result", name, locations)
    return locations[name]


def _size(store: Store, location: str) -> int:
    try:
        return sum(record.size for record in store.manifest(location).files.values())
    except CheckpointError:
        return 0
