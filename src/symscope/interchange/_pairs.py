"""From single pairs of inputs, each with its answer, to counterfactual data: what tables and causal graphs share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from symscope.errors import ConfigurationError, InvalidArgumentError
from symscope.interchange._intervene import matches_counterfactual
from symscope.interchange.cache import cache_states
from symscope.interchange.data import CounterfactualData, Excluded, Interventions, StoppedInputs
from symscope.networks import Network
from symscope.seeds import generator

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
"""The splits, and the share of the pairs that each gets where nothing says to which a pair belongs."""

Label = tuple[int, ...]
"""The tokens of an answer, or a class."""


@dataclass(frozen=True)
class Run:
    """An input, where its run stops, and what is known of it.

    Attributes:
        inputs: token ids, or the entries of a vector.
        position: the last token that is run, counted from 0.
        label: its own answer; `None`: unknown.
        values: the value of each variable; empty: unknown.
    """

    inputs: Sequence[int] | Sequence[float]
    position: int
    label: Label | None
    values: Mapping[str, Any]

    @property
    def is_vector(self) -> bool:
        """Whether the input is a vector."""
        return any(isinstance(entry, float) for entry in self.inputs)

    @property
    def rest(self) -> list[Any]:
        """What the input has after the stop."""
        return [] if self.is_vector else list(self.inputs[self.position + 1 :])


@dataclass(frozen=True)
class Pair:
    """One intervention: a base, the source of each overwritten variable, and the answer that must follow.

    Attributes:
        row: where it comes from, for messages.
        variables: the overwritten variables.
        base: the base.
        sources: a source for each variable, or a single one for all.
        label: the answer after the swap.
        split: the split that it belongs to; `None`: any.
        cluster: pairs of one cluster are not independent.
    """

    row: int
    variables: tuple[str, ...]
    base: Run
    sources: tuple[Run, ...]
    label: Label
    split: str | None = None
    cluster: str | None = None

    @property
    def name(self) -> str:
        """The overwritten variables, joined by `+`."""
        return "+".join(self.variables)

    def source_of(self, variable: str) -> int:
        """The index of the source of a variable."""
        return self.variables.index(variable) if len(self.sources) > 1 else 0

    @property
    def swapped_values(self) -> dict[str, Any] | None:
        """The value of each variable after the swap; `None` where one is unknown."""
        runs = (self.base, *self.sources)
        if any(variable not in run.values for variable in self.variables for run in runs):
            return None
        return {**self.base.values, **{v: self.sources[self.source_of(v)].values[v] for v in self.variables}}

    @property
    def kind(self) -> str | None:
        """`cause`: base and source differ in the variables alone; `isolation`: they agree on them and differ elsewhere.

        `None`: neither, unknown, or several sources.
        """
        if len(self.sources) != 1 or self.swapped_values is None:
            return None
        (source,) = self.sources
        differ = {name for name, value in self.base.values.items() if value != source.values.get(name)}
        if differ and differ <= set(self.variables):
            return "cause"
        return "isolation" if differ and not differ & set(self.variables) else None


def counterfactual_data(
    pairs: Sequence[Pair],
    *,
    name: str,
    seed: int,
    vocabulary: int | None = None,
    network: Network | None = None,
    token_name: Callable[[int], str] = str,
) -> CounterfactualData:
    """Counterfactual data of pairs.

    Args:
        pairs: the pairs.
        name: name of the hypothesis.
        seed: fixes the splits, and the permutation of shuffled labels.
        vocabulary: number of tokens of the network; `None`: not known.
        network: leave out the pairs whose base or a source this network completes incorrectly.
        token_name: gives the name of a token id.

    Raises:
        ConfigurationError: a split stays empty, or an answer of a base or source that `network` needs is missing.
        InvalidArgumentError: the network completes a base or source of every pair of a variable incorrectly.
    """
    excluded: dict[str, Excluded] = {}
    if network is not None:
        pairs, excluded = _correct(pairs, network, name)
    pairs = _with_splits(pairs, seed, name, excluded)
    codes, sets = _codes(pairs), list(dict.fromkeys(pair.name for pair in pairs))
    parts: dict[str, dict[str, Interventions]] = {p: {} for p in (*SHARES, "cause", "isolation")}
    for variables in sets:
        of_set = [pair for pair in pairs if pair.name == variables]
        test = [pair for pair in of_set if pair.split == "test"]
        for part, made in parts.items():
            kept = [p for p in of_set if p.split == part] if part in SHARES else [p for p in test if p.kind == part]
            if kept:
                made[variables] = _interventions(kept, codes)
    return CounterfactualData(
        hypothesis=name,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        cause=parts["cause"],
        isolation=parts["isolation"],
        seed=seed,
        uncut=_uncut(pairs),
        vocabulary=vocabulary,
        value_names={variable: names for variable, (names, _) in codes.items()},
        shuffle=None if _answers(pairs) is None else _Shuffle(pairs, codes),
        excluded=excluded,
        token_name=token_name,
    )


def _with_splits(pairs: Sequence[Pair], seed: int, name: str, excluded: Mapping[str, Excluded]) -> list[Pair]:
    """Pairs without a split are divided by cluster, or one by one where they have none."""
    split_of: dict[int, str] = {}
    for variables in dict.fromkeys(pair.name for pair in pairs):
        groups: dict[str, list[int]] = {}
        for number, pair in enumerate(pairs):
            if pair.name == variables and pair.split is None:
                groups.setdefault(f"#{number}" if pair.cluster is None else pair.cluster, []).append(number)
        order = torch.randperm(len(groups), generator=generator(seed, "splits", variables)).tolist()
        shuffled = [list(groups.values())[index] for index in order]
        test, validation = (max(round(len(shuffled) * SHARES[part]), 1) for part in ("test", "validation"))
        for index, numbers in enumerate(shuffled):
            split = "test" if index < test else "validation" if index < test + validation else "train"
            split_of |= dict.fromkeys(numbers, split)
    divided = [replace(pair, split=pair.split or split_of[number]) for number, pair in enumerate(pairs)]
    faults = [
        f"variable {variables!r}: the split {split} is empty; each of {', '.join(SHARES)} needs pairs"
        + (f" ({excluded[variables]})" if variables in excluded else "")
        for variables in dict.fromkeys(pair.name for pair in divided)
        for split in SHARES
        if not any(pair.name == variables and pair.split == split for pair in divided)
    ]
    if faults:
        raise ConfigurationError(name, faults)
    return divided


Codes = Mapping[str, tuple[tuple[str, ...] | None, Mapping[Any, int | float]]]
"""For each variable the names of its values, as in `CounterfactualData.value_names`, and the number of each value."""


def _codes(pairs: Sequence[Pair]) -> Codes:
    values: dict[str, set[Any]] = {}
    for pair in pairs:
        for run in (pair.base, *pair.sources):
            for name, value in run.values.items():
                values.setdefault(name, set()).add(value)
    codes: dict[str, tuple[tuple[str, ...] | None, Mapping[Any, int | float]]] = {}
    for name, found in values.items():
        if all(isinstance(value, int) and not isinstance(value, bool) for value in found):
            codes[name] = (), {value: value for value in found}
        elif all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in found):
            codes[name] = None, {value: float(value) for value in found}
        else:
            names = sorted(map(str, found))
            codes[name] = tuple(names), {value: names.index(str(value)) for value in found}
    return codes


def _interventions(pairs: Sequence[Pair], codes: Codes) -> Interventions:
    """Interventions on one set of variables."""
    first = pairs[0]
    fed, targets, mask = _continuation([pair.base.rest for pair in pairs], [pair.label for pair in pairs])
    clusters = [pair.cluster for pair in pairs]
    names = list(dict.fromkeys(clusters))
    changes = informative = None
    if all(pair.base.label is not None for pair in pairs):
        changes = torch.tensor([pair.label != pair.base.label for pair in pairs])
        if all(source.label is not None for pair in pairs for source in pair.sources):
            has_new_label = [pair.label not in [source.label for source in pair.sources] for pair in pairs]
            informative = changes & torch.tensor(has_new_label)
    return Interventions(
        variables=first.variables,
        base=_stopped([pair.base for pair in pairs], codes),
        sources=tuple(_stopped(runs, codes) for runs in zip(*(pair.sources for pair in pairs), strict=True)),
        source_of=tuple(first.source_of(variable) for variable in first.variables),
        fed=fed,
        targets=targets,
        target_mask=mask,
        changes_base=changes,
        informative=informative,
        cluster=None if None in clusters else torch.tensor([names.index(cluster) for cluster in clusters]),
    )


def _continuation(rests: Sequence[list[Any]], answers: Sequence[Label]) -> tuple[Tensor, Tensor, Tensor]:
    """What is fed after the stop, what must be predicted, and which predictions count: those of the answers."""
    full = [[*rest, *answer] for rest, answer in zip(rests, answers, strict=True)]
    width = max(map(len, full))
    targets = torch.tensor([row + [0] * (width - len(row)) for row in full])
    first = torch.tensor([len(rest) for rest in rests])[:, None]
    column = torch.arange(width)[None]
    mask = (column >= first) & (column < torch.tensor([len(row) for row in full])[:, None])
    return targets[:, :-1], targets, mask


def _stopped(runs: Sequence[Run], codes: Codes) -> StoppedInputs:
    width = max(len(run.inputs) for run in runs)
    padded = torch.tensor([[*run.inputs, *[0] * (width - len(run.inputs))] for run in runs])
    known = [name for name in codes if all(name in run.values for run in runs)]
    values = {name: torch.tensor([codes[name][1][run.values[name]] for run in runs]) for name in known}
    return StoppedInputs(padded, torch.tensor([run.position for run in runs]), values)


def _without_swap(runs: Sequence[Run]) -> Interventions:
    fed, targets, mask = _continuation([run.rest for run in runs], [run.label or () for run in runs])
    return Interventions((), _stopped(runs, {}), (), (), fed, targets, mask)


def _uncut(pairs: Sequence[Pair]) -> Interventions | None:
    """Each base and source whose own answer is known, once."""
    every = [run for pair in pairs for run in (pair.base, *pair.sources) if run.label is not None]
    runs = {(tuple(run.inputs), run.position): run for run in every}
    return _without_swap(list(runs.values())) if runs else None


def _correct(pairs: Sequence[Pair], network: Network, name: str) -> tuple[list[Pair], dict[str, Excluded]]:
    """The pairs of which the network completes base and sources correctly, and how many others there are."""
    runs = [(number, run) for number, pair in enumerate(pairs) for run in (pair.base, *pair.sources)]
    missing = sorted({pairs[number].row for number, run in runs if run.label is None})
    if missing:
        rows = ", ".join(map(str, missing[:10]))
        raise ConfigurationError(
            name, [f"network= needs base_label and source_label; rows without one of them: {rows}"]
        )
    cached = cache_states(network, _without_swap([run for _, run in runs]), network.default_site)
    correct = matches_counterfactual(network, cached, cached.base_states).tolist()
    wrong = {number for (number, _), right in zip(runs, correct, strict=True) if not right}
    excluded: dict[str, Excluded] = {}
    for variables in dict.fromkeys(pair.name for pair in pairs):
        of_set = [number for number, pair in enumerate(pairs) if pair.name == variables]
        excluded[variables] = Excluded(sum(number in wrong for number in of_set), len(of_set))
    hopeless = [repr(variables) for variables, count in excluded.items() if count.pairs == count.of]
    if hopeless:
        raise InvalidArgumentError(
            f"the network completes a base or source of every pair of {', '.join(hopeless)} incorrectly, so no pair is "
            "left; check base_label and source_label, or choose pairs that the network completes"
        )
    return [pair for number, pair in enumerate(pairs) if number not in wrong], excluded


def _answers(pairs: Sequence[Pair]) -> dict[tuple[Any, ...], Label] | None:
    """The answer to all values of the variables, as far as pairs give it; `None` where they do not determine it."""
    answers: dict[tuple[Any, ...], Label] = {}
    for pair in pairs:
        swapped = pair.swapped_values
        if swapped is None:
            return None
        given = [(swapped, pair.label), *((run.values, run.label) for run in (pair.base, *pair.sources))]
        for values, label in given:
            if label is not None and answers.setdefault(_key(values), label) != label:
                return None
    return answers


def _key(values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(values.items()))


@final
class _Shuffle:
    """Makes the same data with permuted values of the overwritten variables; see `shuffled_labels`.

    The answer to permuted values is looked up among the answers that are known; pairs without one are left out.
    """

    def __init__(self, pairs: Sequence[Pair], codes: Codes) -> None:
        self._pairs, self._codes, self._answers = pairs, codes, _answers(pairs) or {}

    def __call__(self, data: CounterfactualData) -> CounterfactualData:
        splits: dict[str, dict[str, Interventions]] = {part: {} for part in SHARES}
        for variables in data.train:
            shuffled = self._shuffled([pair for pair in self._pairs if pair.name == variables], data.seed)
            for split, made in splits.items():
                kept = [pair for pair in shuffled if pair.split == split]
                if not kept:
                    raise InvalidArgumentError(
                        f"no {split} intervention on {variables!r} has a known answer after its values are permuted; "
                        "leave out the control ShuffledLabels"
                    )
                made[variables] = _interventions(kept, self._codes)
        return replace(data, **splits, cause={}, isolation={}, shuffle=None)

    def _shuffled(self, pairs: Sequence[Pair], seed: int) -> list[Pair]:
        stands_for: dict[str, dict[Any, Any]] = {}
        for variable in pairs[0].variables:
            values = sorted({run.values[variable] for p in pairs for run in (p.base, *p.sources)}, key=str)
            order = torch.randperm(len(values), generator=generator(seed, "labels", variable)).tolist()
            after = [*order[1:], *order[:1]]  # one cycle through all values: no value stands for itself
            stands_for[variable] = {values[old]: values[new] for old, new in zip(order, after, strict=True)}
        made = []
        for pair in pairs:
            swapped = pair.swapped_values or {}
            label = self._answers.get(_key(swapped | {v: stands_for[v][swapped[v]] for v in pair.variables}))
            if label is not None:
                made.append(replace(pair, label=label))
        return made
