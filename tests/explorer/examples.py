"""Networks of every kind with alignments that are not searched, and their pages."""

import torch

import symscope as sc
from symscope.alignment import AlignmentResult, Results, Score, TestMetrics
from symscope.alignment._diagnostics import Naturalness
from symscope.alignment.functions import subspace
from symscope.alignment.natural import Divergence
from symscope.explorer import Subject
from symscope.networks import (
    angle_network,
    averaging_network,
    change_basis,
    magnitude_network,
    power_network,
    random_invertible,
    two_counts_network,
)

SMALL = {"d": 16}
TRAINABLE = {
    "gru": ("gru", 16, {}),
    "lstm": ("lstm", 16, {}),
    "lstm-each": ("lstm", 12, {"each": True}),
    "transformer-rope": ("transformer-rope", 16, {"layers": 2, "heads": 2}),
    "transformer-rope-4": ("transformer-rope", 16, {"layers": 4}),
    "transformer-nope": ("transformer-nope", 16, {"layers": 2}),
}
CONSTRUCTED = ("magnitude", "two-counts", "angle", "power", "averaging")
KINDS = (*TRAINABLE, *CONSTRUCTED)


def make_network(kind, task, scale=1.0, d=None):
    """A network of a kind, with the name of its algorithm, its site, and known factors where it is constructed."""
    draws = sc.generator(0, "explorer", "tests", kind)
    if kind in TRAINABLE:
        name, width, options = TRAINABLE[kind]
        network = sc.make_network(name, d or width, len(task.vocabulary), draws, **options).eval()
        return network, "up-down", network.default_site, {}
    roles = task.roles
    constructed = {
        "magnitude": lambda: change_basis(magnitude_network(d=5, **roles), random_invertible(5, 4.0, draws)),
        "two-counts": lambda: two_counts_network(d=6, **roles),
        "angle": lambda: angle_network(d=5, **roles),
        "power": lambda: power_network(generator=draws, **roles),
        "averaging": lambda: averaging_network(**roles),
    }[kind]()
    factors = {name: (constructed.writes[name], constructed.reads[name]) for name in constructed.writes}
    return constructed.network.eval(), constructed.algorithm, constructed.site, factors


def random_projector(d, k, draws):
    """A projector that is not orthogonal."""
    write, read = torch.randn(d, k, generator=draws), torch.randn(k, d, generator=draws)
    return subspace(write, torch.linalg.solve(read @ write, read), name="oblique-natural-span")


def make_result(variable, alignments, site, hypothesis="up-down", **changes):
    score = Score.of(torch.tensor([True] * 90 + [False] * 10))
    entries = {
        "hypothesis": hypothesis, "variable": variable, "site": site, "alignments": alignments,
        "k": max(alignment.k for alignment in alignments.values()), "restart": 0, "restarts": 1, "total_steps": 1,
        "validation_iia": 0.9, "rejection_rate": 0.0, "unfitted_controls": {}, "null_controls": (),
        "metrics": TestMetrics(score, None, {}, None, None, Divergence(1.0, 1.0, 0.1, 0.1)),
        "controls": {}, "paired_controls": (), "trial_accuracy": 1.0,
        "naturalness": Naturalness(0.02, 0.0, 0.0, 0.01, 1.5, 1.2),
        **changes,
    }  # fmt: skip
    return AlignmentResult(**entries)


def make_subject(kind, task=None, name=None, d=None):
    """A network of a kind with an alignment for each variable of its algorithm."""
    task = task or sc.make_task("multi-object")
    network, hypothesis, site, factors = make_network(kind, task, d=d)
    algorithm = sc.make_algorithm(hypothesis, task)
    draws, width, results = sc.generator(1, "explorer", "tests"), network.sites[site], []
    for variable in algorithm.variables:
        known = factors.get(variable.name)
        alignment = subspace(*known, name="known") if known else random_projector(width, min(4, width - 1), draws)
        results.append(make_result(variable.name, {variable.name: alignment}, site, hypothesis))
    both = {result.variable: result.alignment for result in results[:2]}
    if len(both) > 1:
        results.append(make_result("+".join(both), both, site, hypothesis))
    return Subject(name or kind, network, algorithm, Results(results, network=network, algorithm=algorithm))
