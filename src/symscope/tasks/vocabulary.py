"""Vocabulary of a task: the names of its tokens and their ids."""

from collections.abc import Iterable, Sequence

from symscope.errors import InvalidArgumentError, UnknownNameError

PAD, BOS, EOS = "PAD", "BOS", "EOS"


class Vocabulary:
    """Token names, in the order of their ids.

    The ids of the tokens that every task has are fixed: `PAD` is 0, `BOS` is 1 and `EOS` is 2.

    Args:
        names: the further tokens of the task.

    Attributes:
        names: all token names; the index of a name is its id.
        pad: id of the padding.
        bos: id of the first token of every sequence.
        eos: id of the last token of every sequence.

    Raises:
        InvalidArgumentError: a name appears twice.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = (PAD, BOS, EOS, *names)
        self._ids = {name: index for index, name in enumerate(self.names)}
        if len(self._ids) != len(self.names):
            raise InvalidArgumentError(f"a vocabulary names each token once, got {self.names}")
        self.pad, self.bos, self.eos = 0, 1, 2

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Vocabulary({', '.join(self.names)})"

    def id(self, name: str) -> int:
        """The id of a token name; `UnknownNameError` if there is no such token."""
        if name not in self._ids:
            raise UnknownNameError("token", name, self.names)
        return self._ids[name]

    def encode(self, names: Iterable[str]) -> list[int]:
        """The ids of token names."""
        return [self.id(name) for name in names]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """The names of token ids; `InvalidArgumentError` if an id is outside the vocabulary."""
        outside = [index for index in ids if not 0 <= index < len(self)]
        if outside:
            raise InvalidArgumentError(f"token {outside[0]} does not exist: {self!r} has the ids 0..{len(self) - 1}")
        return [self.names[index] for index in ids]
