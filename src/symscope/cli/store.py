"""`symscope store`: look at results, check them, and clear away what nobody needs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from symscope.cli.console import FAILED, errors_told, out, say, shown_bytes, shown_duration, whole_lines
from symscope.errors import CheckpointError, UnknownNameError
from symscope.runner import Store, existing_store

store_app = typer.Typer(no_args_is_help=True, help="Look at the results of a study: list, show, verify, clear away.")

Address = Annotated[str, typer.Argument(metavar="STORE", help="The folder of a study, or the URL of its store.")]


@store_app.command("ls")
def list_store(address: Address) -> None:
    """List the results: what each is, whether it is whole, how long it took."""
    with errors_told():
        from symscope.runner.query import list_results

        store = existing_store(address)
        table = Table(
            "name", "state", "took", "size", "device", "finished", "symscope", "location", box=None, pad_edge=False
        )
        rows = list_results(store).sort("name", nulls_last=True)
        for row in rows.iter_rows(named=True):
            if row["name"] is None:
                table.add_row("?", row["state"], "", "", "", "", "", row["location"])
                continue
            made_by = f"{json.loads(row['packages']).get('symscope', '?')}, results {row['result_version'] or '?'}"
            table.add_row(
                row["name"],
                row["state"],
                shown_duration(row["seconds"]),
                shown_bytes(row["bytes"]),
                row["device"],
                row["finished"].removesuffix("+00:00"),
                made_by,
                row["location"],
            )
        whole_lines(out).print(table)
        damaged = rows.filter(rows["state"] == "damaged").height
        say(f"{store.study}: {rows.height} results, {shown_bytes(int(rows['bytes'].sum() or 0))}, {damaged} damaged")


@store_app.command("show")
def show_result(
    address: Address,
    name: Annotated[str, typer.Argument(metavar="RESULT", help="A job's name, or a location as `ls` shows it.")],
) -> None:
    """Print all that is known of one result: inputs, versions, device, duration, files and their checksums."""
    with errors_told():
        store = existing_store(address)
        location = _location(store, name)
        check = store.check(location, deep=True)
        say(json.dumps({"state": check.state, "fault": check.fault, **asdict(store.manifest(location))}, indent=1))
        if check.state != "whole":
            raise typer.Exit(FAILED)


@store_app.command("verify")
def verify_store(address: Address) -> None:
    """Read every byte of every result and compare it with its checksum; exit code 1 if any is damaged."""
    with errors_told():
        store = existing_store(address)
        faults = store.verify()
        for location, fault in faults.items():
            say(f"{location}: {fault}")
        count = sum(1 for _ in store.locations())
        if faults:
            say(f"{len(faults)} of {count} results are damaged; they are done again when the study is run again")
            raise typer.Exit(FAILED)
        say(f"all {count} results are whole")


@store_app.command("gc")
def collect_garbage(
    address: Address,
    study: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="Keep what it needs (default: the study that was last run there)."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it is only listed.")] = False,
) -> None:
    """Remove what nobody needs: results of another declaration or version, interrupted work, records of failures."""
    with errors_told():
        store = existing_store(address)
        needed = _needed(store, study)
        freed = 0
        for location in list(store.locations()):
            if needed is None or location in needed:
                continue
            freed += _size(store, location)
            say(f"results/{location}: not needed by the study")
            if yes:
                store.remove(location)
        for path, size in list(store.leftovers()):
            freed += size
            say(f"{path}: left over")
            if yes:
                store.remove_leftover(path)
        if needed is None:
            say("Which results are needed is not known here: name the study to remove the others.")
        say(f"{shown_bytes(freed)} {'freed' if yes else 'to free; --yes removes what is listed'}")


def _needed(store: Store, name: str | None) -> set[str] | None:
    """Locations of all results of the study; None where it is not known which study that is."""
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
    found = {}
    for location in store.locations():
        if location == name:
            return location
        try:
            found[store.manifest(location).name] = location
        except CheckpointError:
            continue  # it has no name that could be asked for
    if name not in found:
        raise UnknownNameError("result", name, found)
    return found[name]


def _size(store: Store, location: str) -> int:
    try:
        return sum(record.size for record in store.manifest(location).files.values())
    except CheckpointError:
        return 0
