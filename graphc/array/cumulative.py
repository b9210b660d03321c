"""Running folds along an axis: sums, products, extremes so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_float, as_node, axis_index, cast_to, flag
from graphc.array.handle import wrap
from graphc.array.reduce import summed_dtype
from graphc.errors import ArgumentError
from graphc.ir.graph import Cumulative, Node, literal
from graphc.ops import cumulative as ops
from graphc.ops.elementwise import abs as absolute
from graphc.ops.elementwise import eq, exp, log, lt, stop_gradient, where
from graphc.ops.shape import embed, reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _folded(op: Cumulative, node: Node, axis: int, with_initial: float | None = None) -> Node:
    found = op(node, axis=axis, reverse=False)
    if with_initial is None:
        return found
    shape = tuple([s + 1 if k == axis else s for k, s in enumerate(node.shape)])
    start = tuple([int(k == axis) for k in range(node.ndim)])
    return embed(found, shape=shape, start=start, step=(1,) * node.ndim, value=node.dtype.type(with_initial).item())


def _standard(op: Cumulative, name: str, x: Any, axis: int | None, dtype: Any, initial: float | None) -> Tensor:
    node = as_node(name, x)
    if axis is None and node.ndim != 1:
        raise ArgumentError(f"{name}: axis must be given unless x has one axis, got {node.type}")
    node = cast_to(node, summed_dtype(node, dtype))
    return wrap(_folded(op, node, axis_index(name, 0 if axis is None else axis, node.ndim), initial))


def _along(name: str, node: Node, axis: int | None) -> tuple[Node, int]:
    """Return an array and one of its axes, as in NumPy: None is the only axis of the array flattened."""
    if axis is None:
        return (node if node.ndim == 1 else reshape(node, shape=(node.tensor_type.size,))), 0
    return node, axis_index(name, axis, node.ndim)


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return the sums of the elements up to each place along an axis, as `dtype` (see `sum`).

    `axis` may be left out where x has one axis. With `include_initial`, a 0 comes first and the axis is one longer.
    Floats of long rows may be added in another order, with errors as for `sum`. Array API 2024.12.

    >>> gx.cumulative_sum(gx.placeholder((3, 4), name="x"), axis=1, include_initial=True).shape
    (3, 5)
    """
    initial = 0 if flag("cumulative_sum", "include_initial", include_initial) else None
    return _standard(ops.cumsum, "cumulative_sum", x, axis, dtype, initial)


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return the products of the elements up to each place along an axis, as `dtype` (see `sum`).

    `axis` may be left out where x has one axis. With `include_initial`, a 1 comes first and the axis is one longer.
    All derivatives are exact where elements are zero. Array API 2024.12.

    >>> gx.cumulative_prod(gx.placeholder((3, 4), name="x"), axis=1)
    <Tensor f32[3, 4] = cumprod(x)>
    """
    initial = 1 if flag("cumulative_prod", "include_initial", include_initial) else None
    return _standard(ops.cumprod, "cumulative_prod", x, axis, dtype, initial)


def cumsum(x: ArrayLike, /, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the sums up to each place along an axis, or in the flattened x, as `dtype` (see `sum`).

    It is NumPy's `cumulative_sum`.

    >>> gx.cumsum(gx.placeholder((3, 4), name="x")).shape
    (12,)
    """
    node, place = _along("cumsum", as_node("cumsum", x), axis)
    return wrap(_folded(ops.cumsum, cast_to(node, summed_dtype(node, dtype)), place))


def cumprod(x: ArrayLike, /, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the products up to each place along an axis, or in the flattened x, as `dtype` (see `sum`).

    It is NumPy's `cumulative_prod`.

    >>> gx.cumprod(gx.placeholder((3, 4), name="x"), axis=0)
    <Tensor f32[3, 4] = cumprod(x)>
    """
    node, place = _along("cumprod", as_node("cumprod", x), axis)
    return wrap(_folded(ops.cumprod, cast_to(node, summed_dtype(node, dtype)), place))


def cummax(x: ArrayLike, /, axis: int = -1) -> Tensor:
    """Return the largest element up to each place along an axis, NaN from the first NaN on.

    Of elements that tie, the last so far has the cotangent, as in PyTorch.

    >>> gx.cummax(gx.placeholder((3, 4), name="x"), axis=0)
    <Tensor f32[3, 4] = cummax(x)>
    """
    node = as_node("cummax", x)
    return wrap(_folded(ops.cummax, node, axis_index("cummax", axis, node.ndim)))


def cummin(x: ArrayLike, /, axis: int = -1) -> Tensor:
    """Return the smallest element up to each place along an axis, NaN from the first NaN on.

    Of elements that tie, the last so far has the cotangent, as in PyTorch.

    >>> gx.cummin(gx.placeholder((3, 4), name="x"), axis=0)
    <Tensor f32[3, 4] = cummin(x)>
    """
    node = as_node("cummin", x)
    return wrap(_folded(ops.cummin, node, axis_index("cummin", axis, node.ndim)))


def logcumsumexp(x: ArrayLike, /, axis: int = -1) -> Tensor:
    """Return log(cumsum(exp(x))) along an axis, without overflow; -inf, with derivative 0, while all elements are -inf.

    With the largest element so far m, the sum of exp(x - m) is a recurrence whose factor exp(m[k-1] - m[k]) is at
    most 1.

    >>> gx.logcumsumexp(gx.placeholder((3, 4), name="x"), axis=1).shape
    (3, 4)
    """
    node = as_float("logcumsumexp", x)
    along = axis_index("logcumsumexp", axis, node.ndim)
    most = stop_gradient(_folded(ops.cummax, node, along))
    base = where(lt(absolute(most), literal(np.inf, node.dtype)), most, literal(0, node.dtype))
    factor = exp(ops.neighbour(most, along, -1, 0) - base)
    total = ops.recurrence(factor, exp(node - base), axis=along, reverse=False)
    nothing, one = literal(-np.inf, node.dtype), literal(1, node.dtype)
    is_empty = eq(total, literal(0, node.dtype))
    return wrap(where(is_empty, nothing, base + log(where(is_empty, one, total))))
