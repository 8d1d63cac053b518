"""Counterfactual data from a table of pairs: base, source, and the answer that must follow after the swap."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from symscope.errors import ConfigurationError, InvalidArgumentError
from symscope.interchange._intervene import matches_counterfactual
from symscope.interchange.cache import cache_states
from symscope.interchange.data import CounterfactualData, Interventions, StoppedInputs
from symscope.networks import Network
from symscope.seeds import generator

Frame = Any
"""A polars or pandas frame, a sequence of dictionaries, or the path of a Parquet, JSONL or CSV file."""

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
"""The splits of a table, and the share of the rows that each gets where the table has no column `split`."""
NAMES = {"input": "base", "counterfactual_inputs": "source", "counterfactual_input": "source"}
"""Other names of columns, after pyvene."""
COLUMNS = (
    "base", "source", "label", "variable", "position", "base_position", "source_position", "base_label", "source_label",
    "base_values", "source_values", "split", "cluster",
)  # fmt: skip
"""The columns that are read; others are ignored."""
MAX_FAULTS = 20
"""Faults that an error lists; it counts all."""


def read_table(
    table: Frame,
    *,
    tokenizer: Any = None,
    vocabulary: int | None = None,
    network: Network | None = None,
    name: str = "table",
    seed: int = 0,
    multi_token_labels: bool = False,
) -> CounterfactualData:
    """Counterfactual data from a table; see `CounterfactualData.from_table`."""
    rows = _rows_of(table)
    reader = _Reader(tokenizer, vocabulary, multi_token_labels)
    pairs = [pair for number, row in enumerate(rows) if (pair := reader.pair(number, row)) is not None]
    faults = reader.faults or _faults_of_table(pairs)
    if faults:
        more = [f"and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
        raise ConfigurationError(name, [*faults[:MAX_FAULTS], *more])
    every = len(pairs)
    pairs = _with_splits(pairs if network is None else _correct(pairs, network), seed)
    codes = _codes(pairs)
    by_variable: dict[str, list[_Pair]] = {}
    for pair in pairs:
        by_variable.setdefault(pair.variable, []).append(pair)
    splits: dict[str, dict[str, Interventions]] = {part: {} for part in ("train", "validation", "test")}
    pairwise: dict[str, dict[str, Interventions]] = {"cause": {}, "isolation": {}}
    for variable, of_variable in by_variable.items():
        for split, made in splits.items():
            made[variable] = _interventions([p for p in of_variable if p.split == split], codes)
        test = [pair for pair in of_variable if pair.split == "test"]
        for kind, made in pairwise.items():
            chosen = [pair for pair in test if pair.kind == kind]
            if chosen:
                made[variable] = _interventions(chosen, codes)
    known = all(pair.answer_key(swapped=True) is not None for pair in pairs)
    return CounterfactualData(
        hypothesis=name,
        **splits,
        **pairwise,
        seed=seed,
        uncut=_uncut(pairs),
        vocabulary=vocabulary,
        value_names={variable: names for variable, (names, _) in codes.items()},
        shuffle=_Shuffle(by_variable, codes) if known and _answers(pairs) is not None else None,
        excluded=every - len(pairs),
    )


@dataclass(frozen=True)
class _Pair:
    """One row of a table, read."""

    row: int
    variable: str
    base: list[int] | list[float]
    source: list[int] | list[float]
    base_position: int
    source_position: int
    label: tuple[int, ...]
    base_label: tuple[int, ...] | None
    source_label: tuple[int, ...] | None
    base_values: Mapping[str, Any]
    source_values: Mapping[str, Any]
    split: str | None
    cluster: str | None

    @property
    def is_vector(self) -> bool:
        return any(isinstance(entry, float) for entry in (*self.base, *self.source))

    @property
    def kind(self) -> str | None:
        """`cause`: base and source differ in the variable alone; `isolation`: they agree on it and differ elsewhere."""
        if self.variable not in self.base_values:
            return None
        differ = {name for name, value in self.base_values.items() if value != self.source_values[name]}
        if differ == {self.variable}:
            return "cause"
        return "isolation" if differ and self.variable not in differ else None

    def answer_key(self, *, swapped: bool) -> tuple[tuple[str, Any], ...] | None:
        """The values that determine the answer, of the base or after the swap; `None` where they are unknown."""
        if self.variable not in self.base_values:
            return None
        values = dict(self.base_values)
        if swapped:
            values[self.variable] = self.source_values[self.variable]
        return tuple(sorted(values.items()))


def _rows_of(table: Frame) -> list[dict[str, Any]]:
    if isinstance(table, (str, Path)):
        table = _file(Path(table))
    if hasattr(table, "to_dicts"):  # polars
        table = table.to_dicts()
    elif hasattr(table, "to_dict"):  # pandas
        table = table.to_dict("records")
    if not isinstance(table, Iterable):
        raise InvalidArgumentError(
            f"a table is a frame of polars or pandas, a list of dictionaries, or a file; got {type(table).__name__}"
        )
    rows = list(table)
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidArgumentError("a table has at least one row, and each row is a dictionary of columns")
    return [{NAMES.get(key, key): value for key, value in row.items()} for row in rows]


def _file(path: Path) -> Any:
    import polars as pl  # noqa: PLC0415  (takes a second)

    if not path.is_file():
        raise InvalidArgumentError(f"there is no file {path}")
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return pl.read_parquet(path, glob=False)
        if kind in (".jsonl", ".ndjson"):
            return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        if kind == ".csv":
            return pl.read_csv(path, glob=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}") from error
    raise InvalidArgumentError(f"{path.name}: a table is a file .parquet, .jsonl or .csv")


@final
class _Reader:
    """Reads rows and collects their faults."""

    def __init__(self, tokenizer: Any, vocabulary: int | None, multi_token_labels: bool) -> None:
        self._tokenizer, self._vocabulary, self._multi = tokenizer, vocabulary, multi_token_labels
        self.faults: list[str] = []
        self._encoded: dict[str, list[int]] = {}

    def pair(self, number: int, row: Mapping[str, Any]) -> _Pair | None:
        before = len(self.faults)

        def fault(text: str) -> None:
            self.faults.append(f"row {number}: {text}")

        missing = [column for column in ("base", "source", "label") if _is_missing(row.get(column))]
        if missing:
            fault(f"no {' and no '.join(missing)}; a row has base, source and label")
            return None
        base, source = (self._input(row[column], column, fault) for column in ("base", "source"))
        if base is None or source is None:
            return None
        vector = any(isinstance(entry, float) for entry in (*base, *source))
        if base == source and row.get("base_position") == row.get("source_position"):
            fault("base and source are the same, so nothing is swapped")
        labels = {c: self._label(row, c, fault) for c in ("label", "base_label", "source_label")}
        common = row.get("position")
        at = {
            c: self._position(row.get(f"{c}_position", common), row[c], ids, fault)
            for c, ids in (("base", base), ("source", source))
        }
        values = {c: row.get(f"{c}_values") or {} for c in ("base", "source")}
        if set(values["base"]) != set(values["source"]):
            fault(f"base_values name {sorted(values['base'])}, source_values {sorted(values['source'])}")
        split = row.get("split")
        if split is not None and split not in SHARES:
            fault(f"split {split!r} is none of {', '.join(SHARES)}")
        if len(self.faults) > before:
            return None
        return _Pair(
            number, str(row.get("variable") or "variable"), base, source, 0 if vector else at["base"],
            0 if vector else at["source"], labels["label"] or (), labels["base_label"], labels["source_label"],
            values["base"], values["source"], split, None if row.get("cluster") is None else str(row["cluster"]),
        )  # fmt: skip

    def _input(self, value: Any, column: str, fault: Callable[[str], None]) -> list[int] | list[float] | None:
        """Token ids or the entries of a vector."""
        if column == "source" and isinstance(value, (list, tuple)) and len(value) == 1 and not _is_number(value[0]):
            value = value[0]
        if isinstance(value, str):
            if self._tokenizer is None:
                fault(f"{column} is text, which needs a tokenizer; pass tokenizer=")
                return None
            ids = self._encode(value)
            if not ids:
                fault(f"{column} is empty")
                return None
            return ids
        entries = value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, Sequence) else []
        if not entries or not all(_is_number(entry) for entry in entries):
            fault(f"{column} must be text, a list of token ids or a list of numbers, got {value!r}")
            return None
        if any(isinstance(entry, float) for entry in entries):
            return [float(entry) for entry in entries]
        return entries if self._in_vocabulary(entries, column, fault) else None

    def _encode(self, text: str) -> list[int]:
        if text not in self._encoded:
            self._encoded[text] = list(self._tokenizer(text)["input_ids"])
        return self._encoded[text]

    def _in_vocabulary(self, ids: Sequence[int], column: str, fault: Callable[[str], None]) -> bool:
        wrong = [i for i in ids if i < 0 or (self._vocabulary is not None and i >= self._vocabulary)]
        if wrong:
            end = "" if self._vocabulary is None else f"..{self._vocabulary - 1}"
            fault(f"{column} has the token {wrong[0]}, which is outside the vocabulary 0{end}")
        return not wrong

    def _label(self, row: Mapping[str, Any], column: str, fault: Callable[[str], None]) -> tuple[int, ...] | None:
        """The tokens of an answer: what its text adds to the tokens of the prompt that it follows."""
        value = row.get(column)
        if _is_missing(value):
            return None
        prompt = row["source" if column == "source_label" else "base"]
        if isinstance(prompt, (list, tuple)) and len(prompt) == 1 and isinstance(prompt[0], str):
            prompt = prompt[0]
        if isinstance(value, str):
            if self._tokenizer is None or not isinstance(prompt, str):
                fault(f"{column} is text, which needs a tokenizer and prompts that are text")
                return None
            before, after = self._encode(prompt), self._encode(prompt + value)
            if after[: len(before)] != before:
                fault(
                    f"{column} {value!r} merges with the end of its prompt into other tokens; move the space to the "
                    "beginning of the label"
                )
                return None
            ids = after[len(before) :]
        else:
            ids = [value] if _is_number(value) else list(value)
            if not all(isinstance(i, int) for i in ids) or not self._in_vocabulary(ids, column, fault):
                fault(f"{column} must be text or token ids, got {value!r}") if ids != [value] else None
                return None
        if len(ids) > 1 and not self._multi:
            pieces = "" if self._tokenizer is None else f" ({', '.join(map(repr, self._pieces(ids)))})"
            fault(
                f"{column} {value!r} is split into {len(ids)} tokens{pieces}; choose an answer of one token, or pass "
                "multi_token_labels=True to require all of them"
            )
        return tuple(ids)

    def _pieces(self, ids: Sequence[int]) -> list[str]:
        return [self._tokenizer.decode([i]) for i in ids]

    def _position(self, value: Any, prompt: Any, ids: Sequence[Any], fault: Callable[[str], None]) -> int:
        """Where a run stops, counted from 0: an integer, or text of the prompt whose last token is meant."""
        if _is_missing(value):
            return len(ids) - 1
        if isinstance(value, str):
            return self._span_end(value, prompt, fault)
        position = value + len(ids) if value < 0 else value
        if not 0 <= position < len(ids):
            fault(f"position {value} does not exist: the prompt has {len(ids)} tokens")
            return 0
        return int(position)

    def _span_end(self, text: str, prompt: Any, fault: Callable[[str], None]) -> int:
        if not isinstance(prompt, str) or text not in prompt:
            fault(f"position {text!r} is not part of the prompt {prompt!r}")
            return 0
        end = prompt.rindex(text) + len(text)
        offsets = self._tokenizer(prompt, return_offsets_mapping=True)["offset_mapping"]
        return max(index for index, (first, _) in enumerate(offsets) if first < end)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124  (NaN of pandas)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _faults_of_table(pairs: Sequence[_Pair]) -> list[str]:
    """Faults of the table as a whole."""
    faults = []
    if len({pair.is_vector for pair in pairs}) > 1:
        faults.append("some rows hold vectors and others token ids")
    elif pairs[0].is_vector and len({len(side) for pair in pairs for side in (pair.base, pair.source)}) > 1:
        faults.append("vectors have different lengths")
    for variable in dict.fromkeys(pair.variable for pair in pairs):
        rows = [pair for pair in pairs if pair.variable == variable]
        if all(pair.base_label is not None and pair.base_label == pair.label for pair in rows):
            faults.append(f"variable {variable!r}: no pair has a label that differs from the base's own (base_label)")
        declared = [pair.split for pair in rows]
        empty = [split for split in SHARES if split not in declared]
        if any(declared) and (None in declared or empty):
            what = f"the split {empty[0]} is empty" if empty else "some rows have no split"
            faults.append(f"variable {variable!r}: {what}; each of {', '.join(SHARES)} needs rows")
    return faults


def _with_splits(pairs: Sequence[_Pair], seed: int) -> list[_Pair]:
    """Rows without a split are divided by cluster, or row by row where no cluster is named."""
    if pairs[0].split is not None:
        return list(pairs)
    split_of: dict[int, str] = {}
    for variable in dict.fromkeys(pair.variable for pair in pairs):
        groups: dict[str, list[int]] = {}
        for number, pair in enumerate(pairs):
            if pair.variable == variable:
                groups.setdefault(f"row {number}" if pair.cluster is None else f"cluster {pair.cluster}", []).append(
                    number
                )
        if len(groups) < len(SHARES):
            raise ConfigurationError(
                "table", [f"variable {variable!r}: {len(groups)} clusters cannot fill {len(SHARES)} splits"]
            )
        order = torch.randperm(len(groups), generator=generator(seed, "splits", variable)).tolist()
        shuffled = [list(groups.values())[index] for index in order]
        bounds = [round(len(shuffled) * share) for share in (SHARES["test"], SHARES["test"] + SHARES["validation"])]
        first, second = max(bounds[0], 1), max(bounds[1], 2)
        for index, numbers in enumerate(shuffled):
            split = "test" if index < first else "validation" if index < second else "train"
            split_of |= dict.fromkeys(numbers, split)
    return [replace(pair, split=split_of[number]) for number, pair in enumerate(pairs)]


Codes = Mapping[str, tuple[tuple[str, ...] | None, Mapping[Any, int | float]]]
"""For each variable the names of its values, as in `CounterfactualData.value_names`, and the number of each value."""


def _codes(pairs: Sequence[_Pair]) -> Codes:
    values: dict[str, set[Any]] = {}
    for pair in pairs:
        for given in (pair.base_values, pair.source_values):
            for name, value in given.items():
                values.setdefault(name, set()).add(value)
    codes: dict[str, tuple[tuple[str, ...] | None, Mapping[Any, int | float]]] = {}
    for name, found in values.items():
        if all(isinstance(value, int) for value in found):
            codes[name] = (), {value: int(value) for value in found}
        elif all(_is_number(value) for value in found):
            codes[name] = None, {value: float(value) for value in found}
        else:
            names = sorted(map(str, found))
            codes[name] = tuple(names), {value: names.index(str(value)) for value in found}
    return codes


def _interventions(pairs: Sequence[_Pair], codes: Codes) -> Interventions:
    """Interventions of one variable."""
    rests = [[] if p.is_vector else list(p.base[p.base_position + 1 :]) for p in pairs]
    answers = [list(pair.label) for pair in pairs]
    fed, targets, mask = _continuation(rests, answers)
    known = [name for name in codes if all(name in pair.base_values for pair in pairs)]
    base = _stopped(
        [p.base for p in pairs], [p.base_position for p in pairs], [p.base_values for p in pairs], known, codes
    )
    source = _stopped(
        [p.source for p in pairs], [p.source_position for p in pairs], [p.source_values for p in pairs], known, codes
    )
    clusters = [pair.cluster for pair in pairs]
    names = list(dict.fromkeys(clusters))
    changes = informative = None
    if all(pair.base_label is not None for pair in pairs):
        changes = torch.tensor([pair.label != pair.base_label for pair in pairs])
        if all(pair.source_label is not None for pair in pairs):
            informative = changes & torch.tensor([pair.label != pair.source_label for pair in pairs])
    return Interventions(
        (pairs[0].variable,), base, (source,), (0,), fed, targets, mask,
        changes_base=changes, informative=informative,
        cluster=None if None in clusters else torch.tensor([names.index(cluster) for cluster in clusters]),
    )  # fmt: skip


def _continuation(rests: Sequence[list[Any]], answers: Sequence[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """What is fed after the stop, what must be predicted, and which predictions count: those of the answers."""
    full = [[*rest, *answer] for rest, answer in zip(rests, answers, strict=True)]
    width = max(map(len, full))
    targets = torch.tensor([row + [0] * (width - len(row)) for row in full])
    first = torch.tensor([len(rest) for rest in rests])[:, None]
    column = torch.arange(width)[None]
    mask = (column >= first) & (column < torch.tensor([len(row) for row in full])[:, None])
    return targets[:, :-1], targets, mask


def _stopped(
    inputs: Sequence[Sequence[Any]],
    positions: Sequence[int],
    values: Sequence[Mapping[str, Any]],
    known: Sequence[str],
    codes: Codes,
) -> StoppedInputs:
    width = max(map(len, inputs))
    padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in inputs])
    coded = {name: torch.tensor([codes[name][1][row[name]] for row in values]) for name in known}
    return StoppedInputs(padded, torch.tensor(positions), coded)


Run = tuple[Sequence[Any], int, tuple[int, ...]]
"""An input, where it stops, and its own answer."""


def _own(pair: _Pair) -> list[Run | None]:
    """Base and source, each with its own answer; `None` where the table does not give it."""
    given = (
        (pair.base, pair.base_position, pair.base_label),
        (pair.source, pair.source_position, pair.source_label),
    )
    return [None if label is None else (inputs, at, label) for inputs, at, label in given]


def _without_swap(runs: Sequence[Run]) -> Interventions:
    inputs, positions, labels = zip(*runs, strict=True)
    vector = any(isinstance(entry, float) for entry in inputs[0])
    rests = [[] if vector else list(row[at + 1 :]) for row, at in zip(inputs, positions, strict=True)]
    fed, targets, mask = _continuation(rests, [list(label) for label in labels])
    return Interventions((), _stopped(inputs, positions, [{}] * len(inputs), (), {}), (), (), fed, targets, mask)


def _uncut(pairs: Sequence[_Pair]) -> Interventions | None:
    """Each base and source whose own answer the table gives, once."""
    runs = {(tuple(run[0]), run[1]): run for pair in pairs for run in _own(pair) if run is not None}
    return _without_swap(list(runs.values())) if runs else None


def _correct(pairs: Sequence[_Pair], network: Network) -> list[_Pair]:
    """The pairs of which the network completes both base and source correctly."""
    correct = torch.ones(len(pairs), dtype=torch.bool)
    for side, column in enumerate(("base_label", "source_label")):
        runs = [_own(pair)[side] for pair in pairs]
        missing = [pair.row for pair, run in zip(pairs, runs, strict=True) if run is None]
        if missing:
            raise ConfigurationError("table", [f"row {row}: no {column}, which network= needs" for row in missing])
        cached = cache_states(network, _without_swap([run for run in runs if run]), network.default_site)
        correct &= matches_counterfactual(network, cached, cached.base_states).cpu()
    if not correct.any():
        raise InvalidArgumentError("the network gets every base or source of the table wrong: it does not do the task")
    return [pair for pair, kept in zip(pairs, correct.tolist(), strict=True) if kept]


def _answers(pairs: Sequence[_Pair]) -> dict[tuple[Any, ...], tuple[int, ...]] | None:
    answers: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for pair in pairs:
        given = ((pair.answer_key(swapped=True), pair.label), (pair.answer_key(swapped=False), pair.base_label))
        for key, label in given:
            if key is not None and label is not None and answers.setdefault(key, label) != label:
                return None
    return answers


@final
class _Shuffle:
    """Makes the same data with permuted values of the overwritten variable; see `shuffled_labels`.

    The answer to permuted values is looked up among the answers of the table; rows whose answer it does not give are
    left out.
    """

    def __init__(self, pairs: Mapping[str, Sequence[_Pair]], codes: Codes) -> None:
        self._pairs, self._codes = pairs, codes

    def __call__(self, data: CounterfactualData) -> CounterfactualData:
        splits: dict[str, dict[str, Interventions]] = {"train": {}, "validation": {}, "test": {}}
        for variable in data.train:
            shuffled = self._shuffled(variable, data.seed)
            for split, made in splits.items():
                rows = [pair for pair in shuffled if pair.split == split]
                if not rows:
                    raise InvalidArgumentError(
                        f"no {split} intervention on {variable!r} has a known answer after its values are permuted; "
                        "leave out the control ShuffledLabels"
                    )
                made[variable] = _interventions(rows, self._codes)
        return replace(data, **splits, cause={}, isolation={}, shuffle=None)

    def _shuffled(self, variable: str, seed: int) -> list[_Pair]:
        pairs = self._pairs[variable]
        answers = _answers(pairs) or {}
        values = sorted({p.source_values[variable] for p in pairs} | {p.base_values[variable] for p in pairs}, key=str)
        order = torch.randperm(len(values), generator=generator(seed, "labels", variable)).tolist()
        stands_for = {values[at]: values[after] for at, after in zip(order, [*order[1:], order[0]], strict=True)}
        made = []
        for pair in pairs:
            swapped = dict(pair.base_values) | {variable: stands_for[pair.source_values[variable]]}
            label = answers.get(tuple(sorted(swapped.items())))
            if label is not None:
                made.append(replace(pair, label=label))
        return made
