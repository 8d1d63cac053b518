"""What the header of a file says about alignments and results, with strict types: a damaged file is refused."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from symscope.alignment._diagnostics import Naturalness
from symscope.alignment._records import InterventionRecord
from symscope.alignment.functions import Alignment, AlignmentFunction
from symscope.alignment.natural import Divergence
from symscope.alignment.score import Score
from symscope.errors import CheckpointError
from symscope.interchange import PAPER_PROTOCOL, Excluded
from symscope.networks import NetworkIdentity

Count = Annotated[int, Field(ge=0, le=2**53)]
Number = float | int
Share = Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)]


class Entry(BaseModel):
    """A part of a header; no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Read = TypeVar("Read", bound=Entry)


class AlignmentEntry(Entry):
    """An alignment; its tensors have these keys in the file."""

    function: dict[str, Any]
    name: str
    d: Annotated[int, Field(ge=1, le=2**24)]
    function_k: Annotated[int, Field(ge=1, le=2**24)]
    dimensions: tuple[Count, Count]
    tensors: tuple[str, ...]


class ScoreEntry(Entry):
    """A score: which trials succeeded, eight to a byte as hexadecimal digits, and its interval."""

    n: Annotated[int, Field(ge=1, le=2**31)]
    correct: str
    low: Share | None = None
    high: Share | None = None

    def score(self) -> Score:
        """The score; files of before 0.2 have no interval, which then follows from the trials."""
        data = bytes.fromhex(self.correct)
        if len(data) != -(-self.n // 8):
            raise CheckpointError(f"a score of {self.n} trials has {-(-self.n // 8)} bytes, got {len(data)}")
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=self.n)
        score = Score.of(torch.from_numpy(bits.astype(bool)))
        if self.low is None or self.high is None:
            return score
        if not self.low <= score.iia <= self.high:
            raise CheckpointError(f"a score of {score.iia:.3f} has the interval {self.low} to {self.high}")
        return Score(score.iia, float(self.low), float(self.high), score.n, score.correct)


class ResultEntry(Entry):
    """A result of a search."""

    hypothesis: str
    variable: str
    site: str
    k: Annotated[int, Field(ge=1, le=2**24)]
    restart: Count
    restarts: Count
    total_steps: Count
    validation_iia: Number
    rejection_rate: Number
    unfitted_controls: dict[str, str]
    trial_accuracy: Number | None
    variables: Annotated[tuple[str, ...], Field(min_length=1)]
    score: ScoreEntry
    informative: ScoreEntry | None
    cause: ScoreEntry | None
    isolation: ScoreEntry | None
    by_value: tuple[tuple[int, ScoreEntry], ...]
    divergence: Divergence
    held_out: ScoreEntry | None = None  # files of before 0.2 have none of the last fields
    probe: Number | None = None
    length_errors: tuple[tuple[int | None, Count], ...] = ()
    failures: tuple[InterventionRecord, ...] = ()
    example: InterventionRecord | None = None
    complement: ScoreEntry | None = None
    naturalness: Naturalness | None
    controls: tuple[tuple[str, ScoreEntry], ...]
    null_controls: tuple[str, ...]
    paired_controls: tuple[str, ...]
    excluded: Excluded | None = None
    network: NetworkIdentity | None = None
    protocol: str = PAPER_PROTOCOL.name

    @model_validator(mode="after")
    def _names_its_controls(self) -> "ResultEntry":
        names, used = [name for name, _ in self.controls], {*self.null_controls, *self.paired_controls}
        if not used <= set(names) or len(set(names)) < len(names) or len(set(self.variables)) < len(self.variables):
            raise ValueError("controls and variables must have different names, and each control a score")
        if any(len(dict(self.controls)[name].correct) != len(self.score.correct) for name in self.paired_controls):
            raise ValueError("a paired control must have the trials of the alignment")
        return self


def read_entry(kind: type[Read], value: Any) -> Read:
    """An entry of a header, with checked types.

    Raises:
        CheckpointError: the entry is not as symscope writes it.
    """
    try:
        return kind.model_validate_json(json.dumps(value), strict=True)
    except (ValidationError, ValueError, RecursionError) as error:
        found = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, found["loc"])) or "an entry"
        raise CheckpointError(f"the header is damaged: {where}: {found['msg']}") from error


def check_options(kind: type[AlignmentFunction], options: Mapping[str, Any]) -> None:
    """Checks names and types of the options of an alignment function; raises `CheckpointError`."""
    defaults = {entry.name: entry.default for entry in fields(kind)}
    for name, value in options.items():
        if name not in defaults:
            raise CheckpointError(f"the alignment function {kind.__name__} has no option {name!r}")
        default = defaults[name]
        if isinstance(default, (bool, int, float, str)) and type(value) is not type(default):
            raise CheckpointError(f"option {name!r} of {kind.__name__} must be like {default!r}, got {value!r}")


def check_alignment(alignment: Alignment) -> Alignment:
    """The alignment, which has swapped and read a state of zeros without a fault; raises `CheckpointError`."""
    start, stop = alignment.dimensions.start, alignment.dimensions.stop
    floats = {tensor.dtype for tensor in alignment.tensors if tensor.is_floating_point()}
    if not 0 <= start < stop <= alignment.function_k <= alignment.d or len(floats) != 1:
        raise CheckpointError(f"{alignment!r} has the dimensions {start} to {stop} of {alignment.function_k}")
    state = torch.zeros(1, alignment.d, dtype=floats.pop())
    try:
        width = alignment.function.width(alignment.tensors)
        shapes = alignment.swap(state, state).shape, alignment.read(state).shape
    except Exception as error:
        raise CheckpointError(f"{alignment!r} does not fit its tensors ({type(error).__name__}: {error})") from error
    if width != alignment.d:
        raise CheckpointError(f"{alignment!r} does not fit its tensors: they take states of {width} dimensions")
    if shapes != ((1, alignment.d), (1, stop - start)):
        raise CheckpointError(f"{alignment!r} gives states of the wrong shapes {tuple(map(tuple, shapes))}")
    return alignment
