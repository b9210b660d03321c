"""cse: one node for each computation, so that from here on `is` means equal."""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ir.intern import Interner
from graphc.ir.rewrite import into_bodies


def cse(graph: Graph) -> Graph:
    """Return `graph` with nodes that compute the same merged, also inside bodies; itself when there are none.

    After canonicalize, which orders commutative operands, this is also modulo commutativity.
    """
    return into_bodies(_interned)(graph)


def _interned(graph: Graph) -> Graph:
    table = Interner()
    return graph.rewrite(lambda node, inputs: table.intern(node.with_inputs(inputs)))
