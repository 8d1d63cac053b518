"""Results as tidy tables, and the statistics that are computed from them; knows no torch module."""

from symscope.analysis.tables import (
    CONTROLS,
    TABLES,
    Column,
    TableSchema,
    make_table,
    read_table,
    read_tables,
    table_schema,
    validate,
    write_table,
)

__all__ = [
    "CONTROLS",
    "TABLES",
    "Column",
    "TableSchema",
    "make_table",
    "read_table",
    "read_tables",
    "table_schema",
    "validate",
    "write_table",
]
