"""Sizes that a call finds: which there are in a graph, and the nodes that count them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphc.ir.dims import Dim, Found, origins_of, symbols_of
from graphc.ir.graph import Graph, Node, toposort
from graphc.ir.types import TensorType, TupleType


def sizes_in(value: Any) -> Iterator[Dim]:
    """Yield every symbolic size in an attribute, a type, a graph, or a tuple of such."""
    if isinstance(value, Dim):
        yield value
    elif isinstance(value, TensorType):
        if not value.is_static:
            yield from sizes_in(value.shape)
    elif isinstance(value, TupleType):
        yield from sizes_in(value.items)
    elif isinstance(value, tuple):
        for v in value:
            yield from sizes_in(v)
    elif isinstance(value, Graph):
        for node in (*value.inputs, *value.nodes):
            yield from sizes_of(node)


def sizes_of(node: Node) -> Iterator[Dim]:
    """Yield every symbolic size in the type and the attributes of a node, those of its bodies included."""
    yield from sizes_in(node.type)
    for value in node.attrs.values():
        yield from sizes_in(value)


def found_in(node: Node, names: Mapping[str, Any]) -> set[str]:
    """Return which of these sizes a node has in its type or attributes."""
    return symbols_of(sizes_of(node)) & names.keys()


def found_sizes(nodes: Iterable[Node]) -> dict[str, Found]:
    """Return the sizes that a call finds in nodes, and in those that count them, by their names."""
    found: dict[str, Found] = {}
    pending = list(nodes)
    while pending:
        new: dict[str, Found] = {}
        for node in pending:
            new |= {name: origin for name, origin in origins_of(sizes_of(node)).items() if name not in found}
        found |= new
        pending = toposort([f.count for f in new.values()])
    return found
