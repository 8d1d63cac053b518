"""Output of a finished study: tables on the screen, and its derived files (tables, figures, report).

`outputs.json` records the SHA-256 of each derived file, so that a later run detects damaged or missing files.
"""

import hashlib
import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.table import Table

from symscope.analysis.summary import learning
from symscope.analysis.tables import replace_file
from symscope.cli.console import out, print_result, unwrapped
from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.report import ReportInputs, combine_inputs, load_inputs, save_inputs, write_report
from symscope.report.inputs import FACTS_FILE
from symscope.runner.store import STORE_FILE

OUTPUTS_FILE = "outputs.json"
DECLARATION_FILE = "study.yaml"
HIDDEN_COLUMNS = {
    *("restart", "validation_iia", "total_steps", "rejection_rate"),
    *("excluded_pairs", "all_pairs"),
    *("trained_n", "held_out_n", "extrapolated_n"),
}
SCORE_COLUMNS = [
    *("task", "network", "d", "seed", "algorithm", "variable", "site", "function", "k", "protocol"),
    *("control", "iia", "low", "high", "n", "selectivity"),
]
"""Columns of `scores` that fit on a screen; the report and the tables have all columns."""
MAX_ROWS = 200
"""Maximum number of rows on the screen; the files have all rows."""


def write_outputs(inputs: ReportInputs, folder: Path, declaration: str, explorer: Path | None = None) -> None:
    """Writes tables, report, figures and declaration of a study; removes derived files of an earlier declaration.

    `explorer` is the page of the networks, which was written before, so that the report links it.
    """
    earlier = _recorded(folder)
    written = save_inputs(inputs, folder)
    written += _print_and_write_report(inputs, folder)
    if explorer is not None:
        print_result(f"Explorer: {explorer}")
        written.append(explorer)
    path = folder / DECLARATION_FILE
    written.append(replace_file(path, lambda temporary: temporary.write_text(declaration, encoding="utf-8")))
    _record(folder, written)
    for name in earlier.keys() - _recorded(folder).keys():
        (folder / name).unlink(missing_ok=True)


def write_combined_report(folders: Sequence[Path], to: Path | None, *, undecided_claims: bool = False) -> None:
    """Writes one page of several studies, with their tables, to a folder of its own."""
    if len(folders) < 2 or to is None:
        raise InvalidArgumentError(
            "one page of several studies needs two or more folders and --out PAGE, such as "
            "`symscope report out/quick out/iclr --out out/both`"
        )
    check_is_free(to)
    if to.resolve() in {folder.resolve() for folder in folders}:
        raise InvalidArgumentError(f"{to} holds a study, whose report would be lost; choose another folder for --out")
    inputs = combined_inputs(folders)
    command = shlex.join(["symscope", "report", *map(str, folders), "--out", str(to)])
    inputs = replace(inputs, command=f"{inputs.command}\n{command}".lstrip())
    write_and_record(inputs, to, undecided_claims=undecided_claims)


def check_is_free(to: Path) -> None:
    """Raises `InvalidArgumentError` where a page of several studies would replace the report of one."""
    if (to / STORE_FILE).exists():
        raise InvalidArgumentError(f"{to} holds a study, whose report would be lost; choose another folder for --out")


def combined_inputs(folders: Sequence[Path]) -> ReportInputs:
    """The tables of some studies, put together; those of a single one as they are.

    Raises:
        CheckpointError: a table is not as its study wrote it.
    """
    for folder in folders:
        _check_tables(folder)
    if len(folders) == 1:
        return load_inputs(folders[0])
    names = _names_of(folders)
    return combine_inputs([(name, load_inputs(folder)) for name, folder in zip(names, folders, strict=True)])


def write_and_record(
    inputs: ReportInputs, folder: Path, further: Iterable[Path] = (), *, undecided_claims: bool = False
) -> None:
    """Writes tables, report and figures that belong to no single study; records them, and `further` files."""
    written = [*save_inputs(inputs, folder), *further]
    _record(folder, [*written, *_print_and_write_report(inputs, folder, undecided_claims=undecided_claims)])


def _names_of(folders: Sequence[Path]) -> list[str]:
    """Names of the folders, with so many parent folders that they differ."""
    resolved = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in resolved)):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(names):
            return names
    raise InvalidArgumentError(f"a folder is given twice: {', '.join(map(str, folders))}")


def _check_tables(folder: Path) -> dict[str, str]:
    """The recorded files of a study; `CheckpointError` where a table is not as the study wrote it."""
    recorded = _recorded(folder)
    for name, digest in recorded.items():
        if name.endswith((".parquet", FACTS_FILE)) and _sha256(folder / name) != digest:
            raise CheckpointError(f"{folder / name} has changed since the study wrote it; run the study again")
    return recorded


def rewrite_report(inputs: ReportInputs, folder: Path, *, undecided_claims: bool = False) -> None:
    """Writes the report and figures again, from tables that are as the study wrote them."""
    earlier = _check_tables(folder)
    written = _print_and_write_report(inputs, folder, undecided_claims=undecided_claims)
    if earlier:
        _record(folder, written, keep=earlier)


def outputs_are_current(folder: Path, declaration: str) -> bool:
    """Whether all derived files exist undamaged and belong to this declaration."""
    recorded = _recorded(folder)
    expected = hashlib.sha256(declaration.encode()).hexdigest()
    return recorded.get(DECLARATION_FILE) == expected and all(
        _sha256(folder / name) == digest for name, digest in recorded.items()
    )


def _recorded(folder: Path) -> dict[str, str]:
    """Recorded SHA-256 of each derived file, by its path in the folder; empty if the record is missing or damaged."""
    try:
        recorded = json.loads((folder / OUTPUTS_FILE).read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in recorded["sha256"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _record(folder: Path, files: Iterable[Path], keep: dict[str, str] | None = None) -> None:
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    text = json.dumps({"sha256": {**(keep or {}), **digests}}, indent=1) + "\n"
    replace_file(folder / OUTPUTS_FILE, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _sha256(path: Path) -> str:
    """SHA-256 of a file, "" if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _print_and_write_report(inputs: ReportInputs, folder: Path, *, undecided_claims: bool = False) -> list[Path]:
    """Prints the main tables and writes the report; returns the paths of the page and the figures."""
    tables = inputs.tables
    if "trial_accuracy" in tables or "training" in tables:
        _print_rows(learning(tables.get("trial_accuracy"), tables.get("training")), "trial accuracy and training")
    if "scores" in tables:
        _print_rows(tables["scores"].select(SCORE_COLUMNS), "interchange intervention accuracy (IIA), 95% interval")
    if "whole_state" in tables:
        _print_rows(tables["whole_state"], "whole-state swaps: share that continues as the source, and as the base")
    files = write_report(inputs, folder, undecided_claims=undecided_claims)
    print_result(f"Report: {files.page}")
    return [files.page, *files.figures]


def _print_rows(frame: pl.DataFrame, title: str) -> None:
    """Prints a table; on a terminal, columns with a single value move into the title."""
    visible = frame.select(name for name in frame.columns if name not in HIDDEN_COLUMNS)
    if out.is_terminal and visible.height > 1:
        constant = [
            name for name in visible.columns if visible[name].n_unique() == 1 and not visible[name].dtype.is_float()
        ]
        title = f"{title} ({', '.join(f'{name} {visible[name][0]}' for name in constant)})" if constant else title
        visible = visible.drop(constant)
    out.print(title, style="italic", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name, dtype in visible.schema.items():
        table.add_column(name, no_wrap=True, justify="right" if dtype.is_numeric() else "left")
    for row in visible.head(MAX_ROWS).iter_rows():
        table.add_row(*("" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    unwrapped(out).print(table)
    if visible.height > MAX_ROWS:
        print_result(f"... and {visible.height - MAX_ROWS:,} more rows, in the tables of the folder")
    out.print()
