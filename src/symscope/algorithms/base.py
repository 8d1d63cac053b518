"""Interface of algorithms: typed variables that change token by token, and determine which tokens may come next.

An algorithm runs on batches. Its state is a dictionary from the name of a variable to one number per row. Methods take
the state as an argument and return the new state, so an intervention on a variable replaces one entry. The dictionary
may have entries that are not variables: quantities that the algorithm computes from the whole context at every step.
They cannot be overwritten.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from symscope.algorithms.variables import Variable
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.tasks import Task

Values = Mapping[str, Tensor]
"""The state of a batch: name to `Shaped[Tensor, "batch"]`, with the dtype of the variable's type."""


class Algorithm(ABC):
    """An algorithm for a task: its variables, and the rules that update them.

    Args:
        task: the task that it solves.

    Attributes:
        name: the algorithm's name in tables and studies.
        variables: its variables; an intervention can overwrite each of them.
        task: the task that it solves.

    Raises:
        InvalidArgumentError: it does not solve the task.
    """

    name: str
    variables: tuple[Variable, ...]

    def __init__(self, task: Task) -> None:
        if not self.solves(task):
            raise InvalidArgumentError(f"algorithm {self.name!r} does not solve task {task.name!r}")
        self.task = task

    @classmethod
    @abstractmethod
    def solves(cls, task: Task) -> bool:
        """Whether the algorithm predicts all determined tokens of the task."""

    @abstractmethod
    def start(self, batch: int) -> Values:
        """The state before the first token."""

    @abstractmethod
    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """The state after one more token; `BOS`, `EOS` and `PAD` do not change the variables."""

    @abstractmethod
    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """The tokens that may come next; a single token is determined."""

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        """Whether some continuation reaches `EOS`; false only in states that an intervention made."""
        first = next(iter(values.values()))
        return torch.ones_like(first, dtype=torch.bool)

    def demo_tokens_counted(self, values: Values) -> Int[Tensor, " batch"]:
        """Number of demo tokens that each state of the demo phase stands for.

        Without an intervention, it is the number of demo tokens before the state. After an intervention, it is the
        number of demo tokens that would give the counter of the state its value, and it may be negative. In the
        protocol of the authors' code, max(0, q - counted) further demo tokens follow an intervention, where q is a
        newly drawn quantity.

        Args:
            values: states in the demo phase; for other states, the result has no meaning.

        Raises:
            InvalidArgumentError: the algorithm has no demo phase.
        """
        raise InvalidArgumentError(f"algorithm {self.name!r} has no demo phase, so it counts no demo tokens")

    def run(self, tokens: Int[Tensor, "batch time"]) -> dict[str, Shaped[Tensor, "batch time"]]:
        """The state after each token of each sequence.

        A sequence without `EOS` is a prefix, and may stop at any position. In a complete sequence, `EOS` must be at a
        position where the algorithm permits it.

        Raises:
            InvalidArgumentError: there are no tokens, a token is outside the task's vocabulary, or a sequence has `EOS`
                where the algorithm does not permit it (for example without a trigger).
        """
        self._check_tokens(tokens)
        values, after = self.start(len(tokens)), []
        for column in tokens.unbind(1):
            values = self.step(values, column)
            after.append(values)
        over_time = {name: torch.stack([step[name] for step in after], 1) for name in values}
        self._check_ends(tokens, over_time)
        return over_time

    def check_variables(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple; `UnknownNameError` for the first name that is not a variable of the algorithm."""
        if isinstance(names, str):
            raise InvalidArgumentError(f"give a list of variables, [{names!r}], not the text {names!r}")
        names = tuple(names)
        known = [variable.name for variable in self.variables]
        for name in names:
            if name not in known:
                raise UnknownNameError(f"variable of {self.name}", name, known)
        return names

    def _check_tokens(self, tokens: Int[Tensor, "batch time"]) -> None:
        if tokens.numel() == 0:
            raise InvalidArgumentError(f"nothing to run on: tokens have the shape {tuple(tokens.shape)}")
        size = len(self.task.vocabulary)
        if int(tokens.min()) < 0 or int(tokens.max()) >= size:
            row, position = ((tokens < 0) | (tokens >= size)).nonzero()[0].tolist()
            raise InvalidArgumentError(
                f"token {int(tokens[row, position])} of sequence {row}, position {position}, does not exist: "
                f"task {self.task.name!r} has the ids 0..{size - 1}"
            )

    def _check_ends(self, tokens: Int[Tensor, "batch time"], values: Values) -> None:
        """Checks that the algorithm permits the `EOS` of each complete sequence."""
        vocabulary = self.task.vocabulary
        ends = tokens == vocabulary.eos
        complete = ends.any(1).nonzero()[:, 0]
        end = ends[complete].int().argmax(1)
        before = (end - 1).clamp(min=0)  # EOS changes nothing: if it is the first token, this is the initial state
        next_tokens = self.next_token_mask({name: column[complete, before] for name, column in values.items()})
        wrong = (~next_tokens[:, vocabulary.eos]).nonzero()[:, 0]
        if len(wrong):
            row = int(wrong[0])
            names = vocabulary.decode(tokens[complete[row], : int(end[row]) + 1].tolist())
            possible = vocabulary.decode(next_tokens[row].nonzero()[:, 0].tolist())
            raise InvalidArgumentError(
                f"sequence {int(complete[row])} is not a sequence of task {self.task.name!r}: {' '.join(names)}. "
                f"At its end, {self.name} continues with {' or '.join(possible)}; remove {names[-1]} to run on a prefix"
            )
