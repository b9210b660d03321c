"""Arithmetic that NumPy has beyond the array API standard, made of the functions there.

Quotients toward zero, extremes that pass over NaN, whole-number arithmetic, degrees.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from graphc.array.control import while_loop
from graphc.array.convert import (
    ArrayLike,
    align,
    as_float,
    as_node,
    cast_to,
    common_shape,
    pair,
    promote_floats,
    spread_to,
)
from graphc.array.elementwise import (
    abs,
    add,
    floor_divide,
    maximum,
    minimum,
    multiply,
    negative,
    pow,
    remainder,
    subtract,
    trunc,
)
from graphc.array.handle import wrap
from graphc.array.logic import (
    bitwise_and,
    bitwise_right_shift,
    equal,
    isinf,
    isnan,
    less,
    logical_and,
    not_equal,
    signbit,
    where,
)
from graphc.array.reduce import any
from graphc.errors import DTypeError
from graphc.ir.types import FLOAT64
from graphc.ops.elementwise import softplus

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _numbers(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return two numbers of one dtype; bools become int8, as in NumPy."""
    a, b = pair(name, x, y)
    if a.dtype.kind == "b":
        a, b = cast_to(a, np.dtype("int8")), cast_to(b, np.dtype("int8"))
    return wrap(a), wrap(b)


def _floats(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    a, b = align(name, promote_floats(name, (x, y)))
    return wrap(a), wrap(b)


def _float(name: str, x: ArrayLike) -> Tensor:
    return wrap(as_float(name, x))


# Extremes and quotients.


def fmax(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the larger one, the number where the other is NaN; ties as for `maximum`.

    >>> gx.fmax(gx.placeholder((3,), name="x"), 0).dtype
    dtype('float32')
    """
    a, b = map(wrap, pair("fmax", x1, x2))
    return maximum(a, b) if a.dtype.kind != "f" else where(isnan(a), b, where(isnan(b), a, maximum(a, b)))


def fmin(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the smaller one, the number where the other is NaN; ties as for `minimum`.

    >>> gx.fmin(gx.placeholder((3,), name="x"), 0).dtype
    dtype('float32')
    """
    a, b = map(wrap, pair("fmin", x1, x2))
    return minimum(a, b) if a.dtype.kind != "f" else where(isnan(a), b, where(isnan(b), a, minimum(a, b)))


def fmod(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return what is left of x1 after dividing by x2 toward zero: C's fmod, with the sign of x1.

    Integers modulo zero give 0. The gradient is 1 for x1 and -trunc(x1 / x2) for x2.

    >>> gx.fmod(gx.placeholder((3,), name="x"), 2).shape
    (3,)
    """
    a, b = _numbers("fmod", x1, x2)
    if a.dtype.kind == "u":
        return remainder(a, b)
    if a.dtype.kind == "i":
        rest = remainder(a, b)
        return where(logical_and(not_equal(rest, 0), not_equal(less(a, 0), less(rest, 0))), subtract(rest, b), rest)
    divisor = abs(b)
    return where(signbit(a), negative(remainder(negative(a), divisor)), remainder(a, divisor))


def divmod(x1: ArrayLike, x2: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Return `floor_divide` and `remainder`.

    >>> [t.dtype for t in gx.divmod(gx.placeholder((3,), "int32"), 2)]
    [dtype('int32'), dtype('int32')]
    """
    return floor_divide(x1, x2), remainder(x1, x2)


def fabs(x: ArrayLike, /) -> Tensor:
    """Return the absolute value as a float; the gradient at 0 is 0.

    >>> gx.fabs(gx.placeholder((3,), "int32")).dtype
    dtype('float64')
    """
    return abs(_float("fabs", x))


def fix(x: ArrayLike, /) -> Tensor:
    """Round toward zero, as `trunc`. The gradient is zero.

    >>> gx.fix(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = trunc(x)>
    """
    return trunc(x)


def float_power(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Raise to a power in float64, integers too.

    >>> gx.float_power(gx.placeholder((3,), "int32"), -2).dtype
    dtype('float64')
    """
    return pow(wrap(as_node("float_power", x1, FLOAT64)), wrap(as_node("float_power", x2, FLOAT64)))


def heaviside(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return 0 below zero, 1 above, x2 at zero and NaN for NaN; the gradient is zero but for x2 where x1 is 0.

    >>> gx.heaviside(gx.placeholder((3,), name="x"), 0.5).dtype
    dtype('float32')
    """
    a, b = _floats("heaviside", x1, x2)
    return where(isnan(a), np.nan, where(equal(a, 0), b, where(less(a, 0), 0.0, 1.0).astype(a.dtype)))


def logaddexp2(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return log2(2**x1 + 2**x2) without overflow; infinities follow the limit. Gradients are those of `logaddexp`.

    >>> gx.logaddexp2(gx.placeholder((3,), name="x"), 0.0).shape
    (3,)
    """
    a, b = _floats("logaddexp2", x1, x2)
    # Choosing the larger by `where`, not `maximum`, keeps derivatives of every order right at a tie.
    is_less = less(a, b)
    high, low = where(is_less, b, a), where(is_less, a, b)
    both_infinite = logical_and(equal(a, b), isinf(a))
    distance = where(both_infinite, 0.0, subtract(low, high))
    found = add(high, multiply(wrap(softplus(multiply(distance, math.log(2.0)).node)), 1 / math.log(2.0)))
    return where(both_infinite, add(multiply(a, 0.5), multiply(b, 0.5)), found)  # the gradient is 1/2 for each


# Angles.


def deg2rad(x: ArrayLike, /) -> Tensor:
    """Return degrees as radians.

    >>> gx.deg2rad(gx.placeholder((3,), name="x")).dtype
    dtype('float32')
    """
    return multiply(_float("deg2rad", x), math.pi / 180)


def rad2deg(x: ArrayLike, /) -> Tensor:
    """Return radians as degrees.

    >>> gx.rad2deg(gx.placeholder((3,), name="x")).dtype
    dtype('float32')
    """
    return multiply(_float("rad2deg", x), 180 / math.pi)


# Whole numbers.


def _whole(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    a, b = pair(name, x, y)
    if a.dtype.kind not in "iu":
        raise DTypeError(f"{name}: takes integers, got {a.type} and {b.type}")
    shape = common_shape(name, (a, b))
    return wrap(spread_to(a, shape)), wrap(spread_to(b, shape))


def gcd(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the greatest common divisor of integers, not negative; gcd(0, 0) is 0.

    >>> gx.gcd(gx.placeholder((3,), "int32"), 12).dtype
    dtype('int32')
    """
    a, b = _whole("gcd", x1, x2)

    def step(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        big, small = pair
        is_done = equal(small, 0)
        return where(is_done, big, small), where(is_done, 0, remainder(big, where(is_done, 1, small)))

    found: Tensor = while_loop(lambda pair: any(not_equal(pair[1], 0)), step, (a, b))[0]
    return abs(found)


def lcm(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the least common multiple of integers, not negative unless it wraps; 0 where one is 0.

    >>> gx.lcm(gx.placeholder((3,), "int32"), 12).dtype
    dtype('int32')
    """
    a, b = _whole("lcm", x1, x2)
    divisor = gcd(a, b)
    return multiply(floor_divide(abs(a), where(equal(divisor, 0), 1, divisor)), abs(b))


_PAIRS, _QUADS, _BYTES = 0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F


def bitwise_count(x: ArrayLike, /) -> Tensor:
    """Return the number of bits set in the absolute value of integers, as uint8.

    >>> gx.bitwise_count(gx.placeholder((3,), "int32")).dtype
    dtype('uint8')
    """
    node = as_node("bitwise_count", x)
    if node.dtype.kind not in "biu":
        raise DTypeError(f"bitwise_count: takes integers, got {node.type}")
    if node.dtype.kind == "b":
        return wrap(cast_to(node, np.dtype("uint8")))
    bits = 8 * node.dtype.itemsize
    n = abs(wrap(node)).astype(f"uint{bits}")
    pairs, quads, bytes_, ones = (m & ((1 << bits) - 1) for m in (_PAIRS, _QUADS, _BYTES, 0x0101010101010101))
    # The sums of neighbours side by side: of single bits, of pairs, of fours, then all bytes into the highest.
    n = subtract(n, bitwise_and(bitwise_right_shift(n, 1), pairs))
    n = add(bitwise_and(n, quads), bitwise_and(bitwise_right_shift(n, 2), quads))
    n = bitwise_and(add(n, bitwise_right_shift(n, 4)), bytes_)
    return bitwise_right_shift(multiply(n, ones), bits - 8).astype("uint8")


# NumPy's names.

radians, degrees = deg2rad, rad2deg
