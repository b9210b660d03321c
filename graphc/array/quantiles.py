"""Quantiles, percentiles and medians, of all elements and of those that are not NaN.

Elements are sorted, and a quantile q lies at a place v between 0 and n - 1 that each method computes of q and n. Its
gradient is that of the elements beside it; where elements tie, each has the share of its own place in the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_float, as_node, axis_indices, cast_to, choice
from graphc.array.cumulative import cumsum
from graphc.array.elementwise import add, divide, floor, maximum, minimum, multiply, remainder, round, subtract
from graphc.array.gathering import take_along_axis
from graphc.array.handle import wrap
from graphc.array.logic import (
    equal,
    greater,
    greater_equal,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    where,
)
from graphc.array.reduce import Axis, require_elements, sum
from graphc.array.shape import expand_dims, moveaxis, part, repeated_to, reshape
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir import dims
from graphc.ir.graph import Node, known_value, literal
from graphc.ir.types import FLOAT64, INT64
from graphc.ops import ordering as order
from graphc.ops.elementwise import size
from graphc.ops.index import gather
from graphc.ops.shape import transpose

if TYPE_CHECKING:
    from graphc.tensor import Tensor

Place = Callable[[Any, Any], Any]


def _between(alpha: float, beta: float) -> Place:
    """Return the place n*q + m - 1 with m = alpha + q * (1 - alpha - beta), of Hyndman and Fan (1996)."""
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _above(n: Any, q: Any, half: float, downs: Callable[[Any, Any], Any]) -> Any:
    """Return the whole place above n*q - 1 - half, or that below where `downs` holds."""
    place = n * q - 1 - half
    below = floor(place)
    return where(downs(subtract(place, below), below), below, below + 1)


CONTINUOUS: dict[str, Place] = {
    "linear": lambda n, q: (n - 1) * q,
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "interpolated_inverted_cdf": _between(0, 1),
    "hazen": _between(0.5, 0.5),
    "weibull": _between(0, 0),
    "median_unbiased": _between(1 / 3, 1 / 3),
    "normal_unbiased": _between(3 / 8, 3 / 8),
    "midpoint": lambda n, q: 0.5 * (floor((n - 1) * q) + _ceil((n - 1) * q)),
}
"""Methods that go between two elements: where the quantile lies."""

DISCRETE: dict[str, Place] = {
    "inverted_cdf": lambda n, q: _above(n, q, 0.0, lambda gamma, _: equal(gamma, 0)),
    "closest_observation": lambda n, q: _above(
        n, q, 0.5, lambda gamma, below: logical_and(equal(gamma, 0), equal(remainder(below, 2), 1))
    ),
    "lower": lambda n, q: floor((n - 1) * q),
    "higher": lambda n, q: _ceil((n - 1) * q),
    "nearest": lambda n, q: round((n - 1) * q),
}
"""Methods that choose an element."""


def _ceil(x: Tensor) -> Tensor:
    return multiply(floor(multiply(x, -1)), -1)


# The core.


def _flattened(node: Node, axes: tuple[int, ...]) -> Node:
    """Return the node with these axes as one at the end."""
    kept = tuple(k for k in range(node.ndim) if k not in axes)
    turned = node if kept + axes == tuple(range(node.ndim)) else transpose(node, axes=kept + axes)
    length = dims.product(node.shape[k] for k in axes)
    return reshape(wrap(turned), (*[node.shape[k] for k in kept], length)).node


def _rows(name: str, node: Node, axis: Axis, keepdims: bool) -> tuple[Node, tuple[Any, ...]]:
    """Return the elements along axes as the last one, and the shape of a result for each row."""
    if node.dtype.kind == "b":
        raise DTypeError(f"{name}: takes numbers, got {node.type}; use astype or mean")
    axes = tuple(sorted(axis_indices(name, axis, node.ndim)))
    require_elements(name, node, axes)
    shape = tuple(1 if k in axes else s for k, s in enumerate(node.shape) if keepdims or k not in axes)
    return _flattened(node, axes), shape


def _length(rows: Node, dtype: np.dtype[Any]) -> Tensor:
    length = rows.shape[-1]
    return wrap(literal(length, dtype) if isinstance(length, int) else cast_to(size(value=length), dtype))


def _quantiles(name: str, rows: Node, q: Tensor, is_weak: bool, method: str, count: Tensor | None) -> Tensor:
    """Return quantiles of sorted rows, the axes of q in front; `count`, if given, says how much of each row counts."""
    choice(name, "method", method, (*CONTINUOUS, *DISCRETE))
    length = _length(rows, q.dtype) if count is None else expand_dims(count.astype(q.dtype), -1)
    wanted = q if count is None else reshape(q, (-1,))
    place = (CONTINUOUS.get(method) or DISCRETE[method])(length, wanted)
    last = subtract(length, 1)
    is_valid = logical_and(greater_equal(wanted, 0), less_equal(wanted, 1))

    def at(whole: Tensor) -> Tensor:
        inside = maximum(minimum(whole, last), 0)
        # A q that is no quantile is an index out of bounds.
        index = where(is_valid, inside, _length(rows, q.dtype)).astype(INT64)
        return _read(rows, index) if count is None else _in_front(take_along_axis(wrap(rows), index), q)

    if method in DISCRETE:
        return at(place)
    below = floor(place)
    weight = _weight(method, subtract(place, below), logical_or(greater_equal(place, last), less(place, 0)))
    weight = reshape(weight, (*q.shape, *[1] * (rows.ndim - 1))) if count is None else _in_front(weight, q)
    low, high = at(below), at(add(below, 1))
    kind = FLOAT64
    if low.dtype.kind == "f":
        kind = low.dtype if is_weak else np.result_type(low.dtype, q.dtype)
    if low.dtype.kind != "f":
        low, high = low.astype(kind), high.astype(kind)
    return _blended(low, high, weight.astype(kind))


def _read(rows: Node, index: Tensor) -> Tensor:
    return wrap(gather(rows, index.node, axes=(rows.ndim - 1,), wrap=False))


def _in_front(found: Tensor, q: Tensor) -> Tensor:
    """Return results that have flattened quantiles as their last axis with the axes of q in front."""
    return reshape(moveaxis(found, -1, 0), (*q.shape, *found.shape[:-1]))


def _weight(method: str, gamma: Tensor, is_end: Tensor) -> Tensor:
    """Return the share of the element above; it is 0 at the ends, where nothing is between."""
    if method == "averaged_inverted_cdf":
        gamma = where(equal(gamma, 0), 0.5, 1.0)
    elif method == "midpoint":
        gamma = where(equal(gamma, 0), 0.0, 0.5)
    return where(is_end, 0.0, gamma)


def _blended(low: Tensor, high: Tensor, weight: Tensor) -> Tensor:
    """Return low + (high - low) * weight from the nearer end; what has no weight may be infinite."""
    high = where(greater(weight, 0), high, low)
    distance = where(logical_and(equal(low, high), isinf(low)), 0.0, subtract(high, low))
    rest = subtract(1.0, weight)
    return where(less(weight, 0.5), add(low, multiply(distance, weight)), subtract(high, multiply(distance, rest)))


def _weighted(rows: Node, weights: Node, q: Tensor) -> Tensor:
    """Return the elements of each row at which the sum of the weights so far reaches q of their sum."""
    places = wrap(order.argsort(rows, descending=False, count=rows.shape[-1]))
    ordered = take_along_axis(wrap(weights), places)
    reached = cumsum(ordered, axis=-1, dtype=FLOAT64)
    share = divide(reached, expand_dims(_edge(reached.node, is_first=False), -1)).astype(q.dtype)
    # What has no weight is never chosen, by q = 0 neither.
    share = where(equal(share, 0), -1.0, share)
    before = sum(less(expand_dims(share, -2), expand_dims(reshape(q, (-1,)), -1)), axis=-1)
    last = subtract(_length(rows, INT64), 1)
    is_valid = logical_and(greater_equal(q, 0), less_equal(q, 1)).reshape((-1,))
    index = where(is_valid, minimum(before, last), add(last, 1))
    return _in_front(take_along_axis(take_along_axis(wrap(rows), places), index), q)


def _wanted(name: str, q: ArrayLike, most: float) -> Tensor:
    """Return q as floats, those that are known now in [0, 1]."""
    node = as_float(name, q)
    known = known_value(node)
    if known is not None and not ((known >= 0) & (known <= most)).all():
        raise ArgumentError(f"{name}: q must be in [0, {most:g}], got {shown(q)}")
    return wrap(node) if most == 1 else divide(wrap(node), most)


def _of(
    name: str,
    x: ArrayLike,
    q: ArrayLike,
    axis: Axis,
    method: str,
    keepdims: bool,
    weights: ArrayLike | None = None,
    most: float = 1,
    skips_nan: bool = False,
) -> Tensor:
    wanted = _wanted(name, q, most)
    rows, shape = _rows(name, as_node(name, x), axis, keepdims)
    if weights is not None:
        choice(f"{name} with weights", "method", method, ("inverted_cdf",))
        found = _weighted(rows, _weights(name, weights, as_node(name, x), axis), wanted)
    ordered = order.sort(rows, descending=False, count=rows.shape[-1])
    is_float = rows.dtype.kind == "f"
    count = sum(logical_not(isnan(wrap(rows))), axis=-1) if skips_nan and is_float else None
    if weights is None:
        found = _quantiles(name, ordered, wanted, type(q) in (int, float), method, count)
    if is_float:
        # NaN is last in order: the last element tells whether there is one, the first whether there is nothing else.
        found = where(isnan(_edge(ordered, is_first=count is not None)), math.nan, found)
    return reshape(found, (*wanted.shape, *shape))


def _edge(rows: Node, is_first: bool) -> Tensor:
    start = 0 if is_first else rows.shape[-1] - 1
    return reshape(wrap(part(rows, rows.ndim - 1, start, 1)), rows.shape[:-1])


def _weights(name: str, weights: ArrayLike, node: Node, axis: Axis) -> Node:
    axes = axis_indices(name, axis, node.ndim)
    return _flattened(weights_over(name, weights, node, axes), tuple(sorted(axes)))


def weights_over(name: str, weights: ArrayLike, node: Node, axes: tuple[int, ...]) -> Node:
    """Return weights repeated to the shape of an array: they have it, or that of the axes alone, in their order."""
    given = as_node(name, weights)
    if given.ndim == node.ndim:
        return repeated_to(name, given, node.shape)
    if given.ndim != len(axes):
        raise ShapeError(f"{name}: weights must have the shape of {node.type} or of its axes {axes}, got {given.type}")
    turned = transpose(given, axes=tuple(axes.index(k) for k in sorted(axes))) if given.ndim > 1 else given
    sizes = iter(turned.shape)
    spread = reshape(wrap(turned), [next(sizes) if k in axes else 1 for k in range(node.ndim)])
    return repeated_to(name, spread.node, node.shape)


def quantile(
    x: ArrayLike,
    q: ArrayLike,
    /,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    weights: ArrayLike | None = None,
) -> Tensor:
    """Return the element, or a mean of two neighbours, that a share q of all elements along axes does not exceed.

    The axes of q come first. `method` is one of NumPy's: linear, lower, higher, nearest, midpoint, inverted_cdf,
    averaged_inverted_cdf, closest_observation, interpolated_inverted_cdf, hazen, weibull, median_unbiased,
    normal_unbiased. Non-negative `weights` go with inverted_cdf. NaN where an element is NaN. Integers give float64
    unless the method chooses elements. A q outside [0, 1] is an ArgumentError, one that is found when the graph runs
    an OutOfBoundsError. The gradient goes to the elements between which the quantile lies.

    >>> gx.quantile(gx.placeholder((5, 4)), [0.25, 0.75], axis=0).shape
    (2, 4)
    """
    return _of("quantile", x, q, axis, method, keepdims, weights)


def percentile(
    x: ArrayLike,
    q: ArrayLike,
    /,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    weights: ArrayLike | None = None,
) -> Tensor:
    """Return the quantile q / 100, see `quantile`.

    >>> gx.percentile(gx.placeholder((5, 4)), 90).shape
    ()
    """
    return _of("percentile", x, q, axis, method, keepdims, weights, most=100)


def nanquantile(
    x: ArrayLike, q: ArrayLike, /, axis: Axis = None, *, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return quantiles of the elements that are not NaN, NaN where there are none; see `quantile`.

    >>> gx.nanquantile(gx.placeholder((5, 4)), 0.5, axis=0).shape
    (4,)
    """
    return _of("nanquantile", x, q, axis, method, keepdims, skips_nan=True)


def nanpercentile(
    x: ArrayLike, q: ArrayLike, /, axis: Axis = None, *, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return percentiles of the elements that are not NaN, NaN where there are none; see `quantile`.

    >>> gx.nanpercentile(gx.placeholder((5, 4)), 50, axis=0).shape
    (4,)
    """
    return _of("nanpercentile", x, q, axis, method, keepdims, most=100, skips_nan=True)


# Medians.


def median(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the element in the middle of those along axes in order, or the mean of two; NaN where one is NaN.

    Floats keep their dtype, integers give float64. The gradient goes to the elements in the middle, of those that tie
    to the ones that stand there in stable order.

    >>> gx.median(gx.placeholder((5, 4)), axis=0).shape
    (4,)
    """
    node = as_float("median", x)
    node = node if as_node("median", x).dtype.kind == "f" else cast_to(node, FLOAT64)
    rows, shape = _rows("median", node, axis, keepdims)
    ordered, length = order.sort(rows, descending=False, count=rows.shape[-1]), rows.shape[-1]
    low, high = (
        reshape(wrap(part(ordered, rows.ndim - 1, dims.floordiv(k, 2), 1)), rows.shape[:-1])
        for k in (length - 1, length)
    )
    is_odd = isinstance(length, int) and length % 2 == 1
    middle = low if is_odd else add(multiply(low, 0.5), multiply(high, 0.5))
    return reshape(where(isnan(_edge(ordered, is_first=False)), math.nan, middle), shape)


def nanmedian(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the median of the elements that are not NaN, NaN where there are none; see `median`.

    >>> gx.nanmedian(gx.placeholder((5, 4)), axis=0).shape
    (4,)
    """
    return _of("nanmedian", x, 0.5, axis, "linear", keepdims, skips_nan=True)
