"""From what the user gave to `compile` to one Graph, with every mistake reported by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.array.convert import asarray
from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError, located_at
from graphc.ir.dims import Dim, symbols_of
from graphc.ir.graph import Graph, Node, bind_sizes, placeholder, toposort
from graphc.ir.types import TensorType
from graphc.nest import Structure, flatten, paths
from graphc.tensor import Tensor, Variable


@dataclass(frozen=True)
class Captured:
    """A graph, and how its results are put into the nest of outputs that the user gave."""

    graph: Graph
    structure: Structure
    symbols: frozenset[str]
    """The names of all unknown sizes."""


def capture(
    inputs: Sequence[Tensor],
    outputs: Any,
    updates: Mapping[Variable, Any] | None,
    givens: Mapping[Tensor, Any] | None,
    name: str | None,
) -> Captured:
    """Return the graph that `compile` was given. Raises ArgumentError, ShapeError or DTypeError."""
    nodes = _input_nodes(inputs)
    leaves, structure = flatten(outputs)
    results = tuple(_output_node(leaf, path) for leaf, path in zip(leaves, paths(outputs), strict=True))
    pairs = tuple(_update(v, value) for v, value in (updates or {}).items())
    graph = Graph(nodes, results, pairs, re.sub(r"\W", "_", name) if name else "graph")
    if givens:
        graph = _replaced(graph, givens)
    _require_listed(graph)
    return Captured(graph, structure, frozenset(_symbols(graph)))


def bound(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Return the graph with its unknown sizes known. Raises ShapeError where they contradict the graph."""
    graph = bind_sizes(graph, sizes)
    for variable, value in graph.updates:
        if variable.type != value.type:
            with located_at(value.location):
                raise ShapeError(f"compile: the update of {called(variable)} must be {variable.type}, got {value.type}")
    return graph


def called(node: Node) -> str:
    """Return what a placeholder or variable is called in messages."""
    return f"{node.op.name} {node.attrs['name']}"


def _input_nodes(inputs: Sequence[Tensor]) -> tuple[Node, ...]:
    if isinstance(inputs, Tensor) or not isinstance(inputs, list | tuple):
        raise ArgumentError(f"compile: inputs must be a list of placeholders, got {inputs!r}")
    nodes: dict[str, Node] = {}
    for k, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor) or tensor.node.op is not placeholder:
            hint = "; a variable is state, not an input" if isinstance(tensor, Variable) else ""
            raise ArgumentError(f"compile: input {k} must be a placeholder, got {tensor!r}{hint}")
        name = tensor.node.attrs["name"]
        if name in nodes:
            what = "is listed twice" if nodes[name] is tensor.node else "has the name of another input"
            raise ArgumentError(f"compile: input {k}, {name}, {what}")
        nodes[name] = tensor.node
    return tuple(nodes.values())


def _output_node(leaf: Any, path: str) -> Node:
    try:
        return asarray(leaf).node
    except GraphcError as error:
        raise ArgumentError(f"compile: output{path} must be a Tensor or an array: {error.message}") from None


def _update(variable: Variable, value: Any) -> tuple[Node, Node]:
    if not isinstance(variable, Variable):
        raise ArgumentError(f"compile: updates maps variables to new values, got the key {variable!r}")
    try:
        # A number takes the variable's dtype.
        node = asarray(value, dtype=None if isinstance(value, Tensor | np.ndarray) else variable.dtype).node
    except GraphcError as error:
        raise ArgumentError(f"compile: the update of {called(variable.node)}: {error.message}") from None
    if node.dtype != variable.dtype:
        raise DTypeError(
            f"compile: the update of {called(variable.node)} must be {variable.node.type}, got {node.type}; "
            f"convert it with .astype({variable.dtype.name!r})",
            node.location,
        )
    fits = len(node.shape) == len(variable.shape) and all(
        a == b or isinstance(a, Dim) for a, b in zip(node.shape, variable.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"compile: the update of {called(variable.node)} must be {variable.node.type}, got {node.type}",
            node.location,
        )
    return variable.node, node


def _replaced(graph: Graph, givens: Mapping[Tensor, Any]) -> Graph:
    new: dict[Node, Node] = {}
    for tensor, value in givens.items():
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"compile: givens maps Tensors to replacements, got the key {tensor!r}")
        node = asarray(value, dtype=None if isinstance(value, Tensor | np.ndarray) else tensor.dtype).node
        if node.type != tensor.node.type:
            raise ShapeError(f"compile: the replacement of {tensor!r} must be {tensor.node.type}, got {node.type}")
        new[tensor.node] = node
    given = set(new)
    for node in toposort(graph.results):
        if node not in given:
            new[node] = node.with_inputs(tuple([new[i] for i in node.inputs]))
    updates = tuple((v, new[r]) for v, r in graph.updates)
    return Graph(graph.inputs, tuple(new[o] for o in graph.outputs), updates, graph.name)


def _require_listed(graph: Graph) -> None:
    """Every placeholder that the results need is an input, and every unknown size is measured by one."""
    for node in graph.nodes:
        if node.op is placeholder and node not in graph.inputs:
            raise ArgumentError(
                f"compile: the outputs need {called(node)} ({node.type}), which is not among the inputs; "
                "list it, or replace it with givens",
                node.location,
            )
    measured = {str(d) for n in graph.inputs for d in n.shape if isinstance(d, Dim)}
    loose = _symbols(graph) - measured
    if loose:
        raise ArgumentError(f"compile: no input has the dimension {', '.join(sorted(loose))}, so it cannot be measured")


def _symbols(graph: Graph) -> set[str]:
    """Return the names of all unknown sizes."""
    names: set[str] = set()
    for node in (*graph.inputs, *graph.nodes):
        for type in _tensor_types(node):
            if not type.is_static:
                names |= symbols_of(type.shape)
    return names


def _tensor_types(node: Node) -> tuple[TensorType, ...]:
    return (node.type,) if isinstance(node.type, TensorType) else node.type.items
