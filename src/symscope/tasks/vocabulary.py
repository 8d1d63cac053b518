"""A vocabulary: the names of a task's tokens and the integers that stand for them."""

from collections.abc import Iterable, Sequence

from symscope.errors import InvalidArgumentError, UnknownNameError

PAD, BOS, EOS = "PAD", "BOS", "EOS"


class Vocabulary:
    """Token names in the order of their ids. `PAD` is always 0, `BOS` 1 and `EOS` 2.

    Args:
        names: the task's own tokens, without `PAD`, `BOS` and `EOS`.

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
        """The id of one token name; `UnknownNameError` when there is no such token."""
        if name not in self._ids:
            raise UnknownNameError("token", name, self.names)
        return self._ids[name]

    def encode(self, names: Iterable[str]) -> list[int]:
        """Ids of several token names."""
        return [self.id(name) for name in names]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """Names of several ids; `InvalidArgumentError` when one is outside the vocabulary."""
        outside = [index for index in ids if not 0 <= index < len(self)]
        if outside:
            raise InvalidArgumentError(f"token {outside[0]} does not exist: {self!r} has the ids 0..{len(self) - 1}")
        return [self.names[index] for index in ids]
