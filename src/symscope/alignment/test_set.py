"""Test interventions: the data that metrics are reported on, each metric once.

A number that chose between alignments is no test of the chosen one. So test interventions have a type of their own,
which neither a search nor a choice takes, and each named metric is taken from them once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import torch
from jaxtyping import Bool
from torch import Tensor

from symscope.alignment._answers import Answers, answers_to
from symscope.alignment._records import MAX_FAILURES, InterventionRecord, example_row, intervention_records
from symscope.alignment.baseline_directions import probe_score
from symscope.alignment.functions import Alignment
from symscope.alignment.natural import Divergence, NaturalStates, divergence
from symscope.alignment.score import Score, follows_swap, swap_of
from symscope.errors import InvalidArgumentError
from symscope.interchange import (
    CachedInterventions,
    CounterfactualData,
    cache_states,
    intervene,
    matches_counterfactual,
)
from symscope.networks import Network
from symscope.seeds import generator


@dataclass(frozen=True)
class TestMetrics:
    """The metrics of one alignment on test interventions.

    Attributes:
        score: IIA.
        informative: IIA on the informative interventions, whose counterfactual differs from the own continuations of
            base and source; `None` where there are none or it is unknown.
        by_value: IIA by source value, for a variable of integers or labels.
        cause: IIA where base and source differ in the overwritten variable alone.
        isolation: IIA where they agree on it and differ in the rest.
        divergence: of the rewritten states from natural ones.
        held_out: IIA on interventions with values that were held out of training interventions; `None`: there are none.
        probe: how well a linear probe reads the variable from natural states: R² for numbers, accuracy for categories.
            A variable that is readable need not be used. `None`: no values are known, or several variables.
        length_errors: by how many tokens the network's answers are longer than predicted, and the number of
            interventions of each (see `Answers.errors`); empty where answers have no length.
        failures: the failing interventions, at most `MAX_FAILURES` of them, the first of the test set.
        example: a successful informative intervention, chosen by its length alone; `None`: there is none.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    score: Score
    informative: Score | None
    by_value: Mapping[int, Score]
    cause: Score | None
    isolation: Score | None
    divergence: Divergence
    held_out: Score | None = None
    probe: float | None = None
    length_errors: Mapping[int | None, int] = field(default_factory=dict)
    failures: tuple[InterventionRecord, ...] = ()
    example: InterventionRecord | None = None

    @property
    def mean_length_error(self) -> float | None:
        """Mean absolute error of the lengths of answers that have one; `None` where none has."""
        known = {error: count for error, count in self.length_errors.items() if error is not None}
        total = sum(known.values())
        return sum(abs(error) * count for error, count in known.items()) / total if total else None


@final
class TestSet:
    """The test interventions of one set of variables on one network.

    Args:
        network: the network.
        data: counterfactual data.
        name: name of the set of overwritten variables.
        site: where the states are rewritten.
    """

    __test__ = False

    def __init__(self, network: Network, data: CounterfactualData, name: str, site: str) -> None:
        self._network, self._data, self._name, self._site = network, data, name, site
        self._test = data.test[name]
        self._cached = cache_states(network, self._test, site)
        self._reported: set[str] = set()

    def score(self, metric: str, alignments: Mapping[str, Alignment]) -> Score:
        """IIA of an alignment.

        Args:
            metric: name of the metric; a name that was used before is refused.
            alignments: the alignment of each overwritten variable.

        Raises:
            InvalidArgumentError: the metric was taken before.
        """
        self._take(metric)
        return Score.of(follows_swap(self._network, alignments, self._cached), self._test.cluster)

    @torch.no_grad()
    def evaluate(self, metric: str, alignments: Mapping[str, Alignment]) -> TestMetrics:
        """All metrics of an alignment; for the arguments and errors see `score`."""
        self._take(metric)
        swapped = intervene(self._cached, swap_of(alignments, self._cached))
        correct = matches_counterfactual(self._network, self._cached, swapped).cpu()
        answers = self._wrong_answers(correct, swapped)
        failures, example = self._records(correct, swapped, answers)
        informative, held_out = self._test.informative, self._test.has_values(self._data.held_out)
        return TestMetrics(
            score=Score.of(correct, self._test.cluster),
            informative=None if informative is None or not informative.any() else self._score_of(correct, informative),
            by_value=self._by_value(correct),
            cause=self._score_pairs("cause", alignments),
            isolation=self._score_pairs("isolation", alignments),
            divergence=divergence(self._natural, swapped, generator(0, "divergence")),
            held_out=self._score_of(correct, held_out) if held_out.any() else None,
            probe=self._probe,
            length_errors={} if self._data.end is None else {0: int(correct.sum()), **answers.counts()},
            failures=failures,
            example=example,
        )

    @cached_property
    def _probe(self) -> float | None:
        variable = self._test.variables[0]
        if len(self._test.variables) > 1 or variable not in self._cached.values:
            return None
        labels = self._cached.values[variable].to(self._cached.base_states.device)
        order = torch.randperm(len(labels), generator=generator(0, "probe")).to(labels.device)
        try:
            numeric = not self._data.value_names.get(variable)
            return probe_score(self._cached.natural_states()[order], labels[order], numeric=numeric)
        except InvalidArgumentError:  # a single value, or states that do not vary
            return None

    def _wrong_answers(self, correct: Bool[Tensor, " rows"], swapped: Tensor) -> Answers:
        """The answers to the failing interventions; where answers have no length, to those that are recorded."""
        wrong = (~correct).nonzero()[:, 0]
        return self._answers(swapped, wrong if self._data.end is not None else wrong[:MAX_FAILURES])

    def _answers(self, states: Tensor, rows: Tensor) -> Answers:
        """The answers to some of the interventions, when the network resumes from these states of all of them."""
        states = states[rows.to(states.device)]
        return answers_to(self._network, self._test, self._site, self._cached, states, rows, self._data.end)

    def _records(
        self, correct: Bool[Tensor, " rows"], swapped: Tensor, wrong: Answers
    ) -> tuple[tuple[InterventionRecord, ...], InterventionRecord | None]:
        """The first failing interventions, and the worked example."""
        informative = self._test.informative
        candidates = correct if informative is None else correct & informative
        example = example_row(self._test, candidates.nonzero()[:, 0].tolist())
        failing = (~correct).nonzero()[:MAX_FAILURES, 0]
        unswapped = self._answers(self._cached.base_states, failing)
        failures = intervention_records(self._data, failing.tolist(), wrong, unswapped)
        if example is None:
            return failures, None
        row = torch.tensor([example])
        answers = (self._answers(states, row) for states in (swapped, self._cached.base_states))
        return failures, intervention_records(self._data, [example], *answers)[0]

    def _by_value(self, correct: Bool[Tensor, " rows"]) -> dict[int, Score]:
        variable, source = self._test.variables[0], self._test.sources[self._test.source_of[0]]
        several, unnamed = len(self._test.variables) > 1, self._data.value_names.get(variable) is None
        if several or unnamed or variable not in source.values:
            return {}
        values = source.values[variable]
        return {int(value): self._score_of(correct, values == value) for value in values.unique()}

    def _score_of(self, correct: Bool[Tensor, " rows"], some: Bool[Tensor, " rows"]) -> Score:
        """The score of some of the test interventions."""
        clusters = self._test.cluster
        return Score.of(correct[some], None if clusters is None else clusters[some])

    @cached_property
    def _natural(self) -> NaturalStates:
        return NaturalStates(self._cached.natural_states())

    @cached_property
    def _pairs(self) -> dict[str, CachedInterventions]:
        """Only an evaluation needs these; controls are scored without."""
        parts = {"cause": self._data.cause, "isolation": self._data.isolation}
        return {
            kind: cache_states(self._network, part[self._name], self._site)
            for kind, part in parts.items()
            if self._name in part
        }

    def _score_pairs(self, kind: str, alignments: Mapping[str, Alignment]) -> Score | None:
        pairs = self._pairs.get(kind)
        if pairs is None:
            return None
        clusters = getattr(self._data, kind)[self._name].cluster
        return Score.of(follows_swap(self._network, alignments, pairs), clusters)

    def _take(self, metric: str) -> None:
        if metric in self._reported:
            raise InvalidArgumentError(
                f"the test interventions have already given the metric {metric!r}; choose on validation interventions, "
                "and draw new interventions to test again"
            )
        self._reported.add(metric)
