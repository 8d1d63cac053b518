"""`symscope study run` and `plan` of a collection: its studies one after the other, and the page of claims."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from symscope.analysis.tables import replace_file
from symscope.cli.console import log, print_result
from symscope.cli.results import check_is_free, combined_inputs, write_and_record
from symscope.errors import StoreError
from symscope.report import CLAIMS_FILE, ReportInputs, claims_inputs, claims_markdown
from symscope.report.inputs import FACTS_FILE

if TYPE_CHECKING:  # imports torch
    from symscope.studies import Study


def part_of(address: str | Path, study: "Study") -> str:
    """The address of a study of a collection: a folder below that of the collection, or a URL below its URL."""
    return f"{str(address).rstrip('/')}/{study.name}"


def run_parts(studies: Sequence["Study"], folder: Path, run_one: Callable[["Study"], bool]) -> bool:
    """Runs the studies in their order; returns whether all jobs of all of them are done.

    A study with failed jobs does not keep the later ones from running.
    """
    check_is_free(folder)
    done = []
    for number, study in enumerate(studies, 1):
        log(f"Study {number} of {len(studies)}: {study.name}")
        done.append(run_one(study))
    return all(done)


def write_claims_page(folders: Sequence[Path], to: Path, title: str, command: str) -> None:
    """Writes the page of claims of some studies to a folder of its own: page, figures, tables, and Markdown.

    Folders without tables are left out, and the page says so.

    Raises:
        StoreError: no folder has tables.
    """
    check_is_free(to)
    ready = [folder for folder in folders if (folder / FACTS_FILE).is_file()]
    if not ready:
        raise StoreError(f"none of {', '.join(map(str, folders))} holds the tables of a study; run the studies first")
    inputs = claims_inputs(combined_inputs(ready), title)
    missing = tuple(f"The study {folder.name} has no results yet." for folder in folders if folder not in ready)
    inputs = replace(inputs, command=command, notes=(*missing, *inputs.notes))
    write_and_record(inputs, to, further=[_write_markdown(inputs, to)], undecided_claims=True)
    print_result(f"As Markdown: {to / CLAIMS_FILE}")


def _write_markdown(inputs: ReportInputs, folder: Path) -> Path:
    text = claims_markdown(inputs.tables, inputs.title)
    return replace_file(folder / CLAIMS_FILE, lambda path: path.write_text(text, encoding="utf-8"))
