"""Pooling by the largest element of a window, which is a choice of one element, and the choice and its transpose alone.

The last axes of x, as many as `window` has entries, are spatial. Element k of the window at position p of the result is
x[p * stride + k * dilation - low]; elements outside of x are none. `pool_index` says which element of a window is the
largest, as the number of k in row-major order: the first of several, the first NaN if there is any. With that, pooling
is linear: `pool_take` reads the chosen elements, `pool_put` sends a value back to where it was read, and each is the
other's derivative.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim
from graphc.ir.graph import ZERO_DERIVATIVE, Node, Opaque
from graphc.ir.types import Shape, TensorType
from graphc.ops.conv import valid
from graphc.ops.elementwise import NUMBERS
from graphc.ops.pool_loops import INDEX, lowest, nest_index, nest_max, nest_put, nest_take

Array = np.ndarray[Any, Any]


def _check(name: str, x: TensorType, attrs: dict[str, Any]) -> None:
    rank = len(attrs["window"])
    if x.dtype.kind not in NUMBERS:
        raise DTypeError(f"{name}: does not take {x.dtype.name}, got {x}")
    if x.ndim < rank:
        raise ShapeError(f"{name}: operands must have rank {rank} or more for a window {attrs['window']}, got {x}")
    if any(len(attrs[k]) != rank for k in ("shape", "stride", "dilation", "low")):
        raise ArgumentError(f"{name}: shape, stride, dilation and low must have {rank} entries, got {attrs}")
    if any(s < 1 for s in (*attrs["window"], *attrs["stride"], *attrs["dilation"])):
        raise ArgumentError(f"{name}: window, stride and dilation must be 1 or more, got {attrs}")
    if any(isinstance(s, int) and s < (name in ("max_pool", "pool_index")) for s in attrs["shape"]):
        raise ShapeError(f"{name}: the window is larger than the padded input: {x} gives the size {attrs['shape']}")


def _resized(x: TensorType, shape: Shape) -> TensorType:
    return x.with_shape((*x.shape[: x.ndim - len(shape)], *shape))


def _infer_max(x: TensorType, **attrs: Any) -> TensorType:
    _check("max_pool", x, attrs)
    return _resized(x, attrs["shape"])


def _infer_index(x: TensorType, **attrs: Any) -> TensorType:
    _check("pool_index", x, attrs)
    return TensorType(INDEX, _resized(x, attrs["shape"]).shape)


def _differ(a: Shape, b: Shape) -> bool:
    return len(a) != len(b) or any(
        m != n and not isinstance(m, Dim) and not isinstance(n, Dim) for m, n in zip(a, b, strict=True)
    )


def _infer_take(x: TensorType, index: TensorType, **attrs: Any) -> TensorType:
    _check("pool_take", x, attrs)
    result = _resized(x, attrs["shape"])
    if index.dtype != INDEX or _differ(index.shape, result.shape):
        raise (DTypeError if index.dtype != INDEX else ShapeError)(
            f"pool_take: the choices must be {TensorType(INDEX, result.shape)}, got {index}"
        )
    return result


def _infer_put(y: TensorType, index: TensorType, **attrs: Any) -> TensorType:
    _check("pool_put", y, attrs)
    if index.dtype != INDEX or _differ(index.shape, y.shape):
        raise (DTypeError if index.dtype != INDEX else ShapeError)(
            f"pool_put: the choices must be {TensorType(INDEX, y.shape)}, got {index}"
        )
    return _resized(y, attrs["shape"])


# The reference, one element of the window at a time.


def _elements(
    window: Any, x: tuple[int, ...], y: tuple[int, ...], stride: Any, dilation: Any, low: Any
) -> Iterator[tuple[int, tuple[Any, ...], tuple[Any, ...]]]:
    """Yield the number of each element of a window, with the parts of x and y that meet there."""
    for number, tap in enumerate(itertools.product(*map(range, window))):
        in_x: list[Any] = [...]
        in_y: list[Any] = [...]
        for k, extent, count, s, d, before in zip(tap, x, y, stride, dilation, low, strict=True):
            first, end = valid(extent, count, k * d - before, s)
            start = first * s + k * d - before
            in_x.append(slice(start, start + (end - first) * s, s) if end > first else slice(0, 0))
            in_y.append(slice(first, end))
        yield number, tuple(in_x), tuple(in_y)


def _spatial(x: Any, window: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = np.shape(x)
    return shape[: len(shape) - len(window)], shape[len(shape) - len(window) :]


def _reference_index(x: Any, *, window: Any, shape: Any, **attrs: Any) -> Array:
    lead, extents = _spatial(x, window)
    best = np.full((*lead, *shape), lowest(x.dtype), x.dtype)
    index = np.full(best.shape, -1, INDEX)
    for number, in_x, in_y in _elements(window, extents, shape, **attrs):
        part, at, found = x[in_x], index[in_y], best[in_y]
        better = (at < 0) | (part > found) | ((part != part) & (found == found))
        at[better], found[better] = number, part[better]
    return np.maximum(index, 0)


def _reference_max(x: Any, *, window: Any, shape: Any, **attrs: Any) -> Array:
    lead, extents = _spatial(x, window)
    best = np.full((*lead, *shape), lowest(x.dtype), x.dtype)
    for _, in_x, in_y in _elements(window, extents, shape, **attrs):
        best[in_y] = np.maximum(best[in_y], x[in_x])
    return best


def _reference_take(x: Any, index: Any, *, window: Any, shape: Any, **attrs: Any) -> Array:
    lead, extents = _spatial(x, window)
    taken = np.zeros((*lead, *shape), x.dtype)
    for number, in_x, in_y in _elements(window, extents, shape, **attrs):
        taken[in_y] = np.where(index[in_y] == number, x[in_x], taken[in_y])
    return taken


def _reference_put(y: Any, index: Any, *, window: Any, shape: Any, **attrs: Any) -> Array:
    lead, extents = _spatial(y, window)
    result = np.zeros((*lead, *shape), y.dtype)
    for number, in_x, in_y in _elements(window, shape, extents, **attrs):
        result[in_x] += np.where(index[in_y] == number, y[in_y], y.dtype.type(0))
    return result


def _geometry(node: Node) -> dict[str, Any]:
    return {k: node.attrs[k] for k in ("window", "stride", "dilation", "low")}


def _put(ct: Node, index: Node, like: Node, of: Node) -> Node:
    rank = len(of.attrs["window"])
    return pool_put(ct, index, shape=like.shape[like.ndim - rank :], **_geometry(of))


pool_index: Opaque = Opaque(
    "pool_index",
    infer=_infer_index,
    reference=_reference_index,
    vjp=ZERO_DERIVATIVE,
    nest=nest_index,
    doc="Which element of each window is the largest: the first of several, the first NaN.",
)
max_pool: Opaque = Opaque(
    "max_pool",
    infer=_infer_max,
    reference=_reference_max,
    vjp=(lambda ct, out, x: _put(ct, pool_index(x, **out.attrs), x, out),),
    nest=nest_max,
    doc="The largest element of each window, NaN if any is; the first of several gets the cotangent.",
)
pool_take: Opaque = Opaque(
    "pool_take",
    infer=_infer_take,
    reference=_reference_take,
    vjp=(lambda ct, out, x, index: _put(ct, index, x, out), None),
    nest=nest_take,
    doc="The element of each window that `index` says.",
)
pool_put: Opaque = Opaque(
    "pool_put",
    infer=_infer_put,
    reference=_reference_put,
    vjp=(
        lambda ct, out, y, index: pool_take(ct, index, **_geometry(out), shape=y.shape[-len(out.attrs["window"]) :]),
        None,
    ),
    nest=nest_put,
    doc="Each value at the element of its window that `index` says, added up.",
)
