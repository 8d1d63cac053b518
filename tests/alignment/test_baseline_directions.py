"""Baselines as alignments: against scikit-learn and concept-erasure, and on a network that holds its variables."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge

from symscope.algorithms import UpDown
from symscope.alignment import follows_swap, subspace
from symscope.alignment.baseline_directions import (
    diff_means,
    lda,
    leace,
    linear_probe,
    logistic_regression,
)
from symscope.errors import InvalidArgumentError
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import change_basis, magnitude_network, random_invertible
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
ALGORITHM = UpDown(TASK)
BASELINES = {
    "diff_means": diff_means,
    "lda": lda,
    "leace": leace,
    "leace, numeric": lambda *arguments: leace(*arguments, numeric=True),
    "probe": linear_probe,
    "probe, numeric": lambda *arguments: linear_probe(*arguments, numeric=True),
}


def labelled(classes=4, n=600, d=6, seed=0):
    """Correlated states whose means follow a label."""
    draws = generator(seed, "labelled")
    mix = torch.randn(d, d, generator=draws, dtype=torch.double) / d**0.5 + torch.eye(d)
    labels = torch.randint(classes, (n,), generator=draws)
    means = torch.randn(classes, d, generator=draws, dtype=torch.double)
    return means[labels] + torch.randn(n, d, generator=draws, dtype=torch.double) @ mix, labels


def same_span(first, second, tolerance=1e-6):
    """Whether the columns of two matrices span the same space."""
    frames = (np.linalg.qr(np.asarray(columns))[0] for columns in (first, second))
    first, second = frames
    return first.shape == second.shape and np.abs(first @ first.T - second @ second.T).max() < tolerance


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("classes", [2, 4])
def test_every_baseline_is_a_projector_of_its_largest_rank(name, classes):
    states, labels = labelled(classes)
    largest = 1 if "numeric" in name else classes - 1
    for k in (1, 2, 6):
        factors = BASELINES[name](states, labels, k)
        assert factors.rank == min(k, largest)
        torch.testing.assert_close(factors.read @ factors.write, torch.eye(factors.rank).double())


@pytest.mark.parametrize("classes", [2, 4])
def test_lda_agrees_with_scikit_learn(classes):
    states, labels = labelled(classes)
    model = LinearDiscriminantAnalysis(solver="svd").fit(states.numpy(), labels.numpy())
    for k in range(1, classes):
        assert same_span(lda(states, labels, k).read.T, model.scalings_[:, :k])


def test_the_numeric_probe_agrees_with_scikit_learn():
    states, labels = labelled()
    weights = Ridge(alpha=3.0).fit(states.numpy(), labels.numpy()).coef_
    factors = linear_probe(states, labels, 1, numeric=True, ridge=3.0)
    assert same_span(factors.read.T, weights[:, None])
    # Haufe's pattern: how states vary with what the probe reads.
    pattern = np.cov(states.numpy().T) @ np.asarray(weights)
    np.testing.assert_allclose(factors.write[:, 0].numpy() * (factors.read[0].numpy() @ pattern), pattern, rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_weights_agree_with_scikit_learn(classes):
    states, labels = labelled(classes)
    model = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(states.numpy(), labels.numpy())
    np.testing.assert_allclose(logistic_regression(states, labels, ridge=2.0)[0].numpy(), model.coef_, atol=1e-5)
    factors = linear_probe(states, labels, classes - 1, ridge=2.0)
    assert same_span(factors.read.T, np.linalg.svd(model.coef_.T)[0][:, : classes - 1], 1e-4)


@pytest.mark.parametrize(("classes", "numeric"), [(2, False), (4, False), (4, True)])
def test_leace_agrees_with_concept_erasure(classes, numeric):
    concept_erasure = pytest.importorskip("concept_erasure")
    states, labels = labelled(classes)
    concept = labels.double()[:, None] if numeric else torch.nn.functional.one_hot(labels).double()
    fitter = concept_erasure.LeaceFitter(
        6, concept.shape[1], dtype=torch.double, shrinkage=False, constrain_cov_trace=False, svd_tol=1e-6
    )
    erased = fitter.update(states, concept).eraser(states)
    factors = leace(states, labels, 6, numeric=numeric)
    removed = (states - states.mean(0)) @ (factors.write @ factors.read).T
    torch.testing.assert_close(states - removed, erased, atol=1e-6, rtol=1e-6)


def test_projectors_that_coincide():
    states, labels = labelled()
    categories = leace(states, labels, 3), lda(states, labels, 3)
    torch.testing.assert_close(*(factors.write @ factors.read for factors in categories))
    numbers = leace(states, labels, 1, numeric=True), linear_probe(states, labels, 1, numeric=True, ridge=0.0)
    torch.testing.assert_close(*(factors.write @ factors.read for factors in numbers))


def test_diff_means_of_two_classes_is_the_direction_between_the_means():
    states, labels = labelled(2)
    difference = states[labels == 1].mean(0) - states[labels == 0].mean(0)
    assert same_span(diff_means(states, labels, 5).write, difference[:, None])


def test_a_probe_reads_the_count_exactly_and_writes_what_goes_with_it_too():
    """Natural counts and phases correlate, so that Haufe's pattern of the count moves the phase."""
    constructed = change_basis(magnitude_network(**TASK.roles, d=6), random_invertible(6, 5.0, generator(0)))
    drawn = draw_interventions(ALGORITHM, ["count"], 1000, generator(0))
    cached = cache_states(constructed.network, drawn, "h")
    states, labels = cached.natural_states(), cached.values["count"]
    factors = leace(states, labels, 1, numeric=True)
    read = (states.double() @ factors.read.T)[:, 0]
    assert float(torch.corrcoef(torch.stack([read, labels.double()]))[0, 1].abs()) > 1 - 1e-6
    known = {"count": subspace(constructed.writes["count"], constructed.reads["count"])}
    assert follows_swap(constructed.network, known, cached).all()
    found = {"count": subspace(factors.write.float(), factors.read.float())}
    assert follows_swap(constructed.network, found, cached).double().mean() < 0.9


def test_projectors_stay_in_the_natural_span():
    states, labels = labelled()
    wide = torch.nn.functional.pad(states, (0, 3)).float()
    for name, baseline in BASELINES.items():
        factors = baseline(wide, labels, 2)
        assert float(factors.write[6:].abs().max()) < 1e-9, name
        assert float(factors.read[:, 6:].abs().max()) < 1e-9, name


def test_labels_that_do_not_vary_are_refused():
    states, labels = labelled()
    with pytest.raises(InvalidArgumentError, match="one value only"):
        lda(states, torch.zeros_like(labels), 1)
    with pytest.raises(InvalidArgumentError, match="at least 1 dimension, got k = 0"):
        leace(states, labels, 0)
    with pytest.raises(InvalidArgumentError, match="ridge of a probe is at least 0, got"):
        linear_probe(states, labels, 1, ridge=-1.0)
