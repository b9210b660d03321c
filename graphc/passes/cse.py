"""cse: one node for each computation, so that from here on `is` means equal."""

from __future__ import annotations

from graphc.ir.graph import Graph, Node
from graphc.ir.intern import Interner
from graphc.ir.rewrite import OnFire, into_bodies


def cse(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with nodes that compute the same merged, also inside bodies; itself when there are none.

    After canonicalize, which orders commutative operands, this is also modulo commutativity.
    """
    return into_bodies(lambda g: _interned(g, on_fire))(graph)


def _interned(graph: Graph, on_fire: OnFire | None) -> Graph:
    table = Interner()

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        candidate = node.with_inputs(inputs)
        kept = table.intern(candidate)
        if kept is not candidate and on_fire is not None:
            on_fire("merge", node, kept)
        return kept

    return graph.rewrite(visit)
