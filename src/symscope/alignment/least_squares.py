"""Least-squares alignment: a projector in closed form, from states and the values of variables, without a search.

For each training intervention with base state b, source state s and d = s - b, the state after an ideal swap is
c, the mean of the natural states whose variables have the counterfactual values. The projector P of rank at most k
minimises the mean squared error |P d - t|^2 against one of two targets:

- `class-mean`: t = c - m, where m is the mean of the natural states with the base's values. Its spectrum shows the true
  rank, but is noisy beyond it.
- `base`: t = c - b. It corrects the base's deviation from its class mean too, so it moves every nuisance direction half
  of the way, and a nuisance with more variance than the variable can hide the variable.

Everything is computed in double precision, from second moments in coordinates of the natural span, so that the
rewritten states do not leave the span. One pass over the states serves all k, forms and targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment.functions.fixed import PrincipalAxes, principal_axes
from symscope.alignment.state_classes import NEVER_OCCURS, ClassSums, InterventionStates
from symscope.errors import InvalidArgumentError, UnknownNameError

FORMS = ("oblique", "orthogonal")
TARGETS = ("class-mean", "base")

RIDGE = 1e-6
"""Added to the second moments of d, in units of their mean. Larger values bias a variable of small variance that goes
with others: with 1e-3, the phase of a constructed network is followed in a third of the interventions, not in all."""
METRIC_RIDGE = 1e-3
"""Added to a metric of the state, in units of its mean over the dimensions of the span."""
NEGLIGIBLE = 1e-3
"""Singular values below this share of the largest are numerical noise, or too small to pay."""
RANK_TOLERANCE = 1e-3
"""A further dimension must lower the error by this share of the target's mean square."""
MAX_GAIN = 30.0
"""Largest norm of a projector, in coordinates in which d is white; beyond it, the projector is badly conditioned."""


@dataclass(frozen=True)
class LeastSquaresFit:
    """A projector `write @ read` of rank r, with `read @ write` the identity, in coordinates of the state.

    Attributes:
        write, read: its factors.
        form: `oblique` or `orthogonal`.
        target: `class-mean` or `base`.
        requested_rank: k, at least the rank.
        spectrum: oblique: singular values of the regression, descending; orthogonal: eigenvalues, ascending, of which
            the negative ones lower the error. In units of the state, and of its square.
        error: mean |P d - t|^2 as a share of the mean |t|^2 (both in the metric, if there is one): 0 is exact, 1 is
            what no swap at all gives. `best_projector` says how much lower it could be.
        gain: norm of the projector in coordinates in which d is white; 1 for the least distortion.
        span: dimensions of the natural span.
        left_out_share: share of the interventions without a counterfactual mean or a mean of the base's class.
        fell_back: no oblique projector was conditioned well enough, so that the orthogonal form was taken.
    """

    write: Float[Tensor, "state rank"]
    read: Float[Tensor, "rank state"]
    form: str
    target: str
    requested_rank: int
    spectrum: tuple[float, ...]
    error: float
    gain: float
    span: int
    left_out_share: float
    fell_back: bool = False

    @property
    def rank(self) -> int:
        """Rank of the projector, r <= k."""
        return self.write.shape[1]

    @property
    def paying_dimensions(self) -> int:
        """Orthogonal form: the number of negative eigenvalues, that is, of dimensions that lower the error."""
        return sum(value < 0 for value in self.spectrum) if self.form == "orthogonal" else self.rank


@dataclass(frozen=True)
class LeastSquaresProblem:
    """Second moments of the differences d and the targets t, in coordinates of the natural span.

    Attributes:
        axes: the principal axes of the natural states in which they vary.
        difference: mean of d d^T.
        cross: mean of t d^T for each target.
        target: mean of t t^T for each target.
        left_out_share: share of the interventions that have no counterfactual mean or no mean of the base's class.
    """

    axes: PrincipalAxes
    difference: Float[Tensor, "span span"]
    cross: dict[str, Float[Tensor, "span span"]]
    target: dict[str, Float[Tensor, "span span"]]
    left_out_share: float

    @classmethod
    def of(cls, states: InterventionStates) -> "LeastSquaresProblem":
        """Reads the moments off the states of training interventions.

        Raises:
            InvalidArgumentError: states are not finite, the natural states or the targets do not vary, or no
                intervention has a counterfactual mean.
        """
        _check(states)
        axes = principal_axes(states.natural_states).in_use()
        differences, targets, left_out = _differences_and_targets(states, axes)
        count = len(differences)
        problem = cls(
            axes,
            differences.T @ differences / count,
            {name: rows.T @ differences / count for name, rows in targets.items()},
            {name: rows.T @ rows / count for name, rows in targets.items()},
            left_out,
        )
        total = problem.difference.trace()
        if not total > 0 or not problem.target["class-mean"].trace() > 1e-12 * total:
            raise InvalidArgumentError(
                "no closed form: the swap changes no class mean, so there is no difference between states to regress on"
            )
        return problem

    @property
    def span(self) -> int:
        """Dimensions of the natural span."""
        return len(self.difference)

    def error(
        self, projector: Float[Tensor, "span span"], target: str, metric: Float[Tensor, "span span"] | None = None
    ) -> Tensor:
        """Mean |P d - t|^2 as a share of the mean |t|^2, for a projector in coordinates of the span."""
        mapped = projector @ self.difference @ projector.T - 2 * projector @ self.cross[target].T
        if metric is None:
            return 1 + mapped.trace() / self.target[target].trace()
        return 1 + (metric * mapped).sum() / (metric * self.target[target]).sum()

    def in_span(self, metric: Float[Tensor, "state state"]) -> Float[Tensor, "span span"]:
        """A metric of the state, such as the mean of g g^T over gradients g, in coordinates of the span and ridged."""
        within = self.axes.directions.T @ metric.double() @ self.axes.directions
        within = (within + within.T) / 2
        return within + METRIC_RIDGE * within.diagonal().mean() * torch.eye(self.span, dtype=within.dtype).to(within)


def least_squares_alignment(
    problem: LeastSquaresProblem,
    k: int,
    *,
    form: str = "oblique",
    target: str = "class-mean",
    metric: Float[Tensor, "state state"] | None = None,
) -> LeastSquaresFit:
    """The least-squares projector of effective rank r <= k: the smallest rank whose error is near the least.

    Where validation interventions are at hand, a choice among `least_squares_path` by their IIA is better: the error is
    measured on states, and a nuisance that follows the variable can count for more than the variable's effect.
    For arguments and errors see `least_squares_path`.
    """
    return smallest_rank(least_squares_path(problem, k, form=form, target=target, metric=metric))


def smallest_rank(path: Sequence[LeastSquaresFit]) -> LeastSquaresFit:
    """Of projectors of ascending rank the first whose error is near the least."""
    least = min(fit.error for fit in path)
    return next(fit for fit in path if fit.error <= least + RANK_TOLERANCE)


def least_squares_path(
    problem: LeastSquaresProblem,
    k: int,
    *,
    form: str = "oblique",
    target: str = "class-mean",
    metric: Float[Tensor, "state state"] | None = None,
) -> list[LeastSquaresFit]:
    """The least-squares projectors of rank 1, 2, ... up to k, ascending.

    Directions with negligible singular values are left out, and so are ranks whose projector is badly conditioned;
    where that leaves no rank, the orthogonal form is given. At least one projector is given.

    Args:
        problem: moments of the training interventions.
        k: largest rank.
        form: `oblique`: reduced-rank regression of t on d; `orthogonal`: the exact minimum over orthogonal projectors.
        target: `class-mean` or `base`.
        metric: weighs errors of the state by their effect, as a positive semidefinite matrix (a Fisher metric: the mean
            of g g^T over gradients g of log-probabilities by the state); default: all directions count the same.
            For the oblique form only.

    Raises:
        UnknownNameError: a form or target that does not exist.
        InvalidArgumentError: k is below 1 or above the dimensions of the natural span, or a metric for the orthogonal
            form.
    """
    for kind, name, known in (("form", form, FORMS), ("target", target, TARGETS)):
        if name not in known:
            raise UnknownNameError(f"{kind} of the least-squares alignment", name, known)
    if not 1 <= k <= problem.span:
        raise InvalidArgumentError(
            f"a variable takes 1 to {problem.span} dimensions, those of the natural span, got k = {k}"
        )
    if form == "orthogonal":
        if metric is not None:
            raise InvalidArgumentError("the orthogonal form has no closed form under a metric: use form='oblique'")
        return _orthogonal(problem, k, target)
    path = _oblique(problem, k, target, None if metric is None else problem.in_span(metric))
    return path or _orthogonal(problem, k, target, fell_back=True)


def in_one_map(problem: LeastSquaresProblem, fits: Sequence[LeastSquaresFit]) -> list[LeastSquaresFit] | None:
    """Projectors of several variables changed so that the product of any two of them is zero.

    Then a single map has all of them, each in dimensions of its own: the rows that read one variable do not see what is
    written for another. Orthogonal projectors get the nearest frames that are orthogonal to each other; oblique ones
    keep what they write, and read by (C U)^-1 C, where U and C are the stacked factors.

    Args:
        problem: moments of the interventions on one of the variables, for the conditioning of the projectors.
        fits: the projector of each variable, all of one form.

    Returns:
        The projectors, in order; `None` where the map would be badly conditioned, as it is where two variables share a
        direction.
    """
    write, read = torch.cat([fit.write for fit in fits], 1), torch.cat([fit.read for fit in fits])
    ranks = [fit.rank for fit in fits]
    if sum(ranks) > problem.span:
        return None
    if all(fit.form == "orthogonal" for fit in fits):
        left, _, right = torch.linalg.svd(write, full_matrices=False)
        write = left @ right
        read = write.T
    else:
        read = torch.linalg.solve_ex(read @ write, read).result
    directions = problem.axes.directions
    gain = _gain(directions.T @ write, read @ directions, *_whitening(problem))
    if not gain <= MAX_GAIN:
        return None
    parts = zip(fits, write.split(ranks, 1), read.split(ranks), strict=True)
    return [replace(fit, write=writes, read=reads) for fit, writes, reads in parts]


def best_projector(
    problem: LeastSquaresProblem, start: LeastSquaresFit, *, iterations: int = 500
) -> tuple[Float[Tensor, "state rank"], Float[Tensor, "rank state"], float]:
    """The projector of least error that gradient descent reaches from a closed-form start, and its error.

    Reduced-rank regression minimises over all matrices of rank r, not over projectors; the difference between the error
    of `start` and this error is the gap that remains. Uses L-BFGS on both factors, in coordinates in which d is white.
    """
    root, inverse = _whitening(problem)
    write = (inverse @ problem.axes.directions.T @ start.write).requires_grad_()
    read = (start.read @ problem.axes.directions @ root).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [write, read], max_iter=iterations, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def projector() -> Tensor:
        return root @ write @ torch.linalg.solve(read @ write, read) @ inverse

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = problem.error(projector(), start.target)
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        error = float(problem.error(projector(), start.target))
        reads = torch.linalg.solve(read @ write, read) @ inverse @ problem.axes.directions.T
        return problem.axes.directions @ root @ write.detach(), reads, error


def _check(states: InterventionStates) -> None:
    for name in ("base", "source", "natural_states"):
        if not getattr(states, name).isfinite().all():
            raise InvalidArgumentError(f"no closed form: states of {name} are not all finite")
    if not len(states.base) or not (states.counterfactual_class != NEVER_OCCURS).any():
        raise InvalidArgumentError(
            f"no closed form: none of {len(states.base)} interventions has counterfactual values that occur in natural "
            "states, so there is no mean to regress on; use a random or principal-components start"
        )


def _differences_and_targets(
    states: InterventionStates, axes: PrincipalAxes
) -> tuple[Float[Tensor, "rows span"], dict[str, Float[Tensor, "rows span"]], float]:
    """d, both targets, and the share of the interventions that are left out, in coordinates of the natural span."""
    base, source, natural = (
        (rows.double() - axes.mean) @ axes.directions for rows in (states.base, states.source, states.natural_states)
    )
    sums = ClassSums.of(natural, states.natural_class)
    if states.members is None:
        members = torch.full((2, len(base)), NEVER_OCCURS, device=base.device)
    else:
        members = torch.stack([states.natural_class[rows] for rows in states.members])
    pair = torch.stack([base, source])
    counterfactual = sums.means_without(states.counterfactual_class, pair, members)
    own_class = sums.means_without(states.base_class, pair, members)
    known = counterfactual.isfinite().all(1) & own_class.isfinite().all(1)
    if not known.any():
        raise InvalidArgumentError(
            f"no closed form: none of {len(base)} interventions has further natural states with its base's values and "
            "with its counterfactual values; give more natural states"
        )
    targets = {"class-mean": counterfactual - own_class, "base": counterfactual - base}
    left_out = 1 - float(known.double().mean())
    return (source - base)[known], {name: rows[known] for name, rows in targets.items()}, left_out


def _whitening(problem: LeastSquaresProblem) -> tuple[Float[Tensor, "span span"], Float[Tensor, "span span"]]:
    """L with L L^T the ridged second moments of d, and its inverse."""
    ridge = RIDGE * problem.difference.diagonal().mean()
    identity = torch.eye(problem.span, dtype=problem.difference.dtype, device=problem.difference.device)
    root = torch.linalg.cholesky(problem.difference + ridge * identity)
    return root, torch.linalg.solve_triangular(root, identity, upper=False)


def _oblique(
    problem: LeastSquaresProblem, k: int, target: str, metric: Float[Tensor, "span span"] | None
) -> list[LeastSquaresFit]:
    """Reduced-rank regression; empty where no rank gives a well-conditioned projector."""
    root, inverse = _whitening(problem)
    half = None
    regression = problem.cross[target] @ inverse.T
    if metric is not None:
        values, vectors = torch.linalg.eigh(metric)
        half = vectors * values.clamp(min=0).sqrt() @ vectors.T
        regression = half @ regression
    left, singular, right = torch.linalg.svd(regression)
    writes, reads = left[:, :k] if half is None else torch.linalg.solve(half, left[:, :k]), right[:k] @ inverse
    path = []
    for rank in range(1, min(k, int((singular > NEGLIGIBLE * singular[0]).sum())) + 1):
        write, read = writes[:, :rank], reads[:rank]
        read = torch.linalg.solve_ex(read @ write, read).result
        gain = _gain(write, read, root, inverse)
        if gain <= MAX_GAIN:
            error = float(problem.error(write @ read, target, metric))
            path.append(_fit(problem, (write, read), ("oblique", target, k), singular, error, gain))
    return path


def _orthogonal(problem: LeastSquaresProblem, k: int, target: str, *, fell_back: bool = False) -> list[LeastSquaresFit]:
    """Frames of the smallest eigenvalues of D^T D - D^T T - T^T D."""
    cross = problem.cross[target]
    values, vectors = torch.linalg.eigh(problem.difference - cross - cross.T)
    errors = (1 + values[:k].cumsum(0) / problem.target[target].trace()).tolist()
    whitening, path = _whitening(problem), []
    for rank, error in enumerate(errors, 1):
        frame = vectors[:, :rank]
        gain = _gain(frame, frame.T, *whitening)
        made = _fit(problem, (frame, frame.T), ("orthogonal", target, k), values, error, gain)
        path.append(replace(made, fell_back=fell_back))
    return path


def _gain(
    write: Float[Tensor, "span rank"],
    read: Float[Tensor, "rank span"],
    root: Float[Tensor, "span span"],
    inverse: Float[Tensor, "span span"],
) -> float:
    """Norm of the projector in white coordinates; infinite where it is not finite."""
    written, reading = torch.linalg.qr(inverse @ write).R, torch.linalg.qr((read @ root).T).R
    product = written @ reading.T
    return float(torch.linalg.matrix_norm(product, ord=2)) if product.isfinite().all() else float("inf")


def _fit(
    problem: LeastSquaresProblem,
    factors: tuple[Float[Tensor, "span rank"], Float[Tensor, "rank span"]],
    kind: tuple[str, str, int],
    spectrum: Float[Tensor, " span"],
    error: float,
    gain: float,
) -> LeastSquaresFit:
    """A fit, from factors in coordinates of the span; `kind` is its form, its target and the requested rank."""
    (write, read), directions = factors, problem.axes.directions
    values, left_out = tuple(spectrum.tolist()), problem.left_out_share
    return LeastSquaresFit(directions @ write, read @ directions.T, *kind, values, error, gain, problem.span, left_out)
