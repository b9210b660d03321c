"""Padding in all of NumPy's modes: with numbers, with edges, by going back or around, with what the array is like.

Axes are padded one after the other, so that corners follow from edges.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, choice, count
from graphc.array.elementwise import add, astype, floor, multiply, round, subtract
from graphc.array.handle import wrap
from graphc.array.logic import where as choose
from graphc.array.quantiles import median
from graphc.array.reduce import max, mean, min
from graphc.array.shape import moved, part, repeated_to, reshape
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir import dims
from graphc.ir.graph import Node, literal
from graphc.ir.types import INT64
from graphc.ops import shape as ops
from graphc.ops.elementwise import iota
from graphc.ops.index import gather

if TYPE_CHECKING:
    from graphc.tensor import Tensor

MODES = (
    "constant", "edge", "empty", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap",
)  # fmt: skip

Widths = tuple[tuple[int, int], ...]


def pad(
    x: ArrayLike,
    /,
    pad_width: Any,
    mode: str = "constant",
    *,
    constant_values: Any = 0,
    end_values: Any = 0,
    stat_length: Any = None,
    reflect_type: str = "even",
) -> Tensor:
    """Surround x along its axes: `pad_width` is an int, (before, after), such a pair for each axis, or axes to pairs.

    constant       `constant_values`: a number, a pair, or a pair for each axis
    edge           the first and the last element
    linear_ramp    even steps from the edge to `end_values`, given like constant_values
    maximum, minimum, mean, median
                   of the `stat_length` elements beside the edge, given like pad_width, or of all
    reflect        the elements in turn, the edge not repeated; with reflect_type "odd", twice the edge less these
    symmetric      the elements in turn, the edge repeated; with reflect_type "odd", twice the edge less these
    wrap           the elements from the other end on
    empty          zeros, to be ignored

    The gradient sums over the places that an element was copied to. NumPy's padding with a function is refused.

    >>> gx.pad(gx.placeholder((2, 3), name="x"), ((0, 0), (1, 2))).shape
    (2, 6)
    >>> gx.pad(gx.placeholder(("n", 3)), 1, "reflect").shape
    (n + 2, 5)
    """
    node = as_node("pad", x)
    choice("pad", "mode", mode, MODES)
    choice("pad", "reflect_type", reflect_type, ("even", "odd"))
    widths = _widths(node, pad_width)
    if mode in ("constant", "empty"):
        return wrap(_with_constants(node, widths, 0 if mode == "empty" else constant_values))
    if mode == "linear_ramp":
        return wrap(_with_ramps(node, widths, end_values))
    if mode in STATISTICS:
        return wrap(_with_statistics(node, widths, mode, stat_length))
    for axis, (before, after) in enumerate(widths):
        if before or after:
            node = _continued(node, axis, before, after, mode, reflect_type == "odd")
    return wrap(node)


def _widths(node: Node, pad_width: Any) -> Widths:
    if isinstance(pad_width, dict):
        pairs = np.zeros((node.ndim, 2), object)
        for axis, width in pad_width.items():
            if not isinstance(axis, int) or not -node.ndim <= axis < node.ndim:
                raise ArgumentError(f"pad: pad_width names axes of {node.type}, got {shown(axis)}")
            pairs[axis] = width
        pad_width = pairs
    return tuple(
        (count("pad", "a width", a), count("pad", "a width", b)) for a, b in _pairs("pad_width", pad_width, node)
    )


def _pairs(what: str, value: Any, node: Node) -> list[tuple[Any, Any]]:
    """Return an argument that is one thing, a pair, or a pair for each axis as pairs."""
    try:
        table = np.broadcast_to(np.asarray(value, object), (node.ndim, 2))
    except ValueError:
        raise ArgumentError(
            f"pad: {what} {shown(value)} must be one, a pair, or a pair per axis of {node.type}"
        ) from None
    return [(a, b) for a, b in table]


# Numbers.


def _with_constants(node: Node, widths: Widths, values: Any) -> Node:
    pairs = [[_fill_value(v, node) for v in pair] for pair in _pairs("constant_values", values, node)]
    if len({repr(v) for pair in pairs for v in pair}) <= 1:
        return _embedded(node, widths, pairs[0][0]) if pairs else node
    for axis, (before, after) in enumerate(widths):
        low, high = (literal(v, node.dtype) for v in pairs[axis])
        node = _surrounded(node, axis, _repeated(low, node, axis, before), _repeated(high, node, axis, after))
    return node


def _embedded(node: Node, widths: Widths, value: Any) -> Node:
    shape = tuple(b + s + a for (b, a), s in zip(widths, node.shape, strict=True))
    start = tuple(b for b, _ in widths)
    return ops.embed(node, shape=shape, start=start, step=(1,) * node.ndim, value=value)


def _fill_value(value: Any, node: Node) -> Any:
    """Return a number as a Python scalar of the node's dtype."""
    if not isinstance(value, bool | int | float | np.generic):
        raise ArgumentError(f"pad: the value to fill with must be a number, got {shown(value)}")
    filled = np.asarray(value).astype(node.dtype)
    if not (filled == value or value != value):
        raise DTypeError(f"pad: {value} is not a {node.dtype.name}")
    return filled.item()


def _surrounded(node: Node, axis: int, before: Node, after: Node) -> Node:
    parts = [p for p in (before, node, after) if p.shape[axis] != 0]
    return ops.concat(*parts, axis=axis) if len(parts) > 1 else (parts[0] if parts else node)


def _repeated(edge: Node, node: Node, axis: int, width: int) -> Node:
    """Return a number, or elements that have size 1 along the axis, repeated `width` times along it."""
    return repeated_to("pad", edge, tuple(width if k == axis else s for k, s in enumerate(node.shape)))


def _with_ramps(node: Node, widths: Widths, values: Any) -> Node:
    ends = _pairs("end_values", values, node)
    for axis, pair in enumerate(widths):
        _require_elements(node, axis, pair)
        sides = []
        for k, width in enumerate(pair):
            edge = wrap(part(node, axis, 0 if k == 0 else node.shape[axis] - 1, 1))
            shape = tuple(width if j == axis else 1 for j in range(node.ndim))
            place = wrap(iota(shape=shape, axis=axis, dtype=INT64))
            end, steps = _fill_value(ends[axis][k], node), (place if k == 0 else subtract(width - 1, place))
            sides.append(_ramp(edge, end, steps, width).node)
        node = _surrounded(node, axis, *sides)
    return node


def _ramp(edge: Tensor, end: float, steps: Tensor, width: int) -> Tensor:
    """Return end + (edge - end) * steps / width, rounded down for integers."""
    kind = edge.dtype if edge.dtype.kind == "f" else np.dtype("float64")
    step = multiply(subtract(edge.astype(kind), end), 1.0 / width if width else 0.0)
    ramp = add(multiply(steps.astype(kind), step), end)
    return ramp if kind == edge.dtype else astype(floor(ramp), edge.dtype)


def _require_elements(node: Node, axis: int, widths: tuple[int, int]) -> None:
    if node.shape[axis] == 0 and any(widths):
        raise ShapeError(f"pad: axis {axis} of {node.type} has size 0, and only a constant can be put around nothing")


# What the array is like.

STATISTICS: dict[str, Callable[..., Tensor]] = {"maximum": max, "minimum": min, "mean": mean, "median": median}


def _with_statistics(node: Node, widths: Widths, mode: str, stat_length: Any) -> Node:
    lengths = [(None, None)] * node.ndim if stat_length is None else _pairs("stat_length", stat_length, node)
    for axis, pair in enumerate(widths):
        _require_elements(node, axis, pair)
        sides = []
        for k, width in enumerate(pair):
            extent = node.shape[axis]
            given = lengths[axis][k]
            length = extent if given is None else dims.minimum(count("pad", "stat_length", given, 1), extent)
            beside = wrap(part(node, axis, 0 if k == 0 else extent - length, length))
            found = STATISTICS[mode](beside, axis=axis, keepdims=True)
            if node.dtype.kind != "f" and found.dtype.kind == "f":
                found = round(found)
            sides.append(_repeated(astype(found, node.dtype).node, node, axis, width))
        node = _surrounded(node, axis, *sides)
    return node


# Going on.


def _continued(node: Node, axis: int, before: int, after: int, mode: str, is_odd: bool) -> Node:
    """Return the node with elements of its own before and after it along the axis."""
    extent = node.shape[axis]
    _require_elements(node, axis, (before, after))
    total = extent + before + after
    if isinstance(extent, int):
        known = np.arange(-before, extent + after)
        found = _placed(node, axis, _source(known, extent, mode))
        place: Any = wrap(literal(known, INT64))
    else:
        place = subtract(wrap(iota(shape=(total,), axis=0, dtype=INT64)), before)
        found = _gathered(node, axis, _source(place, wrap(as_node("pad", extent)), mode).node)
    return _odd(node, axis, found, place, mode) if is_odd and mode in ("reflect", "symmetric") else found


def _period(extent: Any, mode: str) -> Any:
    """Return after how many places what goes back and forth is where it was: the edge is repeated or it is not."""
    period = 2 * extent - 2 if mode == "reflect" else 2 * extent
    return period + (period == 0)


def _source(place: Any, extent: Any, mode: str) -> Any:
    """Return the position of the element that belongs to a place, in numbers that are known or not."""
    if mode == "edge":
        return place.clip(0, extent - 1)
    if mode == "wrap":
        return place % extent
    inside = place % _period(extent, mode)
    if mode == "reflect":
        return (extent - 1) - abs((extent - 1) - inside)
    return ((2 * extent - 1) - abs((2 * extent - 1) - 2 * inside)) // 2


def _odd(node: Node, axis: int, found: Node, place: Tensor, mode: str) -> Node:
    """Return an odd reflection: on the way back twice the last element less each, and in each period a rise more."""
    extent = node.shape[axis]
    size = wrap(as_node("pad", extent, INT64))
    period = _period(size, mode)
    shape = tuple(s if k == axis else 1 for k, s in enumerate(found.shape))
    is_forth, rounds = reshape(place % period < size, shape), reshape(place // period, shape).astype(node.dtype)
    first, last = (wrap(part(node, axis, k, 1)) for k in (0, extent - 1))
    back = subtract(multiply(last, 2), wrap(found))
    return add(choose(is_forth, wrap(found), back), multiply(multiply(rounds, 2), subtract(last, first))).node


def _gathered(node: Node, axis: int, source: Node) -> Node:
    found = gather(node, source, axes=(axis,), wrap=False)
    return moved("pad", found, 0, axis)


PIECES = 64
"""Into how many pieces an axis is cut at most to be put together again, rather than read by positions."""


def _placed(node: Node, axis: int, source: np.ndarray[Any, Any]) -> Node:
    """Return the elements at known positions along an axis: pieces of it forth, back and repeated."""
    runs = _runs(source)
    if len(runs) > PIECES:
        return _gathered(node, axis, literal(source, INT64))
    pieces = []
    for start, step, length in runs:
        if step == 0:
            pieces.append(_repeated(part(node, axis, start, 1), node, axis, length))
            continue
        whole = tuple(length if k == axis else s for k, s in enumerate(node.shape))
        first = tuple(start if k == axis else 0 for k in range(node.ndim))
        strides = tuple(step if k == axis else 1 for k in range(node.ndim))
        pieces.append(ops.slice_(node, start=first, shape=whole, step=strides))
    return ops.concat(*pieces, axis=axis) if len(pieces) > 1 else pieces[0]


def _runs(source: np.ndarray[Any, Any]) -> list[tuple[int, int, int]]:
    """Return (start, step, length) of what goes on in steps of 1, 0 or -1."""
    steps = np.diff(source)
    runs: list[tuple[int, int, int]] = []
    start = 0
    while start < len(source):
        step = int(steps[start]) if start < len(steps) and abs(steps[start]) <= 1 else 1
        stop = start + 1
        while stop < len(source) and steps[stop - 1] == step:
            stop += 1
        runs.append((int(source[start]), step, stop - start))
        start = stop
    return runs
