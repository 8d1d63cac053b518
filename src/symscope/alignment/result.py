"""The result of an alignment search for one variable: test IIA, controls and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symscope.alignment._diagnostics import Naturalness
from symscope.alignment._records import records_frame
from symscope.alignment._text import result_card, result_text
from symscope.alignment.functions import Alignment
from symscope.alignment.score import Score
from symscope.alignment.test_set import TestMetrics
from symscope.interchange import PAPER_PROTOCOL, Excluded
from symscope.networks import NetworkIdentity
from symscope.statistics import Difference, above_all, difference, paired_difference
from symscope.verdict import Measurement, Verdict, verdict

if TYPE_CHECKING:
    import polars as pl

MIN_ACCURACY = 0.99
"""A network with a lower trial accuracy does not do the task well enough to be interpreted."""


@dataclass(frozen=True, repr=False)
class AlignmentResult:
    """An alignment of a variable in a network, tested.

    Attributes:
        hypothesis: name of the algorithm, or of the table that the data comes from.
        variable: the variable; several that are overwritten together are joined by `+`.
        site: where in the network.
        alignments: the alignment of each overwritten variable.
        k: the requested number of dimensions; a learned mask may have fewer.
        restart: the restart of the search that it comes from, counted from 0.
        restarts: restarts of the search; more than requested where an alignment was searched again, because a null
            control was not clearly below it.
        total_steps: steps of all restarts together.
        validation_iia: IIA on the interventions that the search chose by.
        rejection_rate: share of the draws of test interventions that had no counterfactual and were drawn again.
        metrics: what test interventions say, which neither the search nor the choice among restarts has seen.
        controls: the score of each control.
        unfitted_controls: why a control could not be fitted, by its name.
        null_controls: names of the controls that the alignment must beat.
        paired_controls: names of the controls that are scored on the same test interventions.
        trial_accuracy: share of sequences without an intervention that the network completes correctly; `None`:
            unknown.
        naturalness: how natural the rewritten states are, on validation interventions; `None`: not measured.
        complement: share of interventions in which behaviour does not change when everything is swapped *except* the
            aligned subspaces of all variables of the hypothesis, each with this k; `None`: not all were searched.
        excluded: how many pairs are left out because the network completes their base or source
            incorrectly; `None`: none was checked.
        network: the network that the alignment was searched in; `None`: a file of an earlier version.
        protocol: name of the protocol that the test interventions were drawn by; `given`: they come from a table.
    """

    hypothesis: str
    variable: str
    site: str
    alignments: Mapping[str, Alignment]
    k: int
    restart: int
    restarts: int
    total_steps: int
    validation_iia: float
    rejection_rate: float
    metrics: TestMetrics
    controls: Mapping[str, Score]
    unfitted_controls: Mapping[str, str]
    null_controls: tuple[str, ...]
    paired_controls: tuple[str, ...]
    trial_accuracy: float | None
    naturalness: Naturalness | None
    complement: Score | None = None
    excluded: Excluded | None = None
    network: NetworkIdentity | None = None
    protocol: str = PAPER_PROTOCOL.name

    @property
    def alignment(self) -> Alignment:
        """The alignment of the only variable; raises `ValueError` where several are overwritten together."""
        (alignment,) = self.alignments.values()
        return alignment

    @property
    def function(self) -> str:
        """Label of the alignment function."""
        return next(iter(self.alignments.values())).name

    @property
    def iia(self) -> float:
        """IIA on test interventions."""
        return self.metrics.score.iia

    @property
    def score(self) -> Score:
        """IIA on test interventions, with its interval."""
        return self.metrics.score

    @property
    def selectivity(self) -> tuple[str, Difference] | None:
        """The nearest null control, and how far the IIA is above it; `None` without a null control.

        A control on the same test interventions gives a paired difference. Shuffled labels have other targets, so the
        difference from them is between two samples.
        """
        if not self.null_controls:
            return None
        correct = self.score.correct.numpy()
        return above_all(
            {
                name: (paired_difference if name in self.paired_controls else difference)(
                    correct, self.controls[name].correct.numpy()
                )
                for name in self.null_controls
            }
        )

    @property
    def measurement(self) -> Measurement:
        """What the verdict depends on."""
        return Measurement(
            iia=self.score.iia,
            low=self.score.low,
            null_high=max((self.controls[name].high for name in self.null_controls), default=None),
            off_span_share=None if self.naturalness is None else self.naturalness.off_span_share,
            dormant_share=None if self.naturalness is None else self.naturalness.dormant_share,
            far_out_share=None if self.naturalness is None else self.naturalness.far_out_share,
            within_class_distance=None if self.naturalness is None else self.naturalness.within_class_distance,
        )

    @property
    def verdict(self) -> Verdict:
        """The answer for this network: a word and a sentence (see `symscope.verdict`)."""
        return verdict([self.measurement])

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the IIA."""
        metrics, warnings = self.metrics, []
        if self.excluded is not None and self.excluded.pairs:
            warnings.append(str(self.excluded))
        if self.trial_accuracy is not None and self.trial_accuracy < MIN_ACCURACY:
            warnings.append(
                f"without an intervention the network completes {self.trial_accuracy:.1%} of its sequences correctly, "
                "so an intervention cannot do better"
            )
        if metrics.isolation is not None and metrics.cause is not None and metrics.isolation.high < metrics.cause.low:
            warnings.append("the swap transfers more than the variable")
        warnings += [f"{name} could not be fitted: {reason}" for name, reason in self.unfitted_controls.items()]
        selectivity = self.selectivity
        if selectivity is not None and selectivity[1].low <= 0:
            warnings.append(f"not above the control {selectivity[0]}")
        return warnings

    @property
    def failure_count(self) -> int:
        """Number of test interventions after which the network does not follow the counterfactual."""
        return self.score.n - int(self.score.correct.sum())

    def failures(self) -> pl.DataFrame:
        """Test interventions that fail, in the order of the test set, at most 64; `failure_count` is their number.

        Columns: row (number of the test intervention); base_value and source_value (of the overwritten variable; null
        where unknown); error (by how many tokens the answer is longer than predicted; null: wrong in another way);
        base, source, predicted, produced and unswapped (lists of tokens: what the runs had read at the stop, the
        continuation of the counterfactual, that of the network up to its first mistake, and that without the
        intervention); base_position and source_position (last position read, from 0; -1 for vectors); base_values and
        source_values (of all variables, in words). A token `…` stands for a rest that was not followed.
        """
        return records_frame(self.metrics.failures, list(self.alignments))

    def __repr__(self) -> str:
        return result_text(self)

    def _repr_html_(self) -> str:
        return result_card(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else repr(self))
