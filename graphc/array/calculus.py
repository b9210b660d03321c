"""Functions given by samples: their slopes, areas, values in between and phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphc.array.convert import (
    ArrayLike,
    as_float,
    as_node,
    axis_index,
    axis_indices,
    promote,
)
from graphc.array.cumulative import cumsum
from graphc.array.editing import diff
from graphc.array.elementwise import abs, add, divide, maximum, minimum, multiply, remainder, stop_gradient, subtract
from graphc.array.gathering import take
from graphc.array.handle import wrap
from graphc.array.logic import equal, greater, less, logical_and, where
from graphc.array.ordering import argsort, searchsorted
from graphc.array.reduce import sum
from graphc.array.shape import concat, part, reshape
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.types import FLOAT64

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _along(node: Node, axis: int, start: Size, length: Size) -> Tensor:
    return wrap(part(node, axis, start, length))


def _shaped_along(vector: Tensor, axis: int, rank: int) -> Tensor:
    return reshape(vector, [vector.shape[0] if k == axis else 1 for k in range(rank)])


# Areas and slopes.


def trapezoid(y: ArrayLike, /, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1) -> Tensor:
    """Return the area under samples along an axis, straight lines between them.

    Samples are `dx` apart, or lie at x: a vector along the axis, or an array of the shape of y.

    >>> gx.trapezoid(gx.placeholder((3, 5)), dx=0.5).shape
    (3,)
    """
    node = as_node("trapezoid", y)
    place = axis_index("trapezoid", axis, node.ndim)
    if x is None:
        width: Any = dx
    else:
        places = wrap(as_node("trapezoid", x))
        width = diff(places, axis=place if places.ndim == node.ndim else -1)
        width = _shaped_along(width, place, node.ndim) if places.ndim == 1 else width
    length = dims.maximum(node.shape[place] - 1, 0)
    both = add(_along(node, place, 1, length), _along(node, place, 0, length))
    return sum(divide(multiply(width, both), 2.0), axis=place)


def gradient(f: ArrayLike, /, *spacing: ArrayLike, axis: int | Sequence[int] | None = None, edge_order: int = 1) -> Any:
    """Return the slopes of samples along an axis, or a tuple of those along several.

    Inside they are exact for parabolas, at the ends by differences of first or second order (`edge_order`). `spacing`
    is nothing (1), one number, or for each axis a number or the vector of places. An axis has at least edge_order + 1
    samples.

    >>> [g.shape for g in gx.gradient(gx.placeholder((3, 4)))]
    [(3, 4), (3, 4)]
    """
    node = as_float("gradient", f) if as_node("gradient", f).dtype.kind == "f" else as_node("gradient", f, FLOAT64)
    axes = axis_indices("gradient", axis, node.ndim)
    if type(edge_order) is not int or edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order must be 1 or 2, got {shown(edge_order)}")
    if len(spacing) not in (0, 1, len(axes)):
        raise ArgumentError(f"gradient: spacing is nothing, one number or one for each of {len(axes)} axes")
    steps = [wrap(as_node("gradient", s, node.dtype)) for s in (spacing or (1.0,))]
    if len(spacing) == 1 and len(axes) > 1 and steps[0].ndim:
        raise ArgumentError("gradient: places must be given for each axis, or one number for all")
    steps = steps * len(axes) if len(steps) == 1 else steps
    found = tuple(_slopes(node, a, s, edge_order) for a, s in zip(axes, steps, strict=True))
    return found[0] if len(found) == 1 else found


def _slopes(node: Node, axis: int, step: Tensor, edge_order: int) -> Tensor:
    size = node.shape[axis]
    if isinstance(size, int) and size < edge_order + 1:
        raise ShapeError(f"gradient: axis {axis} of {node.type} must have at least {edge_order + 1} samples")
    if step.ndim > 1:
        raise ShapeError(f"gradient: places must have one axis, got {step.node.type}")
    gaps = diff(step) if step.ndim else None
    inner = _inner_slopes(node, axis, step, gaps)
    ends = [_end_slope(node, axis, step, gaps, edge_order, is_last) for is_last in (False, True)]
    return concat([ends[0], inner, ends[1]], axis=axis)


def _inner_slopes(node: Node, axis: int, step: Tensor, gaps: Tensor | None) -> Tensor:
    inner = dims.maximum(node.shape[axis] - 2, 0)
    before, here, after = (_along(node, axis, k, inner) for k in range(3))
    if gaps is None:
        return divide(subtract(after, before), multiply(step, 2.0))
    left, right = (_shaped_along(_along(gaps.node, 0, k, inner), axis, node.ndim) for k in range(2))
    weights = (-right / (left * (left + right)), (right - left) / (left * right), left / (right * (left + right)))
    return weights[0] * before + weights[1] * here + weights[2] * after


def _end_slope(node: Node, axis: int, step: Tensor, gaps: Tensor | None, edge_order: int, is_last: bool) -> Tensor:
    """Return the slope at an end: of the line, or with order 2 the parabola, through the samples there."""
    size = node.shape[axis]
    places = (0, 1, edge_order)
    near, beside, third = (_along(node, axis, size - 1 - k if is_last else k, 1) for k in places)
    sign = -1.0 if is_last else 1.0
    if gaps is None:
        first = second = multiply(step, sign)
    else:
        first, second = (
            multiply(_along(gaps.node, 0, size - 2 - k if is_last else k, 1), sign).reshape((1,) * node.ndim)
            for k in (0, 1 if edge_order == 2 else 0)
        )
    if edge_order == 1:
        return (beside - near) / first
    both = first + second
    inner = beside * (both / (first * second)) - third * (first / (second * both))
    return inner - near * ((first + both) / (first * both))


# Values in between.


def interp(
    x: ArrayLike,
    xp: ArrayLike,
    fp: ArrayLike,
    /,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    period: float | None = None,
) -> Tensor:
    """Return the values at x of the function that joins the points (xp, fp) by straight lines, as float64.

    xp increases; outside of it the value is that of the first or last point, or `left` or `right`. With `period`, xp
    may be in any order and left and right have no meaning. The gradient is that of the line to the right at a point.

    >>> gx.interp(gx.placeholder((5,)), [0.0, 1.0, 2.0], [0.0, 1.0, 4.0]).shape
    (5,)
    """
    at, places, values = (wrap(as_node("interp", v, FLOAT64)) for v in (x, xp, fp))
    if places.ndim != 1 or values.ndim != 1 or _differ(places.shape[0], values.shape[0]):
        raise ShapeError(f"interp: xp and fp must be vectors of one length, got {places.node.type}, {values.node.type}")
    if places.shape[0] == 0:
        raise ShapeError("interp: xp and fp must hold a point")
    if period is not None:
        if not isinstance(period, int | float) or not period:
            raise ArgumentError(f"interp: period must be a number that is not 0, got {shown(period)}")
        at, places, values = _wrapped(at, places, values, math.fabs(period))
        left = right = None
    last = places.shape[0] - 1
    above = minimum(maximum(searchsorted(places, at, side="right"), 1), maximum(wrap(as_node("interp", last)), 0))
    below = maximum(subtract(above, 1), 0)
    x0, x1, y0, y1 = (take(v, k) for v in (places, values) for k in (below, above))
    width = subtract(x1, x0)
    is_line = greater(width, 0)
    inside = add(y0, multiply(divide(subtract(y1, y0), where(is_line, width, 1.0)), subtract(at, x0)))
    first, end = _along(places.node, 0, 0, 1).reshape(()), _along(places.node, 0, last, 1).reshape(())
    low, high = _along(values.node, 0, 0, 1).reshape(()), _along(values.node, 0, last, 1).reshape(())
    found = where(equal(at, end), high, where(is_line, inside, y0))
    found = where(less(at, first), low if left is None else left, found)
    return where(greater(at, end), high if right is None else right, found).astype(FLOAT64)


def _differ(a: Size, b: Size) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a != b


def _wrapped(at: Tensor, places: Tensor, values: Tensor, period: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return places of one period in order, the last and the first point once more before and after them."""
    inside = remainder(places, period)
    order = argsort(inside)
    inside, values = take(inside, order), take(values, order)
    last = inside.shape[0] - 1
    ends = [_along(v.node, 0, k, 1) for v in (inside, values) for k in (last, 0)]
    around = concat([ends[0] - period, inside, ends[1] + period])
    return remainder(at, period), around, concat([ends[2], values, ends[3]])


def unwrap(x: ArrayLike, /, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi) -> Tensor:
    """Return phases along an axis with jumps of more than half a period taken back, by adding whole periods.

    Smaller jumps than `discont` stay. The gradient is 1.

    >>> gx.unwrap(gx.placeholder((3, 5))).shape
    (3, 5)
    """
    node, given = promote("unwrap", (x, period))[0], as_node("unwrap", x)
    if given.dtype.kind == "b":
        raise DTypeError(f"unwrap: takes numbers, got {given.type}")
    phases, place = wrap(node), axis_index("unwrap", axis, node.ndim)
    jumps = stop_gradient(diff(phases, axis=place))
    is_float = node.dtype.kind == "f"
    half: Any = period / 2 if is_float else period // 2
    is_ambiguous = is_float or period % 2 == 0
    inside = add(remainder(add(jumps, half), period), -half)
    if is_ambiguous:
        inside = where(logical_and(equal(inside, -half), greater(jumps, 0)), half, inside)
    least = period / 2 if discont is None else max(discont, period / 2)
    correction = where(less(abs(jumps), least), 0, subtract(inside, jumps))
    rest = add(_along(node, place, 1, dims.maximum(node.shape[place] - 1, 0)), cumsum(correction, axis=place))
    return concat([_along(node, place, 0, dims.minimum(node.shape[place], 1)), rest], axis=place)
