"""release: what was kept apart so that it is computed again needs no mark after the last pass that merges.

h2 = again(x) * 2    ->    h2 = x * 2    while the first x * 2 need not be kept until h2 is read
"""

from __future__ import annotations

from graphc.ir.graph import Graph, Node
from graphc.ir.rewrite import OnFire, into_bodies
from graphc.ops.elementwise import again


def release(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return `graph` without the marks of what is computed again, also inside bodies; itself where there are none."""

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        return inputs[0] if node.op is again else node.with_inputs(inputs)

    return into_bodies(lambda g: g.rewrite(visit))(graph)
