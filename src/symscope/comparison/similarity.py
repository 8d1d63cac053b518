"""Similarity of the states of two networks by several measures, each with a permutation null and an untrained network.

High similarity of states does not show that two networks compute with the same variables: untrained networks that read
the same tokens can have it, too. It belongs in one table with model alignment search, which intervenes.
"""

from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from symscope.arguments import integer
from symscope.comparison.cca import PWCCA, SVCCA
from symscope.comparison.cka import LinearCKA
from symscope.comparison.linear_maps import ProbeTransfer, StateStitching
from symscope.comparison.measure import Similarity, SimilarityMeasure
from symscope.comparison.pairing import SequenceRows
from symscope.comparison.rsa import RSA, ClassMeanRSA
from symscope.errors import InvalidArgumentError, NonFiniteError

DEFAULT_RANKS = (2, 4)
"""Ranks of the maps from states to states, next to the map of full rank."""


def similarity_measures(
    values: Mapping[str, Shaped[Tensor, " rows"]] | None = None,
    numeric: Collection[str] = (),
    ranks: Sequence[int] = DEFAULT_RANKS,
) -> tuple[SimilarityMeasure, ...]:
    """All measures: CKA, RSA, SVCCA, PWCCA, stitching on states, and those that need the values of variables.

    Args:
        values: for each variable its value at each row, for RSA of class means and for probe transfer; default: these
            two are left out.
        numeric: the variables whose values are numbers; the others are categories.
        ranks: ranks of the maps from states to states, next to the map of full rank.

    Raises:
        InvalidArgumentError: a variable of `numeric` has no values, or a rank is below 1.
    """
    values = values or {}
    if unknown := sorted(set(numeric) - set(values)):
        raise InvalidArgumentError(f"no values of {', '.join(unknown)}: `values` has {', '.join(values) or 'nothing'}")
    with_values: list[SimilarityMeasure] = [ClassMeanRSA(values)] if values else []
    probes = [ProbeTransfer(name, column, numeric=name in numeric) for name, column in values.items()]
    stitching = [StateStitching(rank) for rank in (*ranks, None)]
    return (LinearCKA(), RSA(), *with_values, SVCCA(), PWCCA(), *stitching, *probes)


def compare_states(
    states_a: Float[Tensor, "rows a"],
    states_b: Float[Tensor, "rows_b b"],
    sequences: Shaped[Tensor, " rows_s"],
    measures: Sequence[SimilarityMeasure] | None = None,
    *,
    untrained: Float[Tensor, "rows_u u"] | None = None,
    permutations: int = 200,
    seed: int = 0,
) -> tuple[Similarity, ...]:
    """The similarity of two sets of states by several measures.

    Row r of all arguments belongs to the same position of the same token sequence. Everything is computed on the CPU,
    in double precision.

    Args:
        states_a: states of the first network.
        states_b: states of the second network; maps of stitching and probe transfer lead from it to the first.
        sequences: the sequence of each row, by any integer; rows of one sequence are in the order of its positions.
        measures: the measures; default: all that need no values of variables (`similarity_measures`).
        untrained: states of an untrained network, compared with `states_a` in place of `states_b`.
        permutations: number of permutations of the null distribution.
        seed: of the permutations, of the rows of RSA, and of the split into training and test rows.

    Raises:
        InvalidArgumentError: the numbers of rows differ, there are fewer than 4 rows, all states of a network are
            equal, too few sequences can be exchanged, or a measure is not defined for these states.
        NonFiniteError: a state is NaN or infinite.
    """
    integer(permutations, "permutations", 1)
    first, second = _checked(states_a, "states_a", sequences), _checked(states_b, "states_b", sequences)
    twin = None if untrained is None else _checked(untrained, "untrained", sequences)
    rows = SequenceRows.of(sequences, seed)
    drawn: dict[tuple[bool, int | None], Int[Tensor, "pairings rows"]] = {}
    results = []
    for measure in similarity_measures() if measures is None else measures:
        chosen = torch.arange(len(first)) if measure.max_rows is None else rows.sample(measure.max_rows, seed)
        part, key = rows.select(chosen), (measure.held_out, measure.max_rows)
        if key not in drawn:
            drawn[key] = part.pairings(permutations, seed, within_split=measure.held_out)
        fresh = None if twin is None else twin[chosen]
        results.append(_similarity(measure, first[chosen], second[chosen], fresh, part, drawn[key]))
    return tuple(results)


def _similarity(
    measure: SimilarityMeasure,
    first: Float[Tensor, "rows a"],
    second: Float[Tensor, "rows b"],
    twin: Float[Tensor, "rows u"] | None,
    rows: SequenceRows,
    pairings: Int[Tensor, "pairings rows"],
) -> Similarity:
    """One measure of the states of both networks, and of the first and the untrained one."""
    identity = torch.arange(len(first))[None]
    scorer = measure.scorer(first, second, rows)
    value = float(scorer.score(identity))
    null = scorer.score(pairings)
    at_least = int((null >= value - 1e-12 * max(abs(value), 1)).sum())
    return Similarity(
        measure=measure.name,
        value=value,
        null_mean=float(null.mean()),
        null_high=float(null.quantile(0.95)),
        p=(1 + at_least) / (1 + len(null)),
        untrained=None if twin is None else float(measure.scorer(first, twin, rows).score(identity)),
        floor=scorer.floor,
        reference=scorer.reference,
        n_rows=len(first),
        n_sequences=rows.n_sequences,
    )


def _checked(states: Tensor, name: str, sequences: Tensor) -> Float[Tensor, "rows state"]:
    """The states on the CPU in double precision."""
    if states.ndim != 2 or not states.is_floating_point() or states.shape[1] < 1:
        raise InvalidArgumentError(
            f"{name} has one state a row, as floating-point numbers; got the shape {tuple(states.shape)} of "
            f"{str(states.dtype).removeprefix('torch.')}"
        )
    if sequences.ndim != 1 or sequences.is_floating_point() or sequences.dtype == torch.bool:
        raise InvalidArgumentError(
            f"sequences has one integer for each row; got the shape {tuple(sequences.shape)} of "
            f"{str(sequences.dtype).removeprefix('torch.')}"
        )
    if len(states) != len(sequences):
        raise InvalidArgumentError(
            f"rows are paired: {name} has {len(states)} rows, and sequences has {len(sequences)}; give the states of "
            "all networks at the same positions of the same sequences"
        )
    if len(states) < 4:
        raise InvalidArgumentError(f"a comparison of states needs at least 4 rows, got {len(states)}")
    states = states.detach().cpu().double()
    if not states.isfinite().all():
        raise NonFiniteError(f"{name} is not finite in {int((~states.isfinite()).any(1).sum())} of {len(states)} rows")
    if (states == states[0]).all():
        raise InvalidArgumentError(f"all rows of {name} are equal: there is nothing to compare")
    return states
