"""An algorithm has typed, mutable variables over time and says which tokens may come next.

It runs on whole batches. Its state is a dictionary from a variable's name to one number a row, taken in and given
back, never kept; so an intervention on a variable is an entry that is replaced. The dictionary may hold entries that
are no variables: what the algorithm reads anew from the context at every step, and so nothing that it could be asked
to hold.
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
"""The state of a batch: name to `Shaped[Tensor, "batch"]`, of the dtype that the variable's type says."""


class Algorithm(ABC):
    """Variables, and the rules that update them token by token.

    Attributes:
        name: the algorithm's name in tables and studies.
        variables: its variables, each of which can be overwritten.

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
        """Whether the algorithm solves the task; only then can its variables be looked for in a network."""

    @abstractmethod
    def start(self, batch: int) -> Values:
        """The variables before any token."""

    @abstractmethod
    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """The variables after one more token; `BOS`, `EOS` and `PAD` add nothing to them."""

    @abstractmethod
    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """The tokens that may come next; one alone means that it is determined."""

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        """False where no continuation could ever reach `EOS` (possible only after an intervention)."""
        first = next(iter(values.values()))
        return torch.ones_like(first, dtype=torch.bool)

    def run(self, tokens: Int[Tensor, "batch time"]) -> dict[str, Shaped[Tensor, "batch time"]]:
        """The variables after each token of each sequence.

        A sequence may stop anywhere, also before its trigger: it is a prefix. One with `EOS` is whole, so its end must
        be one that the algorithm allows.

        Raises:
            InvalidArgumentError: there are no tokens, one is outside the task's vocabulary, or a sequence ends where
                the algorithm goes on (without a trigger, say).
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
        """The names as a tuple; `UnknownNameError` for the first that is no variable of this algorithm."""
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
            row, place = ((tokens < 0) | (tokens >= size)).nonzero()[0].tolist()
            raise InvalidArgumentError(
                f"token {int(tokens[row, place])} of sequence {row}, position {place}, does not exist: "
                f"task {self.task.name!r} has the ids 0..{size - 1}"
            )

    def _check_ends(self, tokens: Int[Tensor, "batch time"], values: Values) -> None:
        """Of whole sequences, which have `EOS`; what they may end after is what the algorithm itself says."""
        vocabulary = self.task.vocabulary
        ends = tokens == vocabulary.eos
        whole = ends.any(1).nonzero()[:, 0]
        end = ends[whole].int().argmax(1)
        before = (end - 1).clamp(min=0)  # an EOS adds nothing, so where it is the first token this is the start
        allowed = self.next_token_mask({name: column[whole, before] for name, column in values.items()})
        wrong = (~allowed[:, vocabulary.eos]).nonzero()[:, 0]
        if len(wrong):
            at = int(wrong[0])
            shown = vocabulary.decode(tokens[whole[at], : int(end[at]) + 1].tolist())
            right = vocabulary.decode(allowed[at].nonzero()[:, 0].tolist())
            raise InvalidArgumentError(
                f"sequence {int(whole[at])} is none of task {self.task.name!r}: {' '.join(shown)}. Where it ends, "
                f"{self.name} goes on with {' or '.join(right)}; leave {shown[-1]} off to run on what comes before"
            )
