"""Similarity of states: against plain references, invariances, and null distributions that are right and can fail."""

from itertools import permutations

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.spatial.distance import pdist
from scipy.stats import binomtest, pearsonr, spearmanr
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score

from symscope.comparison import (
    PWCCA,
    RSA,
    SVCCA,
    ClassMeanRSA,
    LinearCKA,
    ProbeTransfer,
    SequenceRows,
    StateStitching,
    compare_states,
    one_row_per_sequence,
    similarity_measures,
)
from symscope.comparison.linear_maps import RIDGE
from symscope.comparison.rsa import average_ranks
from symscope.errors import InvalidArgumentError, NonFiniteError, SymscopeError
from symscope.seeds import generator


def related(n=60, a=5, b=7, seed=0, noise=0.5):
    """States of two networks that share three directions, with a label and a number that both hold."""
    draws = generator(seed, "related")
    shared = torch.randn(n, 3, generator=draws, dtype=torch.double)
    first, second = (
        shared @ torch.randn(3, width, generator=draws, dtype=torch.double)
        + noise * torch.randn(n, width, generator=draws, dtype=torch.double)
        + torch.randn(width, generator=draws, dtype=torch.double)
        for width in (a, b)
    )
    values = {"phase": (shared[:, 0] > 0.2).long(), "count": (2 * shared[:, 1]).round()}
    return first, second, values


def rotation(d, seed):
    return torch.linalg.qr(torch.randn(d, d, generator=generator(seed), dtype=torch.double)).Q


def all_measures(values):
    return similarity_measures(values, ["count"], ranks=[2])


def value(measure, a, b, rows=None):
    rows = rows or SequenceRows.of(torch.arange(len(a)), 0)
    return float(measure.scorer(a.double(), b.double(), rows).score(torch.arange(len(a))[None]))


# ----------------------------------------------------------------------------------------------- plain references


def test_debiased_cka_is_the_u_statistic_of_hsic():
    """HSIC as the mean, over all ordered quadruples of different rows, of K_ij (L_ij + L_qr - 2 L_iq)."""
    a, b, _ = related(n=7)

    def hsic(x, y):
        K, L = x @ x.T, y @ y.T
        terms = [K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in permutations(range(7), 4)]
        return sum(terms) / len(terms)

    assert value(LinearCKA(), a, b) == pytest.approx(float(hsic(a, b) / (hsic(a, a) * hsic(b, b)) ** 0.5), abs=1e-10)


def test_biased_cka_is_the_formula_with_centred_kernels():
    a, b, _ = related(n=20)
    centring = torch.eye(20, dtype=torch.double) - 1 / 20
    K, L = (centring @ x @ x.T @ centring for x in (a, b))
    expected = (K * L).sum() / (K.norm() * L.norm())
    assert value(LinearCKA(debiased=False), a, b) == pytest.approx(float(expected), abs=1e-10)


@pytest.mark.parametrize("distance", ["euclidean", "correlation"])
def test_rsa_is_that_of_scipy(distance):
    a, b, values = related()
    classes = (values["count"] * 10 + values["phase"]).numpy()
    means = [torch.stack([states[classes == c].mean(0) for c in np.unique(classes)]) for states in (a, b)]
    for states, kind, arguments in (((a, b), RSA, ()), (means, ClassMeanRSA, (values,))):
        first, second = (pdist(each.numpy(), distance) for each in states)
        for name, correlation in {"spearman": spearmanr, "pearson": pearsonr}.items():
            measure = kind(*arguments, distance=distance, correlation=name)
            assert value(measure, a, b) == pytest.approx(correlation(first, second).statistic, abs=1e-10)


def test_equal_numbers_have_the_mean_of_their_ranks():
    numbers = torch.tensor([3.0, 1.0, 3.0, 2.0, 3.0, 1.0])
    assert average_ranks(numbers).tolist() == scipy.stats.rankdata(numbers.numpy()).tolist()


def canonical(a, b):
    """Canonical correlations and directions of `a`, from the generalised eigenproblem of covariances."""
    x, y = (s.numpy() - s.numpy().mean(0) for s in (a, b))
    explained = x.T @ y @ np.linalg.solve(y.T @ y, y.T @ x)
    squares, vectors = scipy.linalg.eigh(explained, x.T @ x)
    many = min(a.shape[1], b.shape[1])
    return np.sqrt(squares[::-1][:many]), (x @ vectors[:, ::-1][:, :many]), x


def test_svcca_and_pwcca_solve_the_generalised_eigenproblem():
    a, b, _ = related()
    correlations, directions, x = canonical(a, b)
    weights = np.array([sum(abs(direction @ neuron) for neuron in x.T) for direction in directions.T])
    assert value(SVCCA(variance=1.0), a, b) == pytest.approx(correlations.mean(), abs=1e-10)
    assert value(PWCCA(), a, b) == pytest.approx((weights * correlations).sum() / weights.sum(), abs=1e-10)
    assert value(PWCCA(), b, a) == pytest.approx(value(PWCCA(), a, b), abs=1e-10)  # the smaller network is weighed


def test_svcca_keeps_the_directions_that_explain_its_share_of_the_variance():
    a, b, _ = related(noise=0.05)
    left, sizes, _ = np.linalg.svd(a.numpy() - a.numpy().mean(0), full_matrices=False)
    count = next(k for k in range(1, 6) if (sizes[:k] ** 2).sum() >= 0.99 * (sizes**2).sum())
    assert count < 5
    leading = torch.tensor(left[:, :count])
    assert value(SVCCA(), a, b) == pytest.approx(value(SVCCA(variance=1.0), leading, leading_part(b)), abs=1e-10)


def leading_part(states):
    left, sizes, _ = torch.linalg.svd(states - states.mean(0), full_matrices=False)
    share = sizes.square().cumsum(0) / sizes.square().sum()
    return left[:, : int((share < 0.99).sum()) + 1]


def test_stitching_on_states_is_ridge_regression_and_reduced_rank_regression():
    a, b, _ = related(n=80, noise=1.0)
    rows = SequenceRows.of(torch.arange(80), 0)
    x, y = (s.numpy() - s[rows.train].numpy().mean(0) for s in (b, a))
    train, test = rows.train.numpy(), ~rows.train.numpy()
    alpha = RIDGE * np.diag(x[train].T @ x[train]).mean()
    full = Ridge(alpha, fit_intercept=False).fit(x[train], y[train]).coef_.T
    expected = r2_score(y[test], x[test] @ full, multioutput="variance_weighted")
    assert value(StateStitching(), a, b, rows) == pytest.approx(expected, abs=1e-9)
    # with the ridge as further rows of the regression, reduced rank is the leading part of the fitted values
    augmented = np.concatenate([x[train], alpha**0.5 * np.eye(7)])
    axes = np.linalg.svd(augmented @ full)[2][:2].T
    reduced = r2_score(y[test], x[test] @ full @ axes @ axes.T, multioutput="variance_weighted")
    assert value(StateStitching(rank=2), a, b, rows) == pytest.approx(reduced, abs=1e-9)
    assert reduced < expected


def test_probe_transfer_is_a_probe_of_scikit_learn_on_mapped_states():
    a, b, values = related(n=200, noise=1.0)
    rows = SequenceRows.of(torch.arange(200), 0)
    train, test = rows.train.numpy(), ~rows.train.numpy()
    x, y = b.numpy(), a.numpy()
    centred = x[train] - x[train].mean(0)
    mapped = Ridge(RIDGE * np.diag(centred.T @ centred).mean()).fit(x[train], y[train]).predict(x)
    for name, model, numeric in (("count", Ridge(1.0), True), ("phase", LogisticRegression(C=1.0, tol=1e-8), False)):
        labels = values[name].numpy()
        model.fit(y[train], labels[train])
        scorer = ProbeTransfer(name, values[name], numeric).scorer(a, b, rows)
        reached = float(scorer.score(torch.arange(200)[None]))
        assert reached == pytest.approx(model.score(mapped[test], labels[test]), abs=0.011)
        assert scorer.reference == pytest.approx(model.score(y[test], labels[test]), abs=0.011)
    boolean = ProbeTransfer("phase", values["phase"] == 1).scorer(a, b, rows)
    assert (boolean.floor, boolean.reference) == (scorer.floor, scorer.reference)
    most = np.bincount(labels[train]).argmax()
    assert scorer.floor == pytest.approx((labels[test] == most).mean())


# ------------------------------------------------------------------------------------------------------ properties


@pytest.mark.parametrize("measure", [LinearCKA(), LinearCKA(debiased=False), RSA(), SVCCA(), PWCCA(), StateStitching()])
def test_invariance(measure):
    """All measures: offsets, scales and orthogonal maps; CCA and stitching: invertible maps of the second network."""
    a, b, _ = related()
    before = value(measure, a, b)
    rotated = 3 * b @ rotation(7, 1) - 5
    assert value(measure, a, rotated) == pytest.approx(before, abs=1e-9)
    if measure.name != "pwcca":  # its weights are sums over neurons, which depend on the basis
        assert value(measure, 0.1 * a @ rotation(5, 2), b) == pytest.approx(before, abs=1e-9)
    skewed = value(measure, a, b @ torch.diag(torch.linspace(0.3, 3, 7).double()))
    invariant = measure.name in ("pwcca", "state_stitching")  # SVCCA is not: scales change which directions lead
    assert (skewed == pytest.approx(before, abs=5e-3)) == invariant
    if measure.name == "svcca":
        skewed = value(SVCCA(variance=1.0), a, b @ torch.diag(torch.linspace(0.3, 3, 7).double()))
        assert skewed == pytest.approx(value(SVCCA(variance=1.0), a, b), abs=1e-9)


def test_equal_states_have_similarity_1_and_the_smallest_p():
    a, _, values = related(n=80)
    for result in compare_states(a, a, torch.arange(80), all_measures(values), permutations=19, untrained=a):
        if result.measure == "state_stitching_rank_2":
            assert 0.6 < result.value < 1
            continue
        top = 1.0 if result.reference is None else result.reference
        assert result.value == pytest.approx(top, abs=1e-3), result.measure
        assert result.untrained == pytest.approx(result.value)
        assert result.p == 0.05


def test_debiased_cka_of_independent_states_is_near_0_even_with_more_dimensions_than_rows():
    draws = generator(0, "independent")
    debiased, biased = [], []
    for _ in range(30):
        a, b = torch.randn(2, 20, 200, generator=draws)
        debiased.append(value(LinearCKA(), a, b))
        biased.append(value(LinearCKA(debiased=False), a, b))
    assert min(biased) > 0.8
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / 30**0.5
    assert np.std(debiased) < 0.1


def test_wide_states_are_compared_as_their_products_between_rows():
    a, b, values = related(n=40)
    wide = torch.cat([b @ rotation(7, 3), torch.zeros(40, 90)], 1)
    rows = SequenceRows.of(torch.arange(40), 0)
    for measure in all_measures(values):
        if measure.name in ("pwcca", "svcca", "probe_transfer_phase"):
            continue
        ridge = 0.01 if measure.held_out else 1e-9  # the ridge is in units of the mean over dimensions
        assert value(measure, a, wide, rows) == pytest.approx(value(measure, a, b, rows), abs=ridge), measure.name


# ------------------------------------------------------------------------------------------------ null distributions


def lengths_to_sequences(lengths):
    return torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))


def test_permutations_keep_the_rows_of_a_sequence_together_and_in_order():
    shuffled = torch.randperm(25, generator=generator(0, "rows"))
    rows = SequenceRows.of(lengths_to_sequences([2, 3, 2, 3, 2, 2, 2, 2, 4, 3])[shuffled] * 7 - 3, seed=0)
    for within in (False, True):
        pairings = rows.pairings(50, 0, within_split=within)
        for pairing in pairings:
            assert sorted(pairing.tolist()) == list(range(25))
            for sequence in range(rows.n_sequences):
                members = (rows.sequence == sequence).nonzero()[:, 0]
                (partner,) = rows.sequence[pairing[members]].unique().tolist()
                assert pairing[members].tolist() == (rows.sequence == partner).nonzero()[:, 0].tolist()
                if within:
                    assert (rows.train[members] == rows.train[pairing[members]]).all()
        assert len(pairings.unique(dim=0)) > 10


def test_all_arrangements_are_equally_likely():
    pairings = SequenceRows.of(lengths_to_sequences([1, 2, 1, 2, 1, 2, 1]), 0).pairings(14_400, seed=0)
    arrangements, counts = pairings.unique(dim=0, return_counts=True)
    assert len(arrangements) == 24 * 6
    assert abs(counts - 100).max() < 50


def test_half_of_the_sequences_of_each_length_are_for_training():
    rows = SequenceRows.of(lengths_to_sequences([2] * 10 + [3] * 6), 0)
    assert [int(rows.train[part].sum()) for part in (slice(0, 20), slice(20, 38))] == [10, 9]
    assert not torch.equal(rows.train, SequenceRows.of(rows.sequence, 1).train)


def test_one_row_of_each_sequence():
    sequences = lengths_to_sequences([3, 1, 4, 2])[torch.randperm(10, generator=generator(0))]
    drawn = [one_row_per_sequence(sequences, seed) for seed in range(200)]
    assert all(sorted(sequences[rows].tolist()) == [0, 1, 2, 3] for rows in drawn)
    _, counts = torch.cat(drawn)[sequences[torch.cat(drawn)] == 2].unique(return_counts=True)
    assert len(counts) == 4
    assert counts.min() > 25


def test_the_null_distribution_is_the_measure_computed_again_for_each_permutation():
    a, b, values = related(n=60)
    rows = SequenceRows.of(lengths_to_sequences([2] * 12 + [3] * 12), 0)
    for measure in (LinearCKA(debiased=False), RSA(distance="correlation"), *all_measures(values)):
        pairings = rows.pairings(5, 0, within_split=measure.held_out)
        null = measure.scorer(a, b, rows).score(pairings)
        again = [value(measure, a, b[pairing], rows) for pairing in pairings]
        assert null.tolist() == pytest.approx(again, abs=1e-9), measure.name
        assert null.std() > 0


def test_p_values_of_independent_states_are_uniform():
    draws, count = generator(0, "p-values"), 100
    for measure in (LinearCKA(), StateStitching(rank=1)):
        p = []
        for seed in range(count):
            a, b = torch.randn(2, 12, 3, generator=draws)
            p.append(compare_states(a, b, torch.arange(12), [measure], permutations=9, seed=seed)[0].p)
        for level in (0.1, 0.5, 0.9):
            assert binomtest(sum(each < level + 1e-9 for each in p), count, level).pvalue > 1e-3


def test_similarity_that_comes_from_the_position_alone_is_in_the_null_distribution():
    draws = generator(0, "position")
    position = torch.arange(6).repeat(20)
    a, b = (torch.randn(6, 4, generator=draws)[position] + 0.3 * torch.randn(120, 4, generator=draws) for _ in range(2))
    values = {"phase": torch.randint(2, (120,), generator=draws), "count": torch.randint(5, (120,), generator=draws)}
    sequences = lengths_to_sequences([6] * 20)
    measures = [
        m
        for m in all_measures(values)
        if m.name not in ("class_mean_rsa", "probe_transfer_phase", "probe_transfer_count")
    ]
    by_sequence = compare_states(a, b, sequences, measures, permutations=99)
    by_row = compare_states(a, b, torch.arange(120), measures, permutations=99)
    for whole, single in zip(by_sequence, by_row, strict=True):
        assert single.p == 0.01, single.measure  # permuted rows miss what all sequences share
        assert whole.p > 0.05, whole.measure
        assert whole.null_mean > single.null_high
        assert abs(whole.value - whole.null_mean) < 0.1


def test_a_shared_variable_is_seen_beyond_the_position():
    a, b, values = related(n=120)
    position = torch.arange(6).repeat(20)[:, None]
    results = compare_states(a + position, b + position, lengths_to_sequences([6] * 20), all_measures(values))
    for result in results:
        assert result.value > result.null_high, result.measure
        assert result.p < 0.05, result.measure


def test_results_are_the_same_for_the_same_seed_and_name_what_was_compared():
    a, b, values = related(n=120)
    sequences = lengths_to_sequences([3] * 40)
    arguments = {
        "measures": [RSA(max_rows=30), *all_measures(values)],
        "permutations": 30,
        "untrained": torch.flip(b, [0]),
    }
    first, again = (compare_states(a.float(), b, sequences, seed=4, **arguments) for _ in range(2))
    assert first == again
    assert (first[0].n_rows, first[0].n_sequences) == (30, 10)
    assert (first[1].n_rows, first[1].n_sequences) == (120, 40)
    assert first[0] != compare_states(a, b, sequences, seed=5, **arguments)[0]
    assert str(first[1]).startswith(f"cka: {first[1].value:.3f} (null ")
    assert "untrained" in str(first[1])
    assert [result.measure for result in first[1:]] == [
        "cka", "rsa", "class_mean_rsa", "svcca", "pwcca", "state_stitching_rank_2", "state_stitching",
        "probe_transfer_phase", "probe_transfer_count",
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- errors

A, B, VALUES = related(n=40)
ROWS = torch.arange(40)
WRONG = {
    "numbers of rows differ": (lambda: compare_states(A, B[:39], ROWS), "states_b has 39 rows"),
    "an untrained network with fewer rows": (lambda: compare_states(A, B, ROWS, untrained=B[:9]), "untrained has 9"),
    "sequences do not match": (lambda: compare_states(A, B, ROWS[:30]), "sequences has 30"),
    "sequences are not integers": (lambda: compare_states(A, B, ROWS.double()), "one integer for each row"),
    "too few rows": (lambda: compare_states(A[:3], B[:3], ROWS[:3]), "at least 4 rows, got 3"),
    "constant states": (lambda: compare_states(A, torch.ones(40, 3), ROWS), "all rows of states_b are equal"),
    "states that are not finite": (lambda: compare_states(A, B / 0, ROWS), "states_b is not finite in 40 of 40 rows"),
    "sequences of different lengths": (
        lambda: compare_states(A[:15], B[:15], lengths_to_sequences([1, 2, 3, 4, 5])), "only 1 arrangements",
    ),
    "no permutations": (lambda: compare_states(A, B, ROWS, permutations=0), "permutations"),
    "rank 0": (lambda: StateStitching(0), "rank"),
    "variance above 1": (lambda: SVCCA(variance=1.2), "variance"),
    "an unknown distance": (lambda: RSA(distance="cosine"), "'euclidean', 'correlation'; got 'cosine'"),
    "an unknown correlation": (lambda: ClassMeanRSA(VALUES, correlation="kendall"), "'kendall'"),
    "numeric without values": (lambda: similarity_measures({}, ["count"]), "no values of count"),
    "class means without values": (lambda: ClassMeanRSA({}), "at least one variable"),
    "two classes": (lambda: compare_states(A, B, ROWS, [ClassMeanRSA({"p": VALUES["phase"]})]), "at least 3 classes"),
    "values of other rows": (lambda: compare_states(A, B, ROWS, [ProbeTransfer("p", ROWS[:9])]), "got 9"),
    "class means of other rows": (lambda: compare_states(A, B, ROWS, [ClassMeanRSA({"p": ROWS[:9]})]), "40 values"),
    "a variable with one value": (lambda: compare_states(A, B, ROWS, [ProbeTransfer("p", ROWS * 0)]), "one value only"),
    "rows at right angles": (
        lambda: compare_states(torch.eye(40), B, ROWS, [LinearCKA()]), "CKA is not defined",
    ),
    "rows at equal distances": (lambda: compare_states(torch.eye(40), B, ROWS, [RSA()]), "the same dissimilarity"),
    "neurons that agree": (
        lambda: compare_states(torch.ones(1, 3) * ROWS[:, None], B, ROWS, [RSA(distance="correlation")]), "'euclidean'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_refused(case):
    call, message = WRONG[case]
    with pytest.raises(SymscopeError, match=message) as caught:
        call()
    assert isinstance(caught.value, InvalidArgumentError | NonFiniteError)
