"""inline: the bodies of calls in their place; what they told the derivative pass is of no use any more."""

from __future__ import annotations

from graphc.ir.graph import Graph, Node, item, substitute
from graphc.ir.rewrite import OnFire, into_bodies
from graphc.ops.control import CALLS


def inline(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` with what calls compute in place of them, also inside bodies; itself where there are none."""
    return into_bodies(lambda g: _inlined(g, on_fire))(graph)


def _inlined(graph: Graph, on_fire: OnFire | None) -> Graph:
    if not any(n.op in CALLS for n in graph.nodes):
        return graph
    results: dict[Node, tuple[Node, ...]] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op in CALLS:
            results[node] = substitute(node.attrs["body"], inputs)
        if node.op is not item or node.inputs[0] not in results:
            return node.with_inputs(inputs)
        found: Node = results[node.inputs[0]][node.attrs["index"]]
        if on_fire is not None:
            on_fire("inline", node, found)
        return found

    return graph.rewrite(visit)
