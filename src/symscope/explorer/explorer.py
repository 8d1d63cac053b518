"""`explore`: results and their network as one page in which the network runs; and the same page read back in Python."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.algorithms import Algorithm
from symscope.alignment import Alignment, Results
from symscope.alignment.functions import subspace
from symscope.analysis.tables import replace_file
from symscope.arguments import FilePath, integer
from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.explorer.document import FORMAT, Subject, explorer_document
from symscope.explorer.encoding import decode_array
from symscope.explorer.networks import read_network
from symscope.explorer.page import DATA_ID, HEADING, render_page
from symscope.explorer.replay import PageIntervention, PageSwap, Table, replay
from symscope.networks import Network, require_network

FRAME_HEIGHT = 1150
"""Height of the page in a notebook, in pixels."""
ALIGNMENT, RANDOM, REST, WHOLE, NONE = "map", "random", "rest", "whole", "none"
HOWS = (ALIGNMENT, RANDOM, REST, WHOLE, NONE)

_DATA = re.compile(rf'<script type="application/json" id="{DATA_ID}">(.*?)</script>', re.DOTALL)


@final
class Explorer:
    """A page in which networks run, and the same networks, alignments and swaps in Python.

    In a notebook it is displayed as the page itself. `explore` makes it and `load_explorer` reads it from a page.

    Args:
        document: the contents of the page, as JSON values.

    Attributes:
        document: the same.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._networks: dict[int, Network] = {}

    @cached_property
    def html(self) -> str:
        """The page: one HTML file that loads nothing."""
        return render_page(self.document)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The names of the networks of the page, in order."""
        return tuple(subject["name"] for subject in self.document["subjects"])

    def save(self, path: FilePath) -> Path:
        """Writes the page; `StoreError` when the file cannot be written."""
        return replace_file(Path(path), lambda temporary: temporary.write_text(self.html, encoding="utf-8"))

    def network(self, subject: int = 0) -> Network:
        """A network of the page, by its place among `subjects`, on the CPU in single precision."""
        index = self._subject(subject)["network"]
        if index not in self._networks:
            self._networks[index] = read_network(self.document["networks"][index])
        return self._networks[index]

    def alignments(self, subject: int = 0) -> list[dict[str, Alignment]]:
        """The alignments of a network: for each entry of the page, the alignment of each overwritten variable."""
        return [
            {
                part["variable"]: subspace(decode_array(part["write"]), decode_array(part["read"]), entry["function"])
                for part in entry["parts"]
            }
            for entry in self._subject(subject)["alignments"]
        ]

    def swap(
        self,
        base: Sequence[str],
        source: Sequence[str],
        *,
        subject: int = 0,
        alignment: int = 0,
        how: str = ALIGNMENT,
        value: float | None = None,
        extra_demo_tokens: int = 0,
    ) -> PageSwap:
        """One intervention, computed by torch.

        Args:
            base: names of the tokens of the base, up to the position whose state is rewritten.
            source: names of the tokens of the source, up to the position whose state is read.
            subject: place of the network among `subjects`.
            alignment: place of the alignment among `alignments(subject)`.
            how: `"map"`: the alignment's subspace; `"random"`: a random subspace of the same size; `"rest"`: everything
                but the subspace; `"whole"`: the whole state; `"none"`: nothing.
            value: the value that is written in place of the source's; only for an alignment of one variable.
            extra_demo_tokens: how many more demo tokens the task shows after the swap, where it may show any.

        Raises:
            InvalidArgumentError: an argument is not possible.
            UnknownNameError: a token does not exist.
        """
        entry = self._subject(subject)
        if how not in HOWS:
            raise InvalidArgumentError(f"how is one of {', '.join(HOWS)}, got {how!r}")
        alignments = self.alignments(subject)
        chosen = alignments[integer(alignment, "alignment", 0, len(alignments) - 1)]
        table = Table(self.document["algorithms"][entry["algorithm"]], self.document["tasks"][entry["task"]])
        taken = {
            ALIGNMENT: list(chosen),
            RANDOM: list(chosen),
            REST: [name for name in table.variables if name not in chosen],
            WHOLE: table.variables,
            NONE: [],
        }[how]
        demo_tokens = integer(extra_demo_tokens, "extra_demo_tokens", 0)
        parts = self._parts(entry, chosen, how)
        target = None if value is None else self._target(entry, alignment, how, value)

        def rewrite(base_states: Tensor, source_states: Tensor) -> Tensor:
            if how in (WHOLE, NONE):
                return source_states if how == WHOLE else base_states
            if target is not None:
                write, read = parts[0].tensors
                return base_states + (target - base_states @ read.mT) @ write.mT
            first, second = (source_states, base_states) if how == REST else (base_states, source_states)
            for part in parts:
                first = part.swap(first, second)
            return first

        given = PageIntervention(table.encode(base), table.encode(source), taken, value, demo_tokens)
        return replay(self.network(subject), entry["site"], table, given, rewrite)

    def _subject(self, subject: int) -> Mapping[str, Any]:
        subjects = self.document["subjects"]
        return subjects[integer(subject, "subject", 0, len(subjects) - 1)]

    def _parts(self, entry: Mapping[str, Any], chosen: Mapping[str, Alignment], how: str) -> list[Alignment]:
        if how != RANDOM:
            return list(chosen.values())
        frame = decode_array(entry["random"])
        k = min(sum(part.k for part in chosen.values()), frame.shape[1])
        return [subspace(frame[:, :k])]

    def _target(self, entry: Mapping[str, Any], alignment: int, how: str, value: float) -> Float[Tensor, " k"]:
        """The aligned coordinates of a value: of natural states with it, and between two values a mean of both."""
        (part, *more) = entry["alignments"][alignment]["parts"]
        decode = part["decode"]
        if how != ALIGNMENT or more or decode is None:
            raise InvalidArgumentError("a value can be written by an alignment of a single variable only (how='map')")
        values, means = decode["values"], decode_array(decode["means"])
        if not values[0] <= value <= values[-1]:
            raise InvalidArgumentError(
                f"values of {part['variable']!r} are {values[0]:g} to {values[-1]:g}, got {value}"
            )
        above = next(i for i, known in enumerate(values) if known >= value)
        if above == 0:
            return means[0]
        share = (value - values[above - 1]) / (values[above] - values[above - 1])
        return torch.lerp(means[above - 1], means[above], share)

    def __repr__(self) -> str:
        return f"Explorer({self.document['title']}: {'; '.join(self.subjects)})"

    def _repr_html_(self) -> str:
        """The page in a frame. The frame may run the script of the page and nothing else."""
        return (
            f'<iframe srcdoc="{escape(self.html, quote=True)}" sandbox="allow-scripts allow-forms" '
            f'allow="clipboard-write" title="{escape(self.document["title"], quote=True)}" '
            f'style="width:100%;height:{FRAME_HEIGHT}px;border:0"></iframe>'
        )


def explore(
    results: Results,
    path: FilePath | None = None,
    *,
    network: torch.nn.Module | None = None,
    algorithm: Algorithm | None = None,
    name: str | None = None,
    title: str = HEADING,
) -> Explorer:
    """Makes a page in which the network runs and its variables can be swapped by hand.

    The page is one offline HTML file: choose base and source, a variable and a subspace, and see how network and
    algorithm continue.

    Args:
        results: what `align` or `evaluate` returns; of an algorithm, not of a table or a causal graph.
        path: the file to write; default: no file, and the result is displayed in a notebook.
        network: the network; default: that of the results. Results that were loaded from a file hold none.
        algorithm: the algorithm whose variables were searched; default: that of the results.
        name: name of the network in the page; default: its kind and size.
        title: title of the page.

    Returns:
        The page; it can be displayed, saved, and used in Python.

    Raises:
        InvalidArgumentError: the network or the algorithm is not known or cannot run in a page, or no alignment is
            linear.
        StoreError: the file cannot be written.
    """
    network = results.network if network is None else require_network(network)
    algorithm = algorithm or results.algorithm
    if network is None:
        raise InvalidArgumentError(
            "results that were loaded from a file hold no network: pass it, sc.explore(results, path, network=...)"
        )
    if algorithm is None:
        raise InvalidArgumentError(
            "the page runs an algorithm step by step, and these results hold none: pass it, "
            "sc.explore(results, path, algorithm=...); results of a table or a causal graph have no page"
        )
    require_network(network, len(algorithm.task.vocabulary))
    config = network.config
    default = network.architecture if config is None else f"{config['kind']}, d = {config['d']}"
    subject = Subject(name or default, network, algorithm, results)
    return explore_subjects([subject], path, title=title)


def explore_subjects(
    subjects: Sequence[Subject], path: FilePath | None = None, *, title: str = HEADING, report: str | None = None
) -> Explorer:
    """A page with several networks, which links the page `report`; other arguments and errors as of `explore`."""
    explorer = Explorer(explorer_document(subjects, title, report))
    if path is not None:
        explorer.save(path)
    return explorer


def load_explorer(path: FilePath) -> Explorer:
    """Reads a page that `explore` wrote, to use its networks and swaps in Python. No script of the page is run.

    Raises:
        CheckpointError: the file is missing or is no such page.
    """
    try:
        found = _DATA.search(Path(path).read_text(encoding="utf-8"))
        document = json.loads(found.group(1)) if found else None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as a page of an explorer: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no page of an explorer that this version of symscope reads")
    return Explorer(document)
