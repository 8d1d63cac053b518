"""What a network answers after interventions, up to its first mistake, and by how much its answers are too long."""

from collections import Counter
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from symscope.interchange import CachedInterventions, Interventions, cache_states, predictions
from symscope.networks import Network

EXTRA_TOKENS = 20
"""Tokens after the predicted end within which the end of a longer answer is looked for."""

CUT = "…"
"""Stands for the rest of an answer that was not followed after a mistake."""


@dataclass(frozen=True)
class Answers:
    """The answers of a network to some interventions, compared with the counterfactual ones.

    Attributes:
        interventions: the interventions.
        guesses: the token that the network predicts for each target, given the targets before it.
        wrong: where a target that counts is not predicted.
        first: the column of the first mistake, where there is one.
        errors: by how many tokens each answer is longer than the counterfactual one; `None`: it is wrong in another
            way, or does not end within `EXTRA_TOKENS` further tokens.
        end: the token that ends an answer; `None`: answers have no length.
    """

    interventions: Interventions
    guesses: Int[Tensor, "rows targets"]
    wrong: Bool[Tensor, " rows"]
    first: Int[Tensor, " rows"]
    errors: tuple[int | None, ...]
    end: int | None

    def counts(self) -> dict[int | None, int]:
        """The number of answers with each error, from the smallest error; `None` is last."""
        counted = Counter(self.errors)
        return {error: counted[error] for error in sorted(counted, key=lambda error: (error is None, error))}

    def tokens(self, row: int) -> list[int | None]:
        """The answer to one intervention: the tokens that the network predicts, and between them those it was given.

        Ends with the end of the answer where that is known, otherwise with its first mistake and `None`. Without an
        end token all predictions are given.
        """
        last = int(self.interventions.lengths[row]) - 1
        targets = self.interventions.targets[row].tolist()[: last + 1]
        if not self.wrong[row]:
            return targets
        guesses, first, error = self.guesses[row].tolist(), int(self.first[row]), self.errors[row]
        if self.end is None:
            counts = self.interventions.target_mask[row].tolist()
            return [guesses[i] if counts[i] else token for i, token in enumerate(targets)]
        if error is None:
            return [*targets[:first], guesses[first], None]
        return [*targets[:first], *([guesses[first]] * max(error, 0)), self.end]


def answers_to(
    network: Network,
    interventions: Interventions,
    site: str,
    cached: CachedInterventions,
    states: Float[Tensor, "rows state"],
    rows: Int[Tensor, " rows"],
    end: int | None,
) -> Answers:
    """The answers of a network to some interventions, when it resumes from `states`.

    In tasks that answer a number by as many tokens the error of the length is the error of the number. An answer that
    repeats one token has a length.

    Args:
        network: the network.
        interventions: interventions whose counterfactual ends with the token `end`.
        site: where their states are rewritten.
        cached: their states in the network at this site.
        states: the states of the base to resume from.
        rows: the interventions that these are.
        end: the token that ends an answer; `None`: answers have no length, and the error of each wrong one is `None`.
    """
    some = interventions.select(rows)
    mask, last = some.target_mask, some.lengths - 1
    guesses = predictions(network, cached, states, rows)
    mistakes = mask & (guesses != some.targets)
    wrong, first = mistakes.any(1), mistakes.int().argmax(1)
    errors: list[int | None] = [None if mistaken else 0 for mistaken in wrong.tolist()]
    if end is not None:
        token = guesses.gather(1, first[:, None])[:, 0]
        early = wrong & (token == end)
        late = wrong & ~early & (first == last)
        for row in early.nonzero()[:, 0].tolist():
            errors[row] = int(first[row] - last[row])
        if late.any():
            at = late.to(states.device)
            extra = _extra_tokens(network, some.select(late), site, states[at], last[late], token[late], end)
            for row, error in zip(late.nonzero()[:, 0].tolist(), extra, strict=True):
                errors[row] = error
    return Answers(some, guesses, wrong, first, tuple(errors), end)


def _extra_tokens(
    network: Network,
    interventions: Interventions,
    site: str,
    states: Float[Tensor, "rows state"],
    last: Int[Tensor, " rows"],
    token: Int[Tensor, " rows"],
    end: int,
) -> list[int | None]:
    """How many times the network gives `token` from the predicted end on, until it ends; `None`: it does not."""
    last, token = last[:, None], token[:, None]
    columns = torch.arange(interventions.fed.shape[1] + EXTRA_TOKENS + 1)
    mask = (columns > last) & (columns <= last + EXTRA_TOKENS)
    fed = torch.where(columns[:-1] >= last, token, pad(interventions.fed, (0, EXTRA_TOKENS)))
    longer = replace(interventions, fed=fed, targets=torch.zeros_like(mask, dtype=torch.long), target_mask=mask)
    guesses = predictions(network, cache_states(network, longer, site), states)[mask].view(len(states), EXTRA_TOKENS)
    repeats = (guesses == token).int().cumprod(1).sum(1)
    following = torch.cat([guesses, token], 1).gather(1, repeats[:, None])[:, 0]
    return [1 + n if after == end else None for n, after in zip(repeats.tolist(), following.tolist(), strict=True)]
