"""Results of alignment searches, by variable and k."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, final

from symscope.alignment._files import save_results
from symscope.alignment._text import result_card
from symscope.alignment.result import AlignmentResult
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.verdict import Candidate, Verdict, choose, naturalness

if TYPE_CHECKING:
    import polars as pl

    import symscope
    from symscope.algorithms import Algorithm
    from symscope.networks import Network


@final
class Results(Mapping[str, AlignmentResult]):
    """Results of one or several searches: `results["count"]` answers for a variable, `results["count", 8]` for a k.

    Iterating gives the names of variables; `all` holds every result in order.

    Args:
        results: the results.
        network: the network that was searched.
        algorithm: the algorithm whose variables were searched.

    Attributes:
        all: every result.
        network: the network; `None` in results that were read from a file, which holds none.
        algorithm: the algorithm; `None` in results that were read from a file, and of a table or causal graph.
    """

    def __init__(
        self,
        results: Sequence[AlignmentResult],
        *,
        network: Network | None = None,
        algorithm: Algorithm | None = None,
    ) -> None:
        if not results:
            raise InvalidArgumentError("there are no results")
        self.all, self.network, self.algorithm = tuple(results), network, algorithm

    def __getitem__(self, key: str | tuple[str, SupportsIndex]) -> AlignmentResult:
        """The result of a variable that answers the question (see `best`), or the one of a variable and k.

        Raises:
            UnknownNameError: there is no such variable.
            InvalidArgumentError: there is no such k, or several results of it.
        """
        if isinstance(key, str):
            return self.best(key)
        variable, k = key
        matching = [result for result in self._of(variable) if result.k == k]
        if len(matching) != 1:
            sizes = sorted({result.k for result in self._of(variable)})
            raise InvalidArgumentError(
                f"there are {len(matching)} results of {variable!r} with k = {k}; k is one of {sizes}, and several "
                "functions, sites or hypotheses are in `results.all`"
            )
        return matching[0]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(result.variable for result in self.all))

    def __len__(self) -> int:
        return len(set(self))

    def _of(self, variable: str) -> list[AlignmentResult]:
        matching = [result for result in self.all if result.variable == variable]
        if not matching:
            raise UnknownNameError("variable of the results", variable, list(self))
        return matching

    def best(self, variable: str) -> AlignmentResult:
        """The result that answers whether the network computes with a variable, chosen by validation alone.

        See `symscope.verdict.choose`.
        """
        matching = self._of(variable)
        candidates = [Candidate(r.k, naturalness(r.measurement), (r.validation_iia,)) for r in matching]
        return matching[choose(candidates)]

    @property
    def verdict(self) -> Mapping[str, Verdict]:
        """The verdict on each variable."""
        return {variable: self.best(variable).verdict for variable in self}

    def table(self) -> pl.DataFrame:
        """All results and their controls, one row for each score; columns as in the table `scores` of a study."""
        import polars as pl  # noqa: PLC0415  (takes a second)

        from symscope.alignment.rows import score_rows  # noqa: PLC0415

        return pl.DataFrame([row for result in self.all for row in score_rows(result)], infer_schema_length=None)

    def save(self, path: str | Path) -> None:
        """Writes everything to one safetensors file, which `symscope.load` reads without loss."""
        save_results(Path(path), self.all)

    def explore(self) -> symscope.Explorer:
        """A page in which the network runs and its variables can be swapped by hand; a notebook displays it.

        `symscope.explore(results, path)` writes it to a file.

        Raises:
            InvalidArgumentError: the results hold no network or no algorithm, or the page cannot run them.
        """
        import symscope  # noqa: PLC0415  (the function is above this package, and is reached by its public name)

        return symscope.explore(self)

    def __repr__(self) -> str:
        lines = []
        for variable in self:
            best = self.best(variable)
            count = len(self._of(variable))
            lines.append(
                f"{variable}: IIA {best.score}, k = {best.k} ({best.function})"
                + (f", best of {count} alignments" if count > 1 else "")
            )
            lines.append(f"  {best.verdict.word}: {best.verdict.sentence}")
            lines += [f"  WARNING: {warning}" for warning in best.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return "".join(result_card(self.best(variable)) for variable in self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else repr(self))
