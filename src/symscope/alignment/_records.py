"""Single test interventions in words: what base and source had read, what had to follow, and what the network said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symscope.alignment._answers import CUT, Answers
from symscope.interchange import CounterfactualData, Interventions, StoppedInputs

if TYPE_CHECKING:
    import polars as pl

MAX_FAILURES = 64
"""Failing test interventions that a result keeps, the first of the test set; their number is always known."""

EXAMPLE_TOKENS = 16
"""The worked example has about so many tokens in base, source and continuation together."""


@dataclass(frozen=True)
class InterventionRecord:
    """One test intervention.

    Attributes:
        row: its number among the test interventions, from 0.
        base, source: the tokens that each run had read where it was stopped; empty for inputs that are vectors. Where
            several variables have sources of their own, the source of the first.
        base_values, source_values: the value of each variable of the hypothesis at the stop.
        predicted: the continuation of the counterfactual.
        determined: which tokens of `predicted` the network must predict; the others are given to it.
        produced: the continuation of the network after the intervention, up to its first mistake; an answer that is
            too long or too short is complete. `CUT` stands for a rest that was not followed.
        unswapped: the same without the intervention, up to its first difference from `predicted`.
        error: by how many tokens the answer is longer than predicted; `None`: it is wrong in another way.
    """

    row: int
    base: tuple[str, ...]
    source: tuple[str, ...]
    base_values: Mapping[str, str]
    source_values: Mapping[str, str]
    predicted: tuple[str, ...]
    determined: tuple[bool, ...]
    produced: tuple[str, ...]
    unswapped: tuple[str, ...]
    error: int | None

    @property
    def base_position(self) -> int:
        """The last position that the base had read, from 0; -1 for vectors."""
        return len(self.base) - 1

    @property
    def source_position(self) -> int:
        """The last position that the source had read, from 0; -1 for vectors."""
        return len(self.source) - 1


def intervention_records(
    data: CounterfactualData, rows: Sequence[int], swapped: Answers, unswapped: Answers
) -> tuple[InterventionRecord, ...]:
    """Records of some test interventions.

    Args:
        data: the data of the interventions, for the names of tokens and values.
        rows: numbers of the interventions among the test interventions.
        swapped: the answers to them.
        unswapped: the answers to them without the intervention, row by row the same.
    """
    some = swapped.interventions

    def names(tokens: Sequence[int | None]) -> tuple[str, ...]:
        return tuple(CUT if token is None else data.token_name(token) for token in tokens)

    records = []
    for at, row in enumerate(rows):
        length, source = int(some.lengths[at]), some.sources[some.source_of[0]]
        records.append(
            InterventionRecord(
                row=row,
                base=names(_read_tokens(some.base, at)),
                source=names(_read_tokens(source, at)),
                base_values=_values(data, some.base, at),
                source_values=_values(data, source, at),
                predicted=names(some.targets[at, :length].tolist()),
                determined=tuple(some.target_mask[at, :length].tolist()),
                produced=names(swapped.tokens(at)),
                unswapped=names(unswapped.tokens(at)),
                error=swapped.errors[at],
            )
        )
    return tuple(records)


def _read_tokens(run: StoppedInputs, row: int) -> list[int]:
    """The tokens that a run has read; none for a vector."""
    if run.inputs.is_floating_point():
        return []
    return run.inputs[row, : int(run.position[row]) + 1].tolist()


def _values(data: CounterfactualData, run: StoppedInputs, row: int) -> dict[str, str]:
    texts = {}
    for name, column in run.values.items():
        labels, value = data.value_names.get(name), column[row].item()
        texts[name] = labels[int(value)] if labels else f"{value:g}"
    return texts


def example_row(interventions: Interventions, candidates: Sequence[int]) -> int | None:
    """The intervention that serves as worked example: the first of those whose length is nearest to `EXAMPLE_TOKENS`.

    Args:
        interventions: test interventions.
        candidates: the interventions to choose from.
    """
    source = interventions.sources[interventions.source_of[0]]
    lengths = interventions.base.position + source.position + 2 + interventions.lengths
    return min(candidates, key=lambda row: (abs(int(lengths[row]) - EXAMPLE_TOKENS), row), default=None)


def records_frame(records: Sequence[InterventionRecord], variables: Sequence[str]) -> pl.DataFrame:
    """A polars frame with one row for each record; see `AlignmentResult.failures`."""
    import polars as pl  # noqa: PLC0415  (takes a second)

    schema: dict[str, Any] = {
        "row": pl.Int64(),
        **dict.fromkeys(("base_value", "source_value"), pl.String()),
        "error": pl.Int64(),
        **dict.fromkeys(("base", "source", "predicted", "produced", "unswapped"), pl.List(pl.String())),
        **dict.fromkeys(("base_position", "source_position"), pl.Int64()),
        **dict.fromkeys(("base_values", "source_values"), pl.String()),
    }
    rows = [
        {
            "base_value": value_text(record.base_values, variables),
            "source_value": value_text(record.source_values, variables),
            "base_values": assignments(record.base_values),
            "source_values": assignments(record.source_values),
            **{name: getattr(record, name) for name in schema if hasattr(record, name) and not name.endswith("values")},
        }
        for record in records
    ]
    return pl.DataFrame(rows, schema=schema)


def value_text(values: Mapping[str, str], variables: Sequence[str]) -> str | None:
    """The values of the overwritten variables, joined by `+`; `None` where they are not known."""
    return "+".join(values[name] for name in variables) if set(variables) <= values.keys() else None


def assignments(values: Mapping[str, str]) -> str:
    """All values in words: `count = 3, phase = demo`."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())
