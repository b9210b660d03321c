"""Runs that go node by node on the reference: the eager backend, and what looks at results before they count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.capture import called
from graphc.divisions import DivisionGuard, integer_divisions
from graphc.eager import evaluate
from graphc.errors import NaNError, ShapeError
from graphc.ir.graph import Graph, Node
from graphc.ir.types import TensorType
from graphc.options import Options
from graphc.runtime.state import Cell, holding, require_memory


def cells_of(graph: Graph) -> list[Cell]:
    """Return the storage of the variables of a graph, in their order."""
    return [v.attrs["state"] for v in graph.variables]


class EagerRunner:
    """The graph itself, node by node."""

    def __init__(self, graph: Graph, options: Options) -> None:
        sizes = [n.type.nbytes for n in graph.nodes if isinstance(n.type, TensorType) and n.type.is_static]
        require_memory(graph.name, max(sizes, default=0))
        self._graph = graph
        self._variables = graph.variables
        self._cells = cells_of(graph)
        self._guard = NaNGuard(graph) if options.check_nan else None
        divisions = integer_divisions(graph)
        self._divisors = {node.inputs[1] for node in divisions}
        self._divided = DivisionGuard(divisions)

    def entry(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Calls cannot go around Python."""

    def run(self, arrays: Sequence[np.ndarray[Any, Any]]) -> Sequence[np.ndarray[Any, Any]]:
        graph = self._graph
        with holding(self._cells):
            before = {v: c.array.copy() for v, c in zip(self._variables, self._cells, strict=True)}
            zeros: list[Node] = []

            def look(node: Node, value: Any) -> None:
                if node in self._divisors and not np.all(value):
                    zeros.append(node)

            try:
                results = evaluate(graph, arrays, before, look if self._divisors else None)
            except MemoryError:
                raise ShapeError(f"{graph.name}: needs more memory than this machine has") from None
            if zeros:
                self._divided.warn(4)
            if self._guard is not None:
                return self._guard(arrays, results)
            for (variable, _), value in zip(graph.updates, results[len(graph.outputs) :], strict=True):
                variable.attrs["state"].array[...] = value
        # A result may be a view of an input or of a constant; the caller gets an array of its own.
        return [np.array(r, copy=True) for r in results[: len(graph.outputs)]]


class NaNGuard:
    """Looks at the results of a call before they count; stores the new values of variables if there is no NaN."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __call__(
        self, arrays: Sequence[np.ndarray[Any, Any]], results: Sequence[np.ndarray[Any, Any]]
    ) -> Sequence[np.ndarray[Any, Any]]:
        graph = self._graph
        if any(_has_nan(r) for r in results):
            raise self._blame(arrays)
        for (variable, _), value in zip(graph.updates, results[len(graph.outputs) :], strict=True):
            variable.attrs["state"].array[...] = value
        return results[: len(graph.outputs)]

    def _blame(self, arrays: Sequence[np.ndarray[Any, Any]]) -> NaNError:
        """Find the first operation that made a NaN out of none, by evaluating node by node."""
        spoiled: set[Node] = set()
        first: list[Node] = []

        def look(node: Node, value: Any) -> None:
            if not isinstance(value, tuple) and _has_nan(value):
                if not any(i in spoiled for i in node.inputs):
                    first.append(node)
                spoiled.add(node)

        evaluate(self._graph, arrays, {v: v.attrs["state"].array for v in self._graph.variables}, look)
        if not first:
            return NaNError(f"{self._graph.name}: a result is NaN")
        node = first[0]
        if "name" in node.attrs:
            return NaNError(f"{self._graph.name}: {called(node)} contains NaN", node.location)
        return NaNError(f"{self._graph.name}: {node.op.name} gave NaN ({node.type})", node.location)


def _has_nan(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind == "f" and bool(np.isnan(array).any())
