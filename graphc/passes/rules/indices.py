"""Rules about gathers and scatters: known indices are slices, views and elementwise work move out of a gather, one-hot
products are gathers. Part of simplify.

A rule that reads fewer elements, or none, keeps the check of every index array that is not known to be in range: it
either leaves the array where it is read or goes through a `check_index`, which the result still needs.

A one-hot product is FAST alone for floats: 0 * inf and 0 * nan are not 0, and 0 + -0.0 is 0.0. So is adding into an
array in place of adding an array that was added into: x + (0 + u) and x + u differ in signs of zeros and in rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.graph import Elementwise, Gather, Literal, Node, Scatter, constant, known_value, literal, variable
from graphc.ir.rewrite import Attr, Each, Match, Rule, call, variables
from graphc.ir.types import BOOL, INT64
from graphc.ops.dot import contract
from graphc.ops.elementwise import bitwise_and, cast, check_index, eq, ge, iota, lt, mul, where
from graphc.ops.index import are_distinct, gather, in_range, scatter
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast, reshape, slice_, transpose
from graphc.passes.canonicalize import moves_ones

SHARE = 8
"""A gather moves in front of elementwise work that others may need too if it reads at most one element in so many."""

x, y = variables("x", "y")


def _others(node: Node) -> tuple[int, ...]:
    """Return the axes of a gather's source that are not indexed."""
    return tuple([a for a in range(node.inputs[0].ndim) if a not in node.attrs["axes"]])


def _is_static(node: Node) -> bool:
    return all(i.tensor_type.is_static for i in node.inputs)


def _checked(node: Node, k: int) -> Node:
    """Return the k-th index of a gather, in range."""
    index, size = node.inputs[k + 1], node.inputs[0].shape[node.attrs["axes"][k]]
    return index if in_range(index, size) else check_index(index, size=size, wrap=node.attrs["wrap"])


def _spread(node: Node, shape: tuple[Any, ...], axes: tuple[int, ...]) -> Node:
    return node if node.shape == shape else broadcast(node, shape=shape, axes=axes)


# Known indices.


def _known_form(m: Match) -> Node | None:
    """Count constant indices from the front, and write positions as positions."""
    node = m.node
    first = 1 if isinstance(node.op, Gather) else 2
    sizes = [node.inputs[0].shape[a] for a in node.attrs["axes"]]
    indices = [_known_index(i, s, node.attrs["wrap"]) for i, s in zip(node.inputs[first:], sizes, strict=True)]
    if all(a is b for a, b in zip(indices, node.inputs[first:], strict=True)):
        return None
    return node.op(*node.inputs[:first], *indices, **node.attrs)


def _known_index(index: Node, size: Any, wrap: bool) -> Node:
    source = index.inputs[0] if index.op is broadcast else index
    value = known_value(source)
    if value is None or not isinstance(size, int):
        return index
    if value.ndim == 1 and 1 < value.size <= size and np.array_equal(value, np.arange(value.size)):
        new = iota(shape=source.shape, axis=0, dtype=INT64)
    elif wrap and value.size and (value < 0).any() and value.min() >= -size and value.max() < size:
        new = constant(value=Literal(np.where(value < 0, value.astype(np.int64) + size, value)))
    else:
        return index
    return broadcast(new, shape=index.shape, axes=index.attrs["axes"]) if index.op is broadcast else new


def _number(index: Node, size: Any) -> int | None:
    """Return the one place in range that an index array names, if it is one and known."""
    value = known_value(index.inputs[0] if index.op is broadcast else index)
    if value is None or value.size != 1 or not isinstance(size, int):
        return None
    number = int(value.reshape(()))
    return number if 0 <= number < size else None


def _gather_number(m: Match) -> Node | None:
    """Slice along an axis on which all rows read the same place."""
    node, source = m.node, m.node.inputs[0]
    axes: tuple[int, ...] = node.attrs["axes"]
    found = [(k, n) for k, a in enumerate(axes) if (n := _number(node.inputs[k + 1], source.shape[a])) is not None]
    if not found:
        return None
    k, number = found[0]
    axis, rows = axes[k], node.inputs[1].shape
    part = _without_axis(source, axis, number)
    left = tuple([a - (a > axis) for a in axes if a != axis])
    if left:
        return gather(part, *[i for n, i in enumerate(node.inputs[1:]) if n != k], axes=left, wrap=node.attrs["wrap"])
    return _spread(part, node.shape, tuple(range(len(rows), node.ndim)))


def _without_axis(source: Node, axis: int, place: int) -> Node:
    start = tuple([place if a == axis else 0 for a in range(source.ndim)])
    shape = tuple([1 if a == axis else s for a, s in enumerate(source.shape)])
    part = slice_(source, start=start, shape=shape, step=(1,) * source.ndim)
    return reshape(part, shape=shape[:axis] + shape[axis + 1 :])


def _gather_progression(m: Match) -> Node | None:
    """Slice where a single list of indices has equal steps."""
    node, source = m.node, m.node.inputs[0]
    if len(node.inputs) != 2 or node.inputs[1].ndim != 1:
        return None
    (axis,), index = node.attrs["axes"], node.inputs[1]
    if not in_range(index, source.shape[axis]) or not isinstance(index.shape[0], int) or index.shape[0] < 1:
        return None
    value = known_value(index)
    if value is not None:
        steps = np.diff(value.astype(np.int64))
        if steps.size and (steps[0] == 0 or (steps != steps[0]).any()):
            return None
        first, step = int(value[0]), int(steps[0]) if steps.size else 1
    elif index.op is iota:
        first, step = 0, 1
    else:
        return None
    start = tuple([first if a == axis else 0 for a in range(source.ndim)])
    shape = tuple([index.shape[0] if a == axis else s for a, s in enumerate(source.shape)])
    part = slice_(source, start=start, shape=shape, step=tuple([step if a == axis else 1 for a in range(source.ndim)]))
    return transpose(part, axes=(axis, *_others(node))) if axis else part


# Gathers of views.


def _gather_iota(m: Match) -> Node | None:
    """Read a position by computing it: the index itself, or where the element stands among the other axes."""
    node, source = m.node, m.node.inputs[0]
    axis, axes, rows = source.attrs["axis"], node.attrs["axes"], node.inputs[1].shape
    extent = source.shape[axis]
    is_kept = [in_range(i, source.shape[a]) for i, a in zip(node.inputs[1:], axes, strict=True)]
    exact = source.dtype.kind == "f" and isinstance(extent, int) and extent < 1 << 24
    if not exact and not (source.dtype.kind in "iu" and source.dtype.itemsize == 8):
        return None
    if axis not in axes:
        place = len(rows) + _others(node).index(axis)
        return iota(shape=node.shape, axis=place, dtype=source.dtype) if all(is_kept) else None
    k = axes.index(axis)
    if not all(kept for n, kept in enumerate(is_kept) if n != k):
        return None
    index = _checked(node, k)
    if index.dtype != source.dtype:
        index = cast(index, dtype=source.dtype)
    return _spread(index, node.shape, tuple(range(len(rows))))


def _gather_broadcast(m: Match) -> Node | None:
    """Gather before repeating; along a repeated axis every index reads the same."""
    node, view = m.node, m.node.inputs[0]
    source, places = view.inputs[0], view.attrs["axes"]
    axes, indices, rows = node.attrs["axes"], node.inputs[1:], node.inputs[1].shape
    kept = [k for k, a in enumerate(axes) if a in places]
    if any(not in_range(indices[k], view.shape[a]) for k, a in enumerate(axes) if k not in kept):
        return None
    others = _others(node)
    if len(kept) == len(axes) and all(a in places for a in others):
        return None
    shown = tuple([len(rows) + others.index(a) for a in places if a in others])
    if not kept:
        return _spread(source, node.shape, shown)
    part = gather(
        source, *[indices[k] for k in kept], axes=tuple([places.index(axes[k]) for k in kept]), wrap=node.attrs["wrap"]
    )
    return _spread(part, node.shape, (*range(len(rows)), *shown))


def _gather_transpose(m: Match) -> Node | None:
    """Gather from the array itself where the other axes keep their order."""
    node, view = m.node, m.node.inputs[0]
    moved = view.attrs["axes"]
    others = [moved[a] for a in _others(node)]
    if others != sorted(others):
        return None
    pairs = sorted(zip([moved[a] for a in node.attrs["axes"]], node.inputs[1:], strict=True), key=lambda p: p[0])
    axes, indices = tuple([a for a, _ in pairs]), [i for _, i in pairs]
    return gather(view.inputs[0], *indices, axes=axes, wrap=node.attrs["wrap"])


def _gather_reshape(m: Match) -> Node | None:
    """Gather below a reshape that only moves ones: the k-th axis of another size stays the k-th."""
    node, view = m.node, m.node.inputs[0]
    source, axes = view.inputs[0], node.attrs["axes"]
    if not moves_ones(view) or any(view.shape[a] == 1 for a in axes):
        return None
    places = [k for k, s in enumerate(source.shape) if s != 1]
    rank = {k: r for r, k in enumerate([k for k, s in enumerate(view.shape) if s != 1])}
    moved = tuple([places[rank[a]] for a in axes])
    return reshape(gather(source, *node.inputs[1:], axes=moved, wrap=node.attrs["wrap"]), shape=node.shape)


def _gather_gather(m: Match) -> Node | None:
    """Look the index up first: rows of rows are rows."""
    node, inner = m.node, m.node.inputs[0]
    is_single = len(inner.inputs) == 2 and inner.inputs[1].ndim == 1
    if not is_single or node.attrs["axes"] != (0,) or inner.ndim < 2:
        return None
    index = gather(_checked(inner, 0), node.inputs[1], axes=(0,), wrap=node.attrs["wrap"])
    return gather(inner.inputs[0], index, axes=inner.attrs["axes"], wrap=inner.attrs["wrap"])


def _gather_elementwise(m: Match) -> Node | None:
    """Compute only what is read."""
    node, work = m.node, m.node.inputs[0]
    if work.op is check_index or not work.inputs or not _is_static(node):
        return None
    if math.prod(node.shape) * SHARE > math.prod(work.shape):
        return None
    indices = [_checked(node, k) for k in range(len(node.inputs) - 1)]
    read = [gather(i, *indices, **node.attrs) if i.ndim else i for i in work.inputs]
    return work.op(*read, **work.attrs)


# Scatters.


def _gather_set(m: Match) -> Node | None:
    """Read what was just written, where no place was written twice."""
    node, inner = m.node, m.node.inputs[0]
    same = node.inputs[1:] == inner.inputs[2:] and node.attrs["axes"] == inner.attrs["axes"]
    if not same or inner.attrs["combine"] != "set":
        return None
    known = [in_range(i, inner.shape[a]) for i, a in zip(node.inputs[1:], node.attrs["axes"], strict=True)]
    return inner.inputs[1] if all(known) and are_distinct(node.inputs[1:]) else None


def _is_zero(node: Node) -> bool:
    value = known_value(node.inputs[0] if node.op is broadcast else node)
    return value is not None and bool((value == 0).all()) and not bool(np.signbit(value.astype(np.float64)).any())


def _adds_to_zeros(node: Node) -> bool:
    return node.op is scatter and node.attrs["combine"] == "add" and _is_zero(node.inputs[0])


def _sum_scatter(m: Match) -> Node | None:
    """Sum the updates: each is in the sum once, wherever it was added."""
    inner, axis = m["x"], m["axis"]
    axes, indices = inner.attrs["axes"], inner.inputs[2:]
    known = [in_range(i, inner.shape[a]) for i, a in zip(indices, axes, strict=True)]
    if not _adds_to_zeros(inner) or not all(known) or not set(axes) <= set(axis):
        return None
    rows = indices[0].ndim
    others = [a for a in range(inner.ndim) if a not in axes]
    folded = (*range(rows), *[rows + k for k, a in enumerate(others) if a in axis])
    return reduce_sum(inner.inputs[1], axis=folded)


def _add_scatters(m: Match) -> Node | None:
    """Add the second's updates to what the first has gathered: no second array of zeros, and no sum of the two."""
    first, second = m["x"], m["y"]
    if not _adds_to_zeros(first) or not _adds_to_zeros(second):
        return None
    return scatter(first, *second.inputs[1:], **second.attrs)


def _update(target: Node, change: Node, sign: int) -> Node | None:
    """Add updates to a variable where they belong instead of by way of an array of its size."""
    sums, factor = change.inputs if change.op is mul else (change, None)
    if target.op is not variable or not _adds_to_zeros(sums) or (factor is not None and factor.ndim):
        return None
    updates = sums.inputs[1] if factor is None else sums.inputs[1] * factor
    return scatter(target, -updates if sign < 0 else updates, *sums.inputs[2:], **sums.attrs)


def _add_update(m: Match) -> Node | None:
    added = _update(m["x"], m["y"], 1)
    return added if added is not None else _update(m["y"], m["x"], 1)


# Products with ones and zeros.


def _one_hot(node: Node, axis: int) -> Node | None:
    """Return the numbers of an array that is 1 where they are the position along an axis, 0 elsewhere."""
    if node.op is cast and node.inputs[0].op is where:
        node = node.inputs[0]
    is_choice = node.op is where and _is_one(node.inputs[1]) and _is_zero(node.inputs[2])
    if not is_choice and not (node.op is cast and node.inputs[0].dtype == BOOL):
        return None
    test = node.inputs[0]
    if test.op is not eq or test.ndim < 2:
        return None
    kept = tuple([a for a in range(node.ndim) if a != axis])
    for numbers, positions in (test.inputs, test.inputs[::-1]):
        if _position_axis(positions) != axis:
            continue
        if numbers.op is broadcast and numbers.attrs["axes"] == kept:
            return numbers.inputs[0]
        other = _position_axis(numbers)
        if other is not None and other != axis:
            return iota(shape=tuple([node.shape[a] for a in kept]), axis=kept.index(other), dtype=INT64)
    return None


def _position_axis(node: Node) -> int | None:
    """Return the axis along which an array of integers is the position, if there is one."""
    if node.op is iota and node.dtype == INT64:
        return int(node.attrs["axis"])
    if node.op is not broadcast or len(node.attrs["axes"]) != 1 or node.dtype != INT64:
        return None
    value = known_value(node.inputs[0])
    is_position = value is not None and np.array_equal(value, np.arange(value.size))
    return int(node.attrs["axes"][0]) if is_position else None


def _is_one(node: Node) -> bool:
    value = known_value(node)
    return value is not None and value.size == 1 and bool((value == 1).all())


def _one_hot_product(m: Match) -> Node | None:
    """Pick rows instead of multiplying by ones and adding zeros."""
    a_labels, b_labels, out = contract.dims(spec=m["spec"])
    for ones, own, rows, theirs in ((m["x"], a_labels, m["y"], b_labels), (m["y"], b_labels, m["x"], a_labels)):
        shared = [c for c in own if c in theirs]
        if len(shared) != 1 or shared[0] in out:
            continue
        numbers = _one_hot(ones, own.index(shared[0]))
        if numbers is None:
            continue
        picked = _picked(rows, theirs.index(shared[0]), numbers)
        have = own.replace(shared[0], "") + theirs.replace(shared[0], "")
        order = tuple([have.index(c) for c in out])
        return picked if order == tuple(range(len(order))) else transpose(picked, axes=order)
    return None


def _picked(rows: Node, axis: int, numbers: Node) -> Node:
    """Return rows at these numbers along an axis; zeros where a number is none of its positions."""
    size = rows.shape[axis]
    if in_range(numbers, size):
        return gather(rows, numbers, axes=(axis,), wrap=False)
    first = literal(0, numbers.dtype)
    inside = bitwise_and(ge(numbers, first), lt(numbers, literal(size, numbers.dtype)))
    picked = gather(rows, where(inside, numbers, first), axes=(axis,), wrap=False)
    if picked.ndim > inside.ndim:
        inside = broadcast(inside, shape=picked.shape, axes=tuple(range(inside.ndim)))
    return where(inside, picked, literal(0, picked.dtype))


def _can_pick(m: Match) -> bool:
    sizes = [i.shape for i in m.node.inputs]
    return all(isinstance(s, int) and s > 0 for shape in sizes for s in shape)


def _gathers(*kinds: Any) -> Each:
    """Match gathers of one of these operations."""
    return Each(Gather, lambda op, inputs: any(inputs[0] is kind for kind in kinds))


_contraction = call("contract", x, y, spec=Attr("spec"))

INDEX_RULES = (
    Rule("gather_known_index", Each(Gather), _known_form),
    Rule("scatter_known_index", Each(Scatter), _known_form),
    Rule("gather_set", _gathers(scatter), _gather_set),
    Rule("gather_number", Each(Gather), _gather_number),
    Rule("gather_progression", Each(Gather), _gather_progression),
    Rule("gather_iota", _gathers(iota), _gather_iota),
    Rule("gather_broadcast", _gathers(broadcast), _gather_broadcast),
    Rule("gather_transpose", _gathers(transpose), _gather_transpose),
    Rule("gather_reshape", _gathers(reshape), _gather_reshape),
    Rule("gather_gather", _gathers(gather), _gather_gather),
    Rule(
        "gather_elementwise",
        Each(Gather, lambda op, inputs: isinstance(inputs[0], Elementwise)),
        _gather_elementwise,
    ),
    Rule("sum_scatter", call("sum", x, axis=Attr("axis")), _sum_scatter, when=lambda m: m["x"].op is scatter),
    Rule("add_scatters", x + y, _add_scatters, when=lambda m: m["x"].op is scatter and m["y"].op is scatter),
    Rule(
        "one_hot_product_of_integers",
        _contraction,
        _one_hot_product,
        when=lambda m: m.node.dtype.kind != "f" and _can_pick(m),
    ),
)

FAST_INDEX_RULES = (
    Rule("one_hot_product", _contraction, _one_hot_product, when=_can_pick, exact=False),
    Rule("add_update", x + y, _add_update, exact=False),
    Rule("sub_update", x - y, lambda m: _update(m["x"], m["y"], -1), exact=False),
)

__all__ = ["FAST_INDEX_RULES", "INDEX_RULES"]
