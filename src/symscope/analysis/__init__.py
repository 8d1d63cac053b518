"""Results as tidy tables, and statistics of them; imports no torch."""

from symscope.analysis.claims import claims
from symscope.analysis.columns import Column, TableSchema
from symscope.analysis.schemas import CONTROLS, TABLES
from symscope.analysis.tables import make_table, read_table, read_tables, table_schema, validate, write_table

__all__ = [
    "CONTROLS",
    "TABLES",
    "Column",
    "TableSchema",
    "claims",
    "make_table",
    "read_table",
    "read_tables",
    "table_schema",
    "validate",
    "write_table",
]
