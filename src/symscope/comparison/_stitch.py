"""Stitching trained on behaviour: can a network continue from the mapped state of a different network?

Both networks read the same sequence up to the same position. An affine map takes the sender's state there to a state of
the receiver, which then continues the sequence (Lenc and Vedaldi 2015; Bansal, Nakkiran and Barak 2021). The map starts
at the regression of the receiver's states on the sender's, and learns by the cross-entropy of what must follow.

A map that is trained on behaviour can make a continuation right that the receiver's own state does not: the map is part
of the computation. And a receiver with a context, such as a transformer, reads earlier positions besides the state. So
each score is listed with that of a constant state and of an untrained sender, both trained with the same budget.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from symscope.adam import Adam
from symscope.algorithms import Algorithm
from symscope.alignment.score import Score
from symscope.arguments import integer, positive_number
from symscope.comparison.linear_maps import reduced_rank_map
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interchange import (
    PAPER_PROTOCOL,
    CachedInterventions,
    InterventionProtocol,
    Interventions,
    StoppedInputs,
    cache_states,
    counterfactual_losses,
    matches_counterfactual,
    values_at,
)
from symscope.networks import Network, evaluation_mode, frozen_weights
from symscope.seeds import generator
from symscope.statistics import Difference, paired_difference

SPLITS = ("train", "validation", "test")


class StitchingData(NamedTuple):
    """Sequences that stop, with their continuation: interventions that overwrite no variable and have no source."""

    train: Interventions
    validation: Interventions
    test: Interventions


def stitching_data(
    algorithm: Algorithm,
    n_train: int = 2_000,
    n_validation: int = 500,
    n_test: int = 1_000,
    *,
    seed: int = 0,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
) -> StitchingData:
    """Draws sequences of the algorithm's task, where each stops, and what must follow.

    Args:
        algorithm: the algorithm; its task draws the free tokens that follow.
        n_train: number of sequences that maps are trained on.
        n_validation: number of sequences by which the best step is chosen.
        n_test: number of sequences that are scored.
        seed: of the draws.
        protocol: where sequences stop, and how many demo tokens follow.

    Raises:
        InvalidArgumentError: a number is below 1, or the algorithm never ends.
    """
    counts = zip(SPLITS, (n_train, n_validation, n_test), strict=True)
    return StitchingData(
        *(
            _draw(algorithm, integer(n, f"n_{split}", 1), generator(seed, "stitching", split), protocol)
            for split, n in counts
        )
    )


def _draw(algorithm: Algorithm, count: int, draws: torch.Generator, protocol: InterventionProtocol) -> Interventions:
    task = algorithm.task
    sequences = task.draw(task.draw_quantities(count, draws), draws)
    position = protocol.positions(algorithm, sequences, draws)
    base = StoppedInputs(sequences.tokens, position, values_at(algorithm, sequences.tokens, position))
    extra = protocol.draw_extra(algorithm, count, draws)
    tokens, determined, ends = protocol.continue_from(algorithm, base.values, extra, draws)
    return Interventions((), base, (), (), tokens[:, :-1], tokens, determined).select(ends)


@dataclass(frozen=True)
class StitchOptions:
    """How the maps of `stitch` are trained.

    Attributes:
        learning_rate: of Adam, for states in units of their standard deviation.
        batch: sequences in a step.
        steps: the most steps of a map.
        validate_every: steps between validations; the map that is best on validation is kept.
        target: share of validation continuations at which a map is not trained further.
        patience: a map is not trained further after this many validations without a better one (by the share, and of
            equal shares by the training loss).
    """

    learning_rate: float = 1e-2
    batch: int = 128
    steps: int = 500
    validate_every: int = 25
    target: float = 0.995
    patience: int = 6

    def __post_init__(self) -> None:
        positive_number(self.learning_rate, "learning_rate")
        for name in ("batch", "steps", "validate_every", "patience"):
            integer(getattr(self, name), name, 1)
        positive_number(self.target, "target", 1.0)


@dataclass(frozen=True, eq=False)
class Stitch:
    """How often the receiver continues correctly from mapped states of the sender, in test sequences.

    Attributes:
        rank: rank of the map; `None`: full.
        score: share of continuations that are right in all tokens that count.
        from_regression: the same for the map at the start: a regression of states that knows no behaviour.
        constant: the same for a constant state, trained with the same budget.
        untrained: the same for an untrained sender, trained with the same budget; `None`: none was given.
        reference: the same for the receiver's own states.
        weights, bias: the map, in coordinates of the states: state @ weights + bias.
        validation: share of validation continuations that are right.
        best_step: the step of the map that was kept; 0 is the regression.
        total_steps: steps of its training.
    """

    rank: int | None
    score: Score
    from_regression: Score
    constant: Score
    untrained: Score | None
    reference: Score
    weights: Float[Tensor, "sender receiver"]
    bias: Float[Tensor, " receiver"]
    validation: float
    best_step: int
    total_steps: int

    @property
    def above_untrained(self) -> Difference | None:
        """The score minus that of an untrained sender, in the same test sequences; `None`: there is none."""
        return (
            None
            if self.untrained is None
            else paired_difference(self.score.correct.numpy(), self.untrained.correct.numpy())
        )

    def __str__(self) -> str:
        untrained = "" if self.untrained is None else f", untrained sender {self.untrained.iia:.3f}"
        rank = "full rank" if self.rank is None else f"rank {self.rank}"
        return (
            f"stitching, {rank}: {self.score} (regression of states {self.from_regression.iia:.3f}, constant state "
            f"{self.constant.iia:.3f}{untrained}, receiver's own states {self.reference.iia:.3f})"
        )


def stitch(
    receiver: Network,
    sender: Network,
    data: StitchingData,
    ranks: Sequence[int | None] = (None,),
    *,
    untrained: Network | None = None,
    sites: tuple[str | None, str | None] = (None, None),
    options: StitchOptions = StitchOptions(),
    seed: int = 0,
) -> tuple[Stitch, ...]:
    """Trains affine maps from states of the sender to states of the receiver, so that the receiver continues correctly.

    All maps train as one batch on the same sequences; each stops for itself.

    Args:
        receiver: the network that continues; its weights are not changed.
        sender: the network whose states are mapped.
        data: sequences, where they stop, and what must follow (`stitching_data`).
        ranks: the rank of each map; `None`: full.
        untrained: an untrained network of the sender's kind, stitched with the same ranks and budget.
        sites: where in the receiver and in the sender; `None`: the default site.
        options: how the maps are trained.
        seed: of the batches.

    Returns:
        The result for each rank, in order.

    Raises:
        InvalidArgumentError: no ranks, a rank below 1 or above the width of a state, or data without a target.
        UnknownNameError: a network has no such site.
        NonFiniteError: a state or a loss is NaN or infinite.
    """
    site, sender_site = (
        given or network.default_site for given, network in zip(sites, (receiver, sender), strict=True)
    )
    cached = {split: cache_states(receiver, drawn, site) for split, drawn in data._asdict().items()}
    like = cached["train"].base_states
    states = {"sender": _states(sender, data, sender_site, like)}
    if untrained is not None:
        states["untrained"] = _states(untrained, data, sender_site, like)
    wide = min(like.shape[1], *(each["train"].shape[1] for each in states.values()))
    if not ranks:
        raise InvalidArgumentError("nothing to stitch: no ranks; (None,) is a map of full rank")
    for rank in ranks:
        if rank is not None:
            integer(rank, "rank", 1, wide)
    maps = [_Map.start("sender", 0, states["sender"]["train"], like)]
    for name, each in states.items():
        maps += [_Map.start(name, rank, each["train"], like) for rank in ranks]
    starts = [_score(receiver, cached["test"], each(states["sender"]["test"])) for each in maps[1 : 1 + len(ranks)]]
    _train(receiver, cached, states, maps, options, seed)
    constant, *scores = (_score(receiver, cached["test"], each(states[each.source]["test"])) for each in maps)
    reference = _score(receiver, cached["test"], cached["test"].base_states)
    twins = scores[len(ranks) :] or [None] * len(ranks)
    stitched = zip(ranks, maps[1:], scores, starts, twins, strict=False)
    return tuple(
        Stitch(rank, score, start, constant, twin, reference, *each.affine(), each.best, each.best_step, each.steps)
        for rank, each, score, start, twin in stitched
    )


def _states(network: Network, data: StitchingData, site: str, like: Tensor) -> dict[str, Tensor]:
    """The states of a sender at the stops, with the device and type of the receiver's states."""
    return {split: cache_states(network, part, site).base_states.to(like) for split, part in data._asdict().items()}


@final
class _Map:
    """An affine map in training, between states in units of their standard deviation, and the best map so far."""

    def __init__(
        self, source: str, factors: list[Tensor], bias: Tensor, units: tuple[Tensor, Tensor, Tensor, Tensor]
    ) -> None:
        self.source, self.units = source, units
        self.factors = [nn.Parameter(factor) for factor in factors]
        self.bias = nn.Parameter(bias)
        self.best, self.best_loss, self.best_step, self.steps, self.worse = -1.0, math.inf, 0, 0, 0
        self.kept = [each.detach().clone() for each in self.parameters]

    @classmethod
    def start(cls, source: str, rank: int | None, inputs: Tensor, outputs: Tensor) -> "_Map":
        """The regression of the receiver's states on the sender's; rank 0 is a constant state."""
        units = (inputs.mean(0), _spread(inputs), outputs.mean(0), _spread(outputs))
        x, y = (inputs - units[0]) / units[1], (outputs - units[2]) / units[3]
        weights, bias = (each.to(outputs) for each in reduced_rank_map(x.double(), y.double(), rank or None))
        if rank is None:
            return cls(source, [weights], bias, units)
        left, sizes, right = torch.linalg.svd(weights, full_matrices=False)
        roots = sizes[:rank].sqrt()
        return cls(source, [left[:, :rank] * roots, roots[:, None] * right[:rank]], bias, units)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [*self.factors, self.bias]

    def __call__(self, states: Float[Tensor, "rows sender"]) -> Float[Tensor, "rows receiver"]:
        """Mapped states."""
        mapped = (states - self.units[0]) / self.units[1]
        for factor in self.factors:
            mapped = mapped @ factor
        return self.units[2] + self.units[3] * (mapped + self.bias)

    def validate(self, share: float, loss: float, step: int) -> None:
        """Keeps the map if it is the best so far; of maps with equal shares, that of smaller training loss.

        The share is 0 until whole continuations are right, so the loss alone shows the first steps of learning.
        """
        self.steps = step
        if (share, -loss) > (self.best, -self.best_loss):
            self.best, self.best_loss, self.best_step, self.worse = share, loss, step, 0
            self.kept = [each.detach().clone() for each in self.parameters]
        else:
            self.worse += 1

    @torch.no_grad()
    def restore(self) -> None:
        """Back to the best map."""
        for parameter, kept in zip(self.parameters, self.kept, strict=True):
            parameter.copy_(kept)

    @torch.no_grad()
    def affine(self) -> tuple[Float[Tensor, "sender receiver"], Float[Tensor, " receiver"]]:
        """Weights and bias in coordinates of the states."""
        width = len(self.units[0])
        bias = self(torch.zeros(1, width).to(self.bias))[0]
        return self(torch.eye(width).to(self.bias)) - bias, bias


def _spread(states: Float[Tensor, "rows state"]) -> Float[Tensor, ""]:
    """Root mean square over rows of the distance to the mean, for each dimension."""
    spread = states.var(0, correction=0).mean().sqrt()
    if not spread > 0:
        raise InvalidArgumentError("all states of a network are equal where the sequences stop: nothing to map")
    return spread


def _score(network: Network, cached: CachedInterventions, states: Float[Tensor, "rows receiver"]) -> Score:
    return Score.of(matches_counterfactual(network, cached, states.detach()).cpu())


@torch.enable_grad()
def _train(
    network: Network,
    cached: Mapping[str, CachedInterventions],
    states: Mapping[str, Mapping[str, Tensor]],
    maps: Sequence[_Map],
    options: StitchOptions,
    seed: int,
) -> None:
    """Trains all maps on the same batches; each keeps its best state and stops for itself."""
    draws = generator(seed, "stitching", "batches")
    optimiser = Adam([parameter for each in maps for parameter in each.parameters])
    running, step, losses = list(maps), 0, [math.inf] * len(maps)
    with frozen_weights(network), evaluation_mode(network):
        while True:
            for each, loss in zip(running, losses, strict=True):
                mapped = each(states[each.source]["validation"])
                correct = matches_counterfactual(network, cached["validation"], mapped.detach())
                each.validate(float(correct.double().mean()), loss, step)
            running = [each for each in running if each.best < options.target and each.worse < options.patience]
            if not running or step >= options.steps:
                break
            steps = min(options.validate_every, options.steps - step)
            history = [
                _step(network, cached["train"], states, running, options, draws, optimiser) for _ in range(steps)
            ]
            losses, step = torch.stack(history).mean(0).tolist(), step + steps
    for each in maps:
        each.restore()


def _step(
    network: Network,
    cached: CachedInterventions,
    states: Mapping[str, Mapping[str, Tensor]],
    running: Sequence[_Map],
    options: StitchOptions,
    draws: torch.Generator,
    optimiser: Adam,
) -> Float[Tensor, " maps"]:
    """Makes a step of each map; returns their losses."""
    index = torch.randint(len(cached), (options.batch,), generator=draws)
    mapped = torch.cat([each(states[each.source]["train"][index.to(each.bias.device)]) for each in running])
    losses = counterfactual_losses(network, cached, mapped, index.repeat(len(running)))
    losses = losses.view(len(running), -1).mean(1)
    if not losses.isfinite().all():
        raise NonFiniteError("the loss of a map is not finite; lower the learning rate, or check the networks")
    optimiser.zero_grad()
    losses.sum().backward()
    optimiser.step(options.learning_rate)
    return losses.detach()
