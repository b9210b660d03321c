"""Rules about slices, concatenations and paddings of each other and of other views. Part of simplify.

They move elements or leave work out, and are exact. Those that look into offsets apply where these are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from graphc.ir.dims import Size
from graphc.ir.graph import Elementwise, Literal, Node, Op, Opaque, literal
from graphc.ir.rewrite import Attr, Each, Match, Rule, call, variables
from graphc.ops.dot import contract
from graphc.ops.elementwise import add, check_index
from graphc.ops.shape import broadcast, concat, embed, inverse, slice_, transpose

x, y = variables("x", "y")

MOST_TERMS = 64
"""Padded arrays that are looked at to put them side by side."""


def _are_known(sizes: Sequence[Size]) -> bool:
    return all(isinstance(s, int) for s in sizes)


# Slices of views and of elementwise work.


def _slice_broadcast(m: Match) -> Node:
    """Slice what is repeated, then repeat."""
    view, axes = m.node.inputs[0], m.node.inputs[0].attrs["axes"]
    start, shape, step = (tuple([m.node.attrs[key][k] for k in axes]) for key in ("start", "shape", "step"))
    source = slice_(view.inputs[0], start=start, shape=shape, step=step) if axes else view.inputs[0]
    return broadcast(source, shape=m.node.shape, axes=axes)


def _slice_transpose(m: Match) -> Node:
    """Slice, then turn."""
    view, axes = m.node.inputs[0], m.node.inputs[0].attrs["axes"]
    back = inverse(axes)
    start, shape, step = (tuple([m.node.attrs[key][k] for k in back]) for key in ("start", "shape", "step"))
    return transpose(slice_(view.inputs[0], start=start, shape=shape, step=step), axes=axes)


def _slice_elementwise(m: Match) -> Node | None:
    """Compute only what the slice keeps. An index that is checked is checked also where it is not read."""
    node, inner = m.node, m.node.inputs[0]
    if inner.op is check_index or not inner.inputs or not m.is_alone(inner):
        return None
    cut = {k: node.attrs[k] for k in ("start", "shape", "step")}
    return inner.op(*[slice_(i, **cut) if i.shape else i for i in inner.inputs], **inner.attrs)


def _of_elementwise(op: Op, inputs: tuple[Op, ...]) -> bool:
    return op is slice_ and isinstance(inputs[0], Elementwise)


def _slice_contract(m: Match) -> Node | None:
    """Contract only the rows and columns that the slice keeps."""
    node, inner = m.node, m.node.inputs[0]
    if not m.is_alone(inner):
        return None
    left, right, out = contract.dims(**inner.attrs)

    def cut(operand: Node, part: str) -> Node:
        places = [out.find(c) for c in part]
        start, shape, step = (
            tuple([whole if k < 0 else node.attrs[key][k] for k, whole in zip(places, default, strict=True)])
            for key, default in (("start", (0,) * len(part)), ("shape", operand.shape), ("step", (1,) * len(part)))
        )
        return slice_(operand, start=start, shape=shape, step=step)

    return contract(cut(inner.inputs[0], left), cut(inner.inputs[1], right), spec=inner.attrs["spec"])


# Slices of concatenations.


def _slice_concat(m: Match) -> Node | None:
    """Slice the operands in which the elements lie: one, or several where the rest need not be put together then."""
    whole = m["x"]
    axis, start, step = whole.attrs["axis"], m["start"], m["step"]
    first, count = start[axis], m.node.shape[axis]
    sizes = [part.shape[axis] for part in whole.inputs]
    if not _are_known([first, count]) or count == 0:
        return None
    low, high = sorted((first, first + (count - 1) * step[axis]))
    found: list[tuple[Node, int]] = []
    offset = 0
    for part, size in zip(whole.inputs, sizes, strict=True):
        if not isinstance(size, int):
            return None
        if offset <= high and low < offset + size:
            found.append((part, offset))
        offset += size

    def cut(part: Node, place: int, count: int) -> Node:
        starts, shape = list(start), list(m.node.shape)
        starts[axis], shape[axis] = place, count
        return slice_(part, start=tuple(starts), shape=tuple(shape), step=step)

    if len(found) == 1:
        part, offset = found[0]
        return cut(part, first - offset, count)
    if step[axis] != 1 or len(found) == len(sizes) or not m.is_alone(whole):
        return None
    parts = []
    for part, offset in found:
        begin, end = max(first, offset), min(first + count, offset + part.shape[axis])
        parts.append(cut(part, begin - offset, end - begin))
    return concat(*parts, axis=axis)


# Slices of paddings.


def _slice_embed(m: Match) -> Node | None:
    """Read the source of a padding, where all elements lie in it, or the padding, where none does."""
    inner, node = m["x"], m.node
    source: Node = inner.inputs[0]
    if node.shape == source.shape and all(m[k] == inner.attrs[k] for k in ("start", "step")):
        return source
    start, step = [], []
    for first, stride, count, begin, pitch, size in zip(
        m["start"], m["step"], node.shape, inner.attrs["start"], inner.attrs["step"], source.shape, strict=True
    ):
        if not _are_known([first, count, begin, size]) or count == 0 or size == 0 or pitch < 1:
            return None
        last = first + (count - 1) * stride
        low, high = min(first, last), max(first, last)
        if high < begin or low > begin + (size - 1) * pitch:
            return broadcast(literal(inner.attrs["value"], node.dtype), shape=node.shape, axes=())
        is_inside = begin <= low and high <= begin + (size - 1) * pitch
        if not is_inside or (first - begin) % pitch or (stride % pitch and count > 1):
            return None
        start.append((first - begin) // pitch)
        step.append(stride // pitch if count > 1 else 1)
    return slice_(source, start=tuple(start), shape=node.shape, step=tuple(step))


def fits(node: Node) -> bool:
    """Tell whether a padding is known to cut nothing off its source."""
    for begin, size, step, whole in zip(
        node.attrs["start"], node.inputs[0].shape, node.attrs["step"], node.shape, strict=True
    ):
        if not _are_known([begin, size, whole]) or size == 0:
            return False
        last = begin + (size - 1) * step
        if min(begin, last) < 0 or max(begin, last) >= whole:
            return False
    return True


def _embed_embed(m: Match) -> Node | None:
    """Pad once."""
    node, inner = m.node, m.node.inputs[0]
    if not fits(inner) or Literal(inner.attrs["value"]) != Literal(node.attrs["value"]):
        return None
    given = zip(*[n.attrs[k] for n in (inner, node) for k in ("start", "step")], strict=True)
    places = [(begin + first * step, pitch * step) for first, pitch, begin, step in given]
    start, step = zip(*places, strict=True) if places else ((), ())
    return embed(inner.inputs[0], shape=node.shape, start=tuple(start), step=tuple(step), value=node.attrs["value"])


# Concatenations.


def _is_concat(op: Op, inputs: tuple[Op, ...]) -> bool:
    return op is concat


def _concat_concat(m: Match) -> Node | None:
    """Put all together at once."""
    node, axis = m.node, m.node.attrs["axis"]
    if not any(i.op is concat and i.attrs["axis"] == axis for i in node.inputs):
        return None
    parts = [p for i in node.inputs for p in (i.inputs if i.op is concat and i.attrs["axis"] == axis else (i,))]
    return concat(*parts, axis=axis)


def _concat_slices(m: Match) -> Node | None:
    """Neighbouring slices of one array are one slice of it."""
    axis = m.node.attrs["axis"]
    parts = [m.node.inputs[0]]
    for part in m.node.inputs[1:]:
        joined = _joined(parts[-1], part, axis)
        parts[-1:] = [parts[-1], part] if joined is None else [joined]
    if len(parts) == len(m.node.inputs):
        return None
    return concat(*parts, axis=axis) if len(parts) > 1 else parts[0]


def _joined(a: Node, b: Node, axis: int) -> Node | None:
    if a.op is not slice_ or b.op is not slice_ or a.inputs != b.inputs or a.attrs["step"] != b.attrs["step"]:
        return None
    start, after, step = a.attrs["start"], b.attrs["start"], a.attrs["step"]
    follows = [s + (a.shape[k] * step[k] if k == axis else 0) for k, s in enumerate(start)]
    if list(after) != follows:
        return None
    shape = tuple([s + b.shape[k] if k == axis else s for k, s in enumerate(a.shape)])
    return slice_(a.inputs[0], start=start, shape=shape, step=step)


def _concat_of_sum(m: Match) -> Node | None:
    """Arrays that are padded with zeros to stand side by side are put side by side, not added.

    This is what the gradient of several slices of one array comes to. Adding 0 makes 0 of -0, so that is still done.
    """
    terms = _padded_terms(m)
    if not terms:
        return None
    first, shape = terms[0].attrs["start"], terms[0].inputs[0].shape
    places = {
        k
        for t in terms[1:]
        for k in range(t.ndim)
        if (first[k], shape[k]) != (t.attrs["start"][k], t.inputs[0].shape[k])
    }
    if len(places) != 1:
        return None
    (axis,) = places
    terms.sort(key=lambda t: t.attrs["start"][axis])
    for before, after in pairwise(terms):
        if after.attrs["start"][axis] != before.attrs["start"][axis] + before.inputs[0].shape[axis]:
            return None
    whole = concat(*[_plus_zero(t.inputs[0]) for t in terms], axis=axis)
    return embed(whole, **{**terms[0].attrs, "start": terms[0].attrs["start"]})


def _padded_terms(m: Match) -> list[Node] | None:
    """Return what is added, if all of it is padded with zeros, and only that."""
    terms, stack = [], list(m.node.inputs)
    while stack:
        term = stack.pop()
        if _pads_zeros(term):
            terms.append(term)
        elif term.op is add and term.shape == m.node.shape and m.is_alone(term) and len(terms) < MOST_TERMS:
            stack += term.inputs
        else:
            return None
    return terms


def _adds_padded(op: Op, inputs: tuple[Op, ...]) -> bool:
    return op is add and embed in inputs and all(i is embed or i is add for i in inputs)


def _pads_zeros(node: Node) -> bool:
    is_zero = node.op is embed and Literal(np.asarray(node.attrs["value"], node.dtype)) == Literal(node.dtype.type(0))
    return is_zero and all(k == 1 for k in node.attrs["step"]) and fits(node)


def _plus_zero(node: Node) -> Node:
    """Return x + 0: x, but for 0 in place of -0."""
    has_it = node.op is add and Literal(node.dtype.type(0)) == node.inputs[1].attrs.get("value")
    is_put_together = node.op is concat and all(_plus_zero(i) is i for i in node.inputs)
    if node.dtype.kind != "f" or has_it or is_put_together:
        return node
    return node + 0.0


_at = {"start": Attr("start"), "step": Attr("step")}

SLICE_RULES = (
    Rule("slice_broadcast", call("slice", call("broadcast", x)), _slice_broadcast),
    Rule("slice_transpose", call("slice", call("transpose", x)), _slice_transpose),
    Rule("slice_elementwise", Each(Op, _of_elementwise), _slice_elementwise),
    Rule("slice_contract", call("slice", call("contract", x, y)), _slice_contract),
    Rule("slice_concat", call("slice", x, **_at), _slice_concat, when=lambda m: m["x"].op is concat),
    Rule("slice_embed", call("slice", x, **_at), _slice_embed, when=lambda m: m["x"].op is embed),
    Rule("embed_embed", call("embed", call("embed", x)), _embed_embed),
    Rule("concat_concat", Each(Opaque, _is_concat), _concat_concat),
    Rule("concat_slices", Each(Opaque, _is_concat), _concat_slices),
    Rule("concat_of_sum", Each(Elementwise, _adds_padded), _concat_of_sum),
)
