"""How a table is made, checked, written and read.

A table is an ordinary polars frame; its `TableSchema` in `TABLES` says which columns it has, of which type. Every
table carries the columns that say where a number comes from (task, network, d, seed, ...), so tables of several
studies can be put below each other and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from symscope.analysis.columns import PolarsType, TableSchema
from symscope.analysis.files import read_parquet, replace_file
from symscope.analysis.schemas import TABLES
from symscope.errors import CheckpointError, InvalidArgumentError, StoreError, UnknownNameError


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
        frame = read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); remove it and run the study again") from error
    return validate(name, frame)


def read_tables(folder: Path) -> dict[str, pl.DataFrame]:
    """Every known table that lies in `folder`, by name, in the order of `TABLES`."""
    return {name: read_table(name, folder) for name in TABLES if (folder / f"{name}.parquet").is_file()}
