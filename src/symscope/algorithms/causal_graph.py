"""Static causal models: variables, their parents, and the functions that compute them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, final

import torch
from torch import Generator

from symscope.errors import ConfigurationError, UnknownNameError

Setting = dict[str, Any]
"""The value of each variable."""


@final
class CausalGraph:
    """A hypothesis without time: each variable is computed from its parents (Geiger et al. 2021).

    Variables without parents are the inputs, the variable without children is the output, and those between can be
    aligned. The arguments have the order of pyvene's `CausalModel`.

    Args:
        variables: names of the variables.
        values: the values of each variable. For an input a sequence to draw from, evenly, or a function that takes a
            `torch.Generator` and draws one; for the output the sequence of classes; for the rest anything.
        parents: the parents of each variable; empty for an input.
        functions: for each variable with parents, a function from their values, in order, to its own.
        encode: from the setting of the inputs, by name, to what the network reads: numbers (a vector) or token ids.
            Default: the values of the inputs, one after another.
        sampler: draws the inputs together, where they must depend on each other; default: each by itself.
        name: name of the hypothesis in results.

    Raises:
        ConfigurationError: the variables form no graph with inputs and one output; all faults together.
    """

    def __init__(
        self,
        variables: Sequence[str],
        values: Mapping[str, Any],
        parents: Mapping[str, Sequence[str]],
        functions: Mapping[str, Callable[..., Any]],
        *,
        encode: Callable[[Setting], Sequence[float] | Sequence[int]] | None = None,
        sampler: Callable[[Generator], Setting] | None = None,
        name: str = "graph",
    ) -> None:
        self.name, self.variables, self.values = name, tuple(variables), dict(values)
        self.parents = {variable: tuple(parents.get(variable, ())) for variable in variables}
        self.functions, self._encode, self._sampler = dict(functions), encode, sampler
        faults = self._faults()
        if faults:
            raise ConfigurationError(f"causal graph {name!r}", faults)
        self.inputs = tuple(variable for variable in variables if not self.parents[variable])
        used = {parent for given in self.parents.values() for parent in given}
        (self.output,) = (variable for variable in variables if variable not in used)
        self.internal = tuple(variable for variable in variables if self.parents[variable] and variable in used)
        self._order = self._sorted()

    def run(self, inputs: Mapping[str, Any], overwrite: Mapping[str, Any] | None = None) -> Setting:
        """The value of each variable, from those of the inputs; overwritten variables keep the values given."""
        setting = dict(inputs)
        for variable in self._order:
            if overwrite and variable in overwrite:
                setting[variable] = overwrite[variable]
            elif variable not in setting:
                setting[variable] = self.functions[variable](*(setting[parent] for parent in self.parents[variable]))
        return setting

    def draw(self, generator: Generator) -> Setting:
        """Inputs at random."""
        if self._sampler is not None:
            return dict(self._sampler(generator))
        return {name: _draw(self.values[name], generator) for name in self.inputs}

    def encode(self, inputs: Mapping[str, Any]) -> list[Any]:
        """What the network reads."""
        given = {name: inputs[name] for name in self.inputs}
        encoded = self._encode(given) if self._encode else [_flat(given[name]) for name in self.inputs]
        return _flat(encoded)

    def label(self, setting: Mapping[str, Any]) -> int:
        """The class of the output: its index among its values."""
        return list(self.values[self.output]).index(setting[self.output])

    def check_variables(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names; raises `UnknownNameError` where one is no variable between inputs and output."""
        for name in names:
            if name not in self.internal:
                raise UnknownNameError("variable", name, self.internal)
        return tuple(names)

    def __repr__(self) -> str:
        edges = ", ".join(f"{v} <- {' '.join(self.parents[v])}" for v in self.variables if self.parents[v])
        return f"CausalGraph({self.name}: {edges})"

    def _faults(self) -> list[str]:
        known = set(self.variables)
        faults = [f"{name!r} appears twice" for name in known if self.variables.count(name) > 1]
        used: set[str] = set()
        for variable in self.variables:
            unknown = [parent for parent in self.parents[variable] if parent not in known]
            faults += [f"{variable!r} has the parent {parent!r}, which is no variable" for parent in unknown]
            used |= set(self.parents[variable])
            if self.parents[variable] and variable not in self.functions:
                faults.append(f"{variable!r} has parents and no function")
            if not self.parents[variable] and self._sampler is None and variable not in self.values:
                faults.append(f"the input {variable!r} has no values to draw from")
        outputs = [variable for variable in self.variables if variable not in used]
        if len(outputs) != 1:
            faults.append(f"a graph has one output, a variable that is nobody's parent; here they are {outputs}")
        elif outputs[0] not in self.values or callable(self.values[outputs[0]]):
            faults.append(f"the output {outputs[0]!r} has no sequence of values, which are the classes of the network")
        if not faults and len(self._sorted()) < len(self.variables):
            faults.append(f"the parents of {sorted(known - set(self._sorted()))} form a cycle")
        return faults

    def _sorted(self) -> list[str]:
        """The variables, parents first; without those of a cycle."""
        order: list[str] = []
        while True:
            ready = [v for v in self.variables if v not in order and all(p in order for p in self.parents[v])]
            if not ready:
                return order
            order += ready


def _draw(values: Any, generator: Generator) -> Any:
    if callable(values):
        return values(generator)
    choices = list(values)
    return choices[int(torch.randint(len(choices), (1,), generator=generator))]


def _flat(value: Any) -> list[Any]:
    """Numbers of nested sequences and tensors, one after another."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [entry for part in value for entry in _flat(part)]
    return [value]


def hashable(value: Any) -> Hashable:
    """A value of a variable as one that can be compared and counted."""
    return tuple(_flat(value)) if not isinstance(value, Hashable) or hasattr(value, "tolist") else value
