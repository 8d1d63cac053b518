"""Interchange interventions as data: a base, its sources, what is fed after the stop, and what must be predicted.

Nothing here says where the data comes from, and nothing that fits an alignment needs to know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from torch.nn.functional import pad

from symscope.algorithms import Algorithm
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks import Network

Values = Mapping[str, Shaped[Tensor, " rows"]]
"""The value of each variable in each row."""


@dataclass(frozen=True)
class StoppedInputs:
    """Inputs of a network, and the position after which each run stops.

    Attributes:
        inputs: token ids, or one vector for each row.
        position: the last position that is run, counted from 0.
        values: the value of each variable of the hypothesis at the stop; empty where no values are known.
    """

    inputs: Shaped[Tensor, "rows time"]
    position: Int[Tensor, " rows"]
    values: Values

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, rows: Tensor) -> "StoppedInputs":
        """Some of the rows, by index or mask."""
        values = {name: column[rows] for name, column in self.values.items()}
        return StoppedInputs(self.inputs[rows], self.position[rows], values)


@dataclass(frozen=True)
class Interventions:
    """Interchange interventions that overwrite the same variables, one for each row.

    Column 0 of `targets` is what must be predicted at the stop itself, column j what must be predicted after the fed
    token j - 1. For next-token prediction `fed` is `targets` without its last column, for sequence labelling they
    differ, and for classification nothing is fed.

    Attributes:
        variables: the variables whose values are overwritten.
        base: the runs whose state is rewritten.
        sources: the runs that the new values come from.
        source_of: for each variable, the index of its source.
        fed: the tokens that the base reads after the stop.
        targets: what must be predicted, by the counterfactual.
        target_mask: the targets that count.
        rejection_rate: share of the draws that had no counterfactual and were drawn again.
        changes_base: where the counterfactual differs from the base's own continuation; `None`: not computed.
        informative: where the counterfactual differs from the own continuations of the base *and* of every source.
        cluster: the cluster of each row, such as the word that it is about; rows of one cluster are not independent.
            `None`: rows are independent.

    Raises:
        InvalidArgumentError: the parts differ in their number of rows or steps, or a variable has no source.
    """

    variables: tuple[str, ...]
    base: StoppedInputs
    sources: tuple[StoppedInputs, ...]
    source_of: tuple[int, ...]
    fed: Int[Tensor, "rows steps"]
    targets: Int[Tensor, "rows steps+1"]
    target_mask: Bool[Tensor, "rows steps+1"]
    rejection_rate: float = 0.0
    changes_base: Bool[Tensor, " rows"] | None = None
    informative: Bool[Tensor, " rows"] | None = None
    cluster: Int[Tensor, " rows"] | None = None

    def __post_init__(self) -> None:
        if len(self.source_of) != len(self.variables) or not all(0 <= s < len(self.sources) for s in self.source_of):
            raise InvalidArgumentError(
                f"each of the variables {self.variables} needs the index of its source, from 0 to "
                f"{len(self.sources) - 1}; got {self.source_of}"
            )
        rows = {len(part) for part in (self.base, *self.sources, self.fed, self.target_mask)}
        if rows != {len(self.targets)}:
            raise InvalidArgumentError(
                f"every part has one row for each intervention, {len(self.targets)} as the targets; got {sorted(rows)}"
            )
        if self.targets.shape != self.target_mask.shape or self.targets.shape[1] != self.fed.shape[1] + 1:
            raise InvalidArgumentError(
                "targets and target_mask have a column for the stop and a column for each fed token; got the shapes "
                f"{tuple(self.targets.shape)} and {tuple(self.target_mask.shape)} for fed {tuple(self.fed.shape)}"
            )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def name(self) -> str:
        """The overwritten variables, joined by `+`."""
        return "+".join(self.variables)

    @property
    def lengths(self) -> Int[Tensor, " rows"]:
        """Columns of `targets` up to the last that counts."""
        return (self.target_mask * torch.arange(1, self.target_mask.shape[1] + 1)).amax(1)

    @property
    def counterfactual_values(self) -> dict[str, Tensor]:
        """The value of each variable after the intervention."""
        taken = {name: self.sources[at].values[name] for name, at in zip(self.variables, self.source_of, strict=True)}
        return {**self.base.values, **taken}

    def has_values(self, named: Mapping[str, Sequence[int]]) -> Bool[Tensor, " rows"]:
        """Where a base, a source or the state after the swap has one of some values of variables.

        Raises:
            UnknownNameError: there is no such variable.
        """
        found = torch.zeros(len(self), dtype=torch.bool)
        for name, values in named.items():
            for stopped in (self.base, *self.sources):
                if name not in stopped.values:
                    raise UnknownNameError("variable", name, stopped.values)
                found |= torch.isin(stopped.values[name], torch.tensor(values, dtype=stopped.values[name].dtype))
        return found

    def select(self, rows: Tensor) -> "Interventions":
        """Some of the interventions, by index or mask."""
        parts: dict[str, Any] = {"base": self.base.select(rows), "sources": tuple(s.select(rows) for s in self.sources)}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, Tensor):
                parts[entry.name] = value[rows]
        return replace(self, **parts)


def join_interventions(parts: Sequence[Interventions], rejection_rate: float = 0.0) -> Interventions:
    """Several sets of interventions on the same variables as one; what a part has not computed is left out."""

    def runs(stopped: Sequence[StoppedInputs]) -> StoppedInputs:
        values = {name: torch.cat([part.values[name] for part in stopped]) for name in stopped[0].values}
        return StoppedInputs(_cat([part.inputs for part in stopped]), _cat([part.position for part in stopped]), values)

    first = parts[0]
    return Interventions(
        first.variables,
        runs([part.base for part in parts]),
        tuple(runs(same) for same in zip(*(part.sources for part in parts), strict=True)),
        first.source_of,
        _cat([part.fed for part in parts]),
        _cat([part.targets for part in parts]),
        _cat([part.target_mask for part in parts]),
        rejection_rate,
    )


def _cat(tensors: list[Tensor]) -> Tensor:
    """Rows of all tensors, shorter ones padded with zeros."""
    if tensors[0].ndim == 1:
        return torch.cat(tensors)
    time = max(tensor.shape[1] for tensor in tensors)
    return torch.cat([pad(tensor, (0, time - tensor.shape[1])) for tensor in tensors])


class Excluded(NamedTuple):
    """How many pairs are left out because a network completes their base or source incorrectly.

    Attributes:
        pairs: the pairs that are left out.
        of: all pairs.
    """

    pairs: int
    of: int

    def __str__(self) -> str:
        return f"{self.pairs:,} of {self.of:,} pairs left out: the network completes their base or source incorrectly"


NO_PROTOCOL = "given"
"""Name of the protocol in tables where base and source come from the user."""


@dataclass(frozen=True)
class CounterfactualData:
    """Interventions on each of several variables: to fit an alignment, to choose among fits, and to test the choice.

    The mappings have one entry for each set of variables that is overwritten together, by the name of the set.

    Attributes:
        hypothesis: name of the algorithm or of the table that the data comes from.
        train, validation, test: interventions drawn independently of each other.
        cause: test interventions whose base and source differ in the overwritten variable alone.
        isolation: test interventions whose base and source agree on the overwritten variable and differ in the rest.
        seed: the seed of the draws.
        uncut: runs without any intervention, which show whether the network does the task at all.
        vocabulary: number of tokens that the network must have; `None`: not known, and for vectors.
        value_names: for each variable that has them, the names of its values 0, 1, ...; an empty tuple for a variable
            that takes integers, `None` for one that takes real numbers.
        excluded: for each set of variables how many pairs are left out because the network completes their base or
            source incorrectly; empty: not checked.
        every_variable: test interventions that overwrite all variables of the hypothesis together, from one source, for
            the score of the complement; `None` where there are none.
        held_out: values of variables that no training or validation intervention has.
        algorithm: the algorithm that the data is drawn from; `None`: it is from a table or a causal graph.
        end: the token that ends an answer; `None`: answers have no length.
        token_name: gives the name of a token id, for readers; default: the id itself.
        protocol: name of the intervention protocol; `given` where base and source come from a table or graph.
        shuffle: makes the same data with permuted values of the overwritten variables; `None` where no values are
            known.
    """

    hypothesis: str
    train: Mapping[str, Interventions]
    validation: Mapping[str, Interventions]
    test: Mapping[str, Interventions]
    cause: Mapping[str, Interventions]
    isolation: Mapping[str, Interventions]
    seed: int
    uncut: Interventions | None
    vocabulary: int | None
    value_names: Mapping[str, tuple[str, ...] | None]
    shuffle: Callable[["CounterfactualData"], "CounterfactualData"] | None = None
    excluded: Mapping[str, Excluded] = field(default_factory=dict)
    every_variable: Interventions | None = None
    algorithm: Algorithm | None = None
    held_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    end: int | None = None
    token_name: Callable[[int], str] = str
    protocol: str = NO_PROTOCOL

    @classmethod
    def from_table(
        cls,
        table: Any,
        *,
        tokenizer: Any = None,
        vocabulary: int | None = None,
        network: Network | None = None,
        name: str = "table",
        seed: int = 0,
        multi_token_labels: bool = False,
    ) -> "CounterfactualData":
        """Interventions from a table with one pair of inputs a row.

        | column | meaning |
        |---|---|
        | `base`, `source` | text, token ids (integers), or a vector (numbers with decimal points); also called \
        `input`, `counterfactual_inputs` |
        | `label` | what must follow the base after the swap: text, a token id or several, or a class |
        | `variable` | name of the overwritten variable; default: `variable` |
        | `position`, `base_position`, `source_position` | where the runs stop: an integer (-1 is the last token, the \
        default), or a part of the text: the last token of its last occurrence |
        | `base_label`, `source_label` | what follows base and source without a swap: for the accuracy of the network \
        and to know which interventions are informative |
        | `base_values`, `source_values` | dictionaries with the value of each variable: for cause and isolation, \
        closed-form starts, naturalness and shuffled labels |
        | `split` | `train`, `validation` or `test`; default: 60, 20 and 20% at random, by cluster where there is one |
        | `cluster` | rows of one cluster are not independent: they stay in one split, and intervals allow for it |

        Args:
            table: a frame of polars or pandas, dictionaries, or a file (.parquet, .jsonl, .csv).
            tokenizer: of Hugging Face, for text.
            vocabulary: number of tokens of the network, to find token ids outside it.
            network: leave out the rows whose base or source this network completes incorrectly; needs `base_label`
                and `source_label`. Results say how many (`excluded`).
            name: name of the hypothesis in results.
            seed: fixes the splits and the permutation of shuffled labels.
            multi_token_labels: accept labels of several tokens, all of which must be predicted; default: refuse them.

        Raises:
            ConfigurationError: the table has faults; all of them, with row numbers counted from 0.
            InvalidArgumentError: there is no such file, it is no table, or `network` completes a base or source of
                every pair of a variable incorrectly.
        """
        from symscope.interchange.table import read_table  # noqa: PLC0415  (it builds on this module)

        return read_table(
            table, tokenizer=tokenizer, vocabulary=vocabulary, network=network, name=name, seed=seed,
            multi_token_labels=multi_token_labels,
        )  # fmt: skip

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the sets of overwritten variables."""
        return tuple(self.train)

    def __getitem__(self, name: str) -> "CounterfactualData":
        """The data of one variable."""
        return self.select(name)

    def select(self, names: str | Sequence[str]) -> "CounterfactualData":
        """The data of some variables.

        Raises:
            UnknownNameError: there is no such variable.
        """
        chosen = [names] if isinstance(names, str) else list(names)
        for name in chosen:
            if name not in self.train:
                raise UnknownNameError("variable of the data", name, self.train)
        splits = {part: {n: getattr(self, part)[n] for n in chosen if n in getattr(self, part)} for part in SPLITS}
        excluded = {name: self.excluded[name] for name in chosen if name in self.excluded}
        return replace(self, **splits, excluded=excluded)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {sum(map(len, getattr(self, part).values())):,}" for part in SPLITS[:3])
        total = Excluded(*(sum(getattr(count, name) for count in self.excluded.values()) for name in Excluded._fields))
        excluded = f"; {total}" if total.pairs else ""
        return f"CounterfactualData({self.hypothesis}: {', '.join(self.variables)}; interventions: {sizes}{excluded})"


SPLITS = ("train", "validation", "test", "cause", "isolation")
"""The parts of `CounterfactualData` that hold interventions by variable."""
