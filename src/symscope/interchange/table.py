"""Counterfactual data from a table of pairs: base, source, and the answer that must follow after the swap."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from symscope.errors import ConfigurationError, InvalidArgumentError
from symscope.interchange._pairs import SHARES, Label, Pair, Run, counterfactual_data
from symscope.interchange.data import CounterfactualData
from symscope.networks import Network

Frame = Any
"""A polars or pandas frame, a sequence of dictionaries, or the path of a Parquet, JSONL or CSV file."""

NAMES = {"input": "base", "counterfactual_inputs": "source", "counterfactual_input": "source"}
"""Other names of columns, after pyvene."""
MAX_NUMBER = 2**62
"""No value, token or entry of a vector is as large."""
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
    reader = _Reader(tokenizer, vocabulary, multi_token_labels)
    pairs = [pair for number, row in enumerate(_rows_of(table)) if (pair := reader.pair(number, row)) is not None]
    faults = reader.faults or _faults_of_table(pairs)
    if faults:
        more = [f"and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
        raise ConfigurationError(name, [*faults[:MAX_FAULTS], *more])
    return counterfactual_data(
        pairs, name=name, seed=seed, vocabulary=vocabulary, network=network, token_name=reader.token_name
    )


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
    return [{NAMES.get(str(key), str(key)): value for key, value in row.items()} for row in rows]


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
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}") from error
    raise InvalidArgumentError(f"{path.name}: a table is a file .parquet, .jsonl or .csv")


@final
class _Reader:
    """Reads rows and collects their faults."""

    def __init__(self, tokenizer: Any, vocabulary: int | None, multi_token_labels: bool) -> None:
        self._tokenizer, self._vocabulary, self._multi = tokenizer, vocabulary, multi_token_labels
        self.faults: list[str] = []
        self._encoded: dict[str, list[int]] = {}

    def pair(self, number: int, row: Mapping[str, Any]) -> Pair | None:
        before = len(self.faults)

        def fault(text: str) -> None:
            self.faults.append(f"row {number}: {text}")

        missing = [column for column in ("base", "source", "label") if _is_missing(row.get(column))]
        if missing:
            fault(f"no {' and no '.join(missing)}; a row has base, source and label")
            return None
        variables = tuple(str(row.get("variable") or "variable").split("+"))
        several = _is_list_of_inputs(row["source"])
        inputs = list(row["source"]) if several else [row["source"]]
        if len(inputs) not in (1, len(variables)):
            fault(
                f"{len(inputs)} sources for {len(variables)} variables; a row has one source, or one for each variable"
            )
            return None
        base = self._run(row, "base", row["base"], None, fault)
        sources = [self._run(row, "source", each, at if several else None, fault) for at, each in enumerate(inputs)]
        label = self._label(row["label"], "label", row["base"], fault)
        if base is not None and any(source == base for source in sources):
            fault("base and source are the same, so nothing is swapped")
        names = [sorted(run.values) for run in (base, *sources) if run is not None]
        if any(known != names[0] for known in names):
            fault(f"base_values name {names[0]}, source_values {names[-1]}")
        split = row.get("split")
        if not _is_missing(split) and (not isinstance(split, str) or split not in SHARES):
            fault(f"split {split!r} is none of {', '.join(SHARES)}")
        if base is None or label is None or len(self.faults) > before:
            return None
        found = tuple(source for source in sources if source is not None)
        cluster = row.get("cluster")
        return Pair(
            number, variables, base, found, label, None if _is_missing(split) else split,
            None if _is_missing(cluster) else str(cluster),
        )  # fmt: skip

    def _run(
        self, row: Mapping[str, Any], kind: str, value: Any, number: int | None, fault: Callable[[str], None]
    ) -> Run | None:
        """A base or source; `number`: which of several sources."""

        def column(name: str, default: Any = None) -> Any:
            entry = row.get(f"{kind}_{name}", default)
            if number is None or not isinstance(entry, (list, tuple)):
                return entry
            if number < len(entry):
                return entry[number]
            fault(f"{kind}_{name} has {len(entry)} entries, and there is no entry for source {number}")
            return default

        inputs = self._input(value, kind, fault)
        if inputs is None:
            return None
        given_label = column("label")
        label = None if _is_missing(given_label) else self._label(given_label, f"{kind}_label", value, fault)
        vector = any(isinstance(entry, float) for entry in inputs)
        at = 0 if vector else self._position(column("position", row.get("position")), value, inputs, fault)
        return Run(inputs, at, label, self._values(column("values"), kind, fault))

    def _values(self, values: Any, kind: str, fault: Callable[[str], None]) -> Mapping[str, Any]:
        """The value of each variable."""
        if _is_missing(values):
            return {}
        if isinstance(values, Mapping) and all(
            isinstance(name, str) and isinstance(value, (str, int, float)) and not _is_too_large(value)
            for name, value in values.items()
        ):
            return values
        fault(f"{kind}_values must be a dictionary from variable to number or text, got {values!r}")
        return {}

    def _input(self, value: Any, column: str, fault: Callable[[str], None]) -> list[int] | list[float] | None:
        """Token ids or the entries of a vector."""
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
        if not entries or not all(_is_number(entry) and not _is_too_large(entry) for entry in entries):
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
        wrong = [i for i in ids if not 0 <= i < (MAX_NUMBER if self._vocabulary is None else self._vocabulary)]
        if wrong:
            end = "" if self._vocabulary is None else f"..{self._vocabulary - 1}"
            fault(f"{column} has the token {wrong[0]}, which is outside the vocabulary 0{end}")
        return not wrong

    def _label(self, value: Any, column: str, prompt: Any, fault: Callable[[str], None]) -> Label | None:
        """The tokens of an answer: what its text adds to the tokens of the prompt that it follows."""
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
            ids: list[Any] = [value] if _is_number(value) else list(value) if isinstance(value, Sequence) else [None]
            if (
                not ids
                or not all(isinstance(i, int) and not isinstance(i, bool) for i in ids)
                or not self._in_vocabulary(ids, column, fault)
            ):
                fault(f"{column} must be text or token ids, got {value!r}") if ids != [value] else None
                return None
        if len(ids) > 1 and not self._multi:
            pieces = "" if self._tokenizer is None else f" ({', '.join(map(repr, self._pieces(ids)))})"
            fault(
                f"{column} {value!r} is split into {len(ids)} tokens{pieces}; choose an answer of one token, or pass "
                "multi_token_labels=True (--multi-token-labels) to require all of them"
            )
        return tuple(ids)

    def token_name(self, token: int) -> str:
        """The text of a token; its id where there is no tokenizer."""
        return str(token) if self._tokenizer is None else self._tokenizer.decode([token])

    def _pieces(self, ids: Sequence[int]) -> list[str]:
        return [self.token_name(i) for i in ids]

    def _position(self, value: Any, prompt: Any, ids: Sequence[Any], fault: Callable[[str], None]) -> int:
        """Where a run stops, counted from 0: an integer, or text of the prompt whose last token is meant."""
        if _is_missing(value):
            return len(ids) - 1
        if isinstance(value, str):
            return self._span_end(value, prompt, fault)
        if not isinstance(value, int) or isinstance(value, bool):
            fault(f"position must be an integer or a part of the prompt, got {value!r}")
            return 0
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


def _is_too_large(value: Any) -> bool:
    """Whether a number does not fit into 64 bits, or is not finite."""
    return _is_number(value) and not abs(value) < MAX_NUMBER


def _is_list_of_inputs(value: Any) -> bool:
    """Whether a source is a list of inputs, not one input."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and not _is_number(value[0])


def _faults_of_table(pairs: Sequence[Pair]) -> list[str]:
    """Faults of the table as a whole."""
    faults, runs = [], [run for pair in pairs for run in (pair.base, *pair.sources)]
    if len({run.is_vector for run in runs}) > 1:
        faults.append("some inputs are vectors and others token ids")
    elif runs[0].is_vector and len({len(run.inputs) for run in runs}) > 1:
        faults.append("vectors have different lengths")
    for variables in dict.fromkeys(pair.name for pair in pairs):
        rows = [pair for pair in pairs if pair.name == variables]
        if all(pair.base.label is not None and pair.base.label == pair.label for pair in rows):
            faults.append(f"variable {variables!r}: no pair has a label that differs from the base's own (base_label)")
        declared = {pair.split for pair in rows}
        if None in declared and len(declared) > 1:
            faults.append(f"variable {variables!r}: some rows have a split and others have none")
    return faults
