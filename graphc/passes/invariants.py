"""What a while_loop computes in every step alike is computed before it; a cond that is decided is the body it takes.

A while_loop may run no step at all, and neither may a scan whose steps are counted as it begins: what could fail stays
in it, and so does what costs no more than to read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.ir.graph import (
    Elementwise,
    Gather,
    Node,
    Opaque,
    Reduction,
    Region,
    Scatter,
    Tiled,
    items,
    known_value,
    substitute,
    toposort,
)
from graphc.ir.index import source_of
from graphc.ir.loops import CHEAP
from graphc.ops.control import parameter
from graphc.passes.loop_parts import COND, WHILE, Choice, rebuilt


def cone_of(root: Node, belongs: Callable[[Node], bool]) -> list[Node]:
    """Return a node and the computed nodes that it is made of, through those that belong."""
    seen, stack = {root: None}, [root]
    while stack:
        for source in stack.pop().inputs:
            if source not in seen and not source.is_leaf and belongs(source):
                seen[source] = None
                stack.append(source)
    return list(seen)


def is_dear(node: Node) -> bool:
    """Whether to compute a value takes clearly more than to read it."""
    if isinstance(node.op, Elementwise):
        return node.op.scalar not in CHEAP
    return isinstance(node.op, Tiled | Reduction | Opaque | Region)


def is_worth_taking(node: Node, *, certain: bool) -> bool:
    """Whether what is the same in all steps shall be computed before a loop, which is `certain` to run or not."""
    cone = cone_of(node, lambda i: True)
    return any(map(is_dear, cone)) and (certain or not any(map(_can_fail, cone)))


def _can_fail(node: Node) -> bool:
    return isinstance(node.op, Gather | Scatter | Region) or node.op.name == "check_index"


def decided(node: Node) -> Sequence[Node] | None:
    """Return the results of a cond whose condition is known: those of the body that runs."""
    known = known_value(node.inputs[0]) if node.op is COND else None
    if known is None:
        return None
    return substitute(node.attrs["on_true" if bool(known) else "on_false"], node.inputs[1:])


def without_invariants(node: Node) -> Sequence[Node] | None:
    """Return the results of a while_loop that computes nothing in every step alike; None if it is one.

    while x < limit: x = x + exp(k)    ->    e = exp(k); while x < limit: x = x + e
    """
    if node.op is not WHILE:
        return None
    parts = Choice(node)
    changing = {p for _, p in parts.operands[: parts.carries]}
    order = toposort([o for outputs in parts.outputs.values() for o in outputs])
    for each in order:
        if any(i in changing for i in each.inputs):
            changing.add(each)
    read = [i for each in order if each in changing for i in each.inputs]
    read += [o for outputs in parts.outputs.values() for o in outputs]
    edge = [n for n in dict.fromkeys(map(source_of, read)) if n not in changing and not n.is_leaf]
    fixed = [n for n in edge if is_worth_taking(n, certain=False)]
    if not fixed:
        return None
    outside = {p: v for v, p in parts.operands[parts.carries :]}
    inside = {n: parameter(f"{n.op.name}{k}", n.tensor_type) for k, n in enumerate(fixed)}
    for each in toposort(fixed):
        if each not in outside:
            outside[each] = each.with_inputs(tuple([outside[i] for i in each.inputs]))
    constants = [(outside[n], stand_in) for n, stand_in in inside.items()]
    for each in order:
        if each not in inside:
            inside[each] = each.with_inputs(tuple([inside[i] for i in each.inputs]))
    outputs = {name: [inside[o] for o in found] for name, found in parts.outputs.items()}
    operands, attrs = parts.assembled([*parts.operands, *constants], outputs, parts.carries)
    return items(rebuilt(node, operands, attrs))
