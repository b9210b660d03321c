"""Rules about whole arrays: reductions, contractions and slices of views. Part of simplify.

A sum may be added in another order and with more precision in between (see graphc/ir/graph.py), so a sum of sums is one
sum and a sum of n equal terms is a product. Everything else here moves elements or leaves work out, and is exact.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from graphc.ir import dims
from graphc.ir.graph import Node, Op, Reduction, literal
from graphc.ir.rewrite import Attr, Each, Match, Rule, call, variables
from graphc.ops.elementwise import add, bitwise_and, bitwise_or, maximum, minimum, mul
from graphc.ops.reduce import any_, prod
from graphc.ops.reduce import max as max_
from graphc.ops.reduce import min as min_
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, concat, embed, reshape, transpose
from graphc.passes.canonicalize import moves_ones
from graphc.passes.rules.contractions import CONTRACTION_RULES, FAST_CONTRACTION_RULES
from graphc.passes.rules.slices import SLICE_RULES, fits

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


def _reduce_reduce(m: Match) -> Node | None:
    """Fold over the axes of both at once."""
    node, inner = m.node, m.node.inputs[0]
    if not m.is_alone(inner):
        return None
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


JOINED = {"sum": add, "max": maximum, "min": minimum, "any": bitwise_or, "all": bitwise_and}
"""What puts together the reductions of parts. Products of floats must not be multiplied in another order."""


def _reduce_concat(m: Match) -> Node | None:
    """Reduce the parts; they need not be put together then."""
    node, whole = m.node, m.node.inputs[0]
    axis, joined = whole.attrs["axis"], node.attrs["axis"]
    if node.op.name not in JOINED or not m.is_alone(whole):
        return None
    # A part without elements has no largest one.
    if node.op in (max_, min_) and not all(p.tensor_type.is_static and 0 not in p.shape for p in whole.inputs):
        return None
    parts = [node.op(part, axis=joined) for part in whole.inputs]
    if axis in joined:
        return reduce(JOINED[node.op.name], parts)
    return concat(*parts, axis=axis - sum(k < axis for k in joined))


def _reduce_embed(m: Match) -> Node | None:
    """Zeros add nothing."""
    node, view = m.node, m.node.inputs[0]
    value = np.asarray(view.attrs["value"], node.dtype)
    if node.op not in (reduce_sum, any_) or value != 0 or not fits(view):
        return None
    kept = [k for k in range(view.ndim) if k not in node.attrs["axis"]]
    attrs = {key: tuple([view.attrs[key][k] for k in kept]) for key in ("shape", "start", "step")}
    return embed(node.op(view.inputs[0], axis=node.attrs["axis"]), **attrs, value=view.attrs["value"])


MONOTONE = ("relu", "floor", "ceil", "trunc", "rint")
"""Functions that never fall, and are NaN for NaN alone: the largest value is that of the largest argument."""


def _extreme_of_monotone(m: Match) -> Node | None:
    inner = m.node.inputs[0]
    return inner.op(m.node.op(inner.inputs[0], axis=m.node.attrs["axis"])) if m.is_alone(inner) else None


def _takes_extreme_of_monotone(op: Op, inputs: tuple[Op, ...]) -> bool:
    return op in (max_, min_) and inputs[0].name in MONOTONE


_reduction = Each(Reduction)

ARRAY_RULES = (
    Rule("reduce_nothing", _reduction, lambda m: m.node.inputs[0], when=lambda m: m.node.attrs["axis"] == ()),
    Rule("reduce_ones", _reduction, _reduce_ones),
    Rule("reduce_reshape", _reduction_of(reshape), _reduce_reshape),
    Rule("reduce_transpose", _reduction_of(transpose), _reduce_transpose),
    Rule("reduce_broadcast", _reduction_of(broadcast), _reduce_broadcast),
    Rule("reduce_reduce", Each(Reduction, lambda op, inputs: inputs[0] is op), _reduce_reduce),
    Rule("reduce_concat", _reduction_of(concat), _reduce_concat),
    Rule("reduce_embed", _reduction_of(embed), _reduce_embed),
    Rule("extreme_of_monotone", Each(Reduction, _takes_extreme_of_monotone), _extreme_of_monotone),
    *CONTRACTION_RULES,
    *SLICE_RULES,
)

FAST_ARRAY_RULES = (
    Rule("sum_scaled", call("sum", a * b, axis=Attr("axis")), _sum_of_scaled, exact=False),
    Rule("sum_neg", call("sum", -x, axis=Attr("axis")), -call("sum", x, axis=Attr("axis")), exact=False),
    *FAST_CONTRACTION_RULES,
)
