"""`load`: reads whatever symscope wrote, and recognises by itself what it is."""

from collections.abc import Sequence
from pathlib import Path

from symscope.alignment import Alignment, AlignmentFunction, Results, read_alignments, read_results
from symscope.alignment._files import ALIGNMENTS, RESULTS, check_network_of
from symscope.errors import CheckpointError
from symscope.networks import Network
from symscope.training import load_network, read_facts


def load(
    path: str | Path, *, network: Network | None = None, classes: Sequence[type[AlignmentFunction]] = ()
) -> Network | Results | dict[str, Alignment]:
    """Reads a network, results or alignments. A file never imports code that it names.

    Args:
        path: a file that `save_network`, `Results.save` or `save_alignments` wrote.
        network: for a file of a network: a network of the same architecture, into which saved weights are loaded;
            networks of `make_network` are built from the file. For results and alignments: the network that they were
            found in; the file is refused if its identity (architecture, weights, site) differs.
        classes: the user's own alignment functions that the file may hold.

    Returns:
        The network, the results, or a dictionary from name to alignment.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else, or results of another network.
    """
    path = Path(path)
    kind = read_facts(path).get("kind")
    if kind in (RESULTS, ALIGNMENTS) and network is not None:
        check_network_of(path, network)
    if kind == RESULTS:
        return Results(read_results(path, classes))
    if kind == ALIGNMENTS:
        return read_alignments(path, classes)
    if kind != "network":
        raise CheckpointError(f"{path} holds neither a network, nor results, nor alignments")
    return load_network(path, network)
