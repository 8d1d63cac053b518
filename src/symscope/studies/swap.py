"""The whole-state stages of a study: does a trained network follow a swapped state, at each of its sites?"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from symscope.algorithms import algorithms_for
from symscope.alignment import whole_state_score, whole_state_test
from symscope.analysis.schemas import ALL_VARIABLES, WHOLE_STATE
from symscope.runner import Progress
from symscope.studies.common import Subject, save_part
from symscope.studies.declaration import build_algorithm


def ceiling_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Swaps whole states at any two positions, for what an alignment can reach at most: rows of the table `scores`."""
    subject = Subject.of(arguments)
    network = subject.trained_network(needs)
    algorithm, site = build_algorithm(arguments["algorithm"], subject.task), arguments["site"]
    report(Progress(0, 1, f"whole-state swaps at {site}"))
    reached = whole_state_score(network, algorithm, arguments["test"], site=site, seed=subject.seed)
    named = {"algorithm": algorithm.name, "variable": ALL_VARIABLES, "site": site, "function": WHOLE_STATE}
    row = {**subject.columns, **named, "k": network.sites[site], "control": "none", **reached.figures()}
    save_part("scores", [row], folder)
    return subject.facts


def swap_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Swaps whole states within one phase; leaves a part of the table `whole_state`.

    What must follow is told by the first algorithm that solves the task (for a task of the user's own, the first that
    the study names): it accumulates, so its state is Markov. At the
    sites `h` and `c` of an LSTM only half of its state is swapped.
    """
    subject = Subject.of(arguments)
    network = subject.trained_network(needs)
    algorithm = build_algorithm(arguments.get("algorithm") or algorithms_for(subject.task)[0], subject.task)
    rows = []
    for done, site in enumerate(network.sites):
        report(Progress(done, len(network.sites), f"whole-state swaps at {site}"))
        outcomes = whole_state_test(network, algorithm, arguments["swaps"], site=site, seed=subject.seed)
        named = {**subject.columns, "algorithm": algorithm.name, "site": site}
        for outcome, seen in outcomes.items():
            figures = {"share": seen.iia, "low": seen.low, "high": seen.high, "n": seen.n}
            rows.append({**named, "outcome": outcome, **figures})
    save_part("whole_state", rows, folder)
    return subject.facts
