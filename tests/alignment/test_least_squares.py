"""Least-squares alignment: against explicit loops, and on constructed networks whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from symscope.algorithms import make_algorithm
from symscope.alignment import LinearAlignment, follows_swap, subspace
from symscope.alignment._closed_form import intervention_states
from symscope.alignment.least_squares import (
    RIDGE,
    LeastSquaresProblem,
    best_projector,
    least_squares_alignment,
    least_squares_path,
)
from symscope.alignment.natural import NaturalStates
from symscope.alignment.state_classes import NEVER_OCCURS, ClassSums, InterventionStates, class_ids
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import CONSTRUCTED, change_basis, random_invertible, random_orthogonal
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
HELD = {
    ("magnitude", "up-down"): {"count": 1, "phase": 1},
    ("magnitude", "up-up"): {"phase": 1},
    ("angle", "up-down"): {"count": 2, "phase": 1},
    ("angle", "up-up"): {"phase": 1},
    ("two-counts", "up-down"): {"count": 2, "phase": 2},
    ("two-counts", "up-up"): {"demo_count": 1, "resp_count": 1, "phase": 1},
}
"""The variables that each constructed network holds, with the rank of their projector."""
CHANGES = {
    "orthogonal": lambda d: random_orthogonal(d, generator(0, "basis")),
    "invertible": lambda d: random_invertible(d, 5.0, generator(0, "basis")),
}


def constructed_network(name, change, d=8):
    return change_basis(CONSTRUCTED[name](**TASK.roles, d=d), CHANGES[change](d))


def interventions(network, algorithm, variable, count, purpose):
    return cache_states(network, draw_interventions(algorithm, [variable], count, generator(0, variable, purpose)), "h")


def problem_of(algorithm, cached):
    return LeastSquaresProblem.of(intervention_states(cached, [variable.name for variable in algorithm.variables]))


def iia(network, fit, cached):
    alignments = {cached.variables[0]: subspace(fit.write.float(), fit.read.float())}
    return float(follows_swap(network, alignments, cached).double().mean())


def noisy_states(rows=300, d=6, seed=0):
    """Two variables of 4 values each, written into 2 of 6 dimensions after a rotation, with noise everywhere."""
    draw = generator(seed, "noisy")
    mix = random_orthogonal(d, draw).double()
    values = torch.randint(4, (2, rows, 2), generator=draw)
    noise = torch.randn(2, rows, d, generator=draw, dtype=torch.double) * torch.linspace(1.5, 0.05, d)
    states = (noise + torch.nn.functional.pad(values.double() * torch.tensor([1.0, 2.0]), (1, d - 3))) @ mix.T
    wanted = torch.stack([values[1, :, 0], values[0, :, 1]], 1)
    (ids, requested), index = class_ids(values.flatten(0, 1), wanted), torch.arange(rows)
    return InterventionStates(
        states[0], states[1], ids[:rows], requested, states.flatten(0, 1), ids,
        (index, index + rows),
    )  # fmt: skip


def plain_targets(states):
    """d and both targets by a loop over interventions, in coordinates of the state."""
    natural, differences, targets = states.natural_states.double(), [], {"class-mean": [], "base": []}
    for row in range(len(states.base)):
        left_out = {int(rows[row]) for rows in states.members}
        means = []
        for wanted in (int(states.counterfactual_class[row]), int(states.base_class[row])):
            members = [
                natural[index]
                for index in range(len(natural))
                if int(states.natural_class[index]) == wanted and index not in left_out
            ]
            means.append(torch.stack(members).mean(0) if members else None)
        if means[0] is None or means[1] is None:
            continue
        differences.append(states.source[row].double() - states.base[row].double())
        targets["class-mean"].append(means[0] - means[1])
        targets["base"].append(means[0] - states.base[row].double())
    return torch.stack(differences), {name: torch.stack(rows) for name, rows in targets.items()}


@pytest.mark.parametrize("target", ["class-mean", "base"])
def test_both_forms_agree_with_a_plain_float64_reference(target):
    states = noisy_states(rows=80)
    differences, targets = plain_targets(states)
    D, T = differences.numpy(), targets[target].numpy()
    problem = LeastSquaresProblem.of(states)
    assert problem.span == 6
    assert problem.left_out_share == pytest.approx(1 - len(D) / 80)

    # Reduced-rank regression is least squares, and a projection of its fitted values onto their leading directions; a
    # ridge is further rows of the data.
    ridge = np.sqrt(RIDGE * np.square(D).mean() * len(D)) * np.eye(6)
    rows, fitted = np.concatenate([D, ridge]), np.concatenate([T, np.zeros((6, 6))])
    full = np.linalg.lstsq(rows, fitted, rcond=None)[0]
    leading = np.linalg.svd(rows @ full)[2][:2]
    orthogonal = np.linalg.eigh(D.T @ D - D.T @ T - T.T @ D)
    for form in ("oblique", "orthogonal"):
        fit = least_squares_path(problem, 2, form=form, target=target)[-1]
        projector = fit.write @ fit.read
        torch.testing.assert_close(fit.read @ fit.write, torch.eye(2).double())
        if form == "oblique":
            write, read = leading.T, leading @ full.T
            expected = write @ np.linalg.solve(read @ write, read)
        else:
            expected = orthogonal[1][:, :2] @ orthogonal[1][:, :2].T
            assert np.allclose(fit.spectrum, orthogonal[0] / len(D))
            assert fit.paying_dimensions == (orthogonal[0] < 0).sum()
        np.testing.assert_allclose(projector.numpy(), expected, atol=1e-8)
        error = np.square(D @ projector.numpy().T - T).sum() / np.square(T).sum()
        assert fit.error == pytest.approx(error)


def test_the_orthogonal_form_is_the_minimum_over_frames():
    problem = LeastSquaresProblem.of(noisy_states())
    least = least_squares_path(problem, 2, form="orthogonal")[-1].error
    frames = torch.linalg.qr(torch.randn(500, 6, 2, generator=generator(0), dtype=torch.double)).Q
    errors = [float(problem.error(frame @ frame.T, "class-mean")) for frame in frames]
    assert least <= min(errors)


@pytest.mark.parametrize("target", ["class-mean", "base"])
def test_the_best_projector_is_what_gradient_descent_finds_from_other_starts_too(target):
    problem = LeastSquaresProblem.of(noisy_states())
    fit = least_squares_path(problem, 1, target=target)[0]
    write, read, error = best_projector(problem, fit)
    torch.testing.assert_close(read @ write, torch.eye(1).double())
    within = problem.axes.directions.T @ write @ read @ problem.axes.directions
    assert float(problem.error(within, target)) == pytest.approx(error)
    # Where states are noisy there is a gap: regression shrinks what a projector moves at full strength.
    assert error < fit.error - 0.01
    draws = generator(1)
    for _ in range(5):
        start = torch.randn(6, 1, generator=draws, dtype=torch.double)
        random = replace(fit, write=start, read=start.T / start.square().sum())
        assert best_projector(problem, random)[2] >= error - 1e-6


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("network", "algorithm"), HELD)
def test_held_variables_of_constructed_networks_score_one_and_no_others_do(network, algorithm, change):
    constructed, held = constructed_network(network, change), HELD[network, algorithm]
    algorithm = make_algorithm(algorithm, TASK)
    for variable in (variable.name for variable in algorithm.variables):
        train = interventions(constructed.network, algorithm, variable, 1000, "train")
        test = interventions(constructed.network, algorithm, variable, 500, "test")
        problem = problem_of(algorithm, train)
        path = least_squares_path(problem, problem.span)
        scores = {fit.rank: iia(constructed.network, fit, test) for fit in path}
        if variable not in held:
            assert max(scores.values()) <= 0.38
            continue
        assert scores[held[variable]] == 1
        # Directions with negligible singular values are left out, so that a larger k does no harm.
        assert scores[max(scores)] == 1
        fit = next(fit for fit in path if fit.rank == held[variable])
        if (network, algorithm.name) != ("two-counts", "up-down"):  # where several projectors have the IIA 1
            assert fit.error - best_projector(problem, fit)[2] < 1e-3
        change = subspace(fit.write.float(), fit.read.float()).swap(test.base_states, test.source_states[0])
        change -= test.base_states
        torch.testing.assert_close(NaturalStates(test.natural_states()).within(change), change, atol=1e-3, rtol=0)


@pytest.mark.parametrize("variable", ["count", "phase"])
@pytest.mark.parametrize("network", ["magnitude", "angle"])
def test_the_orthogonal_form_is_exact_in_orthogonal_changes_of_basis(network, variable):
    constructed, algorithm = constructed_network(network, "orthogonal"), make_algorithm("up-down", TASK)
    train = interventions(constructed.network, algorithm, variable, 1000, "train")
    test = interventions(constructed.network, algorithm, variable, 500, "test")
    problem = problem_of(algorithm, train)
    fit = least_squares_alignment(problem, problem.span, form="orthogonal")
    assert fit.rank == HELD[network, "up-down"][variable]
    assert fit.rank <= fit.paying_dimensions
    assert iia(constructed.network, fit, test) == 1


def test_the_effective_rank_avoids_what_a_larger_rank_destroys():
    constructed, algorithm = constructed_network("magnitude", "invertible"), make_algorithm("up-down", TASK)
    train = interventions(constructed.network, algorithm, "count", 1000, "train")
    test = interventions(constructed.network, algorithm, "count", 500, "test")
    problem = problem_of(algorithm, train)
    fit = least_squares_alignment(problem, problem.span)
    assert (fit.rank, fit.requested_rank, fit.span) == (1, 2, 2)
    assert fit.error < 1e-6
    assert iia(constructed.network, fit, test) == 1
    whole_span = {"count": subspace(problem.axes.directions.float())}
    assert follows_swap(constructed.network, whole_span, test).double().mean() < 0.6


def test_a_nuisance_of_large_variance_hides_the_variable_from_the_base_target_alone():
    constructed, algorithm = constructed_network("two-counts", "invertible"), make_algorithm("up-down", TASK)
    train = interventions(constructed.network, algorithm, "count", 1000, "train")
    test = interventions(constructed.network, algorithm, "count", 500, "test")
    problem = problem_of(algorithm, train)
    scores = {
        target: iia(constructed.network, least_squares_path(problem, 1, target=target)[0], test)
        for target in ("class-mean", "base")
    }
    assert scores["class-mean"] == 1
    assert scores["base"] < 0.5


def test_a_metric_decides_which_direction_a_small_rank_takes():
    draws = generator(0)
    values = torch.randint(4, (2, 400, 2), generator=draws)
    states = values[:, :, :1].double() * torch.tensor([3.0, 0.0, 0.0]).double()  # written in two directions, ...
    states = states + values[:, :, :1].double().square() * torch.tensor([0.0, 0.5, 0.0]).double()
    states = states + values[:, :, 1:].double() * torch.tensor([0.0, 0.0, 1.0]).double()
    wanted = torch.stack([values[1, :, 0], values[0, :, 1]], 1)
    ids, requested = class_ids(values.flatten(0, 1), wanted)
    problem = LeastSquaresProblem.of(
        InterventionStates(states[0], states[1], ids[:400], requested, states.flatten(0, 1), ids)
    )
    (plain,) = least_squares_path(problem, 1)
    (weighed,) = least_squares_path(problem, 1, metric=torch.diag(torch.tensor([0.0, 1.0, 0.0])))
    errors = []
    for fit in (plain, weighed):  # ... of which behaviour depends on the second alone
        moved = (states[1] - states[0]) @ (fit.write @ fit.read).T
        errors.append(float((moved - (states[1] - states[0]))[:, 1].square().mean()))
    assert errors[1] < errors[0] / 2
    uniform = least_squares_path(problem, 2, metric=torch.eye(3))[-1]
    same = least_squares_path(problem, 2)[-1]
    torch.testing.assert_close(uniform.write @ uniform.read, same.write @ same.read, atol=1e-6, rtol=0)


def test_class_means_leave_out_the_interventions_own_states():
    states = torch.tensor([[1.0], [2.0], [4.0], [10.0], [20.0]]).double()
    classes = torch.tensor([0, 0, 0, 1, 3])
    sums = ClassSums.of(states, classes)
    means = sums.means(torch.tensor([0, 1, 2, 4, NEVER_OCCURS]))
    assert means[:2, 0].tolist() == pytest.approx([7 / 3, 10])
    assert means[2:].isnan().all()
    rows = torch.tensor([0, 0, 1, NEVER_OCCURS, 2, 3])
    pair = torch.stack([states[[0, 3, 3, 0, 0, 0]], states[[1, 1, 0, 1, 1, 1]]])
    members = torch.stack([classes[[0, 3, 3, 0, 0, 0]], classes[[1, 1, 0, 1, 1, 1]]])
    means = sums.means_without(rows, pair, members)[:, 0]
    assert means[[0, 1, 5]].tolist() == pytest.approx([4, 2.5, 20])
    assert means[[2, 3, 4]].isnan().all()


def test_class_ids_number_combinations_of_values():
    natural = torch.tensor([[3, 0], [3, 1], [5, 0], [3, 0]])
    ids, requested = class_ids(natural, torch.tensor([[5, 0], [5, 1], [3, 0], [2, 7]]))
    assert ids[0] == ids[3]
    assert len(set(ids.tolist())) == 3
    assert requested.tolist() == [int(ids[2]), NEVER_OCCURS, int(ids[0]), NEVER_OCCURS]


def test_interventions_without_a_counterfactual_mean_are_left_out():
    states = noisy_states()
    classes = states.counterfactual_class.clone()
    classes[:120] = NEVER_OCCURS
    problem = LeastSquaresProblem.of(replace(states, counterfactual_class=classes))
    assert problem.left_out_share == pytest.approx(0.4)
    assert least_squares_alignment(problem, 2).left_out_share == problem.left_out_share


def test_a_badly_conditioned_projector_is_not_given():
    # d varies along one direction and t along another: no oblique projector of rank 1 connects them.
    draws = generator(0)
    d = torch.randn(200, generator=draws, dtype=torch.double)
    zero = torch.zeros_like(d)
    noise = 1e-3 * torch.randn(200, 3, generator=draws, dtype=torch.double)
    problem = LeastSquaresProblem.of(noisy_states())
    difference = torch.stack([d, zero, zero], 1) + noise
    target = torch.stack([zero, d, zero], 1)
    axes = type(problem.axes)(torch.zeros(3).double(), torch.eye(3).double(), torch.ones(3).double())
    moments = {"class-mean": target.T @ difference / 200, "base": target.T @ difference / 200}
    squares = dict.fromkeys(moments, target.T @ target / 200)
    crossed = LeastSquaresProblem(axes, difference.T @ difference / 200, moments, squares, 0.0)
    fit = least_squares_alignment(crossed, 1)
    assert fit.fell_back
    assert fit.form == "orthogonal"
    torch.testing.assert_close(fit.read @ fit.write, torch.eye(1).double())


def test_where_the_closed_form_does_not_apply_an_error_says_why():
    states = noisy_states()
    problem = LeastSquaresProblem.of(states)
    with pytest.raises(InvalidArgumentError, match="none of 300 interventions has counterfactual values that occur"):
        LeastSquaresProblem.of(
            replace(states, counterfactual_class=torch.full_like(states.counterfactual_class, NEVER_OCCURS))
        )
    with pytest.raises(InvalidArgumentError, match="the swap changes no class mean"):
        LeastSquaresProblem.of(replace(states, counterfactual_class=states.base_class))
    with pytest.raises(InvalidArgumentError, match="states of source are not all finite"):
        LeastSquaresProblem.of(replace(states, source=states.source * torch.nan))
    with pytest.raises(InvalidArgumentError, match="1 to 6 dimensions, those of the natural span, got k = 7"):
        least_squares_alignment(problem, 7)
    with pytest.raises(InvalidArgumentError, match="no closed form under a metric"):
        least_squares_alignment(problem, 1, form="orthogonal", metric=torch.eye(6))
    with pytest.raises(UnknownNameError, match="did you mean 'oblique'"):
        least_squares_alignment(problem, 1, form="obliqe")
    with pytest.raises(UnknownNameError, match="target"):
        least_squares_alignment(problem, 1, target="mean")


def test_the_papers_linear_map_reaches_no_orthogonal_projector_but_axis_aligned_ones():
    """On the mask D, the projector of X = A S with A = M M^T + 0.1 I is similar to (A^-1)_DD A_DD, whose eigenvalues
    are at least 1 for a positive definite A. Those of an orthogonal projector lie in 0..1: both hold only where all are
    1, that is, where the projector is axis-aligned."""
    draws = generator(0, "linear maps")
    for trial in range(200):
        d = 3 + trial % 6
        k = 1 + trial % (d - 1)
        function = LinearAlignment(order=("paper", "code")[trial % 2])
        matrix, scales = (tensor.detach().double() for tensor in function.initialise(d, k, None, draws))
        scales.normal_(std=1.0, generator=draws)
        write, read = (factor[0] for factor in function.factors([matrix[None], scales[None]], k))
        block = (write @ read)[:k, :k]
        assert float(torch.linalg.eigvals(block).real.min()) >= 1 - 1e-9
        frame = torch.linalg.qr(torch.randn(d, k, generator=draws, dtype=torch.double)).Q
        assert float(torch.linalg.eigvalsh((frame @ frame.T)[:k, :k]).max()) <= 1 + 1e-9
