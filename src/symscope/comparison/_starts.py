"""Where a model alignment search starts: closed forms of each model, turned so that their coordinates agree.

Each model has a least-squares alignment of its own (`symscope.alignment.least_squares`), whose k coordinates are in no
relation to those of another model. The models run on the same inputs, so their states are paired: a k x k matrix maps
the class means of one model, in its coordinates, to those of the first model.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.alignment._closed_form import intervention_states
from symscope.alignment.least_squares import LeastSquaresFit, LeastSquaresProblem, in_one_map, least_squares_path
from symscope.alignment.state_classes import ClassSums
from symscope.comparison._joint import JointSpace
from symscope.interchange import CachedInterventions

Start = tuple[tuple[Tensor, Tensor], tuple[int, ...]]
"""Stacked factors U (joint x k) and C (k x joint), and the rank of each variable."""
MAX_CONDITION = 100.0
"""Largest condition number of the map between the coordinates of two models; beyond it, a rotation is taken."""


class ModelForms:
    """The closed forms of some variables in one model.

    Args:
        train: interventions of this model on each set of variables, sources and bases from this model.
        names: the variables of the hypothesis.
        max_k: the largest k.
        form: `"oblique"` or `"orthogonal"`.

    Raises:
        InvalidArgumentError: no closed form applies to one of them.
    """

    def __init__(self, train: Sequence[CachedInterventions], names: Sequence[str], max_k: int, form: str) -> None:
        states = [intervention_states(cached, names) for cached in train]
        self._problems = [LeastSquaresProblem.of(each) for each in states]
        self._form, self._max_k = form, max_k
        self._paths: dict[str, list[list[LeastSquaresFit]]] = {}
        self.natural = torch.cat([each.natural_states for each in states])
        self.classes = states[0].natural_class if len(states) == 1 else _classes(train, names)

    def at(self, target: str, k: int) -> tuple[LeastSquaresFit, ...] | None:
        """Projectors of the largest rank up to k, of several variables with pairwise product zero; `None`: none."""
        if target not in self._paths:
            self._paths[target] = [
                least_squares_path(problem, min(self._max_k, problem.span), form=self._form, target=target)
                for problem in self._problems
            ]
        fits = [
            max((fit for fit in path if fit.rank <= k), key=lambda fit: fit.rank, default=None)
            for path in self._paths[target]
        ]
        known = [fit for fit in fits if fit is not None and fit.form == self._form]
        if len(known) < len(fits):
            return None
        together = known if len(known) == 1 else in_one_map(self._problems[0], known)
        return None if together is None else tuple(together)


def _classes(train: Sequence[CachedInterventions], names: Sequence[str]) -> Int[Tensor, " samples"]:
    values = torch.cat([torch.stack([each.values[name].double() for name in names], 1) for each in train])
    return values.unique(dim=0, return_inverse=True)[1].to(train[0].base_states.device)


def joint_start(
    forms: Sequence[ModelForms | None], trained: int, space: JointSpace, target: str, k: int
) -> Start | None:
    """Stacked factors of all models whose coordinates agree with those of the first, and the rank of each variable.

    Args:
        forms: the closed forms of each model, those of the same variables; an untrained network may have none.
        trained: how many of the models are trained; they come first, and all must have closed forms of one rank.
        space: the joint space.
        target: of the least-squares problem.
        k: the largest rank of each variable.

    Returns:
        `None` where the trained models have no closed forms of one rank.
    """
    for limit in range(k, 0, -1):
        fits = [None if form is None else form.at(target, limit) for form in forms]
        ranks = {None if each is None else tuple(fit.rank for fit in each) for each in fits[:trained]}
        if None in ranks:
            return None
        if len(ranks) == 1:
            (chosen,) = ranks
            assert chosen is not None
            alike = [each if each and tuple(fit.rank for fit in each) == chosen else None for each in fits]
            return _stacked(forms, alike, space, sum(chosen)), chosen
    return None


def _stacked(
    forms: Sequence[ModelForms | None],
    fits: Sequence[Sequence[LeastSquaresFit] | None],
    space: JointSpace,
    k: int,
) -> tuple[Tensor, Tensor]:
    """The factors of each model in its coordinates; a model without a closed form gets its leading coordinates."""
    first_form, first_fits = forms[0], fits[0]
    assert first_form is not None
    assert first_fits is not None
    writes, reads = [], []
    for number, (form, chosen, each) in enumerate(zip(forms, fits, space.spaces, strict=True)):
        if form is None or chosen is None:
            write = torch.eye(each.width, k).to(first_fits[0].write)
            writes.append(write)
            reads.append(write.T)
            continue
        turns = [
            _between(first_form, first, form, fit) if number else torch.eye(fit.rank).to(fit.read)
            for first, fit in zip(first_fits, chosen, strict=True)
        ]
        write = [torch.linalg.solve(turn, fit.write, left=False) for turn, fit in zip(turns, chosen, strict=True)]
        read = [turn @ fit.read for turn, fit in zip(turns, chosen, strict=True)]
        writes.append(each.encode.double() @ torch.cat(write, 1))
        reads.append(torch.cat(read) @ each.decode.double())
    return torch.cat(writes), torch.cat(reads, 1)


def _between(
    first: ModelForms, first_fit: LeastSquaresFit, form: ModelForms, fit: LeastSquaresFit
) -> Float[Tensor, "k k"]:
    """The matrix from the coordinates of one model to those of the first, by least squares over class means.

    Orthogonal frames are turned only, and so are others where the least-squares matrix is badly conditioned.
    """
    pair = []
    for each, projector in ((first, first_fit), (form, fit)):
        sums = ClassSums.of(each.natural.double(), each.classes)
        means = sums.sums / sums.sizes[:, None].clamp(min=1)
        centred = (means - each.natural.double().mean(0)) @ projector.read.T
        pair.append(centred * sums.sizes[:, None].sqrt())
    target, given = pair
    if fit.form == "oblique":
        matrix = torch.linalg.lstsq(given, target).solution.T
        if matrix.isfinite().all() and torch.linalg.cond(matrix) < MAX_CONDITION:
            return matrix
    left, _, right = torch.linalg.svd(target.T @ given)
    scale = target.norm() / given.norm() if fit.form == "oblique" else 1.0
    return left @ right * scale
