"""Rules about whole arrays: reductions, contractions and slices of views. Part of simplify.

A sum may be added in another order and with more precision in between (see graphc/ir/graph.py), so a sum of sums is one
sum and a sum of n equal terms is a product. Everything else here moves elements or leaves work out, and is exact.
"""

from __future__ import annotations

import numpy as np

from graphc.ir import dims
from graphc.ir.graph import Node, Op, Reduction, known_value, literal
from graphc.ir.rewrite import Attr, Each, Match, Rule, call, variables
from graphc.ops.dot import contract
from graphc.ops.elementwise import mul
from graphc.ops.reduce import prod
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, concat, reshape, slice_, transpose
from graphc.passes.canonicalize import canonical_spec, moves_ones

a, b, x = variables("a", "b", "x")


def _reduction_of(view: Op) -> Each:
    return Each(Reduction, lambda op, inputs: inputs[0] is view)


# Reductions.


def _reduce_ones(m: Match) -> Node | None:
    """An axis of size 1 is removed, not reduced."""
    node, source, axis = m.node, m.node.inputs[0], m.node.attrs["axis"]
    kept = tuple([k for k in axis if source.shape[k] != 1])
    if len(kept) == len(axis):
        return None
    dropped = [k for k in axis if k not in kept]
    source = reshape(source, shape=tuple([s for k, s in enumerate(source.shape) if k not in dropped]))
    return node.op(source, axis=tuple([k - sum(d < k for d in dropped) for k in kept])) if kept else source


def _reduce_reshape(m: Match) -> Node | None:
    """Reduce below a reshape that only moves ones: the k-th axis of another size stays the k-th."""
    node, view = m.node, m.node.inputs[0]
    if not moves_ones(view):
        return None
    source = view.inputs[0]
    rank = {k: r for r, k in enumerate([k for k, s in enumerate(view.shape) if s != 1])}
    places = [k for k, s in enumerate(source.shape) if s != 1]
    axis = tuple([places[rank[k]] for k in node.attrs["axis"] if k in rank])
    return reshape(node.op(source, axis=axis), shape=node.shape)


def _reduce_transpose(m: Match) -> Node:
    """Reduce first, transpose what is left."""
    node, view = m.node, m.node.inputs[0]
    axes, axis = view.attrs["axes"], node.attrs["axis"]
    reduced = sorted([axes[k] for k in axis])
    left = [a for k, a in enumerate(axes) if k not in axis]
    result = node.op(view.inputs[0], axis=tuple(reduced))
    return transpose(result, axes=tuple([sorted(left).index(a) for a in left]))


def _reduce_reduce(m: Match) -> Node:
    """Fold over the axes of both at once."""
    node, inner = m.node, m.node.inputs[0]
    source, first = inner.inputs[0], inner.attrs["axis"]
    left = [k for k in range(source.ndim) if k not in first]
    return node.op(source, axis=tuple(sorted((*first, *[left[k] for k in node.attrs["axis"]]))))


def _reduce_broadcast(m: Match) -> Node | None:
    """Reduce what is repeated: a sum of n equal terms is n times one, the largest of them is one."""
    node, view = m.node, m.node.inputs[0]
    source, axes, axis = view.inputs[0], view.attrs["axes"], node.attrs["axis"]
    repeats = dims.product([view.shape[k] for k in axis if k not in axes])
    if not isinstance(repeats, int) or repeats == 0 or (repeats > 1 and node.op is prod):
        return None
    inner = tuple([axes.index(k) for k in axis if k in axes])
    if len(inner) == len(axis) and len(axes) == view.ndim:
        return None
    result = node.op(source, axis=inner) if inner else source
    if node.op is reduce_sum and repeats > 1:
        result = mul(result, literal(np.asarray(repeats).astype(node.dtype), node.dtype))
    if not node.shape:
        return result
    left = [k for k in range(view.ndim) if k not in axis]
    return broadcast(result, shape=node.shape, axes=tuple([left.index(k) for k in axes if k not in axis]))


def _sum_of_scaled(m: Match) -> Node | None:
    """Scale the sum instead of every term."""
    for term, factor in ((m["a"], m["b"]), (m["b"], m["a"])):
        if term.shape and not factor.shape:
            return mul(reduce_sum(term, axis=m["axis"]), factor)
    return None


# Contractions.


def _relabelled(view: Node, part: str) -> str:
    """Return the labels of the source of a transpose whose result has the labels `part`."""
    labels = [""] * len(part)
    for label, axis in zip(part, view.attrs["axes"], strict=True):
        labels[axis] = label
    return "".join(labels)


def _contract_transpose(m: Match) -> Node | None:
    left, right, out = contract.dims(spec=m["spec"])
    p, q = m["a"], m["b"]
    if p.op is not transpose and q.op is not transpose:
        return None
    if p.op is transpose:
        p, left = p.inputs[0], _relabelled(p, left)
    if q.op is transpose:
        q, right = q.inputs[0], _relabelled(q, right)
    return contract(p, q, spec=canonical_spec(f"{left},{right}->{out}"))


def _transpose_contract(m: Match) -> Node:
    left, right, out = contract.dims(spec=m["spec"])
    turned = "".join([out[k] for k in m["axes"]])
    return contract(m["a"], m["b"], spec=canonical_spec(f"{left},{right}->{turned}"))


def _contract_product(m: Match) -> Node | None:
    """A contraction that sums nothing is a product."""
    left, right, out = contract.dims(spec=m["spec"])
    if any(c not in out for c in left):
        return None
    return mul(_spread(m["a"], left, out, m.node), _spread(m["b"], right, out, m.node))


def _spread(operand: Node, part: str, out: str, like: Node) -> Node:
    order = sorted(range(len(part)), key=lambda k: out.index(part[k]))
    turned = transpose(operand, axes=tuple(order))
    return broadcast(turned, shape=like.shape, axes=tuple([out.index(part[k]) for k in order]))


def _contract_broadcast(m: Match, distribute: bool = False) -> Node | None:
    """Repeat the result instead of an operand; sum the other operand where one is ones.

    A label along which an operand only repeats is dropped from it. Where that label is summed, the other operand is
    summed first: sum(a * b) = a * sum(b), which may be finite where the left is not, unless a is 1.
    """
    left, right, out = contract.dims(spec=m["spec"])
    for view, part, other, other_part in ((m["a"], left, m["b"], right), (m["b"], right, m["a"], left)):
        if view.op is not broadcast:
            continue
        distributes = distribute or _is_one(view.inputs[0])
        repeated = [c for k, c in enumerate(part) if k not in view.attrs["axes"] and (c in out or distributes)]
        if repeated:
            return _without(repeated, view, part, other, other_part, out, m.node)
    return None


def _is_one(node: Node) -> bool:
    value = known_value(node)
    return value is not None and not value.ndim and bool(value == 1)


def _without(repeated: list[str], view: Node, part: str, other: Node, other_part: str, out: str, node: Node) -> Node:
    """Contract without these labels of a broadcast."""
    summed = tuple([k for k, c in enumerate(other_part) if c in repeated and c not in out])
    if summed:
        other = reduce_sum(other, axis=summed)
        other_part = "".join([c for k, c in enumerate(other_part) if k not in summed])
    kept = [k for k, c in enumerate(part) if c not in repeated]
    source, part = view.inputs[0], "".join([part[k] for k in kept])
    if part:
        places = tuple([kept.index(k) for k in view.attrs["axes"]])
        source = broadcast(source, shape=tuple([view.shape[k] for k in kept]), axes=places)
    small = "".join([c for c in out if c in part or c in other_part])
    if part and other_part:
        is_left = view is node.inputs[0]
        operands = (source, other) if is_left else (other, source)
        spec = f"{part},{other_part}->{small}" if is_left else f"{other_part},{part}->{small}"
        result = contract(*operands, spec=canonical_spec(spec))
    else:
        array, labels, scalar = (source, part, other) if part else (other, other_part, source)
        result = mul(transpose(array, axes=tuple([labels.index(c) for c in small])), scalar)
    return broadcast(result, shape=node.shape, axes=tuple([out.index(c) for c in small])) if out else result


# Slices.


def _slice_broadcast(m: Match) -> Node:
    """Slice what is repeated, then repeat."""
    view, axes = m.node.inputs[0], m.node.inputs[0].attrs["axes"]
    start, shape, step = (tuple([m.node.attrs[key][k] for k in axes]) for key in ("start", "shape", "step"))
    source = slice_(view.inputs[0], start=start, shape=shape, step=step) if axes else view.inputs[0]
    return broadcast(source, shape=m.node.shape, axes=axes)


def _slice_concat(m: Match) -> Node | None:
    """Slice the one operand in which all elements lie."""
    axis, start, step = m.node.inputs[0].attrs["axis"], m["start"], m["step"]
    first, count = start[axis], m.node.shape[axis]
    if not isinstance(first, int) or not isinstance(count, int) or count == 0:
        return None
    ends = sorted((first, first + (count - 1) * step[axis]))
    offset = 0
    for part in m.node.inputs[0].inputs:
        size = part.shape[axis]
        if not isinstance(size, int):
            return None
        if offset <= ends[0] and ends[1] < offset + size:
            moved = (*start[:axis], first - offset, *start[axis + 1 :])
            return slice_(part, start=moved, shape=m.node.shape, step=step)
        offset += size
    return None


_reduction = Each(Reduction)
_contraction = call("contract", a, b, spec=Attr("spec"))
_at = {"start": Attr("start"), "step": Attr("step")}

ARRAY_RULES = (
    Rule("reduce_nothing", _reduction, lambda m: m.node.inputs[0], when=lambda m: m.node.attrs["axis"] == ()),
    Rule("reduce_ones", _reduction, _reduce_ones),
    Rule("reduce_reshape", _reduction_of(reshape), _reduce_reshape),
    Rule("reduce_transpose", _reduction_of(transpose), _reduce_transpose),
    Rule("reduce_broadcast", _reduction_of(broadcast), _reduce_broadcast),
    Rule("reduce_reduce", Each(Reduction, lambda op, inputs: inputs[0] is op), _reduce_reduce),
    Rule("contract_transpose", _contraction, _contract_transpose),
    Rule("transpose_contract", call("transpose", _contraction, axes=Attr("axes")), _transpose_contract),
    Rule("contract_broadcast", _contraction, _contract_broadcast),
    Rule("contract_product", _contraction, _contract_product),
    Rule("slice_broadcast", call("slice", call("broadcast", x)), _slice_broadcast),
    Rule("slice_concat", call("slice", x, **_at), _slice_concat, when=lambda m: m["x"].op is concat),
    Rule("slice_embed", call("slice", call("embed", x, **_at), **_at), x, when=lambda m: m.node.type == m["x"].type),
)

FAST_ARRAY_RULES = (
    Rule("sum_scaled", call("sum", a * b, axis=Attr("axis")), _sum_of_scaled, exact=False),
    Rule("sum_neg", call("sum", -x, axis=Attr("axis")), -call("sum", x, axis=Attr("axis")), exact=False),
    Rule("contract_distribute", _contraction, lambda m: _contract_broadcast(m, distribute=True), exact=False),
)
