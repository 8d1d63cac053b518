"""Baselines as alignments: projectors from natural states and the labels of one variable, without interventions.

| function | reads | writes | largest rank |
|---|---|---|---|
| `diff_means` | along differences of class means | along the same directions | classes - 1 |
| `linear_probe`, numbers | the weights of ridge regression | Haufe's pattern of the weights | 1 |
| `linear_probe`, categories | the weights of logistic regression | Haufe's pattern of the weights | classes - 1 |
| `lda` | the discriminants | Haufe's pattern of the discriminants | classes - 1 |
| `leace` | what LEACE erases | along which LEACE erases it | 1, or classes - 1 |

Weights that read a label say nothing about how to write it. Haufe's pattern of the weights C is S C^T (C S C^T)^-1,
where S is the covariance of the states: how states vary with what is read. It makes C a projector, since C times the
pattern is the identity. In white coordinates of the natural span it is the orthogonal projector on the weights; so are
LDA and LEACE. At full rank LDA and LEACE with categories are therefore the same projector, and LEACE with numbers is
the probe without its ridge; at smaller ranks they differ, since they order directions differently. A variable that
correlates with another one is written together with it.

All projectors stay in the natural span. Principal components, random subspaces and single neurons are alignments of
their own (`principal_components`, `random_subspace`, `neurons`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from symscope.alignment.functions.fixed import PrincipalAxes, principal_axes
from symscope.errors import InvalidArgumentError

RIDGE = 1.0
"""Penalty on the squared weights of a probe, as in scikit-learn's `Ridge` (alpha) and `LogisticRegression` (1 / C)."""


class ProjectorFactors(NamedTuple):
    """A projector `write @ read`, with `read @ write` the identity, in double precision."""

    write: Float[Tensor, "state rank"]
    read: Float[Tensor, "rank state"]

    @property
    def rank(self) -> int:
        """Dimensions that the projector moves: the smaller of the requested k and the largest rank of its kind."""
        return self.write.shape[1]


def diff_means(states: Float[Tensor, "samples state"], labels: Shaped[Tensor, " samples"], k: int) -> ProjectorFactors:
    """Difference of class means: the leading k directions along which class means differ.

    All classes have the same weight. For two classes this is the direction from one mean to the other. It
    raises the errors of `lda`.
    """
    axes, coordinates, classes = _labelled(states, labels, k)
    means = _class_means(coordinates, classes)[0]
    directions, sizes, _ = torch.linalg.svd((means - means.mean(0)).T, full_matrices=False)
    frame = axes.directions @ _leading(directions, sizes, k)
    return ProjectorFactors(frame, frame.T)


def lda(states: Float[Tensor, "samples state"], labels: Shaped[Tensor, " samples"], k: int) -> ProjectorFactors:
    """Linear discriminant analysis: the k discriminants of largest between-class variance, with their pattern.

    Args:
        states: natural states.
        labels: the value of the variable at each; each different value is a class.
        k: largest rank.

    Raises:
        InvalidArgumentError: k is below 1, or the labels have one value only.
    """
    axes, coordinates, classes = _labelled(states, labels, k)
    means, sizes = _class_means(coordinates / axes.spreads, classes)
    between = means.T * (sizes / sizes.sum()).sqrt()
    return _white_projector(axes, between, k)


def leace(
    states: Float[Tensor, "samples state"], labels: Shaped[Tensor, " samples"], k: int, *, numeric: bool = False
) -> ProjectorFactors:
    """The oblique projector that least-squares concept erasure (LEACE, Belrose et al. 2023) removes from the states.

    Args:
        states: natural states.
        labels: the value of the variable at each.
        k: largest rank; of a concept of more dimensions, those of largest covariance are taken.
        numeric: the value itself is the concept, one number; default: each different value is a category.

    Raises:
        InvalidArgumentError: k is below 1, or the labels have one value only.
    """
    axes, coordinates, classes = _labelled(states, labels, k)
    concept = labels.double()[:, None] if numeric else one_hot(classes).double()
    covariance = (coordinates / axes.spreads).T @ (concept - concept.mean(0)) / len(concept)
    return _white_projector(axes, covariance, k)


def linear_probe(
    states: Float[Tensor, "samples state"],
    labels: Shaped[Tensor, " samples"],
    k: int,
    *,
    numeric: bool = False,
    ridge: float = RIDGE,
) -> ProjectorFactors:
    """A linear probe, made a projector by Haufe's pattern (Haufe et al. 2014).

    Args:
        states: natural states.
        labels: the value of the variable at each.
        k: largest rank; of the weights of several classes, the directions along which logits vary most are taken.
        numeric: ridge regression of the value; default: logistic regression, each different value a category.
        ridge: penalty on the squared weights.

    Raises:
        InvalidArgumentError: k is below 1, the labels have one value only, or the ridge is negative.
    """
    if not ridge >= 0:
        raise InvalidArgumentError(f"the ridge of a probe is at least 0, got {ridge}")
    axes, coordinates, classes = _labelled(states, labels, k)
    if numeric:
        weights = _ridge_weights(coordinates, labels.double(), ridge)[None]
    else:
        weights, _ = logistic_regression(coordinates, classes, ridge)
    return _white_projector(axes, axes.spreads[:, None] * weights.T, k)


class Probe(NamedTuple):
    """A fitted linear probe: outputs = states @ weights^T + bias.

    Attributes:
        weights: a single output for numbers and for two classes (a logit), otherwise a logit for each class.
        bias: the intercepts.
        classes: the values of a category, ascending; `None`: the output is the number itself.
    """

    weights: Float[Tensor, "outputs state"]
    bias: Float[Tensor, " outputs"]
    classes: Shaped[Tensor, " values"] | None

    def score(
        self, outputs: Float[Tensor, "*batch samples outputs"], labels: Shaped[Tensor, " samples"]
    ) -> Float[Tensor, "*batch"]:
        """R² of the numbers, or accuracy of the classes, that the outputs say."""
        if self.classes is None:
            expected = labels.to(outputs)
            errors = (outputs[..., 0] - expected).square().sum(-1)
            return 1 - errors / (expected - expected.mean()).square().sum()
        guesses = (outputs[..., 0] > 0).long() if len(self.classes) == 2 else outputs.argmax(-1)
        return (self.classes[guesses] == labels).to(outputs).mean(-1)


def fit_probe(
    states: Float[Tensor, "samples state"],
    labels: Shaped[Tensor, " samples"],
    *,
    numeric: bool = False,
    classes: Shaped[Tensor, " values"] | None = None,
) -> Probe:
    """A linear probe of a variable, within the natural span of the states.

    Args:
        states: natural states.
        labels: the value of the variable at each.
        numeric: ridge regression of the value; default: logistic regression, each different value a category.
        classes: all values of a category, ascending; default: those of the labels.

    Raises:
        InvalidArgumentError: the labels have one value only.
    """
    axes, coordinates, _ = _labelled(states, labels, 1)
    if numeric:
        classes, values = None, labels.double()
        weights, bias = _ridge_weights(coordinates, values, RIDGE)[None], values.mean()[None]
    else:
        classes = labels.unique() if classes is None else classes
        ids = (labels[:, None] == classes).int().argmax(1)  # values can be of any type, bool too
        weights, bias = logistic_regression(coordinates, ids, RIDGE, len(classes))
    weights = weights @ axes.directions.T
    return Probe(weights, bias - weights @ axes.mean, classes)


def probe_score(
    states: Float[Tensor, "samples state"], labels: Shaped[Tensor, " samples"], *, numeric: bool = False
) -> float:
    """How well a linear probe reads a variable: fitted to the first half of the states, scored on the second.

    Args:
        states: natural states, in random order.
        labels: the value of the variable at each.
        numeric: the score is R² of ridge regression; default: the accuracy of logistic regression, each different value
            a category.

    Raises:
        InvalidArgumentError: the labels of one half have one value only.
    """
    half = len(states) // 2
    if len(labels[half:].unique()) < 2:
        raise InvalidArgumentError("the labels of the second half have one value only: there is nothing to score")
    probe = fit_probe(states[:half], labels[:half], numeric=numeric, classes=labels.unique())
    return float(probe.score(states[half:].double() @ probe.weights.T + probe.bias, labels[half:]))


def _ridge_weights(
    centred: Float[Tensor, "samples span"], values: Float[Tensor, " samples"], ridge: float
) -> Float[Tensor, " span"]:
    moments = centred.T @ centred + ridge * torch.eye(centred.shape[1]).to(centred)
    return torch.linalg.solve(moments, centred.T @ (values - values.mean()))


@torch.inference_mode(False)  # it is fitted by its gradient
def logistic_regression(
    states: Float[Tensor, "samples state"],
    classes: Int[Tensor, " samples"],
    ridge: float = RIDGE,
    count: int | None = None,
) -> tuple[Float[Tensor, "logits state"], Float[Tensor, " logits"]]:
    """Weights and intercepts of logistic regression: one logit for two classes, otherwise one for each of `count`."""
    states, classes = states.clone(), classes.clone()  # tensors of inference mode have no gradient
    count = count or int(classes.max()) + 1
    logits = 1 if count == 2 else count
    weights = states.new_zeros(logits, states.shape[1], requires_grad=True)
    bias = states.new_zeros(logits, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], max_iter=1000, tolerance_grad=1e-8, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        scores = states @ weights.T + bias
        if logits == 1:
            fit = binary_cross_entropy_with_logits(scores[:, 0], classes.to(scores.dtype), reduction="sum")
        else:
            fit = cross_entropy(scores, classes, reduction="sum")
        loss = (fit + ridge / 2 * weights.square().sum()) / len(states)
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach(), bias.detach()


def _labelled(
    states: Float[Tensor, "samples state"], labels: Shaped[Tensor, " samples"], k: int
) -> tuple[PrincipalAxes, Float[Tensor, "samples span"], Int[Tensor, " samples"]]:
    """The natural span, the states in its coordinates, and class ids of the labels."""
    if k < 1:
        raise InvalidArgumentError(f"a variable takes at least 1 dimension, got k = {k}")
    values, classes = labels.unique(return_inverse=True)
    if len(values) < 2:
        raise InvalidArgumentError(f"the labels have one value only ({values.tolist()}): there is nothing to read")
    axes = principal_axes(states).in_use()
    return axes, (states.double() - axes.mean) @ axes.directions, classes


def _class_means(
    states: Float[Tensor, "samples span"], classes: Int[Tensor, " samples"]
) -> tuple[Float[Tensor, "classes span"], Float[Tensor, " classes"]]:
    members = one_hot(classes).to(states)
    sizes = members.sum(0)
    return members.T @ states / sizes[:, None], sizes


def _leading(
    directions: Float[Tensor, "span directions"], sizes: Float[Tensor, " directions"], k: int
) -> Float[Tensor, "span rank"]:
    """The first k directions; without those of negligible size, which are beyond the rank."""
    return directions[:, : min(k, int((sizes > 1e-8 * sizes[0]).sum()))]


def _white_projector(axes: PrincipalAxes, reads: Float[Tensor, "span columns"], k: int) -> ProjectorFactors:
    """The orthogonal projector, in white coordinates, on the k leading directions of some columns."""
    directions, sizes, _ = torch.linalg.svd(reads, full_matrices=False)
    frame = _leading(directions, sizes, k)
    write = axes.directions @ (axes.spreads[:, None] * frame)
    read = (frame / axes.spreads[:, None]).T @ axes.directions.T
    return ProjectorFactors(write, read)
