"""`symscope align`: the question about a trained network and a table of counterfactual pairs."""

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symscope.cli.console import format_duration, log, print_result, report_errors
from symscope.errors import InvalidArgumentError, StoreError

if TYPE_CHECKING:  # imports torch
    from symscope.alignment import Location
    from symscope.interchange import CounterfactualData
    from symscope.networks import Network

RESULTS_FILE = "results.safetensors"
LINE_INTERVAL_S = 5.0

Model = Annotated[
    Path,
    typer.Option(
        "--model", metavar="DIR", help="Folder of a Hugging Face causal language model, or a file of a network."
    ),
]
Table = Annotated[
    Path,
    typer.Option("--data", metavar="FILE", help="Table of pairs (Parquet, JSONL, CSV) with base, source and label."),
]
Site = Annotated[
    str,
    typer.Option(help="Site to search, such as resid_post.15, or `best`: where whole-state swaps work, by validation."),
]
PositionOption = Annotated[
    int | None,
    typer.Option(help="Position of the prompt, from its end: -1 is its last token (default: as in the table)."),
]
Sizes = Annotated[
    list[int] | None, typer.Option("--k", help="Dimensions of a variable (default: 2, 4, 8); may be repeated.")
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--variable", help="Variable to search (default: all of the table); may be repeated."),
]
FunctionName = Annotated[
    str | None, typer.Option("--function", help="Alignment function: oblique, orthogonal, ... (default: as sc.align).")
]
CorrectOnly = Annotated[
    bool,
    typer.Option("--correct-only", help="Leave out pairs whose base or source the network completes incorrectly."),
]
MultiTokenLabels = Annotated[
    bool,
    typer.Option("--multi-token-labels", help="Accept labels of several tokens, all of which must be predicted."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Folder for results and report (default: out/ and the name of the table)."
    ),
]


def align_table(  # noqa: PLR0913, PLR0917  (options of a command)
    model: Model,
    data: Table,
    out: Out = None,
    site: Site = "best",
    position: PositionOption = None,
    k: Sizes = None,
    variable: Variables = None,
    function: FunctionName = None,
    correct_only: CorrectOnly = False,
    multi_token_labels: MultiTokenLabels = False,
) -> None:
    """Search the variables of a table of pairs in a trained network, test with controls, and write a report."""
    with report_errors():
        from symscope.alignment.functions import alignment_function
        from symscope.cli.results import write_and_record
        from symscope.studies.table import answer_table, collect_table

        started = time.monotonic()
        folder = Path("out") / data.stem if out is None else out
        network, pairs = _load(model, data, correct_only=correct_only, multi_token_labels=multi_token_labels)
        pairs = pairs if variable is None else pairs.select(variable)
        log(f"{pairs!r}, in {model.name} ({network.architecture})")
        progress = _Progress()
        answer = answer_table(
            network,
            pairs,
            k or (2, 4, 8),
            site=site,
            position="stop" if position is None else position,
            function=None if function is None else alignment_function(function),
            on_cell=progress.on_cell,
            on_step=progress.on_step,
        )
        if answer.locations is not None:
            log(repr(answer.locations))
        print_result(repr(answer.results))
        duration = format_duration(time.monotonic() - started)
        command = shlex.join(["symscope", *sys.argv[1:]])
        facts = {"Duration": {"all": duration}, "Data": {"table": data.name, "pairs": repr(pairs)}}
        inputs = collect_table(answer, network, name=model.stem, seed=pairs.seed, command=command, facts=facts)
        answer.results.save(folder / RESULTS_FILE)
        write_and_record(inputs, folder)


def _load(
    model: Path, table: Path, *, correct_only: bool, multi_token_labels: bool
) -> "tuple[Network, CounterfactualData]":
    """The network and the pairs."""
    if not model.exists():
        raise StoreError(f"there is no folder {model}; --model takes the folder of a causal language model")
    from symscope.interchange import CounterfactualData

    network = _network(model)
    return network, CounterfactualData.from_table(
        table,
        tokenizer=getattr(network, "tokenizer", None),
        vocabulary=network.vocabulary,
        network=network if correct_only else None,
        name=table.stem,
        multi_token_labels=multi_token_labels,
    )


def _network(model: Path) -> "Network":
    if model.is_dir():
        from symscope.wrapped import load_causal_lm

        return load_causal_lm(model)
    from symscope.loading import load
    from symscope.networks import Network

    loaded = load(model)
    if not isinstance(loaded, Network):
        raise InvalidArgumentError(f"{model} holds no network; --model takes a folder, or a file of save_network")
    return loaded


class _Progress:
    """Lines of progress on standard error, at most one every few seconds."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def on_cell(self, cell: "Location", done: int, total: int) -> None:
        where = f"{cell.site} at {cell.position}"
        self._log(f"whole-state swaps {done}/{total}: {where}, lowest IIA {cell.lowest:.2f}", always=done == total)

    def on_step(self, name: str, values: Mapping[str, float | int]) -> None:
        figures = ", ".join(f"{key} {value:.3f}" for key, value in values.items() if key != "step")
        self._log(f"search: {name}, step {values['step']}: validation IIA {figures}")

    def _log(self, line: str, *, always: bool = False) -> None:
        now = time.monotonic()
        if always or now - self._last >= LINE_INTERVAL_S:
            self._last = now
            log(line)
