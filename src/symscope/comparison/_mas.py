"""Model alignment search: one frame for each model, fitted to all directions at once (Grant et al. 2025)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import final

import torch
from torch import Tensor

from symscope.alignment import MAIN, AlignmentProblem, SearchOptions, SearchResult, TrainingPool, search
from symscope.alignment._closed_form import CHOICE_ROWS, EXACT
from symscope.alignment.functions import Alignment, LinearFunction
from symscope.alignment.least_squares import TARGETS
from symscope.alignment.masks import FixedMask
from symscope.alignment.score import validation_iias
from symscope.comparison._joint import JointFunction
from symscope.comparison._sets import SHUFFLED, TRAIN, TRUE, VALIDATION, Direction, JointSets
from symscope.comparison._starts import ModelForms, Start, joint_start
from symscope.errors import InvalidArgumentError
from symscope.interchange import CachedInterventions
from symscope.seeds import generator
from symscope.tracking import STEP, OnStep

UNTRAINED, RANDOM_FRAME = "untrained", "random_frame"

Group = tuple[tuple[str, ...], int]
"""The variables that share a map, and the k of each."""


@final
@dataclass(frozen=True)
class JointFit:
    """Fitted frames of one group of variables.

    Attributes:
        subject: `alignment`, or the name of a control.
        directions: the directions that the frames were fitted to.
        alignments: of each variable, in the joint space.
        search: how the search went; `None`: computed.
        closed_form: whether the search started in closed form.
    """

    subject: str
    directions: tuple[Direction, ...]
    alignments: Mapping[str, Alignment]
    search: SearchResult | None
    closed_form: bool = False


@final
@dataclass(frozen=True)
class JointSearch:
    """The searches of all groups and controls in one batch.

    Attributes:
        sets: the interventions.
        function: the alignment function of each model.
        groups: the variables that share a map, with their k.
        options: how to search; a step has `options.batch` interventions for each model.
        on_step: called after each validation with `alignment`, the step, and the best validation IIA of each group.
    """

    sets: JointSets
    function: LinearFunction
    groups: Sequence[Group]
    options: SearchOptions
    on_step: OnStep | None = None

    def fit(self) -> dict[Group, list[JointFit]]:
        """The fits of each group: the alignment first, then its controls."""
        self._check_sizes()
        validation: dict[str, CachedInterventions] = {}
        batch: list[AlignmentProblem] = []
        named: list[tuple[Group, str, tuple[Direction, ...], bool]] = []
        train: dict[str, CachedInterventions] = {}
        latents: dict[str, Tensor] = {}
        weight = self.options.latent_weight
        starts = {group: self._start(group) for group in self.groups}
        for subject in self._subjects():
            for number, group in enumerate(self.groups):
                directions = self._directions(group, subject)
                for direction in directions:
                    name = str(direction)
                    if name in train:  # groups that differ in k alone share their interventions
                        continue
                    train[name] = self.sets.cross(direction, TRAIN)
                    if weight:
                        latents[name] = self.sets.latents(direction)
                    if self.sets.can_resume(direction):
                        validation[name] = self.sets.cross(direction, VALIDATION)
                start = starts[group]
                problem = self._problem(group, directions, start)
                batch.append(problem if subject == MAIN else replace(problem, restarts=1, stops_with=number))
                named.append((group, subject, directions, start is not None))
        pool = TrainingPool(self.sets.network, train, latents, self.options.memory)
        options = replace(self.options, batch=self.options.batch * self.sets.trained)

        def validated(step: int, best: list[float]) -> None:
            if self.on_step:
                of_group = zip(self.groups, best, strict=False)  # controls come after the groups
                values = {f"{'+'.join(variables)}.k{k}": iia for (variables, k), iia in of_group}
                self.on_step(MAIN, {STEP: step, **values})

        results = search(self.sets.network, batch, pool, validation, options, validated)
        fits: dict[Group, list[JointFit]] = {group: [] for group in self.groups}
        for (group, subject, directions, closed), result in zip(named, results, strict=True):
            fits[group].append(JointFit(subject, directions, result.alignments, result, closed))
        for group in self.groups:
            fits[group].append(self._random_frame(group, fits[group][0]))
        return fits

    def _check_sizes(self) -> None:
        """Frames that are wider than the states are refused; the natural span of states may make them narrower."""
        for variables, k in self.groups:
            name, requested = "+".join(variables), k * len(variables)
            for model, space in zip(self.sets.models[: self.sets.trained], self.sets.space.spaces, strict=False):
                if requested > (width := len(space.mean)):
                    raise InvalidArgumentError(
                        f"{name} cannot take {requested} dimensions: the states of {model.name!r} have {width}"
                    )
                if space.width < len(variables):
                    raise InvalidArgumentError(
                        f"{name} needs {len(variables)} dimensions: the natural states of {model.name!r} have "
                        f"{space.width} in these coordinates ({self.function.coordinates})"
                    )

    def _subjects(self) -> list[str]:
        twins = [UNTRAINED] if len(self.sets.models) > self.sets.trained else []
        return [MAIN, *([SHUFFLED] if SHUFFLED in self.sets.data else []), *twins]

    def _directions(self, group: Group, subject: str) -> tuple[Direction, ...]:
        trained = range(self.sets.trained)
        sources = range(self.sets.trained, len(self.sets.models)) if subject == UNTRAINED else trained
        labels = SHUFFLED if subject == SHUFFLED else TRUE
        every = [Direction(name, i, j, labels) for name in group[0] for i in trained for j in sources]
        values = bool(self.sets.value_names) and self.options.latent_weight > 0
        return tuple(direction for direction in every if self.sets.can_resume(direction) or values)

    def _problem(self, group: Group, directions: Sequence[Direction], start: Start | None) -> AlignmentProblem:
        variables, k = group
        ranks = (self.sets.k_of(variables, k),) * len(variables) if start is None else start[1]
        return AlignmentProblem(
            sets=tuple(map(str, directions)),
            mask=FixedMask(
                tuple(zip(variables, ranks, strict=True)),
                tuple(((direction.variable, 0),) for direction in directions),
            ),
            function=self._joint_function,
            seed=self.sets.data[TRUE].seed,
            start=None if start is None else start[0],
            validated_by="mean",
        )

    @property
    def _joint_function(self) -> JointFunction:
        return JointFunction(function=self.function, widths=self.sets.space.widths)

    def _start(self, group: Group) -> Start | None:
        """The best closed form of all models, and its ranks; `None`: the search starts at random.

        The smallest rank that is exact on validation interventions, else the largest, with the better target.
        """
        form, variables = self.function.closed_form, group[0]
        k = self.sets.k_of(*group)
        if form is None or self.options.init != "least-squares":
            return None
        forms = [self._forms(number, variables, k, form) for number in range(len(self.sets.models))]
        if None in forms[: self.sets.trained]:
            return None
        sizes = [rank for rank in range(1, k + 1) if rank == k or rank & (rank - 1) == 0]
        starts = [
            joint_start(forms, self.sets.trained, self.sets.space, target, rank) for rank in sizes for target in TARGETS
        ]
        found = [start for start in starts if start is not None]
        if not found:
            return None
        scores = self._scores(group, found)
        exact = [number for number, score in enumerate(scores) if score >= EXACT]
        largest = max(sum(ranks) for _, ranks in found)
        chosen = exact or [number for number, (_, ranks) in enumerate(found) if sum(ranks) == largest]
        return found[exact[0] if exact else max(chosen, key=lambda number: scores[number])]

    def _forms(self, number: int, variables: Sequence[str], k: int, form: str) -> ModelForms | None:
        """The closed forms of a model; `None` where values are unknown, or never occur in natural states."""
        train = [self.sets.cached[number, (TRUE, TRAIN, name)] for name in variables]
        try:
            return ModelForms(train, self.sets.value_names, k, form)
        except InvalidArgumentError:
            return None

    def _scores(self, group: Group, starts: Sequence[Start]) -> list[float]:
        """The mean validation IIA of each start over directions."""
        candidates = [self._alignments(group[0], ranks, factors) for factors, ranks in starts]
        scores: list[list[float]] = []
        for direction in self._directions(group, MAIN):
            if self.sets.can_resume(direction):
                cached = self.sets.cross(direction, VALIDATION)
                rows = torch.arange(min(CHOICE_ROWS, len(cached)))
                scores.append(validation_iias(self.sets.network, cached, candidates, rows))
        return [fmean(of_start) for of_start in zip(*scores, strict=True)]

    def _alignments(
        self, variables: Sequence[str], ranks: Sequence[int], start: tuple[Tensor, Tensor] | None
    ) -> dict[str, Alignment]:
        """Frames at a given start, or at random."""
        function, k = self._joint_function, sum(ranks)
        draws = generator(self.sets.data[TRUE].seed, "random frame", k)
        like = self.sets.space.spaces[0].mean
        factors = None if start is None else (start[0].to(self.sets.space.dtype), start[1].to(self.sets.space.dtype))
        tensors = [tensor.to(like.device) for tensor in function.initialise(function.width(()), k, factors, draws)]
        blocks = FixedMask(tuple(zip(variables, ranks, strict=True))).dimensions(())
        return {name: function.select(tensors, k, block) for name, block in blocks.items()}

    def _random_frame(self, group: Group, main: JointFit) -> JointFit:
        ranks = [main.alignments[name].k for name in group[0]]
        return JointFit(RANDOM_FRAME, main.directions, self._alignments(group[0], ranks, None), None)
