"""Arrays without elements: what they are made of is not computed, and what is folded over them is known."""

from __future__ import annotations

from graphc.ir.graph import Graph, Node, Product, Reduction, Scatter, literal
from graphc.ir.rewrite import OnFire, into_bodies
from graphc.ir.types import TensorType
from graphc.ops.control import zeros
from graphc.ops.shape import broadcast, concat, embed


def replace_empty(graph: Graph, on_fire: OnFire | None = None) -> Graph:
    """Replace what has no element, and folds, sums and paddings of it, by constants.

    sum(x: f32[0, 3], axis=0) -> broadcast(0.0, shape=(3,))
    """

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        kept = node.with_inputs(inputs)
        new = _without_empty(kept)
        if new is not kept and on_fire is not None:
            on_fire("replace_empty", kept, new)
        return new

    return into_bodies(lambda g: g.rewrite(visit))(graph)


def _without_empty(node: Node) -> Node:
    type, inputs = node.type, node.inputs
    if not isinstance(type, TensorType) or node.is_leaf:
        return node
    if type.size == 0:
        is_plain = node.op is broadcast and inputs[0].ndim == 0
        return node if is_plain else zeros(type)
    empty = [i for i in inputs if isinstance(i.type, TensorType) and i.type.size == 0]
    if not empty:
        return node
    if isinstance(node.op, Reduction):
        return _full(node.op.init(node.dtype), type)
    if isinstance(node.op, Product):
        return zeros(type)
    if isinstance(node.op, Scatter):
        return inputs[0]
    if node.op is embed:
        return _full(node.attrs["value"], type)
    if node.op is concat:
        kept = [i for i in inputs if i not in empty]
        return kept[0] if len(kept) == 1 else concat(*kept, axis=node.attrs["axis"])
    return node


def _full(value: object, type: TensorType) -> Node:
    scalar = literal(value, type.dtype)
    return broadcast(scalar, shape=type.shape, axes=()) if type.shape else scalar
