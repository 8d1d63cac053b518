"""Result of a comparison of models: a matrix of IIA with its controls, and measures of similarity beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from symscope.alignment.natural import Divergence
from symscope.alignment.score import Score
from symscope.display import Bar, card
from symscope.errors import InvalidArgumentError, UnknownNameError

if TYPE_CHECKING:
    import polars as pl

    from symscope.comparison.similarity import Similarity


@dataclass(frozen=True)
class Frame:
    """The coordinates of a variable in the states of one model.

    Attributes:
        write: directions along which coordinates are written.
        read: rows that read coordinates from centred states; read @ write is the identity.
        mean: of the natural states.
    """

    write: Float[Tensor, "state k"]
    read: Float[Tensor, "k state"]
    mean: Float[Tensor, " state"]

    def coordinates(self, states: Float[Tensor, "rows state"]) -> Float[Tensor, "rows k"]:
        """The coordinates of states; those of two models mean the same."""
        return (states - self.mean) @ self.read.T


@dataclass(frozen=True)
class Transfer:
    """Test IIA when values of a variable are taken from one model and written into another, or into the same.

    Attributes:
        variable: the variable, or several joined by `+`.
        k: dimensions that were requested for it.
        rank: dimensions of its frames, at most k.
        target: name of the model whose states are rewritten and which continues.
        source: name of the model that the values come from.
        score: IIA on test interventions; `None` where the target cannot be resumed.
        informative: IIA on the informative ones; `None` where there are none.
        divergence: of the rewritten states from natural states of the target.
        controls: IIA of each control on the same direction.
    """

    variable: str
    k: int
    rank: int
    target: str
    source: str
    score: Score | None
    informative: Score | None
    divergence: Divergence | None
    controls: Mapping[str, Score]

    @property
    def is_within(self) -> bool:
        """Whether source and target are the same model."""
        return self.target == self.source

    def row(self) -> dict[str, Any]:
        """The transfer as a row of a table."""
        score, informative, states = self.score, self.informative, self.divergence
        return {
            "variable": self.variable,
            "k": self.k,
            "rank": self.rank,
            "target": self.target,
            "source": self.source,
            "iia": None if score is None else score.iia,
            "low": None if score is None else score.low,
            "high": None if score is None else score.high,
            "n": None if score is None else score.n,
            "iia_informative": None if informative is None else informative.iia,
            "mahalanobis": None if states is None else states.mahalanobis,
            "nearest": None if states is None else states.nearest,
            **{name: each.iia for name, each in self.controls.items()},
        }


@dataclass(frozen=True)
class PairSimilarity:
    """A measure of similarity between the states of two models, without any intervention.

    Attributes:
        first, second: names of the models; measures with a direction map from the second to the first.
        similarity: the measure with its null distribution.
    """

    first: str
    second: str
    similarity: Similarity


@dataclass(frozen=True)
class SearchSummary:
    """How the search of one variable and k went.

    Attributes:
        variable, k: what was searched.
        validation_iia: mean over directions.
        best_step: the step at which the frames were best; 0: the closed-form start.
        total_steps: steps of all restarts together.
        closed_form: whether the search started in closed form.
    """

    variable: str
    k: int
    validation_iia: float
    best_step: int
    total_steps: int
    closed_form: bool


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """Do models compute with the same variable? See `compare_models`.

    Attributes:
        hypothesis: name of the algorithm or of the table.
        models: names of the models.
        accuracy: for each model the share of sequences that it completes correctly; `None`: unknown.
        function: label of the alignment function.
        transfers: each direction of each variable and k.
        similarities: for each pair of models.
        searches: how the searches went.
        frames: by variable, k and model.
        unfitted_controls: why an untrained network could not be used as a source, by its name.
    """

    hypothesis: str
    models: tuple[str, ...]
    accuracy: Mapping[str, float | None]
    function: str
    transfers: tuple[Transfer, ...]
    similarities: tuple[PairSimilarity, ...]
    searches: tuple[SearchSummary, ...]
    frames: Mapping[tuple[str, int, str], Frame] = field(default_factory=dict)
    unfitted_controls: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, direction: tuple[str, str]) -> Transfer:
        """The transfer into a target from a source, by their names, where there is one variable and one k.

        Raises:
            UnknownNameError: there is no such model.
            InvalidArgumentError: there are several variables or sizes; see `transfers`.
        """
        for name in direction:
            if name not in self.models:
                raise UnknownNameError("model", name, self.models)
        found = [each for each in self.transfers if (each.target, each.source) == tuple(direction)]
        if len(found) != 1:
            raise InvalidArgumentError(f"there are {len(found)} transfers of this direction; look in `transfers`")
        return found[0]

    def table(self) -> pl.DataFrame:
        """One row for each transfer: IIA with its interval, divergence, and the IIA of each control."""
        import polars as pl  # noqa: PLC0415  (the import of symscope must be fast)

        facts = {"hypothesis": self.hypothesis, "function": self.function}
        return pl.DataFrame([{**facts, **each.row()} for each in self.transfers], infer_schema_length=None)

    def similarity_table(self) -> pl.DataFrame:
        """One row for each measure and pair of models, with its permutation null and untrained networks."""
        import polars as pl  # noqa: PLC0415

        rows = [{"first": pair.first, "second": pair.second, **asdict(pair.similarity)} for pair in self.similarities]
        return pl.DataFrame(rows, infer_schema_length=None)

    def _matrix(self, chosen: Sequence[Transfer]) -> list[str]:
        scores = {(each.target, each.source): each.score for each in chosen}
        width = max(12, *(len(name) for name in self.models))
        head = "into \\ from".ljust(width) + "".join(f"  {name:>{width}}" for name in self.models)
        lines = [head]
        for target in self.models:
            cells = [scores.get((target, source)) for source in self.models]
            texts = ["–" if cell is None else f"{cell.iia:.3f}" for cell in cells]
            lines.append(target.ljust(width) + "".join(f"  {cell:>{width}}" for cell in texts))
        return lines

    def _groups(self) -> dict[tuple[str, int], list[Transfer]]:
        groups: dict[tuple[str, int], list[Transfer]] = {}
        for each in self.transfers:
            groups.setdefault((each.variable, each.k), []).append(each)
        return groups

    def __repr__(self) -> str:
        lines = []
        for (variable, k), chosen in self._groups().items():
            lines.append(
                f"{variable} of {self.hypothesis}, k = {k} ({self.function}): IIA into a model (row) from a model"
            )
            lines += [f"  {line}" for line in self._matrix(chosen)]
            for name in dict.fromkeys(name for each in chosen for name in each.controls):
                values = [each.controls[name].iia for each in chosen if name in each.controls]
                lines.append(f"  control {name}: {min(values):.3f} to {max(values):.3f}")
        for pair in self.similarities:
            lines.append(f"{pair.first}, {pair.second}: {pair.similarity}")
        lines += [f"WARNING: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    @property
    def warnings(self) -> list[str]:
        """What makes the numbers hard to interpret."""
        narrow = [f"control {name} could not be fitted: {why}" for name, why in self.unfitted_controls.items()]
        low = [
            f"{name} completes {share:.0%} of sequences correctly without an intervention, so a low IIA says little"
            for name, share in self.accuracy.items()
            if share is not None and share < 0.9
        ]
        return [*low, *narrow]

    def _repr_html_(self) -> str:
        parts = []
        for (variable, k), chosen in self._groups().items():
            bars = [
                Bar(f"into {each.target} from {each.source}", each.score.iia, each.score.low, each.score.high, True)
                for each in chosen
                if each.score is not None
            ]
            parts.append(card(f"{variable} of {self.hypothesis}", f"k = {k}, {self.function}", bars, (), self.warnings))
        return "".join(parts)
