"""When two nodes are the same: structural keys, and the table that keeps one node of each.

Two nodes are the same when they apply the same op with the same attributes to the same nodes and have the same type.
In an interned graph no two nodes are the same, so `is` means equal: hash-consing, kept by every rewrite.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from graphc.ir.graph import Graph, Node, Region, constant, placeholder, variable

Key = tuple[Hashable, ...]

_graph_keys: WeakKeyDictionary[Graph, Key] = WeakKeyDictionary()


def bodies_of(node: Node) -> Sequence[Graph]:
    """Return the graphs among the attributes of a region node; nothing for other nodes."""
    return [v for v in node.attrs.values() if isinstance(v, Graph)] if isinstance(node.op, Region) else ()


def attr_key(value: Any) -> Hashable:
    """Return what stands for an attribute in a key: it tells 0 from 0.0, -0.0 and False, and nan equals nan."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | np.generic):
        return (type(value), str(value))
    if isinstance(value, tuple):
        return tuple([v if type(v) is int else attr_key(v) for v in value])
    if isinstance(value, Graph):
        return graph_key(value)
    return value  # type: ignore[no-any-return]


def node_key(node: Node) -> Key:
    """Return a value that equals that of every node which is the same as this one.

    Inputs and variables are the same as themselves only; so will be random draws and effects once there are any.
    """
    if node.op is placeholder or node.op is variable:
        return (node,)
    attrs = node.attrs
    if not attrs:
        return (node.op, node.inputs, node.type)
    return (node.op, node.inputs, node.type, *[(k, attr_key(attrs[k])) for k in sorted(attrs)])


class Interner:
    """One node of each kind: `intern` returns the first node it saw that is the same as the one it is given."""

    def __init__(self) -> None:
        self._nodes: dict[Key, Node] = {}

    def intern(self, node: Node) -> Node:
        """Return the representative of `node`; its inputs must be representatives."""
        return self._nodes.setdefault(node_key(node), node)


def graph_key(graph: Graph) -> Key:
    """Return what identifies a graph without its nodes' identity: the same for graphs that are written alike.

    Where the nodes were written, names and the state of variables do not count, nor does whether equal constants are
    one node.
    """
    key = _graph_keys.get(graph)
    if key is None:
        key = _graph_keys[graph] = _graph_key(graph)
    return key


def _graph_key(graph: Graph) -> Key:
    position: dict[Node, Hashable] = {}
    for leaf in (*graph.inputs, *graph.variables):
        position[leaf] = len(position)
    leaves = tuple([(n.op, n.type) for n in position])
    rows: list[Key] = []
    for node in graph.nodes:
        if node in position:
            continue
        if node.op is constant:
            position[node] = node.attrs["value"]
            continue
        attrs = tuple([(k, attr_key(node.attrs[k])) for k in sorted(node.attrs)])
        position[node] = len(leaves) + len(rows)
        rows.append((node.op, tuple([position[i] for i in node.inputs]), attrs, node.type))
    outputs = tuple([position[o] for o in graph.outputs])
    updates = tuple([(position[k], position[v]) for k, v in graph.updates])
    return (len(graph.inputs), leaves, tuple(rows), outputs, updates)


def same_graph(a: Graph, b: Graph) -> bool:
    """Tell whether two graphs are written alike: inputs, nodes, sharing, results and bodies (see `graph_key`).

    >>> import graphc.ops
    >>> from graphc.ir.text import from_text
    >>> once, twice = (from_text(f"def f(x: f32[3]): return (mul(x, {k}.0),)") for k in (1, 2))
    >>> same_graph(once, once), same_graph(once, twice)
    (True, False)
    """
    return _names(a) == _names(b) and graph_key(a) == graph_key(b)


def _names(graph: Graph) -> list[Any]:
    return [n.attrs.get("name") for n in (*graph.inputs, *graph.variables)]
