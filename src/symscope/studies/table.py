"""The question about a network and counterfactual data of the user, such as a table: from the search to the report."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from symscope.alignment import Locations, Results, align, locate
from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.rows import example_rows, failure_rows, length_error_rows, score_rows, value_rows
from symscope.analysis import make_table
from symscope.errors import InvalidArgumentError
from symscope.interchange import CounterfactualData, Position, stop_at
from symscope.networks import Network
from symscope.report import ReportInputs
from symscope.studies.results import REPORTED_PACKAGES
from symscope.tracking import OnStep

BEST = "best"
OnCell = Callable[[Any, int, int], None]


@dataclass(frozen=True)
class TableAnswer:
    """Results of a search in a network on given data, and the whole-state swaps that chose where to search.

    Attributes:
        results: the results.
        locations: the whole-state swaps; `None` where the site was given.
        position: where the runs stop.
    """

    results: Results
    locations: Locations | None
    position: Position


def answer_table(
    network: Network,
    data: CounterfactualData,
    k: Sequence[int],
    *,
    site: str | None = None,
    position: Position = "stop",
    function: AlignmentFunction | None = None,
    on_cell: OnCell | None = None,
    on_step: OnStep | None = None,
) -> TableAnswer:
    """Searches all variables of the data.

    Args:
        network: the network.
        data: the data.
        k: the sizes that are searched.
        site: where in the network; default: its `default_site`; `"best"`: the best site and position of `locate`.
        position: where the runs stop, for a given site.
        function: the alignment function; default: those of `align`.
        on_cell: called after each site × position of `locate`.
        on_step: called after each validation of a search, as in `align`.

    Raises:
        UnknownNameError: a site or position that does not exist.
        InvalidArgumentError: a k that does not fit, or a position together with the best site.
    """
    located = None
    if site == BEST:
        if position != "stop":
            raise InvalidArgumentError(f"the best site comes with its position; leave out the position {position}")
        located = locate(network, data, progress=False, on_cell=on_cell)
        site, position = located.best.site, located.best.position
    data = stop_at(data, position)
    results = align(network, data, k=k, site=site, function=function, progress=False, on_step=on_step)
    return TableAnswer(results, located, position)


def collect_table(
    answer: TableAnswer,
    network: Network,
    *,
    name: str,
    seed: int,
    command: str,
    facts: Mapping[str, Mapping[str, str]],
) -> ReportInputs:
    """The contents of a report.

    Args:
        answer: the results.
        network: the network.
        name: name of the network in tables.
        seed: seed of the data.
        command: the command that gives the same results.
        facts: further facts about the run, in groups.
    """
    first = answer.results.all[0]
    identity = {"task": first.hypothesis, "network": name, "d": network.sites[first.site], "seed": seed}
    made = {
        "scores": score_rows,
        "values": value_rows,
        "length_errors": length_error_rows,
        "failures": failure_rows,
        "examples": example_rows,
    }
    tables = {
        name: make_table(name, (identity | row for result in answer.results.all for row in rows(result)))
        for name, rows in made.items()
    }
    if answer.locations is not None:
        tables["locations"] = make_table("locations", (identity | row for row in answer.locations.rows()))
    best = {variable: answer.results.best(variable) for variable in answer.results}
    warnings = [f"{variable}: {text}." for variable, result in best.items() for text in result.warnings]
    everything = {
        "Network": {"name": name, "architecture": network.architecture},
        "Search": {"site": first.site, "position": str(answer.position), "hypothesis": first.hypothesis},
        **facts,
        "Where": {"device": str(network.device), "machine": f"{platform.system()} {platform.machine()}"},
        "Versions": {"python": platform.python_version(), **_versions()},
    }
    variables = " and ".join(answer.results)
    title = f"Does {name} compute with {variables}?"
    return ReportInputs(title, tables, command=command, notes=tuple(warnings), facts=everything)


def _versions() -> dict[str, str]:
    found = {}
    for package in (*REPORTED_PACKAGES, "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
