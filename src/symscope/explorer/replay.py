"""A swap of a page, computed by torch: what the algorithm's table predicts, and how the network continues."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.errors import InvalidArgumentError
from symscope.explorer.algorithm_table import UNKNOWN
from symscope.explorer.encoding import decode_array
from symscope.networks import Network, RunState, evaluation_mode
from symscope.tasks import MAX_CONTINUATION, Vocabulary

BEYOND = 12
"""Tokens that a network may continue beyond the prediction."""
WITHOUT_PREDICTION = 40
"""Tokens that a network continues where nothing is predicted; the page has the same numbers."""


@dataclass(frozen=True)
class Continued:
    """A continuation by the algorithm: its tokens up to `EOS`, and which of them are determined."""

    tokens: tuple[int, ...]
    determined: tuple[bool, ...]


@dataclass(frozen=True, repr=False)
class PageSwap:
    """An intervention of a page.

    Attributes:
        predicted: names of the tokens that the algorithm predicts; `None`: it predicts nothing here.
        produced: names of the tokens of the network after the swap; free tokens are fed by the task.
        unswapped: names of the tokens of the network without the swap.
        matches: whether the network continues as predicted; `None` without a prediction.
        logits: logits of the network after the swap, one row for each token of `produced`.
        rewritten: the rewritten state.
    """

    predicted: tuple[str, ...] | None
    produced: tuple[str, ...]
    unswapped: tuple[str, ...]
    matches: bool | None
    logits: Float[Tensor, "steps vocabulary"]
    rewritten: Float[Tensor, " state"]

    def __repr__(self) -> str:
        words = {True: "as predicted", False: "differs", None: "no prediction"}
        return "\n".join(
            [
                f"algorithm predicts: {'-' if self.predicted is None else ' '.join(self.predicted)}",
                f"network after swap: {' '.join(self.produced)} ({words[self.matches]})",
                f"network without it: {' '.join(self.unswapped)}",
            ]
        )


@final
class Table:
    """An algorithm as the page has it.

    Args:
        document: the algorithm of the page.
        task: the task of the page.
    """

    def __init__(self, document: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        names = task["tokens"]
        self.vocabulary = Vocabulary(names[3:])
        self.variables = [variable["name"] for variable in document["variables"]]
        self._entries, self._start, self._choices = document["entries"], document["start"], document["choices"]
        self._rows = list(zip(*(decode_array(column).tolist() for column in document["values"]), strict=True))
        self._index = {row: state for state, row in enumerate(self._rows)}
        self._choice_of = decode_array(document["choiceOf"]).tolist()
        self._can_end = decode_array(document["canEnd"]).tolist()
        self._next = decode_array(document["next"]).tolist()
        self._begins = [0]
        for choice in self._choice_of:
            self._begins.append(self._begins[-1] + len(self._choices[choice]["tokens"]))

    def encode(self, names: Sequence[str]) -> list[int]:
        """Token ids; `UnknownNameError` where there is no such token, `InvalidArgumentError` where there are none."""
        if not names or isinstance(names, str):
            raise InvalidArgumentError(f"give the names of the tokens as a list, got {names!r}")
        return self.vocabulary.encode(names)

    def after(self, state: int, token: int) -> int | None:
        """The state after a token; `None` where the token may not follow, or the table ends."""
        tokens = self._choices[self._choice_of[state]]["tokens"]
        if token not in tokens:
            return None
        following = self._next[self._begins[state] + tokens.index(token)]
        return state if token == self.vocabulary.eos else None if following == UNKNOWN else following

    def state_after(self, tokens: Sequence[int]) -> int:
        """The state after a sequence; `InvalidArgumentError` where it is no beginning of a sequence of the task."""
        state: int | None = self._start if tokens[0] == self.vocabulary.bos else None
        for token in tokens[1:]:
            state = None if state is None else self.after(state, token)
        if state is None:
            names = " ".join(self.vocabulary.decode(tokens))
            raise InvalidArgumentError(f"this is not the beginning of a sequence of the task: {names}")
        return state

    def overwrite(self, state: int, values: Mapping[str, float]) -> int | None:
        """The state with some variables overwritten; `None` where no state has these values."""
        row = zip(self._entries, self._rows[state], strict=True)
        return self._index.get(tuple(values.get(name, value) for name, value in row))

    def value(self, state: int, variable: str) -> float:
        return self._rows[state][self._entries.index(variable)]

    def follow(self, state: int | None, demo_tokens: int) -> Continued | None:
        """What must follow a state until `EOS`; `None` where it never ends."""
        tokens, determined = [], []
        while state is not None and self._can_end[state] and len(tokens) < MAX_CONTINUATION:
            choice = self._choices[self._choice_of[state]]
            alone = len(choice["tokens"]) == 1
            if not choice["tokens"]:
                break
            token = choice["tokens"][0] if alone else choice["draw"][min(demo_tokens, 1)]
            demo_tokens -= int(not alone and demo_tokens > 0 and choice["counts"])
            tokens.append(token)
            determined.append(alone)
            if token == self.vocabulary.eos:
                return Continued(tuple(tokens), tuple(determined))
            state = self.after(state, token)
        return None


@dataclass(frozen=True)
class PageIntervention:
    """What is swapped from where to where.

    Attributes:
        base: tokens of the base up to its stop.
        source: tokens of the source up to its stop.
        taken: the variables that the algorithm takes from the source.
        value: their value in place of that of the source.
        demo_tokens: extra demo tokens after the swap.
    """

    base: list[int]
    source: list[int]
    taken: Sequence[str]
    value: float | None
    demo_tokens: int


Rewrite = Callable[[Float[Tensor, "1 state"], Float[Tensor, "1 state"]], Float[Tensor, "1 state"]]
"""From the states of base and source to the rewritten state."""


@torch.no_grad()
def replay(network: Network, site: str, table: Table, given: PageIntervention, rewrite: Rewrite) -> PageSwap:
    """An intervention on a network at a site, with the prediction of the table."""
    base_state, source_state = table.state_after(given.base), table.state_after(given.source)
    values = {
        name: float(table.value(source_state, name) if given.value is None else given.value) for name in given.taken
    }
    after = table.overwrite(base_state, values)
    predicted, unswapped = table.follow(after, given.demo_tokens), table.follow(base_state, given.demo_tokens)
    with evaluation_mode(network):
        stopped = network.run_until(*_stopped(given.base), site)
        rewritten = rewrite(stopped.states, network.states_at(*_stopped(given.source), site))
        produced, logits = _play(network, stopped.rewrite(rewritten), predicted, table)
        plain, _ = _play(network, stopped, unswapped, table)
    decode = table.vocabulary.decode
    return PageSwap(
        None if predicted is None else tuple(decode(predicted.tokens)),
        tuple(decode(produced)),
        tuple(decode(plain)),
        None if predicted is None else tuple(produced) == predicted.tokens,
        logits,
        rewritten[0],
    )


def _stopped(tokens: list[int]) -> tuple[Tensor, Tensor]:
    return torch.tensor([tokens]), torch.tensor([len(tokens) - 1])


def _play(
    network: Network, stopped: RunState, predicted: Continued | None, table: Table
) -> tuple[list[int], Float[Tensor, "steps vocabulary"]]:
    """The tokens of a network up to `EOS`; while it agrees with the prediction, free tokens are fed."""
    tokens: list[int] = []
    rows = []
    agrees = predicted is not None
    longest = (WITHOUT_PREDICTION if predicted is None else len(predicted.tokens)) + BEYOND
    while len(tokens) < longest:
        mask = torch.zeros(1, len(tokens) + 1, dtype=torch.bool)
        mask[0, -1] = True
        features = network.resume(stopped, torch.tensor([tokens], dtype=torch.long).view(1, -1), mask)
        logits = network.readout(features)[0]
        rows.append(logits)
        guess, at = int(logits.argmax()), len(tokens)
        known = predicted is not None and at < len(predicted.tokens)
        is_fed = agrees and predicted is not None and known and not predicted.determined[at]
        token = predicted.tokens[at] if is_fed and predicted is not None else guess
        agrees = agrees and predicted is not None and known and token == predicted.tokens[at]
        tokens.append(token)
        if token == table.vocabulary.eos:
            break
    return tokens, torch.stack(rows)
