"""An algorithm as a finite table: its states, the tokens that may follow each, and the state after each token.

A page cannot run Python, so it runs the table. The table holds every state that the page can reach: all combinations
of values that the variables have in sequences of the task (a swap can combine any of them), and what follows from these
until `EOS`. Each entry is computed by the algorithm itself, so the table knows no rule and is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, final

import torch
from jaxtyping import Bool
from torch import Tensor

from symscope.algorithms import Algorithm, Category, Integer
from symscope.errors import InvalidArgumentError
from symscope.explorer.encoding import encode_array
from symscope.seeds import generator

MAX_STATES = 60_000
"""Largest number of states of a table; a page with more is slow to load."""
MAX_FREE_STEPS = 4
"""Free tokens that may follow a combination of values: three extra demo tokens and the trigger."""
DRAWS = 8
"""Sequences for each quantity whose values are combined."""
SAMPLES = 33
"""Draws of a free token, of which the most frequent is the token that the page feeds."""
UNKNOWN = 65_535
"""Next state that is not in the table."""

State = tuple[float, ...]
"""The entries of the algorithm's state, in the order of `AlgorithmTable.entries`."""


@dataclass(frozen=True)
class Choice:
    """The tokens that may come next in some states.

    Attributes:
        tokens: their ids, ascending; a single token is determined.
        without_demo: the token that the task feeds if several may come and no extra demo tokens are requested.
        with_demo: the token that the task feeds while extra demo tokens are requested.
        counts: whether `with_demo` is one of the requested demo tokens.
    """

    tokens: tuple[int, ...]
    without_demo: int
    with_demo: int
    counts: bool


@final
class AlgorithmTable:
    """The table of an algorithm.

    Args:
        algorithm: the algorithm, for its task.

    Attributes:
        entries: names of the entries of a state: the variables, then what else the algorithm keeps.
        states: all states.
        start: index of the state before the first token.
        choices: the different sets of tokens that may come next.
        choice_of: for each state, the index of its choice.
        can_end: for each state, whether a continuation reaches `EOS`.
        next_states: for each state, the index of the state after each token of its choice, `UNKNOWN` where the table
            ends.

    Raises:
        InvalidArgumentError: the algorithm has too many states for a page.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        start = algorithm.start(1)
        variables = [variable.name for variable in algorithm.variables]
        self.entries = (*variables, *(name for name in start if name not in variables))
        self._dtypes = {name: column.dtype for name, column in start.items()}
        self.states: list[State] = []
        self._index: dict[State, int] = {}
        self.choices: list[Choice] = []
        self._choice_index: dict[tuple[int, ...], int] = {}
        self.choice_of: list[int] = []
        self.can_end: list[bool] = []
        self.next_states: list[list[int]] = []
        first = self._rows(start)[0]
        self._explore([first, *self._combinations(first)])
        self.start = self._index[first]

    def index(self, values: Mapping[str, float]) -> int | None:
        """The index of the state with these entries; `None` if the table does not hold it."""
        return self._index.get(tuple(float(values[name]) for name in self.entries))

    def document(self) -> dict[str, Any]:
        """The table as JSON values for the page."""
        columns = zip(*self.states, strict=True)
        return {
            "name": self.algorithm.name,
            "variables": [self._describe(variable) for variable in self.algorithm.variables],
            "entries": list(self.entries),
            "values": [encode_array(torch.tensor(column, dtype=torch.float64), "f8") for column in columns],
            "start": self.start,
            "choices": [
                {"tokens": list(c.tokens), "draw": [c.without_demo, c.with_demo], "counts": c.counts}
                for c in self.choices
            ],
            "choiceOf": encode_array(torch.tensor(self.choice_of), "u2"),
            "canEnd": encode_array(torch.tensor(self.can_end), "u1"),
            "next": encode_array(torch.tensor([state for row in self.next_states for state in row]), "u2"),
        }

    def _describe(self, variable: object) -> dict[str, Any]:
        name = getattr(variable, "name", "")
        if isinstance(variable, Category):
            return {"name": name, "kind": "category", "labels": list(variable.labels)}
        return {"name": name, "kind": "integer" if isinstance(variable, Integer) else "real"}

    def _rows(self, values: Mapping[str, Tensor]) -> list[State]:
        columns = (values[name].to(torch.float64).tolist() for name in self.entries)
        return list(zip(*columns, strict=True))

    def _values(self, rows: list[State]) -> dict[str, Tensor]:
        columns = zip(*rows, strict=True)
        return {
            name: torch.tensor(column, dtype=torch.float64).to(self._dtypes[name])
            for name, column in zip(self.entries, columns, strict=True)
        }

    def _combinations(self, first: State) -> list[State]:
        """Every combination of the values of variables, with the other entries that occur in sequences of the task."""
        natural = {first, *self._natural()}
        count = len(self.algorithm.variables)
        values = [_values_of(v, {row[i] for row in natural}) for i, v in enumerate(self.algorithm.variables)]
        further = sorted({row[count:] for row in natural})
        size = len(further)
        for entries in values:
            size *= len(entries)
        self._check_size(size)
        return [(*combined, *rest) for combined in product(*values) for rest in further]

    def _natural(self) -> set[State]:
        """The states in drawn sequences of the task, of all its quantities."""
        task = self.algorithm.task
        draws = generator(0, "explorer", "states of the algorithm", self.algorithm.name)
        drawn = task.draw(torch.tensor(task.quantities).repeat(DRAWS), draws)
        values = self.algorithm.run(drawn.tokens)
        kept = torch.arange(drawn.tokens.shape[1]) < drawn.lengths[:, None]
        return set(self._rows({name: values[name][kept] for name in self.entries}))

    def _check_size(self, size: int) -> None:
        if size > MAX_STATES:
            raise InvalidArgumentError(
                f"the algorithm {self.algorithm.name!r} on task {self.algorithm.task.name!r} has at least {size:,} "
                f"combinations of values, and a page holds at most {MAX_STATES:,}: use a task with smaller quantities"
            )

    def _explore(self, rows: list[State]) -> None:
        """Adds states and all that follows from them; at most `MAX_FREE_STEPS` tokens on the way are free."""
        frontier = self._add(rows)
        pending: list[tuple[int, int, State]] = []  # states, positions in their choice, and the states that follow
        for free_steps in range(MAX_FREE_STEPS + 1):
            reached: list[int] = []
            while frontier:  # determined tokens, until nothing new follows
                reached += frontier
                steps = self._steps([at for at in frontier if self.can_end[at]])
                pending += steps
                frontier = self._add([row for at, _, row in steps if len(self._choice(at).tokens) == 1])
            if free_steps < MAX_FREE_STEPS:
                fresh = set(reached)
                frontier = self._add([row for at, _, row in pending if at in fresh])
        for at, index, row in pending:
            self.next_states[at][index] = self._index.get(row, UNKNOWN)

    def _choice(self, at: int) -> Choice:
        return self.choices[self.choice_of[at]]

    def _add(self, rows: list[State]) -> list[int]:
        """Adds the states that are new; returns their indices."""
        new = [row for row in dict.fromkeys(rows) if row not in self._index]
        if not new:
            return []
        self._check_size(len(self.states) + len(new))
        values = self._values(new)
        allowed, ends = self.algorithm.next_token_mask(values), self.algorithm.can_end(values)
        indices = list(range(len(self.states), len(self.states) + len(new)))
        self.states += new
        self._index |= dict(zip(new, indices, strict=True))
        self.can_end += ends.tolist()
        for mask in _token_lists(allowed):
            if mask not in self._choice_index:
                self._choice_index[mask] = len(self.choices)
                self.choices.append(self._make_choice(mask))
            self.choice_of.append(self._choice_index[mask])
            self.next_states.append([UNKNOWN] * len(mask))
        return indices

    def _steps(self, states: list[int]) -> list[tuple[int, int, State]]:
        """For each state and each token of its choice except `EOS`: the state, the token's index, and what follows."""
        eos = self.algorithm.task.vocabulary.eos
        pairs = [
            (at, index, token)
            for at in states
            for index, token in enumerate(self._choice(at).tokens)
            if token != eos
        ]  # fmt: skip
        if not pairs:
            return []
        values = self._values([self.states[at] for at, _, _ in pairs])
        after = self.algorithm.step(values, torch.tensor([token for _, _, token in pairs]))
        return [(at, index, row) for (at, index, _), row in zip(pairs, self._rows(after), strict=True)]

    def _make_choice(self, tokens: tuple[int, ...]) -> Choice:
        if len(tokens) < 2:
            return Choice(tokens, *(tokens or (0,)) * 2, counts=False)
        mask = torch.zeros(SAMPLES, len(self.algorithm.task.vocabulary), dtype=torch.bool)
        mask[:, list(tokens)] = True
        draws = generator(0, "explorer", "free tokens")
        most = []
        for remaining in (0, 1):
            requested = torch.full((SAMPLES,), remaining)
            drawn, left = self.algorithm.task.sample_free_tokens(mask, requested, draws)
            token = int(drawn.mode().values)
            most.append((token, bool((left[drawn == token] < remaining).any())))
        return Choice(tokens, most[0][0], most[1][0], most[1][1])


def _values_of(variable: object, seen: set[float]) -> list[float]:
    """The values of a variable: all labels of a category, the whole range of a bounded integer, else those seen."""
    if isinstance(variable, Category):
        return [float(label) for label in range(len(variable.labels))]
    if isinstance(variable, Integer) and variable.high is not None and variable.high - variable.low < MAX_STATES:
        return sorted(seen | {float(value) for value in range(variable.low, variable.high + 1)})
    return sorted(seen)


def _token_lists(allowed: Bool[Tensor, "rows vocabulary"]) -> list[tuple[int, ...]]:
    """The allowed tokens of each row."""
    kinds, rows = allowed.unique(dim=0, return_inverse=True)
    lists = [tuple(kind.nonzero()[:, 0].tolist()) for kind in kinds]
    return [lists[row] for row in rows.tolist()]
