"""Command line of symscope, the only package that prints.

Exit codes: 0 all jobs are done; 1 a job failed (the remaining jobs are done and reported), or a check found damage;
2 the command or the study is invalid; 130 interrupted, and the same command continues.

Modules here import torch, polars, altair and `symscope.studies` only inside commands, so that `--help` is fast.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from symscope import __version__
from symscope.cli.align import align_table
from symscope.cli.console import out, print_result, report_errors
from symscope.cli.explore import write_explorer
from symscope.cli.listing import list_names
from symscope.cli.store import store_app
from symscope.cli.study import study_app
from symscope.errors import InvalidArgumentError
from symscope.runner import PASSIVE_WAITING

app = typer.Typer(
    name="symscope",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Does this neural network compute with this variable? A microscope for symbols in neural networks.",
    epilog="Start with: symscope study run quick",
)
app.add_typer(study_app, name="study")
app.add_typer(store_app, name="store")
app.command("list")(list_names)
app.command("align")(align_table)
app.command("explore")(write_explorer)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command `symscope`; `arguments` replace those of the command line."""
    for name, value in PASSIVE_WAITING.items():  # before torch is imported
        os.environ.setdefault(name, value)
    sys.path.insert(0, str(Path.cwd()))  # the first place where import paths of a declaration are searched
    app(arguments)


@app.callback(invoke_without_command=True)
def _top(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        out.print(f"symscope {__version__}")
        raise typer.Exit


@app.command("report")
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of finished studies.")],
    to: Annotated[
        Path | None, typer.Option("--out", metavar="PAGE", help="Folder for the page of several studies.")
    ] = None,
    all_claims: Annotated[
        bool, typer.Option("--all-claims", help="List also claims of the paper that the study does not decide.")
    ] = False,
    only_claims: Annotated[
        bool, typer.Option("--claims", help="A page of the claims alone, one figure each; also as Markdown.")
    ] = False,
) -> None:
    """Write the report of a study again, from the tables in its folder, or one page of several studies."""
    with report_errors():
        if only_claims:
            if to is None:
                raise InvalidArgumentError("a page of claims goes to a folder of its own: name it with --out PAGE")
            from symscope.cli.collection import write_claims_page

            command = ["symscope", "report", *map(str, folders), "--claims", "--out", str(to)]
            write_claims_page(folders, to, "Which claims of the paper hold?", shlex.join(command))
            return
        from symscope.cli.results import rewrite_report, write_combined_report
        from symscope.report import load_inputs

        if len(folders) > 1 or to is not None:
            write_combined_report(folders, to, undecided_claims=all_claims)
        else:
            rewrite_report(load_inputs(folders[0]), folders[0], undecided_claims=all_claims)


@app.command("figures")
def figures(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished study.")],
    formats: Annotated[str, typer.Option("--format", help="Formats, separated by commas.")] = "svg,png,pdf",
    columns: Annotated[int, typer.Option(help="Columns of text to span: 1 (3.25 in) or 2 (6.75 in).")] = 2,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Write only this figure; may be repeated.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Output folder (default: DIR/paper).")] = None,
) -> None:
    """Write the figures of a study for a paper: one or two columns wide, without titles, with embedded fonts in PDF."""
    with report_errors():
        from symscope.figures import save_paper_figures
        from symscope.report import load_inputs

        tables = load_inputs(folder).tables
        endings = [ending.strip() for ending in formats.split(",")]
        for path in save_paper_figures(
            tables, to or folder / "paper", columns=columns, formats=endings, only=only or []
        ):
            print_result(str(path))
