"""Prints the tables of a study, and writes its report."""

from pathlib import Path

import polars as pl
from rich.table import Table

from symscope.analysis.summary import learning
from symscope.cli.console import out, say, whole_lines
from symscope.report import ReportInputs, write_report

HIDDEN = {"restart", "validation_iia", "total_steps", "rejection_rate", "trained_n", "held_out_n", "extrapolated_n"}
SCORES = [
    *("task", "network", "d", "seed", "algorithm", "variable", "site", "function", "k"),
    *("control", "iia", "low", "high", "n", "selectivity"),
]
"""What of the scores fits on a screen; the report and the tables have the rest."""
MOST_ROWS = 200
"""More than that nobody reads on a screen; the files have all."""


def write_report_and_tell(inputs: ReportInputs, folder: Path) -> None:
    """Prints what was learned and every score, the figures that the report shows, and writes the report."""
    tables = inputs.tables
    if "trial_accuracy" in tables or "training" in tables:
        _print_rows(learning(tables.get("trial_accuracy"), tables.get("training")), "trial accuracy and training")
    if "scores" in tables:
        _print_rows(tables["scores"].select(SCORES), "interchange intervention accuracy (IIA), 95% interval")
    if "whole_state" in tables:
        _print_rows(tables["whole_state"], "whole-state swaps: share that goes on as the source, and as the base")
    say(f"Report: {write_report(inputs, folder).page}")


def _print_rows(frame: pl.DataFrame, title: str) -> None:
    """A table as it is in a pipe; on a terminal, columns that say the same in every row go into the title."""
    shown = frame.select(name for name in frame.columns if name not in HIDDEN)
    if out.is_terminal and shown.height > 1:
        same = [name for name in shown.columns if shown[name].n_unique() == 1 and not shown[name].dtype.is_float()]
        title = f"{title} ({', '.join(f'{name} {shown[name][0]}' for name in same)})" if same else title
        shown = shown.drop(same)
    out.print(title, style="italic", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name, dtype in shown.schema.items():
        table.add_column(name, no_wrap=True, justify="right" if dtype.is_numeric() else "left")
    for row in shown.head(MOST_ROWS).iter_rows():
        table.add_row(*("" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    whole_lines(out).print(table)
    if shown.height > MOST_ROWS:
        say(f"... and {shown.height - MOST_ROWS:,} rows more, in the folder's tables")
    out.print()
