"""Counting by value: bincount, digitize, histogram."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array import reduce
from graphc.array.convert import ArrayLike, as_float, as_node, cast_to, count, differ, flag, floating, listed, promote
from graphc.array.editing import diff
from graphc.array.elementwise import astype
from graphc.array.found import found_size, static_size
from graphc.array.gathering import as_size, flattened
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.ordering import searchsorted
from graphc.array.ranges import linspace
from graphc.array.shape import concat, flip
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, known_value, literal
from graphc.ir.types import BOOL, FLOAT64, INT64, TensorType
from graphc.ops.control import zeros
from graphc.ops.elementwise import check_index, maximum
from graphc.ops.index import scatter

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def bincount(
    x: ArrayLike, /, weights: ArrayLike | None = None, minlength: int = 0, *, length: int | Dim | None = None
) -> Tensor:
    """Return how often each integer occurs in x, of one axis, or the sums of its weights, as int64 or float64.

    The result has max(x) + 1 elements, at least `minlength`, which each call finds (see `nonzero`). With `length` it
    has that many, and no code depends on the data. An element of x below 0, or not below `length`, is an
    OutOfBoundsError when the graph runs. The gradient goes to the weights.

    >>> x = gx.placeholder((5,), "int64", name="x")
    >>> gx.compile([x], gx.bincount(x))([1, 3, 1, 0, 1])
    array([1, 3, 0, 1])
    >>> gx.bincount(x, length=10).shape
    (10,)
    """
    node = as_node("bincount", x)
    if node.ndim == 1 and node.shape[0] == 0 and known_value(node) is not None:
        node = cast_to(node, INT64)
    if node.ndim != 1 or node.dtype.kind not in "iu":
        raise DTypeError(f"bincount: takes integers along one axis, got {node.type}")
    least = count("bincount", "minlength", minlength)
    size = static_size("bincount", length)
    if size is None:
        size = _length(node, least)
    values = zeros(TensorType(INT64, node.shape)) + 1
    if weights is not None:
        given = as_node("bincount", weights)
        if given.ndim != 1 or differ(given.shape[0], node.shape[0]):
            raise ShapeError(f"bincount: weights must have the shape of x, got {listed((given, node))}")
        values = cast_to(given, FLOAT64)
    start = zeros(TensorType(values.dtype, (size,)))
    return wrap(scatter(start, values, node, axes=(0,), wrap=False, combine="add"))


def _length(node: Node, least: int) -> Size:
    """Return the number of counts that integers need: one more than the largest."""
    known = known_value(node)
    if known is not None:
        return max(least, int(known.max()) + 1 if known.size else 0)
    # Nothing has no largest element, so -1 joins them; a negative one is for the scatter to report.
    joined = concat([wrap(cast_to(node, INT64)), np.array([-1])])
    number = maximum((reduce.max(joined) + 1).node, literal(least, INT64))
    return found_size("bins", number, None)


def digitize(x: ArrayLike, bins: ArrayLike, /, right: bool = False) -> Tensor:
    """Return the number of the bin that each element is in, as int64: how many of the edges `bins` are not above it.

    Edges go up or down. Bin i is [bins[i-1], bins[i]), with `right` (bins[i-1], bins[i]]; with edges that go down,
    bins[i-1] > x >= bins[i], with `right` bins[i-1] >= x > bins[i]. Undefined where they are in no order.

    >>> gx.compile([], gx.digitize([0.5, 1.0, 2.5], [0.0, 1.0, 2.0]))()
    array([1, 2, 3])
    """
    values, edges = promote("digitize", (x, bins))
    if edges.ndim != 1:
        raise ShapeError(f"digitize: bins must have one axis, got {edges.type}")
    known = known_value(edges)
    table, number = wrap(edges), wrap(as_size(edges.shape[0]))
    up = searchsorted(table, wrap(values), side="left" if flag("digitize", "right", right) else "right")
    if edges.shape[0] in (0, 1) or (known is not None and bool((known[1:] >= known[:-1]).all())):
        return up
    if known is not None and not bool((known[1:] <= known[:-1]).all()):
        raise ArgumentError("digitize: bins must go up or down throughout")
    down = number - searchsorted(
        flip(table), wrap(values), side="left" if flag("digitize", "right", right) else "right"
    )
    if known is not None:
        return down
    return where(reduce.any(diff(table) < 0) if edges.dtype != BOOL else False, down, up)


def histogram_bin_edges(
    x: ArrayLike, /, bins: int | ArrayLike = 10, range: tuple[float, float] | None = None, weights: Any = None
) -> Tensor:
    """Return the edges of the bins that `histogram` counts in.

    >>> gx.histogram_bin_edges(gx.placeholder((100,), name="x"), 4).shape
    (5,)
    """
    node = flattened(as_node("histogram_bin_edges", x))
    return _edges("histogram_bin_edges", node, bins, range)


def _edges(name: str, node: Node, bins: Any, range: Any) -> Tensor:
    if isinstance(bins, str):
        raise ArgumentError(f"{name}: bins must be an int or edges: a rule such as {bins!r} is not there")
    try:
        number = operator.index(bins)
    except TypeError:
        return _given_edges(name, bins)
    number = count(name, "bins", number, 1)
    if range is not None:
        low, high = _range(name, range)
        ends: tuple[Any, Any] = (low - 0.5, high + 0.5) if low == high else (low, high)
        return astype(linspace(*ends, number + 1), floating(node.dtype))
    values = wrap(as_float(name, wrap(node)))
    if node.shape[0] == 0:
        return wrap(literal(np.linspace(0.0, 1.0, number + 1), values.dtype))
    low_, high_ = reduce.min(values), reduce.max(values)
    is_one = low_ == high_
    low_, high_ = where(is_one, low_ - 0.5, low_), where(is_one, high_ + 0.5, high_)
    steps = wrap(literal(np.arange(number + 1) / number, values.dtype))
    last = wrap(literal(np.arange(number + 1) == number, BOOL))
    return where(last, high_, low_ + steps * (high_ - low_))


def _given_edges(name: str, bins: Any) -> Tensor:
    edges = as_node(name, bins)
    known = known_value(edges)
    if edges.ndim != 1:
        raise ShapeError(f"{name}: bins must be an int or edges along one axis, got {edges.type}")
    if known is not None and bool((known[1:] < known[:-1]).any()):
        raise ArgumentError(f"{name}: edges must go up")
    return wrap(edges)


def _range(name: str, range: Any) -> tuple[float, float]:
    try:
        low, high = (float(r) for r in range)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: range must be two numbers, got {range!r}") from None
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ArgumentError(f"{name}: range must be finite, the smaller number first, got {range}")
    return low, high


def histogram(
    x: ArrayLike,
    /,
    bins: int | ArrayLike = 10,
    range: tuple[float, float] | None = None,
    density: bool = False,
    weights: ArrayLike | None = None,
) -> tuple[Tensor, Tensor]:
    """Return how many elements of x lie in each bin, and the edges of the bins.

    `bins` is their number between the least and the largest element, or those of `range`, or an array of edges that go
    up. A bin holds its lower edge, the last one both; what lies outside is not counted. Counts are int64, sums of
    weights have their dtype, and densities, whose integral is 1, are floats. The gradient goes to the weights.

    >>> x = gx.placeholder((5,), "float64", name="x")
    >>> gx.compile([x], gx.histogram(x, bins=[0, 1, 2, 4]))([0.5, 1.0, 1.5, 4.0, 9.0])
    (array([1, 2, 1]), array([0, 1, 2, 4]))
    """
    whole = as_node("histogram", x)
    node = flattened(whole)
    edges = _edges("histogram", node, bins, range)
    number = edges.shape[0] - 1
    values, table = (wrap(n) for n in promote("histogram", (wrap(node), edges)))
    inside = (values >= table[0]) & (values <= table[-1])
    place = where(values == table[-1], number, searchsorted(table, values, side="right")) - 1
    amounts = zeros(TensorType(INT64, node.shape)) + 1
    if weights is not None:
        given = as_node("histogram", weights)
        if given.ndim != whole.ndim or differ(given.tensor_type.size, node.shape[0]):
            raise ShapeError(f"histogram: weights must have the shape of x, got {listed((given, node))}")
        amounts = flattened(cast_to(given, INT64) if given.dtype == BOOL else given)
    counted = where(inside, wrap(amounts), 0)
    bounded = check_index(where(inside, place, 0).node, size=number, wrap=False)
    start = zeros(TensorType(counted.dtype, (number,)))
    found = wrap(scatter(start, counted.node, bounded, axes=(0,), wrap=False, combine="add"))
    if not density:
        return found, edges
    return found / (reduce.sum(found) * diff(edges)), edges


__all__ = ["bincount", "digitize", "histogram", "histogram_bin_edges"]
