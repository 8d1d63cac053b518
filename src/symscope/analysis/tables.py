"""The result tables: what each column means, how a frame is checked, and how it is written and read.

A table is an ordinary polars frame; its `TableSchema` in `TABLES` says which columns it has, of which type. Every
table carries the columns that say where a number comes from (task, network, d, seed, ...), so tables of several
studies can be put below each other and compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import polars as pl

from symscope.analysis.files import replace_file
from symscope.errors import CheckpointError, InvalidArgumentError, StoreError, UnknownNameError

PolarsType: TypeAlias = Any
"""A `polars.DataType`, not declared so: beartype, which checks annotations in our tests, rejects that class."""

CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "none": "found alignment",
        "untrained": "untrained network",
        "random-subspace": "random subspace",
        "principal-components": "principal components",
        "shuffled-values": "shuffled values",
        "neurons": "single neurons",
        "whole-state": "whole state, same interventions",
    }
)
"""Known values of `scores.control` and how a reader is told about them; `none` is the result itself."""

WHOLE_STATE = "whole-state"
"""The `function` of a whole-state swap; its `variable` is `ALL_VARIABLES`."""

ALL_VARIABLES = "all"


@dataclass(frozen=True)
class Column:
    """One column: its polars type, what it holds (with unit), whether it may be null, and its range if it has one."""

    name: str
    dtype: PolarsType
    meaning: str
    nullable: bool = False
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class TableSchema:
    """One table: its name (also its file name), what a row is, its columns in order, and which of them name a row."""

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def dtypes(self) -> dict[str, PolarsType]:
        """Column name to polars type, in order."""
        return {column.name: column.dtype for column in self.columns}


def _text(name: str, meaning: str) -> Column:
    return Column(name, pl.String(), meaning)


def _integer(name: str, meaning: str, *, nullable: bool = False, least: int | None = None) -> Column:
    return Column(name, pl.Int64(), meaning, nullable, None if least is None else (float(least), math.inf))


def _real(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, pl.Float64(), meaning, nullable)


def _share(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, pl.Float64(), meaning, nullable, (0.0, 1.0))


def _part(name: str, meaning: str) -> tuple[Column, ...]:
    """IIA on some of the interventions, with its interval."""
    return (
        _share(f"{name}_iia", f"IIA on {meaning}", nullable=True),
        _share(f"{name}_low", "lower end of its 95% interval", nullable=True),
        _share(f"{name}_high", "upper end of that interval", nullable=True),
        _integer(f"{name}_n", "how many there are", nullable=True, least=1),
    )


_WHERE = (
    _text("task", "task of the network"),
    _text("network", "architecture"),
    _integer("d", "state size", least=1),
    _integer("seed", "seed of the network's training"),
)
_NETWORK_KEY = ("task", "network", "d", "seed")

_ALGORITHM = _text("algorithm", "symbolic algorithm")
_VARIABLE = _text("variable", "swapped variable; `all` for the whole state")
_SITE = _text("site", "place in the network whose state is swapped")
_FUNCTION = _text("function", "alignment function; `whole-state` for the whole state")
_K = _integer("k", "dimensions given to the variable", least=1)
_IIA = _share("iia", "interchange intervention accuracy, 0 to 1")
_ALIGNMENT_KEY = (*_NETWORK_KEY, "algorithm", "variable", "site", "function", "k")

_CONTROL_COLUMNS = tuple((name.replace("-", "_"), label) for name, label in CONTROLS.items() if name != "none")

_EVIDENCE = (
    *_part("matters", "interventions that contradict base and source as they are"),
    *_part("cause", "interventions where base and source differ in the variable alone"),
    *_part("isolation", "interventions where they agree on the variable and differ in the rest"),
    _real("selectivity", "iia less that of the nearest null control", nullable=True),
    _real("selectivity_low", "lower end of the 95% interval of selectivity", nullable=True),
    _real("selectivity_high", "upper end of that interval", nullable=True),
    _share("selectivity_p", "p-value of being above every null control, uncorrected", nullable=True),
    Column("nearest_control", pl.String(), "the null control that comes nearest", nullable=True),
    _share("outside", "share of the rewritten states' norm outside the span of natural states", nullable=True),
    _real("mahalanobis", "their Mahalanobis distance within the span; natural states have 1", nullable=True),
    _real("nearest", "distance to the nearest natural state, in units of natural spacing", nullable=True),
    _real("earth_mover", "sliced earth mover's distance to natural states, in units of spread", nullable=True),
    _real("earth_mover_natural", "the same between two samples of natural states", nullable=True),
    _share("dormant", "share of the effect lost when only the natural span is written", nullable=True),
)
"""What stands beside the IIA of a found alignment."""

SCORES = TableSchema(
    name="scores",
    row="one score of one alignment on the test interventions",
    columns=(
        *_WHERE,
        _ALGORITHM,
        _VARIABLE,
        _SITE,
        _FUNCTION,
        _K,
        _text("control", "`none` for the found alignment, else a control of the same function and k"),
        _IIA,
        _share("low", "lower end of the 95% interval of iia, over interventions"),
        _share("high", "upper end of that interval"),
        _integer("n", "test interventions", least=1),
        _integer("start", "which of several starts of the search was kept", nullable=True),
        _share("validation_iia", "IIA on the validation interventions", nullable=True),
        _integer("steps", "steps of the search until it stopped", nullable=True),
        _share("redrawn", "share of draws without a counterfactual, drawn again", nullable=True),
        *_EVIDENCE,
    ),
    key=(*_ALIGNMENT_KEY, "control"),
)

BEHAVIOUR = TableSchema(
    name="behaviour",
    row="one quantity on one network",
    columns=(
        *_WHERE,
        _integer("quantity", "number of demo tokens"),
        Column("held_out", pl.Boolean(), "was this quantity absent from training"),
        _share("trial_accuracy", "share of trials with every determined token predicted, 0 to 1"),
        _integer("n", "trials", least=1),
    ),
    key=(*_NETWORK_KEY, "quantity"),
)

GRADIENCE = TableSchema(
    name="gradience",
    row="the interventions with one base value and one source value",
    columns=(
        *_WHERE,
        _ALGORITHM,
        _VARIABLE,
        _SITE,
        _FUNCTION,
        _K,
        _integer("base_value", "count in the base at its cut"),
        _integer("source_value", "count in the source at its cut"),
        _IIA,
        _integer("n", "test interventions", least=1),
    ),
    key=(*_ALIGNMENT_KEY, "base_value", "source_value"),
)

ALIGNED_STATES = TableSchema(
    name="aligned_states",
    row="one position of one sequence, in aligned coordinates",
    columns=(
        *_WHERE,
        _ALGORITHM,
        _text("variable", "variable whose subspace is shown"),
        _FUNCTION,
        _K,
        _integer("quantity", "number of demo tokens of the sequence"),
        _integer("sequence", "number of the sequence, from 0; each holds its positions in order"),
        _integer("step", "position in the sequence, from 0"),
        _text("token", "token read at this position"),
        _integer("count", "Count after this token"),
        _text("phase", "Phase after this token: `demo` or `resp`"),
        _real("c1", "first leading component of the aligned coordinates, in units of the state"),
        _real("c2", "second leading component; null when k is 1", nullable=True),
    ),
    key=(*_NETWORK_KEY, "algorithm", "variable", "function", "k", "sequence", "step"),
)

TRAINING = TableSchema(
    name="training",
    row="one validation during training",
    columns=(
        *_WHERE,
        _integer("update", "updates of the weights so far"),
        _integer("epoch", "epochs so far"),
        _real("loss", "training loss, nats a token", nullable=True),
        _real("learning_rate", "learning rate of the last update"),
        _share("trained_accuracy", "trial accuracy on trained quantities, 0 to 1", nullable=True),
        _share("held_out_accuracy", "trial accuracy on held-out quantities, 0 to 1", nullable=True),
        _real("seconds", "time since training began"),
    ),
    key=(*_NETWORK_KEY, "update"),
)

WHOLE_STATE_OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "source": "goes on as the source",
        "base": "goes on as the base",
    }
)
"""Values of `whole_state.outcome` and what the network does in each."""

WHOLE_STATES = TableSchema(
    name="whole_state",
    row="one outcome of whole-state swaps within one phase, at one site",
    columns=(
        *_WHERE,
        _ALGORITHM,
        _SITE,
        _text("outcome", "`source`: the network goes on as the source would; `base`: exactly as the base would"),
        _share("share", "share of swaps with this outcome, 0 to 1"),
        _share("low", "lower end of the 95% interval of share, over swaps"),
        _share("high", "upper end of that interval"),
        _integer("n", "swaps", least=1),
    ),
    key=(*_NETWORK_KEY, "algorithm", "site", "outcome"),
)

CALIBRATION = TableSchema(
    name="calibration",
    row="one question to a network whose answer is known",
    columns=(
        _text(
            "part",
            "`known`: a constructed network; `null`: an untrained one; `curve`: under rising pull to natural states",
        ),
        _text("network", "kind of network"),
        _text("disguise", "change of basis that hides the answer"),
        _integer("d", "state size", least=1),
        _integer("seed", "seed of disguise, draws and starts"),
        _ALGORITHM,
        _VARIABLE,
        _FUNCTION,
        _K,
        _real("latent_weight", "weight of the counterfactual-latent loss in the search"),
        _text("view", "what the search looks through; `spanned`: within the span of natural states"),
        Column("held", pl.Boolean(), "does the network hold the variable: the right answer"),
        _IIA,
        _share("low", "lower end of the 95% interval of iia, over interventions"),
        _share("high", "upper end of that interval"),
        _integer("n", "test interventions", least=1),
        *_EVIDENCE,
        *(_share(f"{name}_iia", f"IIA of the control: {label}", nullable=True) for name, label in _CONTROL_COLUMNS),
    ),
    key=("part", "network", "disguise", "d", "seed", "algorithm", "variable", "function", "k", "latent_weight", "view"),
)

TABLES: Mapping[str, TableSchema] = MappingProxyType(
    {
        schema.name: schema
        for schema in (SCORES, BEHAVIOUR, WHOLE_STATES, GRADIENCE, ALIGNED_STATES, TRAINING, CALIBRATION)
    }
)
"""Every table by name."""


def table_schema(name: str) -> TableSchema:
    """The schema of the table called `name`; `UnknownNameError` names the near ones."""
    if name not in TABLES:
        raise UnknownNameError("table", name, TABLES)
    return TABLES[name]


def make_table(name: str, rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """A checked frame from rows as dicts; a nullable column may be left out of a row. No rows give an empty table."""
    schema = table_schema(name)
    rows = list(rows)
    unknown = sorted({key for row in rows for key in row} - set(schema.dtypes))
    if unknown:
        raise InvalidArgumentError(f"table {name!r}: unknown columns {unknown}; known: {list(schema.dtypes)}")
    try:
        frame = pl.DataFrame(rows, schema=schema.dtypes, strict=True, orient="row")
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise InvalidArgumentError(f"table {name!r}: a row does not fit the column types: {error}") from error
    return validate(name, frame)


def validate(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with exactly the schema's columns, in order and of the schema's types.

    Narrower types (Int32, Float32) are widened and nullable columns that are missing are added as null. Everything
    else that does not fit raises one `InvalidArgumentError` that names all faults: missing, unknown or mistyped
    columns, nulls, values out of range, NaN, and rows that appear twice.
    """
    schema = table_schema(name)
    faults = _column_faults(schema, frame)
    if faults:
        raise InvalidArgumentError(_fault_text(schema, faults))
    absent = [column for column in schema.columns if column.name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=column.dtype).alias(column.name) for column in absent)
    frame = frame.select(pl.col(column.name).cast(column.dtype) for column in schema.columns)
    faults = _value_faults(schema, frame)
    if faults:
        raise InvalidArgumentError(_fault_text(schema, faults))
    return frame


def _fault_text(schema: TableSchema, faults: list[str]) -> str:
    lines = "\n".join(f"  - {fault}" for fault in faults)
    return f"table {schema.name!r} (a row is {schema.row}) does not fit its schema:\n{lines}"


def _column_faults(schema: TableSchema, frame: pl.DataFrame) -> list[str]:
    missing = [c.name for c in schema.columns if c.name not in frame.columns and not c.nullable]
    unknown = [name for name in frame.columns if name not in schema.dtypes]
    faults = [f"missing columns: {', '.join(missing)}"] if missing else []
    if unknown:
        faults.append(f"unknown columns: {', '.join(unknown)} (known: {', '.join(schema.dtypes)})")
    faults.extend(
        f"column {c.name!r} is {frame.schema[c.name]}, expected {c.dtype}"
        for c in schema.columns
        if c.name in frame.columns and not _widens(frame.schema[c.name], c.dtype)
    )
    return faults


def _widens(have: PolarsType, want: PolarsType) -> bool:
    if have == want or have == pl.Null():
        return True
    if want == pl.Int64():
        return have.is_integer()
    if want == pl.Float64():
        return have.is_numeric()
    return want == pl.String() and have in (pl.Categorical, pl.Enum)


def _value_faults(schema: TableSchema, frame: pl.DataFrame) -> list[str]:
    faults = []
    for column in schema.columns:
        values = frame.get_column(column.name)
        if not column.nullable and values.null_count():
            faults.append(f"column {column.name!r} has {values.null_count()} nulls")
        if values.dtype.is_float() and not values.drop_nulls().is_finite().all():
            faults.append(f"column {column.name!r} holds NaN or infinite values")
        elif column.bounds is not None:
            low, high = column.bounds
            outside = values.filter((values < low) | (values > high))
            if len(outside):
                faults.append(f"column {column.name!r} holds {outside[0]}, expected {low:g} to {high:g}")
    twice = frame.height - frame.unique(list(schema.key)).height
    if twice:
        faults.append(f"{twice} rows repeat the key ({', '.join(schema.key)}) of another row")
    return faults


def write_table(name: str, frame: pl.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Check the frame and write `folder/name.parquet` and `folder/name.csv`; returns both paths.

    Each file is written under a temporary name and renamed, so a reader never sees half a table. `StoreError` when
    the folder cannot be written.
    """
    frame = validate(name, frame)
    parquet, csv = folder / f"{name}.parquet", folder / f"{name}.csv"
    replace_file(parquet, frame.write_parquet)
    replace_file(csv, frame.write_csv)
    return parquet, csv


def read_table(name: str, folder: Path) -> pl.DataFrame:
    """The checked table from `folder/name.parquet`; `StoreError` when it is missing, `CheckpointError` when damaged."""
    path = folder / f"{table_schema(name).name}.parquet"
    if not path.is_file():
        raise StoreError(f"no table {name!r} in {folder}: {path.name} is missing; run the study again to make it")
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); remove it and run the study again") from error
    return validate(name, frame)


def read_tables(folder: Path) -> dict[str, pl.DataFrame]:
    """Every known table that lies in `folder`, by name, in the order of `TABLES`."""
    return {name: read_table(name, folder) for name in TABLES if (folder / f"{name}.parquet").is_file()}
