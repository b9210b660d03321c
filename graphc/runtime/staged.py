"""Running a graph in stages: each finds sizes, for which the code of the next is then looked up or made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphc.errors import ShapeError, located_at
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, Node
from graphc.ir.types import TensorType
from graphc.runtime.callpath import Entry
from graphc.runtime.state import Cell, holding

Array = np.ndarray[Any, Any]

MAX_CODES = 64
"""Codes of one stage kept for different sizes; beyond it the one that ran longest ago goes."""


class StageLike(Protocol):
    """One stage, see `passes.stages`."""

    @property
    def graph(self) -> Graph: ...
    @property
    def takes(self) -> tuple[Node, ...]: ...
    @property
    def gives(self) -> tuple[Node, ...]: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def finds(self) -> tuple[tuple[str, Node], ...]: ...


class Codes:
    """The codes of one stage, by the sizes that it is made for."""

    def __init__(self, stage: StageLike, make: Callable[[Graph, Mapping[str, int]], Any]) -> None:
        self.stage = stage
        self._make = make
        self._by_sizes: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    def code(self, sizes: Mapping[str, int]) -> Any:
        """Return the code for these sizes, made if it is not there."""
        key = tuple([sizes[s] for s in self.stage.symbols])
        with self._lock:
            found = self._by_sizes.pop(key, None)
            if found is None:
                found = self._make(self.stage.graph, dict(zip(self.stage.symbols, key, strict=True)))
            self._by_sizes[key] = found  # the last is the one that ran last
            while len(self._by_sizes) > MAX_CODES:
                self._by_sizes.pop(next(iter(self._by_sizes)))
        return found

    @property
    def made(self) -> list[Any]:
        """The codes made so far, the one that ran last at the end."""
        return list(self._by_sizes.values())


@dataclass(frozen=True)
class Result:
    """A result of the whole graph: the node that a stage gives, of which the part of this type is it."""

    node: Node
    type: TensorType


class StagedRunner:
    """A graph in stages. Outputs and new values see the variables as they were before the call, which holds their lock
    until all stages have run: only then are new values stored."""

    def __init__(
        self,
        graph: Graph,
        results: Sequence[Result],
        codes: Sequence[Codes],
        nonempty: Sequence[tuple[Node, tuple[Size, ...]]],
        called: Callable[[Node], str],
    ) -> None:
        """`results` are those of the graph; `nonempty` are reductions, of which none of these sizes may be 0; `called`
        says what a variable is called in messages."""
        self.codes = tuple(codes)
        self._graph = graph
        self._results = tuple(results)
        self._variables = graph.variables
        self._cells: list[Cell] = [v.attrs["state"] for v in graph.variables]
        self._nonempty = tuple(nonempty)
        self._called = called

    def entry(self, shapes: Sequence[tuple[int, ...]]) -> Entry | None:
        """Calls cannot go around Python."""

    def run(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """Return the outputs; variables have their new values."""
        with holding(self._cells):
            values, sizes = self._computed(arrays, lambda code, given: code.runner.run(given))
            self._require_elements(sizes)
            found = [_part(values[r.node], r.type.bind(sizes)) for r in self._results]
            # The caller owns each result: none is another, nor an input.
            found = [f.copy() if any(f is other for other in found[:k]) else f for k, f in enumerate(found)]
            count = len(self._graph.outputs)
            updates = list(zip(self._graph.updates, found[count:], strict=True))
            for (variable, node), value in updates:
                if value.shape != variable.shape:
                    with located_at(node.location):
                        raise ShapeError(
                            f"compile: the update of {self._called(variable)} must be {variable.type}, got shape "
                            f"{value.shape}"
                        )
            for (variable, _), value in updates:
                variable.attrs["state"].array[...] = value
        return found[:count]

    def _require_elements(self, sizes: Mapping[str, int]) -> None:
        for node, extents in self._nonempty:
            if any(dims.bind(e, sizes) == 0 for e in extents):
                name, given = node.op.name, node.inputs[0].type.bind(sizes)
                raise ShapeError(f"{name}: an axis of size 0 has no {name}, got {given}", node.location)

    def visit(self, arrays: Sequence[Array], see: Callable[[Any, Sequence[Array]], None]) -> None:
        """Run the stages without storing new values of variables, and show each code and what it takes before it
        runs."""
        with holding(self._cells):
            taken = {v: c.array.copy() for v, c in zip(self._variables, self._cells, strict=True)}

        def run(code: Any, given: Sequence[Array]) -> Sequence[Array]:
            see(code, given)
            outputs: Sequence[Array] = code.runner.run(given)
            return outputs

        self._computed(arrays, run, taken)

    def _computed(
        self,
        arrays: Sequence[Array],
        run: Callable[[Any, Sequence[Array]], Sequence[Array]],
        variables: Mapping[Node, Array] | None = None,
    ) -> tuple[dict[Node, Array], dict[str, int]]:
        """Return what the stages gave, and the sizes that they found."""
        cells = zip(self._variables, self._cells, strict=True)
        values: dict[Node, Array] = dict(zip(self._graph.inputs, arrays, strict=True))
        values |= variables if variables is not None else {v: c.array for v, c in cells}
        sizes: dict[str, int] = {}
        for codes in self.codes:
            stage = codes.stage
            given = [values[t] for t in stage.takes]
            values.update(zip(stage.gives, run(codes.code(sizes), given), strict=True))
            sizes.update({symbol: int(values[node]) for symbol, node in stage.finds})
        return values, sizes


def _part(value: Array, type: TensorType) -> Array:
    """Return the first elements along each axis, as many as the type has, in memory of their own."""
    if value.shape == type.shape:
        return value
    return np.array(value[tuple([slice(0, int(s)) for s in type.shape])], order="C")
