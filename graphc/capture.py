"""From what the user gave to `compile` to one Graph, with every mistake reported by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.array.convert import asarray
from graphc.array.state import update_nodes
from graphc.errors import ArgumentError, GraphcError, ShapeError, located_at, shown
from graphc.ir.dims import Dim, Found, origins_of, symbols_of
from graphc.ir.found import found_sizes
from graphc.ir.graph import Graph, Node, bind_sizes, placeholder, toposort, variable
from graphc.ir.types import TensorType
from graphc.nest import Structure, flatten, paths
from graphc.ops.state import with_update
from graphc.tensor import Tensor, Variable


@dataclass(frozen=True)
class Captured:
    """A graph, and how its results are put into the nest of outputs that the user gave."""

    graph: Graph
    structure: Structure
    symbols: frozenset[str]
    """The names of all unknown sizes of inputs."""
    found: Mapping[str, Found]
    """The sizes that a call finds, by their names: the nodes that say them, and the most that they can be."""


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
    for what, given in (("updates", updates), ("givens", givens)):
        if given is not None and not isinstance(given, Mapping):
            raise ArgumentError(f"compile: {what} must be a dict, got {shown(given)}")
    pairs = tuple(update_nodes("compile", v, value) for v, value in (updates or {}).items())
    graph = Graph(nodes, results, pairs, re.sub(r"\W", "_", name) if name else "graph")
    found = found_sizes(graph.nodes)
    whole = Graph(nodes, (*results, *[f.count for f in found.values()]), pairs, graph.name) if found else graph
    if givens:
        whole = _replaced(whole, givens)
    whole = _with_own_updates(whole)
    _require_listed(whole, found)
    outputs, counts = whole.outputs[: len(results)], whole.outputs[len(results) :]
    graph = Graph(nodes, outputs, whole.updates, graph.name) if found else whole
    new = {name: Found(count, f.most) for (name, f), count in zip(found.items(), counts, strict=True)}
    return Captured(graph, structure, frozenset(_symbols(whole) - found.keys()), new)


def bound(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Return the graph with its unknown sizes known. Raises ShapeError where they contradict the graph."""
    source = graph
    try:
        graph = bind_sizes(graph, sizes)
    except ShapeError as error:
        raise type(error)(f"{error.message}; {_measured(graph, sizes)}", error.location) from None
    for node in graph.nodes:
        if any(isinstance(s, int) and s < 0 for t in _tensor_types(node) for s in t.shape):
            what = f"{node.op.name}: a size must not be negative, got {node.type}; {_measured(source, sizes)}"
            raise ShapeError(what, node.location)
    for state, value in graph.updates:
        if value.tensor_type.is_static and state.type != value.type:
            with located_at(value.location):
                raise ShapeError(f"compile: the update of {called(state)} must be {state.type}, got {value.type}")
    return graph


def _measured(graph: Graph, sizes: Mapping[str, int]) -> str:
    """Return what the unknown sizes are in a call, and which inputs say so."""
    found: dict[str, str] = {}
    for node in graph.inputs:
        for axis, size in enumerate(node.shape):
            if str(size) in sizes:
                found.setdefault(str(size), f"{size} = {sizes[str(size)]} (input {node.attrs['name']}, axis {axis})")
    return f"here {', '.join(found.values())}" if found else "sizes are those of this call"


def called(node: Node) -> str:
    """Return what a placeholder or variable is called in messages."""
    return f"{node.op.name} {node.attrs['name']}"


def _input_nodes(inputs: Sequence[Tensor]) -> tuple[Node, ...]:
    if isinstance(inputs, Tensor) or not isinstance(inputs, list | tuple):
        raise ArgumentError(f"compile: inputs must be a list of placeholders, got {shown(inputs)}")
    nodes: dict[str, Node] = {}
    for k, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor) or tensor.node.op is not placeholder:
            hint = "; a variable is state, not an input" if isinstance(tensor, Variable) else ""
            raise ArgumentError(f"compile: input {k} must be a placeholder, got {shown(tensor)}{hint}")
        name = tensor.node.attrs["name"]
        if origins_of(tensor.shape):
            raise ArgumentError(
                f"compile: input {k}, {name}, is {tensor.node.type}: a call finds this size, so it cannot be that of "
                "an input; use None, which the call compares",
                tensor.node.location,
            )
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


def _replaced(graph: Graph, givens: Mapping[Tensor, Any]) -> Graph:
    new: dict[Node, Node] = {}
    for tensor, value in givens.items():
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"compile: givens maps Tensors to replacements, got the key {shown(tensor)}")
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


def _with_own_updates(graph: Graph) -> Graph:
    """Return the graph with the updates that its values bring with them among its own; see `array.state`."""
    _require_none_inside(graph)
    if not any(n.op is with_update for n in graph.nodes):
        return graph
    found, plain = _own_updates(graph)
    values: dict[Node, Node] = {}
    for value, state, new in [n.inputs for n in found]:
        before = values.get(state, state)
        values[state] = _after(plain[new], plain[value], state, before)
    updates = [(v, plain[new]) for v, new in graph.updates]
    return Graph(graph.inputs, tuple(plain[o] for o in graph.outputs), (*updates, *values.items()), graph.name)


def _own_updates(graph: Graph) -> tuple[list[Node], dict[Node, Node]]:
    """Return the updates that values bring with them, as they were written in order, and all nodes without them.

    What the graph updates itself, or what givens replaced, is left alone. Copies of one update, as derivatives make
    them, have one serial.
    """
    given = {v for v, _ in graph.updates}
    found: dict[int, Node] = {}
    plain: dict[Node, Node] = {}
    roots: Sequence[Node] = graph.results
    while roots:
        order = toposort(roots, lambda n: n.inputs[:1] if n.op is with_update else n.inputs)
        roots = []
        for node in [n for n in order if n not in plain]:
            if node.op is not with_update:
                plain[node] = node.with_inputs(tuple([plain[i] for i in node.inputs]))
                continue
            value, state, new = node.inputs
            plain[node] = plain[value]
            if state.op is variable and state not in given:
                found.setdefault(node.attrs["serial"], node)
                roots.append(new)
    return [found[k] for k in sorted(found)], plain


def _after(new: Node, value: Node, state: Node, before: Node) -> Node:
    """Return a new value of a variable which `before` has set already; what the value is made of stays as it is."""
    if before is state:
        return new
    done = {**{n: n for n in toposort([value])}, state: before}
    for node in toposort([new]):
        if node not in done:
            done[node] = node.with_inputs(tuple([done[i] for i in node.inputs]))
    return done[new]


def _require_none_inside(graph: Graph) -> None:
    """Raise for an update inside of a body, which may run many times in a call, or not at all."""
    bodies = [(n, b) for n in graph.nodes for b in n.bodies.values()]
    while bodies:
        region, body = bodies.pop()
        for node in body.nodes:
            if node.op is with_update:
                raise ArgumentError(
                    f"compile: a variable is updated inside of {region.op.name}, which may run many times in a call or "
                    "not at all; carry the state through the loop, or compute the value outside",
                    node.location,
                )
            bodies += [(region, b) for b in node.bodies.values()]


def _require_listed(graph: Graph, found: Iterable[str]) -> None:
    """Every placeholder that the results need is an input, and every unknown size is measured by one."""
    for node in graph.nodes:
        if node.op is placeholder and node not in graph.inputs:
            raise ArgumentError(
                f"compile: the outputs need {called(node)} ({node.type}), which is not among the inputs; "
                "list it, or replace it with givens",
                node.location,
            )
    measured = {str(d) for n in graph.inputs for d in n.shape if isinstance(d, Dim)}
    loose = _symbols(graph) - measured - set(found)
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
