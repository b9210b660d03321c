"""Rules about slices, and what they are taken from: concatenations, paddings, broadcasts. Part of simplify."""

from __future__ import annotations

from graphc.ir.graph import Node
from graphc.ir.rewrite import Attr, Match, Rule, call, variables
from graphc.ops.shape import broadcast, concat, slice_

x, y = variables("x", "y")


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


_at = {"start": Attr("start"), "step": Attr("step")}

SLICE_RULES = (
    Rule("slice_broadcast", call("slice", call("broadcast", x)), _slice_broadcast),
    Rule("slice_concat", call("slice", x, **_at), _slice_concat, when=lambda m: m["x"].op is concat),
    Rule("slice_embed", call("slice", call("embed", x, **_at), **_at), x, when=lambda m: m.node.type == m["x"].type),
)
