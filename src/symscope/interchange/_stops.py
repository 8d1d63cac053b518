"""The same interventions, stopped at another position of the prompt.

The prompt of an intervention is what its base reads up to the first target that counts. A stop within it rewrites an
earlier state, and the rest of the prompt is fed after the stop.
"""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange.data import SPLITS, CounterfactualData, Interventions, StoppedInputs

STOP = "stop"
"""Name of the position at which the data itself stops."""

Position = int | str
"""Below 0, counted from the end of the prompt (-1 is the token that the first target follows), or a name."""


def stop_at(data: CounterfactualData, position: Position) -> CounterfactualData:
    """The same data with all interventions stopped at one position of their prompts.

    Args:
        data: counterfactual data on tokens.
        position: below 0, counted from the end of the prompt: -1 is the token that the first target follows. `"stop"`:
            the data unchanged.

    Raises:
        InvalidArgumentError: a prompt has no such position, or the inputs are vectors.
    """
    if position == STOP:
        return data
    parts = {
        split: {name: move_stops(drawn, position) for name, drawn in getattr(data, split).items()} for split in SPLITS
    }
    shuffle = data.shuffle

    def shuffled(moved: CounterfactualData) -> CounterfactualData:
        kept = {s: {n: d for n, d in getattr(data, s).items() if n in getattr(moved, s)} for s in SPLITS}
        original = replace(data, **kept)
        return stop_at(shuffle(original), position) if shuffle else original

    return replace(data, **parts, shuffle=shuffled if shuffle else None)


def move_stops(interventions: Interventions, position: Position) -> Interventions:
    """The same interventions, with base and sources stopped at another position.

    Args:
        interventions: interventions on tokens.
        position: below 0, counted from the end of the prompt of each base. A source is moved by as many tokens as its
            base. `"stop"`: unchanged.

    Raises:
        UnknownNameError: there is no position of this name.
        InvalidArgumentError: a prompt has no such position, or the inputs are vectors.
    """
    if position == STOP:
        return interventions
    if isinstance(position, str):
        raise UnknownNameError("position", position, [STOP])
    if interventions.base.inputs.is_floating_point():
        raise InvalidArgumentError("inputs that are vectors have a single position; leave `positions` out")
    if position >= 0:
        raise InvalidArgumentError(f"positions are counted from the end of the prompt, below 0; got {position}")
    base = interventions.base
    shift = interventions.target_mask.int().argmax(1) + 1 + position
    prompt = _prompt(interventions)
    stop = base.position + shift
    moved = replace(base, inputs=prompt, position=_checked(stop, prompt, "base", position))
    sources = tuple(
        replace(source, position=_checked(source.position + shift, source.inputs, "source", position))
        for source in interventions.sources
    )
    return _with_continuation(interventions, moved, sources, shift)


def _checked(stop: Int[Tensor, " rows"], inputs: Tensor, what: str, position: int) -> Int[Tensor, " rows"]:
    wrong = ((stop < 0) | (stop >= inputs.shape[1])).nonzero()[:, 0]
    if len(wrong):
        raise InvalidArgumentError(
            f"position {position} does not exist in every prompt: the {what} of intervention {int(wrong[0])} (from 0) "
            f"would stop after its token {int(stop[wrong[0]])} of 0..{inputs.shape[1] - 1}"
        )
    return stop


def _prompt(interventions: Interventions) -> Int[Tensor, "rows time"]:
    """What each base reads up to its last target that counts, padded with zeros."""
    base, fed = interventions.base, interventions.fed
    ends = base.position[:, None] + interventions.lengths[:, None]
    step = torch.arange(int(ends.max()))[None, :]
    read = torch.cat([base.inputs, fed], 1)
    after = base.inputs.shape[1] + step - base.position[:, None] - 1
    index = torch.where(step <= base.position[:, None], step, after).clamp(max=read.shape[1] - 1)
    return torch.where(step < ends, read.gather(1, index), 0)


def _with_continuation(
    interventions: Interventions,
    base: StoppedInputs,
    sources: tuple[StoppedInputs, ...],
    shift: Int[Tensor, " rows"],
) -> Interventions:
    """The interventions with moved runs: what is fed and what must be predicted, counted from the new stops."""
    lengths = interventions.lengths - shift
    column = torch.arange(int(lengths.max()))[None, :]
    old = column + shift[:, None]
    known = (old >= 0) & (column < lengths[:, None])
    index = old.clamp(0, interventions.targets.shape[1] - 1)
    mask = known & interventions.target_mask.gather(1, index)
    targets = torch.where(known, interventions.targets.gather(1, index), 0)
    step = base.position[:, None] + column[:, 1:]
    fed = base.inputs.gather(1, step.clamp(max=base.inputs.shape[1] - 1))
    fed = torch.where(column[:, 1:] < lengths[:, None], fed, 0)
    return replace(interventions, base=base, sources=sources, fed=fed, targets=targets, target_mask=mask)
