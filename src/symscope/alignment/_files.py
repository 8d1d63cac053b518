"""Alignments and results on disk: safetensors, with everything but tensors in the header. Nothing is lost.

A file never names code to import: a user's own alignment function is passed to `load` as a class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from symscope.alignment._file_schema import (
    AlignmentEntry,
    ResultEntry,
    ScoreEntry,
    check_alignment,
    check_options,
    read_entry,
)
from symscope.alignment.functions import KINDS, Alignment, AlignmentFunction, Preprocessed
from symscope.alignment.result import AlignmentResult
from symscope.alignment.score import Score
from symscope.alignment.test_set import TestMetrics
from symscope.arguments import FilePath
from symscope.errors import CheckpointError, SymscopeError
from symscope.networks import Network, NetworkIdentity
from symscope.training.checkpoints import load_tensors, read_facts, save_tensors

ALIGNMENTS, RESULTS = "alignments", "results"
"""Kinds of files, as their header names them."""
Classes = Sequence[type[AlignmentFunction]]


def save_alignments(
    path: FilePath,
    alignments: Mapping[str, Alignment],
    facts: Mapping[str, Any] | None = None,
    *,
    network: Network | None = None,
    site: str | None = None,
) -> None:
    """Writes alignments by name.

    Args:
        path: the file; its folder is created if necessary.
        alignments: the alignments.
        facts: further facts for the header.
        network: the network that they were found in, whose identity `load` then checks.
        site: where in the network; default: its `default_site`.
    """
    tensors, described = _pack(list(alignments.values()))
    header: dict[str, Any] = {"kind": ALIGNMENTS, "names": list(alignments), "alignments": described}
    if network is not None:
        site = network.default_site if site is None else site
        network.check_site(site)
        header |= {"network": asdict(NetworkIdentity.of(network)), "site": site}
    save_tensors(Path(path), tensors, {**(facts or {}), **header})


def save_results(path: FilePath, results: Sequence[AlignmentResult]) -> None:
    """Writes results with all that they hold."""
    alignments = [alignment for result in results for alignment in result.alignments.values()]
    tensors, described = _pack(alignments)
    entries = [_describe(result) for result in results]
    save_tensors(Path(path), tensors, {"kind": RESULTS, "alignments": described, "results": entries})


def read_alignments(path: FilePath, classes: Classes = ()) -> dict[str, Alignment]:
    """What `save_alignments` wrote; arguments and errors as in `read_results`."""
    tensors, header = load_tensors(Path(path))
    try:
        names = [str(name) for name in header["names"]]
        if len(set(names)) < len(names):
            raise CheckpointError("two alignments have one name")
        return dict(zip(names, _unpack(tensors, header["alignments"], classes), strict=True))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, SymscopeError) as error:
        raise CheckpointError(f"{path} does not hold alignments that can be read ({error!r})") from error


def read_results(path: FilePath, classes: Classes = ()) -> list[AlignmentResult]:
    """What `save_results` wrote.

    Args:
        path: the file.
        classes: the user's own alignment functions that the file may name.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else.
    """
    tensors, header = load_tensors(Path(path))
    try:
        alignments = iter(_unpack(tensors, header["alignments"], classes))
        entries = [read_entry(ResultEntry, entry) for entry in header["results"]]
        if sum(len(entry.variables) for entry in entries) != len(header["alignments"]):
            raise CheckpointError("the numbers of alignments and of results differ")
        return [_read(entry, {variable: next(alignments) for variable in entry.variables}) for entry in entries]
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, SymscopeError) as error:
        raise CheckpointError(f"{path} does not hold results that can be read ({error!r})") from error


def check_network_of(path: FilePath, network: Network) -> None:
    """Checks that the alignments or results of a file were found in a network, at sites that it has.

    Raises:
        CheckpointError: they were found in another network, or the file does not say in which.
        UnknownNameError: the network does not have the site.
    """
    header = read_facts(path)
    try:
        entries = [header] if header.get("kind") == ALIGNMENTS else header["results"]
        found = {(str(entry["site"]), NetworkIdentity(**entry["network"])) for entry in entries}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} does not say which network its alignments were found in; load it without `network`"
        ) from error
    for site, identity in sorted(found, key=str):
        if mismatch := identity.mismatch(network):
            raise CheckpointError(f"the alignments of {path} were found in {mismatch}; pass the network of the search")
        network.check_site(site)


def _pack(alignments: Sequence[Alignment]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Tensors by key, `alignment.0.tensor.1`, and a description of each alignment."""
    tensors, described = {}, []
    for number, alignment in enumerate(alignments):
        keys = [f"alignment.{number}.tensor.{index}" for index in range(len(alignment.tensors))]
        copies = [tensor.clone() for tensor in alignment.tensors]  # a file cannot hold a tensor under two names
        tensors |= dict(zip(keys, copies, strict=True))
        described.append(
            {
                "function": _describe_function(alignment.function),
                "name": alignment.name,
                "d": alignment.d,
                "function_k": alignment.function_k,
                "dimensions": [alignment.dimensions.start, alignment.dimensions.stop],
                "tensors": keys,
            }
        )
    return tensors, described


def _describe_function(function: AlignmentFunction) -> dict[str, Any]:
    options = {entry.name: getattr(function, entry.name) for entry in fields(function)}
    if isinstance(function, Preprocessed):
        options["function"] = _describe_function(function.function)
    return {"kind": type(function).__name__, "options": options}


def _unpack(tensors: Mapping[str, Tensor], described: Sequence[Mapping[str, Any]], classes: Classes) -> list[Alignment]:
    kinds = {**KINDS, **{kind.__name__: kind for kind in classes}}
    return [
        check_alignment(
            Alignment(
                _read_function(entry.function, kinds),
                tuple(tensors[key] for key in entry.tensors),
                entry.d,
                entry.function_k,
                slice(*entry.dimensions),
                entry.name,
            )
        )
        for entry in (read_entry(AlignmentEntry, part) for part in described)
    ]


def _read_function(entry: Mapping[str, Any], kinds: Mapping[str, type[AlignmentFunction]]) -> AlignmentFunction:
    if entry["kind"] not in kinds:
        raise CheckpointError(
            f"the file holds an alignment function of class {entry['kind']!r}, which symscope does not have: pass the "
            f"class, load(path, classes=[{entry['kind']}])"
        )
    options = dict(entry["options"])
    if entry["kind"] == Preprocessed.__name__:
        options["function"] = _read_function(options["function"], kinds)
    check_options(kinds[entry["kind"]], options)
    return kinds[entry["kind"]](**options)


_PLAIN = ("hypothesis", "variable", "site", "k", "restart", "restarts", "total_steps", "validation_iia",
          "rejection_rate", "unfitted_controls", "trial_accuracy", "protocol")  # fmt: skip
_PARTS = ("informative", "cause", "isolation")


def _describe(result: AlignmentResult) -> dict[str, Any]:
    metrics = result.metrics
    return {
        **{name: getattr(result, name) for name in _PLAIN},
        "variables": list(result.alignments),
        "score": _bits(metrics.score),
        **{name: None if (part := getattr(metrics, name)) is None else _bits(part) for name in _PARTS},
        "by_value": [[value, _bits(part)] for value, part in metrics.by_value.items()],
        "divergence": asdict(metrics.divergence),
        "held_out": None if metrics.held_out is None else _bits(metrics.held_out),
        "probe": metrics.probe,
        "length_errors": [[error, count] for error, count in metrics.length_errors.items()],
        "failures": [asdict(record) for record in metrics.failures],
        "example": None if metrics.example is None else asdict(metrics.example),
        "complement": None if result.complement is None else _bits(result.complement),
        "naturalness": None if result.naturalness is None else asdict(result.naturalness),
        "controls": [[name, _bits(control)] for name, control in result.controls.items()],
        "null_controls": list(result.null_controls),
        "paired_controls": list(result.paired_controls),
        "excluded": result.excluded,
        "network": None if result.network is None else asdict(result.network),
    }


def _read(entry: ResultEntry, alignments: Mapping[str, Alignment]) -> AlignmentResult:
    metrics = TestMetrics(
        score=entry.score.score(),
        **{name: _score_or_none(getattr(entry, name)) for name in (*_PARTS, "held_out")},
        by_value={value: part.score() for value, part in entry.by_value},
        divergence=entry.divergence,
        probe=entry.probe,
        length_errors=dict(entry.length_errors),
        failures=entry.failures,
        example=entry.example,
    )
    return AlignmentResult(
        **{name: getattr(entry, name) for name in _PLAIN},
        alignments=alignments,
        metrics=metrics,
        controls={name: part.score() for name, part in entry.controls},
        null_controls=entry.null_controls,
        paired_controls=entry.paired_controls,
        naturalness=entry.naturalness,
        complement=_score_or_none(entry.complement),
        excluded=entry.excluded,
        network=entry.network,
    )


def _score_or_none(entry: ScoreEntry | None) -> Score | None:
    return None if entry is None else entry.score()


def _bits(score: Score) -> dict[str, Any]:
    """Which trials succeeded, eight to a byte, and the interval, which may depend on clusters of trials."""
    packed = np.packbits(score.correct.numpy()).tobytes().hex()
    return {"n": score.n, "correct": packed, "low": score.low, "high": score.high}
