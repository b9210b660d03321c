"""Reductions: sums, means, extremes and where they lie.

`axis` is an int, a tuple (an empty one reduces nothing) or None for all axes; `keepdims` leaves reduced axes as size 1.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_float, as_node, axis_index, axis_indices, cast_to, flag, spread_to
from graphc.array.handle import wrap
from graphc.array.shape import repeated_to
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim
from graphc.ir.graph import Node, Reduction, literal
from graphc.ir.types import BOOL, FLOAT64, INT64, as_dtype
from graphc.ops import elementwise as elementwise_ops
from graphc.ops import reduce as ops
from graphc.ops.compositions import log_sum_exp
from graphc.ops.elementwise import eq, iota, ne, size
from graphc.ops.shape import concat, reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor

Axis = int | Sequence[int] | None


def _reduced(op: Reduction, name: str, node: Node, axis: Axis, keepdims: bool) -> Node:
    flag(name, "keepdims", keepdims)
    axes = tuple(sorted(axis_indices(name, axis, node.ndim)))
    if op.init(node.dtype) is None:
        require_elements(name, node, axes)
    result = op(node, axis=axes) if axes else node
    return _with_kept(result, node, axes) if keepdims else result


def require_elements(name: str, node: Node, axes: Sequence[int]) -> None:
    """Raise ShapeError if there is nothing along one of the axes."""
    empty = [k for k in axes if node.shape[k] == 0]
    if empty:
        raise ShapeError(f"{name}: axis {empty[0]} of {node.type} has size 0, and nothing has no {name}")


def _with_kept(result: Node, node: Node, axes: Sequence[int]) -> Node:
    if not axes:
        return result
    return reshape(result, shape=tuple(1 if k in axes else s for k, s in enumerate(node.shape)))


def summed_dtype(node: Node, dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a sum: small integers and bools add up in 64 bits, as in NumPy."""
    if dtype is not None:
        return as_dtype(dtype)
    if node.dtype.kind in "bi":
        return INT64
    return np.dtype("uint64") if node.dtype.kind == "u" else node.dtype


def _masked(name: str, node: Node, mask: ArrayLike | None, otherwise: Any) -> Node:
    """Return the node with what the mask leaves out replaced by a number."""
    if mask is None:
        return node
    chosen = repeated_to(name, cast_to(as_node(name, mask), BOOL), node.shape)
    return elementwise_ops.where(
        chosen, node, otherwise if isinstance(otherwise, Node) else literal(otherwise, node.dtype)
    )


def _total(
    op: Reduction,
    name: str,
    x: ArrayLike,
    axis: Axis,
    dtype: Any,
    keepdims: bool,
    initial: ArrayLike | None,
    where: ArrayLike | None,
) -> Tensor:
    given = as_node(name, x)
    node = _masked(name, cast_to(given, summed_dtype(given, dtype)), where, op.init(given.dtype))
    found = _reduced(op, name, node, axis, keepdims)
    if initial is None:
        return wrap(found)
    first = _number(name, "initial", initial, node)
    return wrap(found + first if op is ops.sum else found * first)


def _number(name: str, what: str, value: ArrayLike, like: Node) -> Node:
    node = as_node(name, value, like.dtype)
    if node.ndim:
        raise ShapeError(f"{name}: {what} must have rank 0, got {node.type}")
    return node


def sum(
    x: ArrayLike,
    /,
    axis: Axis = None,
    dtype: Any = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """Add up the elements along axes, as `dtype`: those where the mask `where` is true, and the number `initial`.

    Bools and signed integers add up as int64, unsigned ones as uint64, floats in their own dtype. Nothing sums to 0.

    >>> gx.sum(gx.placeholder((3, 4), name="x"), axis=1)
    <Tensor f32[3] = sum(x)>
    """
    return _total(ops.sum, "sum", x, axis, dtype, keepdims, initial, where)


def prod(
    x: ArrayLike,
    /,
    axis: Axis = None,
    dtype: Any = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """Multiply the elements along axes, as `dtype`: see `sum`. Nothing multiplies to 1.

    The gradient is exact where elements are zero.

    >>> gx.prod(gx.placeholder((3, 4), name="x"), axis=(0, 1)).shape
    ()
    """
    return _total(ops.prod, "prod", x, axis, dtype, keepdims, initial, where)


def _extreme(
    op: Reduction,
    name: str,
    x: ArrayLike,
    axis: Axis,
    keepdims: bool,
    initial: ArrayLike | None,
    where: ArrayLike | None,
) -> Tensor:
    node = as_node(name, x)
    if initial is None:
        if where is not None:
            raise ArgumentError(f"{name}: with where, initial must be given, as nothing may be left")
        return wrap(_reduced(op, name, node, axis, keepdims))
    first = _number(name, "initial", initial, node)
    node = _masked(name, node, where, first)
    axes = axis_indices(name, axis, node.ndim)
    if builtins.any(node.shape[k] == 0 or isinstance(node.shape[k], Dim) for k in axes):
        # A row of `initial` more, so that there is something in any case.
        row = tuple(1 if k == axes[0] else s for k, s in enumerate(node.shape))
        node = concat(node, spread_to(first, row), axis=axes[0])
    pick = elementwise_ops.maximum if op is ops.max else elementwise_ops.minimum
    return wrap(pick(_reduced(op, name, node, axis, keepdims), first))


def max(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """Return the largest element along axes, NaN if any is; tied elements share the cotangent equally.

    With the number `initial`, it is that or more, and there may be nothing along the axes; only then may a mask `where`
    leave elements out.

    >>> gx.max(gx.placeholder((3, 4), name="x"), axis=0)
    <Tensor f32[4] = max(x)>
    """
    return _extreme(ops.max, "max", x, axis, keepdims, initial, where)


def min(
    x: ArrayLike,
    /,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """Return the smallest element along axes, NaN if any is; tied elements share the cotangent equally.

    `initial` and `where` are as for `max`.

    >>> gx.min(gx.placeholder((3, 4), name="x"), axis=0)
    <Tensor f32[4] = min(x)>
    """
    return _extreme(ops.min, "min", x, axis, keepdims, initial, where)


def any(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike | None = None) -> Tensor:
    """Return whether an element along axes, of those in the mask, is true; numbers are where they are not 0.

    >>> gx.any(gx.placeholder((3, 4), "bool", name="p"), axis=0)
    <Tensor bool[4] = any(p)>
    """
    node = _masked("any", cast_to(as_node("any", x), BOOL), where, False)
    return wrap(_reduced(ops.any_, "any", node, axis, keepdims))


def all(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike | None = None) -> Tensor:
    """Return whether all elements along axes, of those in the mask, are true; numbers are where they are not 0.

    >>> gx.all(gx.placeholder((3, 4), "bool", name="p"), axis=0)
    <Tensor bool[4] = all(p)>
    """
    node = _masked("all", cast_to(as_node("all", x), BOOL), where, True)
    return wrap(_reduced(ops.all_, "all", node, axis, keepdims))


def count_nonzero(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the number of elements along axes that are not 0, as int64.

    >>> gx.count_nonzero(gx.placeholder((3, 4), name="x")).dtype
    dtype('int64')
    """
    truth = cast_to(as_node("count_nonzero", x), BOOL)
    return wrap(_reduced(ops.sum, "count_nonzero", cast_to(truth, INT64), axis, keepdims))


# Averages.


def _averaged(name: str, x: ArrayLike, dtype: Any) -> Node:
    node = as_node(name, x)
    wanted = as_dtype(dtype) if dtype is not None else (node.dtype if node.dtype.kind == "f" else FLOAT64)
    if wanted.kind != "f":
        raise DTypeError(f"{name}: dtype must be floating-point, got {wanted.name}")
    return cast_to(node, wanted)


def _length(node: Node, axis: Axis, where: ArrayLike | None = None) -> Node:
    """Return the number of elements that a reduction over `axis` takes in, in the node's dtype."""
    if where is not None:
        truth = repeated_to("mean", cast_to(as_node("mean", where), BOOL), node.shape)
        return _reduced(ops.sum, "mean", cast_to(truth, node.dtype), axis, keepdims=False)
    total = dims.product(node.shape[k] for k in axis_indices("mean", axis, node.ndim))
    return literal(total, node.dtype) if isinstance(total, int) else cast_to(size(value=total), node.dtype)


def _mean(name: str, node: Node, axis: Axis, where: ArrayLike | None) -> Node:
    return _reduced(ops.sum, name, _masked(name, node, where, 0), axis, keepdims=False) / _length(node, axis, where)


def _kept(found: Node, node: Node, axis: Axis, keepdims: bool) -> Node:
    return _with_kept(found, node, axis_indices("mean", axis, node.ndim)) if keepdims else found


def mean(
    x: ArrayLike,
    /,
    axis: Axis = None,
    dtype: Any = None,
    *,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> Tensor:
    """Return the average along axes, of elements in the mask `where`; NaN of nothing.

    Floats have their own dtype unless another is given, others float64.

    >>> gx.mean(gx.placeholder((3, 4), name="x"), axis=0).shape
    (4,)
    """
    node = _averaged("mean", x, dtype)
    return wrap(_kept(_mean("mean", node, axis, where), node, axis, keepdims))


def var(
    x: ArrayLike,
    /,
    axis: Axis = None,
    dtype: Any = None,
    *,
    correction: float = 0,
    ddof: float | None = None,
    keepdims: bool = False,
    mean: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """Return the mean squared distance from the mean, with n - correction in place of n elements.

    `ddof` is NumPy's name for `correction`; `mean`, if it is known already, has the axes that are reduced, of size 1.
    Elements are those in the mask `where`. What is not positive of n - correction counts as 0, and the result is NaN
    or infinite.

    >>> gx.var(gx.placeholder((3, 4), name="x"), axis=0, correction=1).shape
    (4,)
    """
    node = _averaged("var", x, dtype)
    found = _variance("var", node, axis, correction if ddof is None else ddof, mean, where)
    return wrap(_kept(found, node, axis, keepdims))


def std(
    x: ArrayLike,
    /,
    axis: Axis = None,
    dtype: Any = None,
    *,
    correction: float = 0,
    ddof: float | None = None,
    keepdims: bool = False,
    mean: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Tensor:
    """Return the square root of `var`; its derivative is 0 where all elements are equal, as PyTorch has it.

    >>> gx.std(gx.placeholder((3, 4), name="x"), axis=0).shape
    (4,)
    """
    node = _averaged("std", x, dtype)
    variance = _variance("std", node, axis, correction if ddof is None else ddof, mean, where)
    # The mask keeps the derivative away from sqrt at 0.
    spreads = elementwise_ops.ne(variance, 0.0)
    deviation = elementwise_ops.choose(spreads, elementwise_ops.sqrt(variance), 0.0)
    return wrap(_kept(deviation, node, axis, keepdims))


def _variance(
    name: str, node: Node, axis: Axis, correction: float, mean: ArrayLike | None, where: ArrayLike | None
) -> Node:
    axes = axis_indices(name, axis, node.ndim)
    if mean is None:
        middle = repeated(_mean(name, node, axis, where), node, axes)
    else:
        middle = repeated_to(name, as_node(name, mean, node.dtype), node.shape)
    distance = _masked(name, node - middle, where, 0)
    total = _reduced(ops.sum, name, distance * distance, axis, keepdims=False)
    length = _length(node, axis, where)
    if isinstance(correction, int | float) and correction == 0:
        return total / length
    less = _number(name, "correction", correction, node)
    return total / elementwise_ops.maximum(length - less, literal(0, node.dtype))


def repeated(result: Node, node: Node, axes: Sequence[int]) -> Node:
    """Return a reduction of `node` over `axes` ready to meet its elements; rank 0 already is."""
    return ops.spread(result, node, tuple(axes)) if 0 < result.ndim < node.ndim else result


# Positions.


def argmax(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the position of the largest element along an axis, or in the flattened x, as int64.

    It is that of the first NaN if there is one, else of the first maximum.

    >>> gx.argmax(gx.placeholder((3, 4), name="x"), axis=1).dtype
    dtype('int64')
    """
    return wrap(_position(ops.max, "argmax", as_node("argmax", x), axis, keepdims))


def argmin(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the position of the smallest element along an axis, or in the flattened x, as int64.

    It is that of the first NaN if there is one, else of the first minimum.

    >>> gx.argmin(gx.placeholder((3, 4), name="x"), axis=1).dtype
    dtype('int64')
    """
    return wrap(_position(ops.min, "argmin", as_node("argmin", x), axis, keepdims))


def _position(extreme: Reduction, name: str, x: Node, axis: int | None, keepdims: bool) -> Node:
    node = x if axis is not None else reshape(x, shape=(x.tensor_type.size,))
    place = 0 if axis is None else axis_index(name, axis, x.ndim)
    found = _reduced(extreme, name, node, place, keepdims=False)
    hit = eq(node, repeated(found, node, (place,)))
    if node.dtype.kind == "f":
        hit = elementwise_ops.bitwise_or(hit, ne(node, node))
    places = iota(shape=node.shape, axis=place, dtype=INT64)
    first = ops.min(elementwise_ops.where(hit, places, literal(np.iinfo(np.int64).max, INT64)), axis=(place,))
    if not flag(name, "keepdims", keepdims):
        return first
    return _with_kept(first, x, tuple(range(x.ndim)) if axis is None else (place,))


# Sums of exponentials.


def logsumexp(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) along axes, without overflow; -inf, with derivative 0, where all elements are -inf.

    >>> gx.logsumexp(gx.placeholder((3, 4), name="x"), axis=1).shape
    (3,)
    """
    node = as_float("logsumexp", x)
    axes = tuple(sorted(axis_indices("logsumexp", axis, node.ndim)))
    require_elements("logsumexp", node, axes)
    result = log_sum_exp(node, axes) if axes else node
    return wrap(_with_kept(result, node, axes) if flag("logsumexp", "keepdims", keepdims) else result)


amax, amin = max, min
