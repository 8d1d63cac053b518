"""Stages that swap whole states of a trained network: the ceiling of IIA, and swaps within one phase."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from symscope.algorithms import algorithms_for
from symscope.alignment import whole_state_score, whole_state_test
from symscope.alignment.rows import figures
from symscope.analysis.schemas import ALL_VARIABLES, WHOLE_STATE
from symscope.runner import Progress
from symscope.studies.arguments import CeilingArguments, SwapArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.subject import Subject, save_part


def ceiling_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Swaps whole states at any two positions, an upper bound of every alignment; stores a row of `scores`."""
    job = CeilingArguments.read(arguments)
    subject = Subject.of(job)
    network, algorithm = subject.trained_network(needs), build_algorithm(job.algorithm, subject.task)
    report(Progress(0, 1, f"whole-state swaps at {job.site}"))
    protocol = job.protocol.protocol()
    score = whole_state_score(network, algorithm, job.test, site=job.site, seed=subject.seed, protocol=protocol)
    identity = {"algorithm": algorithm.name, "variable": ALL_VARIABLES, "site": job.site, "function": WHOLE_STATE}
    identity |= {"k": network.sites[job.site], "protocol": protocol.name}
    row = {**subject.columns, **identity, "control": "none", **figures(score)}
    save_part("scores", [row], folder)
    return subject.facts


def swap_stage(
    arguments: Mapping[str, Any], needs: Mapping[str, Path], folder: Path, report: Callable[[Progress], None]
) -> Mapping[str, Any]:
    """Swaps whole states within one phase; stores a part of the table `whole_state`.

    The expected continuation is that of the first algorithm that solves the task (for a task of the user, the first
    algorithm that the study names). Its state is Markov, since it accumulates. At the sites `h` and `c` of an LSTM
    only half of the state is swapped.
    """
    job = SwapArguments.read(arguments)
    subject = Subject.of(job)
    network = subject.trained_network(needs)
    algorithm = build_algorithm(job.algorithm or algorithms_for(subject.task)[0], subject.task)
    rows = []
    for done, site in enumerate(network.sites):
        report(Progress(done, len(network.sites), f"whole-state swaps at {site}"))
        outcomes = whole_state_test(network, algorithm, job.swaps, site=site, seed=subject.seed)
        identity = {**subject.columns, "algorithm": algorithm.name, "site": site}
        for outcome, score in outcomes.items():
            share = {"share": score.iia, "low": score.low, "high": score.high, "n": score.n}
            rows.append({**identity, "outcome": outcome, **share})
    save_part("whole_state", rows, folder)
    return subject.facts
