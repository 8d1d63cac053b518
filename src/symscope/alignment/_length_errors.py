"""By how much the answers of a network are too long or too short."""

from collections import Counter
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from symscope.interchange import CachedInterventions, Interventions, cache_states, predictions
from symscope.networks import Network

EXTRA_TOKENS = 20
"""Tokens after the predicted end within which the end of a longer answer is looked for."""


def length_errors(
    network: Network,
    interventions: Interventions,
    site: str,
    cached: CachedInterventions,
    states: Float[Tensor, "rows state"],
    rows: Int[Tensor, " rows"],
    end: int,
) -> dict[int | None, int]:
    """By how many tokens the network's answers are longer than the counterfactual ones, and how many each.

    In tasks that answer a number by as many tokens this is the error of the number. An answer that repeats one token
    has a length; `None` counts those that are wrong in another way, and those that do not end within `EXTRA_TOKENS`
    further tokens.

    Args:
        network: the network.
        interventions: interventions whose counterfactual ends with the token `end`.
        site: where their states are rewritten.
        cached: their states in the network at this site.
        states: the states of the base to resume from.
        rows: the interventions that these are.
        end: the token that ends an answer.
    """
    targets, mask = interventions.targets[rows], interventions.target_mask[rows]
    guesses, last = predictions(network, cached, states, rows), interventions.lengths[rows] - 1
    mistakes = mask & (guesses != targets)
    wrong, first = mistakes.any(1), mistakes.int().argmax(1)
    token = guesses.gather(1, first[:, None])[:, 0]
    early = wrong & (token == end)
    late = wrong & ~early & (first == last)
    found: Counter[int | None] = Counter({0: int((~wrong).sum()), None: int((wrong & ~early & ~late).sum())})
    found.update((first - last)[early].tolist())
    if late.any():
        some = interventions.select(rows[late])
        at = late.to(states.device)
        found.update(_extra_tokens(network, some, site, states[at], last[late], token[late], end))
    return {error: count for error, count in found.items() if count}


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
