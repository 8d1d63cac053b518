"""The alignments that a study found, with their networks."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

import symscope as sc
from symscope.algorithms import Algorithm, make_algorithm
from symscope.alignment import Alignment, Results
from symscope.alignment.score import follows_swap
from symscope.interchange import Interventions, cache_states
from symscope.networks import Network
from symscope.runner.store import existing_store
from symscope.studies import query
from symscope.studies.align import ALIGNMENT
from symscope.studies.subject import WEIGHTS
from symscope.tasks import make_task


@dataclass(frozen=True)
class Stored:
    """One search of a study: its arguments, the network and what was found."""

    arguments: dict[str, Any]
    network: Network
    results: Results

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.arguments["task"]["name"]

    @cached_property
    def algorithm(self) -> Algorithm:
        """The algorithm of the search, for its task."""
        return make_algorithm(self.arguments["request"]["algorithm"], make_task(self.task))

    def follows(self, interventions: Interventions, alignments: Mapping[str, Alignment]) -> Tensor:
        """Which interventions the network follows, at its default site."""
        cached = cache_states(self.network, interventions, self.network.default_site)
        return follows_swap(self.network, alignments, cached)


def stored_alignments(folder: Path, algorithms: Collection[str]) -> Iterator[Stored]:
    """The searches of some algorithms among the results of a study, in the order of their names."""
    store = existing_store(folder)
    jobs = {row["name"]: row for row in query(folder).iter_rows(named=True)}
    for name, row in sorted(jobs.items()):
        stage, _, rest = name.partition("/")
        arguments = json.loads(row["arguments"])
        if stage != "align" or arguments["request"]["algorithm"] not in algorithms:
            continue
        network = sc.load(store.fetch(jobs[f"train/{rest.partition('/')[0]}"]["location"]) / WEIGHTS)
        results = sc.load(store.fetch(row["location"]) / ALIGNMENT)
        assert isinstance(network, Network)
        assert isinstance(results, Results)
        yield Stored(arguments, network, results)
