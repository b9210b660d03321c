"""Reductions that pass over NaN: sums, products, extremes, averages, running folds.

A NaN has no influence on the result, and no derivative. Integers have none, and are reduced as usual.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array import reduce
from graphc.array.convert import ArrayLike, as_node
from graphc.array.cumulative import cumprod, cumsum
from graphc.array.handle import wrap
from graphc.array.logic import isnan, logical_not, where
from graphc.array.reduce import Axis
from graphc.ir.types import INT64
from graphc.ops.elementwise import check_index

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _given(name: str, x: ArrayLike) -> tuple[Tensor, Tensor | None]:
    """Return the array and where it is a number; None for integers, which always are."""
    given = wrap(as_node(name, x))
    return given, (logical_not(isnan(given)) if given.dtype.kind == "f" else None)


def _without(name: str, x: ArrayLike, otherwise: float) -> Tensor:
    """Return the array with another number in place of NaN."""
    given, is_number = _given(name, x)
    return given if is_number is None else where(is_number, given, otherwise)


def nansum(x: ArrayLike, /, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
    """Return `sum` with NaN as 0.

    >>> gx.nansum(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    return reduce.sum(_without("nansum", x, 0.0), axis, dtype, keepdims=keepdims)


def nanprod(x: ArrayLike, /, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
    """Return `prod` with NaN as 1.

    >>> gx.nanprod(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    return reduce.prod(_without("nanprod", x, 1.0), axis, dtype, keepdims=keepdims)


def nancumsum(x: ArrayLike, /, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return `cumsum` with NaN as 0.

    >>> gx.nancumsum(gx.placeholder((3, 4)), axis=0).shape
    (3, 4)
    """
    return cumsum(_without("nancumsum", x, 0.0), axis, dtype)


def nancumprod(x: ArrayLike, /, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return `cumprod` with NaN as 1.

    >>> gx.nancumprod(gx.placeholder((3, 4)), axis=0).shape
    (3, 4)
    """
    return cumprod(_without("nancumprod", x, 1.0), axis, dtype)


def nanmax(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the largest number along axes, NaN where there is none; tied ones share the cotangent equally.

    >>> gx.nanmax(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    found = reduce.max(_without("nanmax", x, -math.inf), axis, keepdims=keepdims)
    return _or_nan("nanmax", x, found, axis, keepdims)


def nanmin(x: ArrayLike, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the smallest number along axes, NaN where there is none; tied ones share the cotangent equally.

    >>> gx.nanmin(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    found = reduce.min(_without("nanmin", x, math.inf), axis, keepdims=keepdims)
    return _or_nan("nanmin", x, found, axis, keepdims)


def _or_nan(name: str, x: ArrayLike, found: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    _, is_number = _given(name, x)
    if is_number is None:
        return found
    return where(reduce.any(is_number, axis, keepdims=keepdims), found, math.nan)


def nanmean(x: ArrayLike, /, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
    """Return the average of the numbers along axes, NaN where there are none.

    >>> gx.nanmean(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    given, is_number = _given("nanmean", x)
    return reduce.mean(given, axis, dtype, keepdims=keepdims, where=is_number)


def nanvar(
    x: ArrayLike,
    /,
    axis: Axis = None,
    dtype: Any = None,
    *,
    ddof: float = 0,
    correction: float | None = None,
    keepdims: bool = False,
    mean: ArrayLike | None = None,
) -> Tensor:
    """Return `var` of the numbers along axes, NaN where there are not more than ddof.

    >>> gx.nanvar(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    lost = ddof if correction is None else correction
    given, is_number = _given("nanvar", x)
    found = reduce.var(given, axis, dtype, correction=lost, keepdims=keepdims, mean=mean, where=is_number)
    return _if_enough(found, is_number, axis, lost, keepdims)


def nanstd(
    x: ArrayLike,
    /,
    axis: Axis = None,
    dtype: Any = None,
    *,
    ddof: float = 0,
    correction: float | None = None,
    keepdims: bool = False,
    mean: ArrayLike | None = None,
) -> Tensor:
    """Return `std` of the numbers along axes, NaN where there are not more than ddof.

    >>> gx.nanstd(gx.placeholder((3, 4)), axis=0).shape
    (4,)
    """
    lost = ddof if correction is None else correction
    given, is_number = _given("nanstd", x)
    found = reduce.std(given, axis, dtype, correction=lost, keepdims=keepdims, mean=mean, where=is_number)
    return _if_enough(found, is_number, axis, lost, keepdims)


def _if_enough(found: Tensor, is_number: Tensor | None, axis: Axis, lost: float, keepdims: bool) -> Tensor:
    if is_number is None:
        return found
    return where(reduce.sum(is_number, axis, keepdims=keepdims) > lost, found, math.nan)


def nanargmax(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the position of the largest number along an axis, or in the flattened x, as int64.

    Where there is no number, it is an OutOfBoundsError when the graph runs.

    >>> gx.nanargmax(gx.placeholder((3, 4)), axis=0).dtype
    dtype('int64')
    """
    found = reduce.argmax(_without("nanargmax", x, -math.inf), axis, keepdims=keepdims)
    return _checked("nanargmax", x, found, axis, keepdims)


def nanargmin(x: ArrayLike, /, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """Return the position of the smallest number along an axis, or in the flattened x, as int64.

    Where there is no number, it is an OutOfBoundsError when the graph runs.

    >>> gx.nanargmin(gx.placeholder((3, 4)), axis=0).dtype
    dtype('int64')
    """
    found = reduce.argmin(_without("nanargmin", x, math.inf), axis, keepdims=keepdims)
    return _checked("nanargmin", x, found, axis, keepdims)


def _checked(name: str, x: ArrayLike, found: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    """Return positions, -1 and thereby an error where there is no number."""
    _, is_number = _given(name, x)
    if is_number is None:
        return found
    place = where(reduce.any(is_number, axis, keepdims=keepdims), found, -1)
    return wrap(check_index(place.astype(INT64).node, size=int(np.iinfo(np.int64).max), wrap=False))
