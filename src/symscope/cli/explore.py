"""`symscope explore`: the page in which the networks of a study run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symscope.cli.console import format_bytes, log, print_result, report_errors
from symscope.errors import InvalidArgumentError
from symscope.files import EXPLORER_FILE
from symscope.runner import Store, existing_store

if TYPE_CHECKING:  # imports torch
    from symscope.studies.explore import StudyExplorer

REPORT_FILE = "report.html"
MAX_LINES = 5
"""Networks that are left out of a page, of which the reason is printed."""

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished study.")]
NetworkNames = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="NAME", help="Only networks whose name contains this; may be repeated."),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="File to write (default: DIR/explorer.html).")]
Size = Annotated[float, typer.Option("--megabytes", min=0.1, help="Largest size of the page.")]
Address = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="URL of the results (default: those in DIR).")
]


def write_explorer(
    folder: Folder, network: NetworkNames = None, out: Out = None, megabytes: Size = 6.0, address: Address = None
) -> None:
    """Write a page in which the networks of a study run, to swap their variables by hand."""
    with report_errors():
        from symscope.report import load_inputs
        from symscope.studies.explore import explore_study

        store = existing_store(address or folder)
        title, report = load_inputs(folder).title, None if out else REPORT_FILE
        made = explore_study(store, title, networks=network or (), megabytes=megabytes, report=report)
        _print_left_out(made)
        path = made.explorer.save(out or folder / EXPLORER_FILE)
        print_result(f"Explorer: {path} ({made}, {format_bytes(path.stat().st_size)})")


def write_study_explorer(store: Store, title: str, locations: Sequence[str], folder: Path) -> Path | None:
    """Writes the page of a study into its folder; `None` where the page can run none of its networks.

    An error, such as that of a task of the user, is logged: it must not keep the study from its report.
    """
    from symscope.studies.explore import explore_study

    try:
        made = explore_study(store, title, locations=locations, report=REPORT_FILE)
    except InvalidArgumentError as error:
        log(f"No explorer: {error}")
        return None
    except Exception as error:
        logging.getLogger(__name__).exception("explorer")
        log(f"No explorer: {type(error).__name__}: {error}")
        return None
    _print_left_out(made)
    return made.explorer.save(folder / EXPLORER_FILE)


def _print_left_out(made: "StudyExplorer") -> None:
    for name, reason in made.left_out[:MAX_LINES]:
        log(f"Not in the explorer: {name}: {reason}")
    if len(made.left_out) > MAX_LINES:
        log(f"... and {len(made.left_out) - MAX_LINES} more networks; --network chooses which are included")
