"""The command line: the only place that prints.

Exit codes: 0 all is done; 1 a job failed (the rest is done, and reported), or a check found damage; 2 the command or
the study is wrong; 130 interrupted, and the same command goes on.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from symscope.cli.console import errors_told, out, say
from symscope.cli.store import store_app
from symscope.cli.study import study_app

app = typer.Typer(
    name="symscope",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does this neural network compute with this variable? A microscope for symbols in neural networks.",
    epilog="Start with: symscope study run quick --out out/quick",
)
app.add_typer(study_app, name="study")
app.add_typer(store_app, name="store")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command `symscope`; the arguments are those of the command line unless given."""
    # What a declaration names by import path is looked for where the user stands, first of all.
    sys.path.insert(0, str(Path.cwd()))
    app(arguments)


@app.callback(invoke_without_command=True)
def _top(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        out.print(f"symscope {version('symscope')}")
        raise typer.Exit


@app.command("report")
def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study that was run.")]) -> None:
    """Write the report of a study again, from the tables in its folder."""
    with errors_told():
        from symscope.cli.results import write_report_and_tell
        from symscope.report import load_inputs

        write_report_and_tell(load_inputs(folder), folder)


@app.command("figures")
def figures(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study that was run.")],
    formats: Annotated[str, typer.Option("--format", help="Formats, with commas between.")] = "svg,png,pdf",
    columns: Annotated[int, typer.Option(help="Columns of text to span: 1 (3.25 in) or 2 (6.75 in).")] = 2,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="This figure alone; repeat it for several.")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to (default: DIR/paper).")] = None,
) -> None:
    """Write the figures of a study as a paper takes them: a column wide, without titles, fonts embedded in PDF."""
    with errors_told():
        from symscope.figures import save_paper_figures
        from symscope.report import load_inputs

        wanted = [ending.strip() for ending in formats.split(",")]
        tables = load_inputs(folder).tables
        for path in save_paper_figures(
            tables, to or folder / "paper", columns=columns, formats=wanted, only=only or []
        ):
            say(str(path))
