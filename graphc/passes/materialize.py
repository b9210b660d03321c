"""Give every result, and every operand that a kernel needs as a plain array, memory of its own.

A result may be an input, a constant, a view, or the same node as another result; an opaque op or a region reads whole
arrays; a contraction or a convolution reads strided ones. Where such a value is only a view, a `copy` node makes it a
computed one. A reshape needs none where the elements lie in memory in its order. The indices of a scatter are checked
apart from it, so that it cannot fail when it has begun to write.
"""

from __future__ import annotations

from collections.abc import Hashable

from graphc.ir.graph import Graph, Node, Opaque, Product, Random, Reduction, Region, Scatter, item
from graphc.ir.index import Index, flatten, is_alias, is_virtual, source_of, trace
from graphc.ir.loops import Var
from graphc.ir.rewrite import OnFire, with_attrs
from graphc.ops.elementwise import check_index, copy
from graphc.ops.index import in_range
from graphc.ops.shape import reshape


def materialize(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Return the graph with copies where a view or a leaf cannot stand for an array; itself if it needs none."""
    copies: dict[Node, Node] = {}
    checked: dict[tuple[Node, int, bool], Node] = {}

    def plain(node: Node) -> Node:
        if node not in copies:
            copies[node] = copied(node)
        return copies[node]

    def copied(node: Node) -> Node:
        new = Node(copy, (node,), {}, node.type, node.location)
        if on_fire is not None:
            on_fire("copy", node, new)
        return new

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if isinstance(node.op, Opaque | Random | Region):
            inputs = tuple([plain(i) if is_virtual(_in_same_order(i)) else i for i in inputs])
        elif isinstance(node.op, Product):
            inputs = tuple([i if _is_strided(i) else plain(i) for i in inputs])
        elif isinstance(node.op, Scatter):
            if not inputs[1].tensor_type.size:
                return inputs[0]
            written = node.with_inputs(inputs)
            inputs = (*inputs[:2], *_in_range(node, inputs, checked))
            if on_fire is not None and any(a is not b for a, b in zip(inputs, written.inputs, strict=True)):
                on_fire("check_indices", written, written.with_inputs(inputs))
        elif isinstance(node.op, Reduction) and all(inputs[0].shape[k] == 1 for k in node.attrs["axis"]):
            return Node(reshape, inputs, {"shape": node.shape}, node.type, node.location)  # folds nothing
        bodies = {name: materialize(body, on_fire) for name, body in node.bodies.items()}
        return with_attrs(node.with_inputs(inputs), {**node.attrs, **bodies})

    graph = graph.rewrite(visit)
    results: list[Node] = []
    taken: set[Hashable] = set()
    for result in graph.results:
        source = _in_same_order(result)
        array = (source.inputs[0], source.attrs["index"]) if source.op is item else source
        own = not is_alias(source) and not source.is_leaf and array not in taken
        results.append(result if own else copied(result))
        taken.add(array)
    return graph.replace_results(results)


def _in_range(node: Node, inputs: tuple[Node, ...], checked: dict[tuple[Node, int, bool], Node]) -> list[Node]:
    """Return the indices of a scatter, each checked once."""
    found = []
    for axis, index in zip(node.attrs["axes"], inputs[2:], strict=True):
        size, wrap = inputs[0].shape[axis], node.attrs["wrap"]
        if not in_range(index, size):
            key = (index, size, wrap)
            if key not in checked:
                attrs = {"size": size, "wrap": wrap}
                checked[key] = Node(check_index, (index,), attrs, check_index.infer(index.type, **attrs), node.location)
            index = checked[key]
        found.append(index)
    return found


def _in_same_order(node: Node) -> Node:
    """Return the node whose memory, as it is, holds the elements of a chain of reshapes."""
    while node.op is reshape:
        node = node.inputs[0]
    return node


def _is_strided(node: Node) -> bool:
    """Whether the elements of a chain of views lie at constant strides in what it views."""
    if not is_virtual(node):
        return True
    if not is_alias(node) or is_virtual(source_of(node)):
        return False
    position = tuple(Index.axis(Var(f"i{k}"), extent) for k, extent in enumerate(node.shape))
    source, found = trace(node, position)
    return flatten(found, source.shape).is_affine
