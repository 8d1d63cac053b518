"""Columns and schemas of tables, and the columns that several tables share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl

PolarsType: TypeAlias = Any
"""A `polars.DataType`; not annotated as such because beartype, which the tests use, rejects that class."""


@dataclass(frozen=True)
class Column:
    """One column: name, polars type, meaning (with unit), whether it may be null, and its range.

    `default` is the value where a table lacks the column or a row has no value.
    """

    name: str
    dtype: PolarsType
    meaning: str
    nullable: bool = False
    bounds: tuple[float, float] | None = None
    default: str | None = None


@dataclass(frozen=True)
class TableSchema:
    """One table: name (also of its file), meaning of a row, columns in order, and the columns that identify a row."""

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def dtypes(self) -> dict[str, PolarsType]:
        """Column name to polars type, in order."""
        return {column.name: column.dtype for column in self.columns}


def text(name: str, meaning: str) -> Column:
    """A column of names."""
    return Column(name, pl.String(), meaning)


def label(name: str, meaning: str) -> Column:
    """A column of names that may be null."""
    return Column(name, pl.String(), meaning, nullable=True)


def integer(name: str, meaning: str, *, nullable: bool = False, least: int | None = None) -> Column:
    """A column of integers; `least` is the smallest allowed value."""
    return Column(name, pl.Int64(), meaning, nullable, None if least is None else (float(least), math.inf))


def real(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A column of real numbers."""
    return Column(name, pl.Float64(), meaning, nullable)


def share(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A column of shares, 0 to 1."""
    return Column(name, pl.Float64(), meaning, nullable, (0.0, 1.0))


def part(name: str, meaning: str) -> tuple[Column, ...]:
    """IIA on a subset of the interventions, with its interval and size."""
    return (
        share(f"{name}_iia", f"IIA on {meaning}", nullable=True),
        share(f"{name}_low", "lower end of its 95% interval", nullable=True),
        share(f"{name}_high", "upper end of that interval", nullable=True),
        integer(f"{name}_n", "size of this subset", nullable=True, least=1),
    )


def interval(of: str, over: str) -> tuple[Column, Column]:
    """The ends of the 95% interval of a share, over trials of some kind."""
    return (
        share("low", f"lower end of the 95% interval of {of}, over {over}"),
        share("high", "upper end of that interval"),
    )


WHERE = (
    text("task", "task of the network"),
    text("network", "architecture"),
    integer("d", "state size", least=1),
    integer("seed", "seed of the network's training"),
)
NETWORK_KEY = tuple(column.name for column in WHERE)

ALGORITHM = text("algorithm", "symbolic algorithm")
VARIABLE = text("variable", "swapped variable; `all` for the whole state")
SITE = text("site", "site in the network whose state is swapped")
FUNCTION = text("function", "alignment function; `whole_state` for the whole state")
K = integer("k", "dimensions of the subspace of the variable", least=1)
PAPER_PROTOCOL, GIVEN = "paper", "given"
"""Values of the column `protocol`: the protocol of the paper's text, and base and source that come from a table."""
PROTOCOL = Column(
    "protocol",
    pl.String(),
    "protocol of the interventions: `paper`, `paper-code`, or its fields; `given`: base and source come from a table",
    default=PAPER_PROTOCOL,
)
IIA = share("iia", "interchange intervention accuracy, 0 to 1")
TESTED = (
    IIA,
    *interval("iia", "interventions"),
    integer("n", "test interventions", least=1),
)
"""Columns of a score on test interventions."""
ALIGNED = (*WHERE, ALGORITHM, VARIABLE, SITE, FUNCTION, K, PROTOCOL)
"""Columns that identify one alignment in one network."""
ALIGNMENT_KEY = tuple(column.name for column in ALIGNED)

NATURALNESS = (
    share("off_span_share", "share of the rewritten states' norm outside the span of natural states", nullable=True),
    real(
        "mahalanobis", "Mahalanobis distance of rewritten states within that span; natural states have 1", nullable=True
    ),
    real(
        "nearest",
        "distance to the nearest natural state, in units of the distance between natural states",
        nullable=True,
    ),
    real("earth_mover", "sliced earth mover's distance to natural states, in units of spread", nullable=True),
    real("earth_mover_natural", "the same distance between two samples of natural states", nullable=True),
    share("dormant_share", "share of the effect that is lost when only the natural span is written", nullable=True),
    share(
        "far_out_share", "share of rewritten states farther out in that span than 99% of natural ones", nullable=True
    ),
    share("far_out_floor", "the same share of natural states", nullable=True),
    real(
        "within_class_distance",
        "distance to the nearest natural state with the values after the swap; natural states have 1",
        nullable=True,
    ),
    real("class_radius", "distance to the mean of these natural states; natural states have 1", nullable=True),
)
"""How natural the rewritten states of an alignment are."""

EVIDENCE = (
    *part(
        "informative", "interventions whose counterfactual differs from the base's and the source's own continuation"
    ),
    *part("cause", "interventions whose base and source differ in the variable alone"),
    *part("isolation", "interventions whose base and source agree on the variable and differ in the rest"),
    *part("held_out", "interventions with values that were held out of training interventions"),
    *part("complement", "swaps of everything except all variables, which must not change the behaviour"),
    real("probe", "linear probe of the variable on natural states: R² for numbers, accuracy otherwise", nullable=True),
    real(
        "length_error", "mean absolute difference of the network's answers in tokens from the prediction", nullable=True
    ),
    real("selectivity", "iia minus that of the best null control, in this network", nullable=True),
    real("selectivity_low", "lower end of the 95% interval of selectivity", nullable=True),
    real("selectivity_high", "upper end of that interval", nullable=True),
    share("selectivity_p", "p-value of being above every null control, uncorrected", nullable=True),
    label("nearest_control", "null control with the highest iia"),
    *NATURALNESS,
)
"""Diagnostics of an alignment."""
