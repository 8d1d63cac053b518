"""Making, checking, writing and reading of tables, and the atomic writing of any file of a report.

A table is a polars frame with the columns and types of its `TableSchema` in `TABLES`. Every row names its network
(task, network, d, seed, ...), so that tables of several studies can be concatenated and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import polars as pl

from symscope.analysis.columns import PolarsType, TableSchema
from symscope.analysis.schemas import TABLES
from symscope.errors import CheckpointError, InvalidArgumentError, StoreError, UnknownNameError
from symscope.files import atomic_write


def table_schema(name: str) -> TableSchema:
    """The schema of the table `name`; `UnknownNameError` suggests similar names."""
    if name not in TABLES:
        raise UnknownNameError("table", name, TABLES)
    return TABLES[name]


def make_table(name: str, rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """A checked frame from rows as dicts; without rows the table is empty.

    Rows may omit columns that are nullable or have a default.
    """
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
    """The frame with the columns of the schema, in its order and types.

    Narrower types (Int32, Float32) are widened, missing nullable columns are added as null, and a column that has a
    default takes it where it is missing or null. All other faults raise one `InvalidArgumentError` that names them:
    missing, unknown or mistyped columns, nulls, values out of range, NaN, and repeated rows.
    """
    schema = table_schema(name)
    faults = _column_faults(schema, frame)
    if faults:
        raise InvalidArgumentError(_fault_text(schema, faults))
    absent = [column for column in schema.columns if column.name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=column.dtype).alias(column.name) for column in absent)
    frame = frame.select(pl.col(column.name).cast(column.dtype) for column in schema.columns)
    frame = frame.with_columns(pl.col(c.name).fill_null(c.default) for c in schema.columns if c.default is not None)
    faults = _value_faults(schema, frame)
    if faults:
        raise InvalidArgumentError(_fault_text(schema, faults))
    return frame


def _fault_text(schema: TableSchema, faults: list[str]) -> str:
    lines = "\n".join(f"  - {fault}" for fault in faults)
    return f"table {schema.name!r} (a row is {schema.row}) does not fit its schema:\n{lines}"


def _column_faults(schema: TableSchema, frame: pl.DataFrame) -> list[str]:
    missing = [c.name for c in schema.columns if c.name not in frame.columns and not (c.nullable or c.default)]
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
            invalid = values.filter((values < low) | (values > high))
            if len(invalid):
                faults.append(f"column {column.name!r} holds {invalid[0]}, expected {low:g} to {high:g}")
    repeated = frame.height - frame.unique(list(schema.key)).height
    if repeated:
        faults.append(f"{repeated} rows repeat the key ({', '.join(schema.key)}) of another row")
    return faults


def read_parquet(path: Path) -> pl.DataFrame:
    """The table in one Parquet file.

    `polars.read_parquet` expands `*`, `?`, `[` and `{` in a path to all matching files; here they are literal.

    Raises:
        OSError: the file cannot be opened.
        polars.exceptions.PolarsError: the file is not a Parquet file.
    """
    with path.open("rb") as stream:
        return pl.read_parquet(stream)


def replace_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Call `write` on a temporary file in the folder of `path` and rename that file to `path`; returns `path`.

    `StoreError` when the folder cannot be made or written; on a failure the temporary file is removed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            write(temporary)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"cannot write {path}: {reason}; choose a folder that you may write to") from error
    return path


def write_table(name: str, frame: pl.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Check the frame and write `folder/name.parquet` and `folder/name.csv`; returns both paths.

    Each file is written under a temporary name and renamed, so that a reader never sees a partial table. `StoreError`
    when the folder cannot be written.
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
        frame = read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); remove it and run the study again") from error
    return validate(name, frame)


def read_tables(folder: Path) -> dict[str, pl.DataFrame]:
    """Every known table in `folder`, by name, in the order of `TABLES`."""
    return {name: read_table(name, folder) for name in TABLES if (folder / f"{name}.parquet").is_file()}
