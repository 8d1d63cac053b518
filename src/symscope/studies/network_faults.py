"""Faults of the networks of a declaration: sizes, options, weights, and networks of the user."""

from collections.abc import Iterator, Sequence

from symscope.errors import SymscopeError, UnknownNameError
from symscope.imports import is_import_path
from symscope.seeds import generator
from symscope.studies.choices import NetworkChoice, NetworkShape, build_network
from symscope.studies.source import Fault, Location
from symscope.tasks import Task


def network_faults(
    location: Location, choice: NetworkChoice, tasks: Sequence[Task], shapes: list[NetworkShape]
) -> Iterator[Fault]:
    """Faults of a network at all sizes; adds its shapes to `shapes`."""
    vocabularies = sorted({len(task.vocabulary) for task in tasks})
    if not is_import_path(choice.kind):
        vocabularies = vocabularies[:1] or [4]  # which architectures are possible does not depend on it
    for d in choice.sizes:
        for vocabulary in vocabularies:
            try:
                shape = choice.shape(d, vocabulary)
                if shape.vocabulary != vocabulary:
                    yield Fault(location, f"it has {shape.vocabulary} tokens, but the task has {vocabulary}")
                    continue
                shapes.append(shape)
                yield from _trained_network_faults(location, choice, d, vocabulary)
            except SymscopeError as error:
                yield Fault(location, f"d = {d}: {error}")
                if isinstance(error, UnknownNameError):
                    return  # the other sizes have the same fault


def _trained_network_faults(location: Location, choice: NetworkChoice, d: int, vocabulary: int) -> Iterator[Fault]:
    if choice.weights is not None:
        try:
            choice.weights_digest(d, vocabulary)
        except SymscopeError as error:
            yield Fault((*location, "weights"), f"d = {d}: {error}")
    if choice.fresh is not None:
        networks = [
            build_network(builder, d, vocabulary, generator(0), choice.options)
            for builder in (choice.kind, choice.fresh)
        ]
        trained, fresh = ((network.architecture, dict(network.sites)) for network in networks)
        if trained != fresh:
            message = f"the untrained network has another shape: {fresh[0]}, {fresh[1]}, not {trained[0]}, {trained[1]}"
            yield Fault((*location, "fresh"), message)
