"""x log(y) and the entropies made of it. Where x is 0 beside a singular logarithm, value and gradient are 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike
from graphc.array.handle import wrap
from graphc.ir.graph import Node, literal
from graphc.ops.elementwise import bitwise_and, bitwise_or, eq, ge, gt, log, log1p, lt, ne, where
from graphc.special.operands import floats

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _times_log(x: Node, y: Node, lowest: float, logarithm: Node) -> Node:
    """Return x * logarithm, but 0 where x is 0 and y outside of (lowest, inf)."""
    is_singular = bitwise_or(bitwise_or(lt(y, lowest), eq(y, lowest)), eq(y, np.inf))
    return where(bitwise_and(eq(x, 0.0), is_singular), literal(0, x.dtype), x * logarithm)


def xlogy(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Return x * log(y), and 0 where x is 0, unless y is NaN.

    The gradient is (log(y), x / y), and 0 where x is 0 and y <= 0 or infinite.

    >>> gx.special.xlogy(gx.placeholder((3,), name="x"), 2.0).shape
    (3,)
    """
    a, b = floats("xlogy", x, y)
    return wrap(_times_log(a, b, 0.0, log(b)))


def xlog1py(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Return x * log(1 + y), and 0 where x is 0, unless y is NaN.

    The gradient is (log1p(y), x / (1 + y)), and 0 where x is 0 and y <= -1 or infinite.

    >>> gx.special.xlog1py(gx.placeholder((3,), name="x"), 1.0).shape
    (3,)
    """
    a, b = floats("xlog1py", x, y)
    return wrap(_times_log(a, b, -1.0, log1p(b)))


def entr(x: ArrayLike, /) -> Tensor:
    """Return the elementwise entropy -x * log(x): 0 at 0, -inf below. The gradient at 0 is 0.

    >>> gx.special.entr(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    (a,) = floats("entr", x)
    inside = where(eq(a, 0.0), literal(0, a.dtype), -(a * log(a)))
    return wrap(where(lt(a, 0.0), literal(-np.inf, a.dtype), inside))


def rel_entr(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Return x * log(x / y) for x, y > 0; 0 for x = 0 <= y, inf elsewhere.

    The gradient is (log(x / y) + 1, -x / y), and 0 where x is 0.

    >>> gx.special.rel_entr(gx.placeholder((3,), name="x"), 0.5).shape
    (3,)
    """
    a, b = floats("rel_entr", x, y)
    return wrap(_rel_entr(a, b))


def kl_div(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """Return rel_entr(x, y) - x + y: y for x = 0 <= y, inf where x or y is negative, or y is 0 and x is not.

    The gradient is (log(x / y), 1 - x / y), and (-1, 1) where x is 0.

    >>> gx.special.kl_div(gx.placeholder((3,), name="x"), 0.5).shape
    (3,)
    """
    a, b = floats("kl_div", x, y)
    return wrap(_rel_entr(a, b) - a + b)


def _rel_entr(x: Node, y: Node) -> Node:
    one = literal(1, x.dtype)
    inside = bitwise_and(gt(x, 0.0), gt(y, 0.0))
    p, q = where(inside, x, one), where(inside, y, one)
    ratio = p / q
    # The quotient of neighbours loses digits that their difference has; that of extremes overflows.
    is_near = bitwise_and(gt(ratio, 0.5), lt(ratio, 2.0))
    is_moderate = bitwise_and(gt(ratio, 2.0**-90), lt(ratio, 2.0**90))
    near = log1p(where(is_near, (p - q) / q, literal(0, x.dtype)))
    far = where(is_moderate, log(ratio), log(p) - log(q))
    value = p * where(is_near, near, far)
    is_zero = bitwise_and(eq(x, 0.0), ge(y, 0.0))
    is_nan = bitwise_or(ne(x, x), ne(y, y))
    outside = where(is_zero, literal(0, x.dtype), where(is_nan, literal(np.nan, x.dtype), literal(np.inf, x.dtype)))
    return where(inside, value, outside)
