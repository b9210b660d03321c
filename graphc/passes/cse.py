"""cse: one node for each computation, so that from here on `is` means equal."""

from __future__ import annotations

from graphc.ir.graph import Graph, Node
from graphc.ir.intern import Interner, is_interned, note_interned
from graphc.ir.rewrite import OnFire, into_bodies


def cse(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with nodes that compute the same merged, also inside bodies; itself when there are none.

    After canonicalize, which orders commutative operands, factors and comparisons, this is also modulo commutativity.
    Each body has nodes of its own: what two bodies compute alike, or a body and the graph around it, stays in both.
    A check of an index is a node like others: equal checks are one, and it stays while anything reads its result.
    """
    return into_bodies(lambda g: _interned(g, on_fire))(graph)


def _interned(graph: Graph, on_fire: OnFire | None) -> Graph:
    if is_interned(graph):
        return graph
    table = Interner()

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        candidate = node.with_inputs(inputs)
        kept = table.intern(candidate)
        if kept is not candidate and on_fire is not None:
            on_fire("merge", node, kept)
        return kept

    return note_interned(graph.rewrite(visit))
