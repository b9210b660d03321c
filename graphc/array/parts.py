"""What a number is made of: mantissa and exponent, whole part and fraction, real and imaginary part.

All numbers are real here: complex dtypes come later, and the functions about them say what holds for real numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, DType, as_float, as_node, flag, spread_to
from graphc.array.elementwise import (
    abs,
    add,
    copysign,
    exp2,
    floor,
    log2,
    maximum,
    minimum,
    multiply,
    negative,
    nextafter,
    stop_gradient,
    subtract,
    trunc,
)
from graphc.array.handle import Handle, wrap
from graphc.array.logic import (
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    logical_and,
    not_equal,
    signbit,
    where,
)
from graphc.errors import DTypeError
from graphc.ir.graph import Node, literal
from graphc.ir.types import BOOL

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _float(name: str, x: ArrayLike) -> Tensor:
    return wrap(as_float(name, x))


def _filled(like: Node, value: float, dtype: DType | None = None) -> Tensor:
    return wrap(spread_to(literal(value, dtype or like.dtype), like.shape))


def ldexp(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 * 2**x2 for integers x2, rounded once.

    >>> gx.ldexp(gx.placeholder((3,), name="x"), 4).dtype
    dtype('float32')
    """
    exponent = as_node("ldexp", x2)
    if exponent.dtype.kind not in "biu":
        raise DTypeError(f"ldexp: x2 must be integers, got {exponent.type}")
    return _scaled(_float("ldexp", x1), wrap(exponent).astype("int64"))


def _scaled(x: Tensor, exponent: Tensor) -> Tensor:
    """Multiply by three powers of two, each of which is a normal number, of which exp2 is exact in float64.

    Steps down leave a number its last bits until the last step, so that it is rounded once where it is denormal.
    """
    info = np.finfo(x.dtype)
    least, most = int(info.minexp), int(info.maxexp) - 1
    down = least + int(info.nmant) + 1
    rest = minimum(maximum(exponent, 2 * down + least), 3 * most)
    for low in (down, down, least):
        step = where(greater(rest, most), most, where(less(rest, least), low, rest))
        x, rest = multiply(x, exp2(step.astype("float64")).astype(x.dtype)), subtract(rest, step)
    return x


def frexp(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Return mantissas m, of absolute value in [0.5, 1), and exponents e, as int32, with x = m * 2**e.

    Zeros, infinities and NaN are their own mantissas, with exponent 0. The gradient of m is 2**-e.

    >>> [t.dtype for t in gx.frexp(gx.placeholder((3,)))]
    [dtype('float32'), dtype('int32')]
    """
    given = _float("frexp", x)
    is_plain = logical_and(isfinite(given), not_equal(given, 0))
    size = abs(stop_gradient(where(is_plain, given, 1.0)))
    # The logarithm may be rounded to the next whole number.
    guess = floor(log2(size)).astype("int64")
    scaled = _scaled(size, negative(guess))
    exponent = add(guess, where(greater_equal(scaled, 2.0), 2, where(less(scaled, 1.0), 0, 1)))
    exponent = where(is_plain, exponent, 0)
    return _scaled(given, negative(exponent)), exponent.astype("int32")


def modf(x: ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Return fraction and whole part, both with the sign of x; their gradients are 1 and zero.

    >>> [t.shape for t in gx.modf(gx.placeholder((3,)))]
    [(3,), (3,)]
    """
    given = _float("modf", x)
    whole = trunc(given)
    inside = where(isinf(given), stop_gradient(given), whole)
    # -(0 - 0) is the -0.0 that belongs to a negative whole number.
    fraction = where(signbit(given), negative(subtract(inside, given)), subtract(given, inside))
    return where(isinf(given), copysign(0.0, given), fraction), whole


def spacing(x: ArrayLike, /) -> Tensor:
    """Return the distance to the next number away from zero, with the sign of x. The gradient is zero.

    >>> gx.spacing(gx.placeholder((3,))).dtype
    dtype('float32')
    """
    given = stop_gradient(_float("spacing", x))
    size = abs(given)
    return copysign(subtract(nextafter(size, math.inf), size), given)


def nan_to_num(
    x: ArrayLike,
    /,
    copy: bool = True,
    nan: ArrayLike = 0.0,
    posinf: ArrayLike | None = None,
    neginf: ArrayLike | None = None,
) -> Tensor:
    """Return x with NaN replaced by `nan`, and infinities by `posinf` and `neginf`, by default the largest numbers.

    The gradient is 1 where x is finite and 0 elsewhere. `copy` is there for NumPy's sake.

    >>> gx.nan_to_num(gx.placeholder((3,), name="x"), nan=-1.0).shape
    (3,)
    """
    given = wrap(as_node("nan_to_num", x))
    if given.dtype.kind != "f":
        return given
    most = float(np.finfo(given.dtype).max)
    high, low = (most if posinf is None else posinf), (-most if neginf is None else neginf)
    dtype = given.dtype
    choices = [wrap(as_node("nan_to_num", v, dtype)) for v in (nan, high, low)]
    large = where(greater(given, 0), choices[1], choices[2])
    return where(isnan(given), choices[0], where(isinf(given), large, given))


# Real and imaginary part.


def real(x: ArrayLike, /) -> Tensor:
    """Return the real part: x.

    >>> gx.real(gx.placeholder((3,), name="x"))
    <Tensor x: f32[3]>
    """
    return wrap(as_node("real", x))


def imag(x: ArrayLike, /) -> Tensor:
    """Return the imaginary part: zeros of the shape and dtype of x.

    >>> gx.imag(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    return _filled(as_node("imag", x), 0)


def conj(x: ArrayLike, /) -> Tensor:
    """Return the complex conjugate: x.

    >>> gx.conj(gx.placeholder((3,), name="x"))
    <Tensor x: f32[3]>
    """
    return wrap(as_node("conj", x))


def angle(z: ArrayLike, /, deg: bool = False) -> Tensor:
    """Return the angle of a number in the complex plane: 0, or pi (180 with `deg`) where the sign is negative.

    >>> gx.angle(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    given = _float("angle", z)
    half = wrap(literal(180.0 if flag("angle", "deg", deg) else math.pi, given.dtype))
    return where(isnan(given), given, where(signbit(given), half, 0.0))


def isreal(x: ArrayLike, /) -> Tensor:
    """Return whether there is no imaginary part: true.

    >>> gx.isreal(gx.placeholder((3,), name="x")).dtype
    dtype('bool')
    """
    return _filled(as_node("isreal", x), True, BOOL)


def iscomplex(x: ArrayLike, /) -> Tensor:
    """Return whether there is an imaginary part: false.

    >>> gx.iscomplex(gx.placeholder((3,), name="x")).dtype
    dtype('bool')
    """
    return _filled(as_node("iscomplex", x), False, BOOL)


def _is_complex(name: str, x: Any) -> bool:
    """Return whether NumPy has complex numbers for x, which no Tensor has."""
    dtype = getattr(x, "dtype", None)
    if isinstance(dtype, np.dtype) or isinstance(x, complex):
        return dtype is None or dtype.kind == "c"
    return as_node(name, x).dtype.kind == "c"


def iscomplexobj(x: Any, /) -> bool:
    """Return whether x has a complex dtype: False.

    >>> gx.iscomplexobj(gx.placeholder((3,)))
    False
    """
    return not isinstance(x, Handle) and _is_complex("iscomplexobj", x)


def isrealobj(x: Any, /) -> bool:
    """Return whether x has no complex dtype: True.

    >>> gx.isrealobj(gx.placeholder((3,)))
    True
    """
    return not iscomplexobj(x)


conjugate = conj
