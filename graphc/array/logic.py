"""Comparisons, logic on truth values, bits, and choosing by a condition. Nothing here but `where` has a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, align, as_node, cast_to, operands, pair, promote
from graphc.array.handle import wrap
from graphc.errors import DTypeError
from graphc.ir.graph import Elementwise, Node, literal
from graphc.ir.types import BOOL, FLOAT64
from graphc.ops import elementwise as ops

if TYPE_CHECKING:
    from graphc.tensor import Tensor

INT8 = np.dtype("int8")


def _comparison(op: Elementwise, name: str, x: ArrayLike, y: ArrayLike) -> Tensor:
    return wrap(op(*_comparable(name, x, y)))


def _comparable(name: str, x: Any, y: Any) -> tuple[Node, Node]:
    """Return operands of one dtype and of the order of the given ones; integers compare exactly, as in NumPy."""
    try:
        a, b = pair(name, x, y)
    except DTypeError:
        if type(x) is not int and type(y) is not int:
            raise
        # What the other's dtype cannot hold lies beyond all of its numbers.
        beyond = [np.float64(np.copysign(np.inf, v)) if type(v) is int else v for v in (x, y)]
        return operands(name, *beyond)  # type: ignore[return-value]
    if a.dtype != FLOAT64:
        return a, b
    given = as_node(name, x), as_node(name, y)
    return _ordered(*align(name, given)) if all(n.dtype.kind in "iu" for n in given) else (a, b)


def _ordered(a: Node, b: Node) -> tuple[Node, Node]:
    """Return small numbers in the order of integers that no integer dtype has together: int64 and uint64."""
    if a.dtype.kind == "u":
        small, large = _ordered(b, a)
        return large, small
    zero, whole = literal(0, a.dtype), cast_to(a, b.dtype)
    is_negative = ops.lt(a, zero)
    is_less = ops.bitwise_or(is_negative, ops.lt(whole, b))
    is_greater = ops.bitwise_and(ops.ge(a, zero), ops.gt(whole, b))
    return cast_to(is_greater, INT8), cast_to(is_less, INT8)


def less(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 < x2.

    >>> gx.less(gx.placeholder((3,), name="x"), 0)
    <Tensor bool[3] = lt(x, 0.0)>
    """
    return _comparison(ops.lt, "less", x1, x2)


def less_equal(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 <= x2.

    >>> gx.less_equal(gx.placeholder((3,), name="x"), 0)
    <Tensor bool[3] = le(x, 0.0)>
    """
    return _comparison(ops.le, "less_equal", x1, x2)


def greater(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 > x2.

    >>> gx.greater(gx.placeholder((3,), name="x"), 0)
    <Tensor bool[3] = gt(x, 0.0)>
    """
    return _comparison(ops.gt, "greater", x1, x2)


def greater_equal(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 >= x2.

    >>> gx.greater_equal(gx.placeholder((3,), name="x"), 0)
    <Tensor bool[3] = ge(x, 0.0)>
    """
    return _comparison(ops.ge, "greater_equal", x1, x2)


def equal(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 == x2, false for NaN.

    >>> gx.equal(gx.placeholder((3,), name="x"), 0)
    <Tensor bool[3] = eq(x, 0.0)>
    """
    return _comparison(ops.eq, "equal", x1, x2)


def not_equal(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 != x2, true for NaN.

    >>> gx.not_equal(gx.placeholder((3,), name="x"), 0)
    <Tensor bool[3] = ne(x, 0.0)>
    """
    return _comparison(ops.ne, "not_equal", x1, x2)


# Properties of floating-point numbers.


def isnan(x: ArrayLike, /) -> Tensor:
    """Return whether x is not a number.

    >>> gx.isnan(gx.placeholder((3,), name="x")).dtype
    dtype('bool')
    """
    node = as_node("isnan", x)
    return wrap(ops.ne(node, node))


def isinf(x: ArrayLike, /) -> Tensor:
    """Return whether x is an infinity of either sign.

    >>> gx.isinf(gx.placeholder((3,), name="x")).dtype
    dtype('bool')
    """
    node = as_node("isinf", x)
    if node.dtype.kind != "f":
        return wrap(ops.ne(node, node))
    return wrap(ops.eq(ops.abs(node), literal(np.inf, node.dtype)))


def isfinite(x: ArrayLike, /) -> Tensor:
    """Return whether x is neither infinite nor NaN.

    >>> gx.isfinite(gx.placeholder((3,), name="x")).dtype
    dtype('bool')
    """
    node = as_node("isfinite", x)
    if node.dtype.kind != "f":
        return wrap(ops.eq(node, node))
    return wrap(ops.lt(ops.abs(node), literal(np.inf, node.dtype)))


def signbit(x: ArrayLike, /) -> Tensor:
    """Return whether the sign is negative, that of a zero or NaN included.

    >>> gx.signbit(gx.placeholder((3,), name="x")).dtype
    dtype('bool')
    """
    node = as_node("signbit", x)
    if node.dtype.kind == "f":
        node = ops.copysign(literal(1, node.dtype), node)
    return wrap(ops.lt(node, literal(0, node.dtype)))


# Logic on truth values; numbers are true where they are not 0.


def _truths(name: str, *values: ArrayLike) -> tuple[Node, ...]:
    return align(name, [cast_to(as_node(name, v), BOOL) for v in values])


def logical_and(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return whether both are true.

    >>> gx.logical_and(gx.placeholder((3,), "bool", name="p"), True)
    <Tensor bool[3] = bitwise_and(p, True)>
    """
    return wrap(ops.bitwise_and(*_truths("logical_and", x1, x2)))


def logical_or(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return whether at least one is true.

    >>> gx.logical_or(gx.placeholder((3,), "bool", name="p"), False)
    <Tensor bool[3] = bitwise_or(p, False)>
    """
    return wrap(ops.bitwise_or(*_truths("logical_or", x1, x2)))


def logical_xor(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return whether exactly one is true.

    >>> gx.logical_xor(gx.placeholder((3,), "bool", name="p"), True)
    <Tensor bool[3] = bitwise_xor(p, True)>
    """
    return wrap(ops.bitwise_xor(*_truths("logical_xor", x1, x2)))


def logical_not(x: ArrayLike, /) -> Tensor:
    """Return whether it is false.

    >>> gx.logical_not(gx.placeholder((3,), "bool", name="p"))
    <Tensor bool[3] = bitwise_not(p)>
    """
    return wrap(ops.bitwise_not(*_truths("logical_not", x)))


# Bits of integers and bools.


def _bitwise(op: Elementwise, name: str, x: ArrayLike, y: ArrayLike) -> Tensor:
    a, b = pair(name, x, y)
    if a.dtype.kind == "f":
        raise DTypeError(f"{name}: takes integers and bools, got {a.type} and {b.type}")
    return wrap(op(a, b))


def bitwise_and(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the bits that both have.

    >>> gx.bitwise_and(gx.placeholder((3,), "int32", name="n"), 7)
    <Tensor i32[3] = bitwise_and(n, 7)>
    """
    return _bitwise(ops.bitwise_and, "bitwise_and", x1, x2)


def bitwise_or(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the bits that at least one has.

    >>> gx.bitwise_or(gx.placeholder((3,), "int32", name="n"), 7)
    <Tensor i32[3] = bitwise_or(n, 7)>
    """
    return _bitwise(ops.bitwise_or, "bitwise_or", x1, x2)


def bitwise_xor(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the bits that exactly one has.

    >>> gx.bitwise_xor(gx.placeholder((3,), "int32", name="n"), 7)
    <Tensor i32[3] = bitwise_xor(n, 7)>
    """
    return _bitwise(ops.bitwise_xor, "bitwise_xor", x1, x2)


def bitwise_invert(x: ArrayLike, /) -> Tensor:
    """Return the other bits; for bools it is `logical_not`.

    >>> gx.bitwise_invert(gx.placeholder((3,), "int32", name="n"))
    <Tensor i32[3] = bitwise_not(n)>
    """
    node = as_node("bitwise_invert", x)
    if node.dtype.kind == "f":
        raise DTypeError(f"bitwise_invert: takes integers and bools, got {node.type}")
    return wrap(ops.bitwise_not(node))


def _shift(op: Elementwise, name: str, x: ArrayLike, y: ArrayLike) -> tuple[Node, Node, Node]:
    """Return the value, whether the amount is at least 0 and below the number of bits, and the shifted value."""
    a, b = pair(name, x, y)
    if a.dtype.kind not in "iu":
        raise DTypeError(f"{name}: takes integers, got {a.type} and {b.type}")
    bits = 8 * a.dtype.itemsize
    inside = ops.bitwise_and(ops.lt(b, literal(bits, b.dtype)), ops.ge(b, literal(0, b.dtype)))
    return a, inside, op(a, ops.bitwise_and(b, literal(bits - 1, b.dtype)))


def bitwise_left_shift(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Shift the bits up by x2 places; none are left where x2 is negative or at least the number of bits.

    >>> gx.bitwise_left_shift(gx.placeholder((3,), "int32", name="n"), 2).dtype
    dtype('int32')
    """
    a, inside, shifted = _shift(ops.left_shift, "bitwise_left_shift", x1, x2)
    return wrap(ops.where(inside, shifted, literal(0, a.dtype)))


def bitwise_right_shift(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Shift the bits down by x2 places, repeating the sign; only the sign is left where x2 is out of range.

    >>> gx.bitwise_right_shift(gx.placeholder((3,), "int32", name="n"), 2).dtype
    dtype('int32')
    """
    a, inside, shifted = _shift(ops.right_shift, "bitwise_right_shift", x1, x2)
    zero = literal(0, a.dtype)
    sign = zero if a.dtype.kind == "u" else ops.where(ops.lt(a, zero), literal(-1, a.dtype), zero)
    return wrap(ops.where(inside, shifted, sign))


# Choice.


def where(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 where the condition holds, else x2.

    The three broadcast together, x1 and x2 promote together, numbers as a condition hold where they are not 0. Each
    side's gradient is zero where the other side is taken.

    >>> x = gx.placeholder((3,), name="x")
    >>> gx.where(x > 0, x, 0).dtype
    dtype('float32')
    """
    chosen = cast_to(as_node("where", condition), BOOL)
    return wrap(ops.where(*align("where", [chosen, *promote("where", (x1, x2))])))


bitwise_not = invert = bitwise_invert
left_shift, right_shift = bitwise_left_shift, bitwise_right_shift
