"""Whether numbers are close and arrays equal, and what kind of number one is. Nothing here has a gradient."""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, as_float, as_node, differ, flag, promote
from graphc.array.elementwise import abs, add, multiply, subtract
from graphc.array.handle import wrap
from graphc.array.logic import equal, isfinite, isnan, less_equal, logical_and, logical_or
from graphc.array.reduce import all
from graphc.errors import ShapeError
from graphc.ir.graph import Node, literal
from graphc.ir.types import BOOL

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def isposinf(x: ArrayLike, /) -> Tensor:
    """Return whether x is the positive infinity.

    >>> gx.isposinf(gx.placeholder((3,), name="x"))
    <Tensor bool[3] = eq(x, inf)>
    """
    return equal(wrap(as_float("isposinf", x)), math.inf)


def isneginf(x: ArrayLike, /) -> Tensor:
    """Return whether x is the negative infinity.

    >>> gx.isneginf(gx.placeholder((3,), name="x"))
    <Tensor bool[3] = eq(x, -inf)>
    """
    return equal(wrap(as_float("isneginf", x)), -math.inf)


def isclose(
    x1: ArrayLike, x2: ArrayLike, /, rtol: ArrayLike = 1e-05, atol: ArrayLike = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Return whether |x1 - x2| <= atol + rtol * |x2|, infinities of one sign being close.

    NaN is close to nothing, and to NaN with `equal_nan`.

    >>> gx.isclose(gx.placeholder((3,), name="x"), 1.0).dtype
    dtype('bool')
    """
    a, b = map(wrap, promote("isclose", (x1, wrap(as_float("isclose", x2)))))
    near = less_equal(abs(subtract(a, b)), add(atol, multiply(rtol, abs(b))))
    close = logical_or(logical_and(near, isfinite(b)), equal(a, b))
    return logical_or(close, logical_and(isnan(a), isnan(b))) if flag("isclose", "equal_nan", equal_nan) else close


def allclose(
    x1: ArrayLike, x2: ArrayLike, /, rtol: ArrayLike = 1e-05, atol: ArrayLike = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Return whether all elements are close; see `isclose`.

    >>> gx.allclose(gx.placeholder((3,), name="x"), 1.0).shape
    ()
    """
    return all(isclose(x1, x2, rtol, atol, equal_nan))


def array_equal(x1: ArrayLike, x2: ArrayLike, /, equal_nan: bool = False) -> Tensor:
    """Return whether two arrays have one shape and equal elements; with `equal_nan`, NaN equals NaN.

    Where sizes are not known yet, the call checks that they agree, and is an error if they do not.

    >>> gx.array_equal(gx.placeholder((3,)), gx.placeholder((4,)))
    <Tensor bool[] = False>
    """
    a, b = as_node("array_equal", x1), as_node("array_equal", x2)
    if a.ndim != b.ndim or builtins.any(differ(m, n) for m, n in zip(a.shape, b.shape, strict=True)):
        return wrap(literal(False, BOOL))
    return all(_same(a, b, equal_nan))


def array_equiv(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return whether two arrays have shapes that broadcast, and are equal then.

    >>> gx.array_equiv(gx.placeholder((3,)), gx.placeholder((2, 3))).shape
    ()
    """
    a, b = as_node("array_equiv", x1), as_node("array_equiv", x2)
    try:
        return all(_same(a, b, False))
    except ShapeError:
        return wrap(literal(False, BOOL))


def _same(a: Node, b: Node, equal_nan: bool) -> Tensor:
    x, y = wrap(a), wrap(b)
    found = equal(x, y)
    return logical_or(found, logical_and(isnan(x), isnan(y))) if flag("array_equal", "equal_nan", equal_nan) else found
