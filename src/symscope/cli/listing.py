"""`symscope list`: names for declarations of studies and for `make_task`, `make_algorithm` and similar functions."""

import functools
import inspect
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table

from symscope.cli.console import out, report_errors, unwrapped

Kind = StrEnum("Kind", ["tasks", "algorithms", "variables", "networks", "functions", "controls", "presets"])


def list_names(kind: Annotated[Kind, typer.Argument(metavar="KIND", help=f"One of: {', '.join(Kind)}.")]) -> None:
    """List the names of one kind, with a description of each."""
    with report_errors():
        table = Table("name", "description", box=None, pad_edge=False)
        for row in _rows(kind):
            table.add_row(*row)
        unwrapped(out).print(table)


def _rows(kind: Kind) -> Iterator[tuple[str, str]]:
    if kind is Kind.presets:
        from symscope.studies import preset, preset_names

        yield from ((name, preset(name).title) for name in preset_names())
    elif kind is Kind.variables:
        yield from _variables()
    else:
        for name, member in _members(kind).items():
            yield name, _first_line(member)


def _members(kind: Kind) -> Mapping[str, Any]:
    from symscope.algorithms import ALGORITHMS
    from symscope.alignment import CONTROLS, FUNCTIONS
    from symscope.networks.catalogue import NETWORKS
    from symscope.tasks import TASKS

    members: dict[Kind, Mapping[str, Any]] = {
        Kind.tasks: TASKS,
        Kind.algorithms: ALGORITHMS,
        Kind.networks: NETWORKS,
        Kind.functions: FUNCTIONS,
        Kind.controls: CONTROLS,
    }
    return members[kind]


def _variables() -> Iterator[tuple[str, str]]:
    from symscope.algorithms import supported_variables

    tasks: dict[tuple[str, str], list[str]] = {}
    for entry in supported_variables():
        tasks.setdefault((entry.algorithm, str(entry.variable)), []).append(entry.task)
    for (algorithm, variable), names in tasks.items():
        yield variable, f"{algorithm}; tasks {', '.join(names)}"


def _first_line(member: Any) -> str:
    """First line of a docstring, with the options that a partial call fixes."""
    options = ""
    if isinstance(member, functools.partial):
        options = "".join(f" ({name} = {value})" for name, value in member.keywords.items())
        member = member.func
    return (inspect.getdoc(member) or "").partition("\n")[0] + options
