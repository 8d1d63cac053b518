"""The card of a shared network, results or alignments: a README in Markdown with the figures."""

from collections.abc import Iterator, Mapping
from typing import Any

from symscope.alignment import Alignment, AlignmentResult, Results
from symscope.networks import Network

TAGS = ("symscope", "interpretability", "causal-abstraction", "distributed-alignment-search")


def card_text(content: Network | Results | Mapping[str, Alignment], config: Mapping[str, Any], name: str) -> str:
    """The card as Markdown: metadata, what the files hold, figures, and how to load them.

    Args:
        content: what is shared.
        config: the content of `config.json`.
        name: heading of the card.
    """
    if isinstance(content, Network):
        lines, load = _network_lines(content), "network"
    elif isinstance(content, Results):
        lines, load = _result_lines(content), "results"
    else:
        lines, load = _alignment_lines(content, config), "alignments"
    metadata = ["---", "library_name: symscope", "tags:", *(f"- {tag}" for tag in TAGS), "---"]
    usage = ["```python", "import symscope as sc", "", f'{load} = sc.from_pretrained("FOLDER OR USER/NAME")', "```"]
    return "\n".join([*metadata, "", f"# {_plain(name)}", "", *lines, "", "## Load", "", *usage, ""])


def _network_lines(network: Network) -> Iterator[str]:
    yield f"A network for symscope: `{_plain(network.architecture)}`, {network.vocabulary} tokens."
    count = sum(parameter.numel() for parameter in network.parameters())
    yield f"It has {count:,} parameters. Sites: {', '.join(f'`{_plain(site)}`' for site in network.sites)}."
    if network.config is None:
        yield ""
        yield "Pass a network of the same architecture as `network`, into which the weights are loaded."


def _result_lines(results: Results) -> Iterator[str]:
    yield "Results of alignment searches: does the network compute with these variables?"
    for variable in results:
        verdict = results.best(variable).verdict
        yield ""
        yield f"**{_plain(variable)}: {verdict.word}.** {_plain(verdict.sentence)}"
    yield ""
    yield "| variable | site | alignment function | k | IIA | 95% interval | nearest null control |"
    yield "|---|---|---|---|---|---|---|"
    yield from (_row(result) for result in results.all)
    warnings = dict.fromkeys(f"{result.variable}: {warning}" for result in results.all for warning in result.warnings)
    if warnings:
        yield ""
        yield from (f"- Warning: {_plain(warning)}" for warning in warnings)
    yield ""
    yield from dict.fromkeys(
        f"Network: `{_plain(result.network.architecture)}`, hash of the weights `{result.network.weights}`."
        for result in results.all
        if result.network is not None
    )


def _row(result: AlignmentResult) -> str:
    score, nearest = result.score, result.selectivity
    control = "none" if nearest is None else f"{nearest[0]} {result.controls[nearest[0]].iia:.3f}"
    cells = (result.variable, result.site, result.function, result.k, f"{score.iia:.3f}",
             f"{score.low:.3f} to {score.high:.3f}, n = {score.n}", control)  # fmt: skip
    return f"| {' | '.join(_plain(str(cell)) for cell in cells)} |"


def _alignment_lines(alignments: Mapping[str, Alignment], config: Mapping[str, Any]) -> Iterator[str]:
    yield "Alignments of variables with subspaces of the state of a network."
    yield ""
    yield "| name | alignment function | k | width of the state |"
    yield "|---|---|---|---|"
    for name, alignment in alignments.items():
        yield f"| {_plain(name)} | {_plain(alignment.name)} | {alignment.k} | {alignment.d} |"
    if "network" in config:
        yield ""
        network = config["network"]
        where = f"site `{_plain(config['site'])}`"
        yield f"Network: `{_plain(network['architecture'])}`, {where}, hash of the weights `{network['weights']}`."


def _plain(text: str) -> str:
    """Text that neither ends a cell or a line of Markdown nor starts markup; names come from users."""
    return " ".join(text.split()).replace("|", "/").replace("`", "'").replace("<", "(").replace(">", ")")
