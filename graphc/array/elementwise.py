"""Arithmetic and mathematical functions, one element at a time.

Operands are promoted as in NumPy 2 (Python numbers are weak) and broadcast. A function that is floating-point by nature
takes integers too: those of at most 16 bits become float32, the others float64.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.control import while_loop
from graphc.array.convert import (
    ArrayLike,
    align,
    as_device,
    as_float,
    as_node,
    cast_to,
    common_shape,
    count,
    operands,
    pair,
    promote_floats,
    spread_to,
)
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, DTypeError
from graphc.ir.graph import Elementwise, Node, known_value, literal
from graphc.ir.types import INT64
from graphc.ops import elementwise as ops
from graphc.ops.compositions import log_add_exp
from graphc.ops.reduce import any_

if TYPE_CHECKING:
    from graphc.tensor import Tensor

INT8 = np.dtype("int8")

MOST_DECIMALS = 308
"""Powers of ten that float64 holds."""


def _binary(op: Elementwise, of_bools: Elementwise | None, name: str, x: ArrayLike, y: ArrayLike) -> Tensor:
    """Apply an operation on numbers. Two bools take another one, or become int8 as in NumPy."""
    a, b = pair(name, x, y)
    if a.dtype.kind == "b":
        if of_bools is None:
            a, b = cast_to(a, INT8), cast_to(b, INT8)
        else:
            op = of_bools
    # Node by Node: chains of operators are the longest things that users build.
    return wrap(Node(op, (a, b), {}, op.infer(a.type, b.type)))


def _floating(op: Elementwise, name: str, x: ArrayLike) -> Tensor:
    return wrap(op(as_float(name, x)))


def _floating_pair(op: Elementwise, name: str, x: ArrayLike, y: ArrayLike) -> Tensor:
    return wrap(op(*_float_pair(name, x, y)))


def _float_pair(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Node, Node]:
    a, b = pair(name, x, y)
    if a.dtype.kind != "f":
        a, b = align(name, promote_floats(name, (x, y)))
    return a, b


def _number(name: str, x: ArrayLike) -> Node:
    node = as_node(name, x)
    if node.dtype.kind == "b":
        raise DTypeError(f"{name}: takes numbers, got {node.type}; use logical_not or astype")
    return node


# Arithmetic.


def add(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Add; integers wrap, for two bools it is `logical_or`.

    >>> gx.add(gx.placeholder((3,), name="x"), 1)
    <Tensor f32[3] = add(x, 1.0)>
    """
    return _binary(ops.add, ops.bitwise_or, "add", x1, x2)


def subtract(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Subtract; integers wrap, bools are refused.

    >>> gx.subtract(gx.placeholder((3,), name="x"), 1)
    <Tensor f32[3] = sub(x, 1.0)>
    """
    a, b = pair("subtract", x1, x2)
    if a.dtype.kind == "b":
        raise DTypeError(f"subtract: takes numbers, got {a.type} and {b.type}; use bitwise_xor or logical_xor")
    return wrap(ops.sub(a, b))


def multiply(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Multiply; integers wrap, for two bools it is `logical_and`.

    >>> gx.multiply(gx.placeholder((3,), name="x"), 2)
    <Tensor f32[3] = mul(x, 2.0)>
    """
    return _binary(ops.mul, ops.bitwise_and, "multiply", x1, x2)


def divide(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Divide; integers are divided as float64, and a Python int may be larger than those of their dtype.

    >>> gx.divide(gx.placeholder((3,), "uint8", name="n"), 256).dtype
    dtype('float64')
    """
    a, b = _divisible("divide", x1, x2)
    if a.dtype.kind != "f":
        a, b = cast_to(a, np.dtype("float64")), cast_to(b, np.dtype("float64"))
    return wrap(ops.div(a, b))


def _divisible(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Node, Node]:
    """Return operands of one dtype; a Python int that integers beside it cannot hold is the float64 it becomes."""
    try:
        return pair(name, x, y)
    except DTypeError:
        if type(x) is not int and type(y) is not int:
            raise
    try:
        x, y = [float(v) if type(v) is int else v for v in (x, y)]
    except OverflowError as error:
        raise DTypeError(f"{name}: {error}") from None
    return pair(name, x, y)


def pow(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Raise to a power.

    Floats follow C's pow. The gradient with respect to the exponent is NaN where the base is negative, and 0 where the
    base is 0 and the exponent is not negative; that with respect to the base is 0 where the exponent is 0.

    An integer power of integers wraps; its exponent must not be negative, which is an ArgumentError where it is known
    while building, else an OutOfBoundsError when the graph runs.

    >>> gx.pow(gx.placeholder((3,), name="x"), 0.5)
    <Tensor f32[3] = pow(x, 0.5)>
    """
    a, b = pair("pow", x1, x2)
    if a.dtype.kind == "f":
        return wrap(ops.pow(a, b))
    if a.dtype.kind == "b":
        a, b = cast_to(a, INT8), cast_to(b, INT8)
    exponent = known_value(as_node("pow", x2))
    if exponent is not None and (exponent < 0).any():
        raise ArgumentError(f"pow: an integer to a negative integer power is no integer, got exponent {exponent.min()}")
    if exponent is not None and not exponent.ndim:
        return wrap(_integer_power(a, int(exponent)))
    return wrap(_integer_powers(a, b))


def _integer_powers(x: Node, exponent: Node) -> Node:
    """Square and multiply as often as the largest exponent has bits, by whether each has the bit."""
    shape = common_shape("pow", (x, exponent))
    if exponent.dtype.kind == "i":
        checked = ops.check_index(cast_to(exponent, INT64), size=int(np.iinfo(np.int64).max), wrap=False)
        exponent = cast_to(checked, exponent.dtype)
    one = literal(1, x.dtype)

    def step(carry: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        power, square, rest = (c.node for c in carry)
        has_bit = ops.eq(ops.bitwise_and(rest, one), one)
        return wrap(ops.where(has_bit, power * square, power)), wrap(square * square), wrap(ops.right_shift(rest, one))

    def is_left(carry: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        rest = carry[2].node
        left = ops.ne(rest, literal(0, rest.dtype))
        return wrap(any_(left, axis=tuple(range(left.ndim))) if left.ndim else left)

    start = [wrap(spread_to(n, shape)) for n in (one, x, exponent)]
    found: Tensor = while_loop(is_left, step, tuple(start))[0]
    return found.node


def _integer_power(x: Node, exponent: int) -> Node:
    """Square and multiply: x**13 = x**8 * x**4 * x."""
    result: Node | None = None
    while exponent:
        if exponent & 1:
            result = x if result is None else result * x
        exponent >>= 1
        if exponent:
            x = x * x
    return x * 0 + 1 if result is None else result


def floor_divide(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Divide and round down; integers divided by zero give 0, and a warning once. The gradient is zero.

    >>> gx.floor_divide(gx.placeholder((3,), "int32", name="n"), 2).dtype
    dtype('int32')
    """
    return _binary(ops.floor_divide, None, "floor_divide", x1, x2)


def remainder(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return x1 - floor_divide(x1, x2) * x2, with the sign of x2; integers modulo zero give 0, and a warning once.

    >>> gx.remainder(gx.placeholder((3,), name="x"), 2).shape
    (3,)
    """
    return _binary(ops.remainder, None, "remainder", x1, x2)


def negative(x: ArrayLike, /) -> Tensor:
    """Negate; unsigned integers wrap.

    >>> gx.negative(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = neg(x)>
    """
    return wrap(ops.neg(_number("negative", x)))


def positive(x: ArrayLike, /) -> Tensor:
    """Return the number itself.

    >>> gx.positive(gx.placeholder((3,), name="x"))
    <Tensor x: f32[3]>
    """
    return wrap(_number("positive", x))


def abs(x: ArrayLike, /) -> Tensor:
    """Return the absolute value; the gradient at 0 is 0.

    >>> gx.abs(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = abs(x)>
    """
    node = as_node("abs", x)
    return wrap(node if node.dtype.kind in "bu" else ops.abs(node))


def sign(x: ArrayLike, /) -> Tensor:
    """Return -1, 0 or 1 in the dtype of x, NaN for NaN. The gradient is zero.

    >>> gx.sign(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = sign(x)>
    """
    return wrap(ops.sign(_number("sign", x)))


def square(x: ArrayLike, /) -> Tensor:
    """Return x * x; bools become int8.

    >>> gx.square(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = mul(x, x)>
    """
    node = as_node("square", x)
    if node.dtype.kind == "b":
        node = cast_to(node, INT8)
    return wrap(node * node)


def reciprocal(x: ArrayLike, /) -> Tensor:
    """Return 1 / x as a float, of integers too (NumPy's rounds those to an integer, mostly 0).

    >>> gx.reciprocal(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = div(1.0, x)>
    """
    return wrap(1.0 / as_float("reciprocal", x))


def maximum(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the larger one, NaN if either is; at a tie each side gets half of the cotangent.

    >>> gx.maximum(gx.placeholder((3,), name="x"), 0)
    <Tensor f32[3] = maximum(x, 0.0)>
    """
    return wrap(ops.maximum(*pair("maximum", x1, x2)))


def minimum(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the smaller one, NaN if either is; at a tie each side gets half of the cotangent.

    >>> gx.minimum(gx.placeholder((3,), name="x"), 0)
    <Tensor f32[3] = minimum(x, 0.0)>
    """
    return wrap(ops.minimum(*pair("minimum", x1, x2)))


def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
    """Return minimum(maximum(x, min), max); None leaves a side open.

    Operands promote and broadcast together. The gradient is 1 inside, 0 outside and, as for `maximum`, 1/2 at a bound.

    >>> gx.clip(gx.placeholder((3,), name="x"), 0, 6)
    <Tensor f32[3] = minimum(maximum(...), 6.0)>
    """
    bounds = [b for b in (min, max) if b is not None]
    if not bounds:
        return wrap(as_node("clip", x))
    node, *limits = operands("clip", x, *bounds)
    if min is not None:
        node = ops.maximum(node, limits[0])
    return wrap(node if max is None else ops.minimum(node, limits[-1]))


def copysign(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return |x1| with the sign of x2, that of a zero or NaN included.

    >>> gx.copysign(gx.placeholder((3,), name="x"), -1.0)
    <Tensor f32[3] = copysign(x, -1.0)>
    """
    return _floating_pair(ops.copysign, "copysign", x1, x2)


def nextafter(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the next representable number from x1 towards x2; its gradient with respect to x1 is 1.

    >>> gx.nextafter(gx.placeholder((3,), name="x"), 1.0).dtype
    dtype('float32')
    """
    return _floating_pair(ops.nextafter, "nextafter", x1, x2)


def hypot(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return sqrt(x1**2 + x2**2) without overflow in between; the gradient at the origin is 0.

    >>> gx.hypot(gx.placeholder((3,), name="x"), 4.0)
    <Tensor f32[3] = hypot(x, 4.0)>
    """
    return _floating_pair(ops.hypot, "hypot", x1, x2)


# Rounding. Integers are whole already.


def _rounding(op: Elementwise, name: str, x: ArrayLike) -> Tensor:
    node = as_node(name, x)
    return wrap(op(node) if node.dtype.kind == "f" else node)


def floor(x: ArrayLike, /) -> Tensor:
    """Round down. The gradient is zero.

    >>> gx.floor(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = floor(x)>
    """
    return _rounding(ops.floor, "floor", x)


def ceil(x: ArrayLike, /) -> Tensor:
    """Round up. The gradient is zero.

    >>> gx.ceil(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = ceil(x)>
    """
    return _rounding(ops.ceil, "ceil", x)


def trunc(x: ArrayLike, /) -> Tensor:
    """Round toward zero. The gradient is zero.

    >>> gx.trunc(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = trunc(x)>
    """
    return _rounding(ops.trunc, "trunc", x)


def round(x: ArrayLike, /, decimals: int = 0) -> Tensor:
    """Round to the nearest integer, or multiple of 10**-decimals, halves to even. The gradient is zero.

    >>> gx.round(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = rint(x)>
    """
    node = as_node("round", x)
    places = count("round", "decimals", decimals, least=-MOST_DECIMALS)
    if (places > 0 and node.dtype.kind != "f") or not places:
        return _rounding(ops.rint, "round", x)
    if node.dtype.kind != "f":
        return wrap(_rounded_integers(node, 10**-places))
    scale = float(10 ** min(builtins.abs(places), MOST_DECIMALS))
    if builtins.abs(places) > MOST_DECIMALS or scale > np.finfo(node.dtype).max:
        raise ArgumentError(f"round: 10**{builtins.abs(places)} is beyond {node.dtype.name}")
    return wrap(ops.rint(node * scale) / scale if places > 0 else ops.rint(node / scale) * scale)


def _rounded_integers(node: Node, unit: int) -> Node:
    """Return the nearest multiples of `unit`, halves to the even one."""
    if unit > np.iinfo(node.dtype).max:
        return node * literal(0, node.dtype)
    whole, one = literal(unit, node.dtype), literal(1, node.dtype)
    multiple = ops.floor_divide(node, whole)
    rest = node - multiple * whole
    odd = ops.eq(ops.bitwise_and(multiple, one), one)
    up = ops.bitwise_or(ops.gt(rest, whole - rest), ops.bitwise_and(ops.eq(rest, whole - rest), odd))
    return ops.where(up, multiple + one, multiple) * whole


def rint(x: ArrayLike, /) -> Tensor:
    """Round to the nearest integer, halves to even, as a float. The gradient is zero.

    >>> gx.rint(gx.placeholder((3,), "int32")).dtype
    dtype('float64')
    """
    return _floating(ops.rint, "rint", x)


# Roots, exponentials and logarithms.


def sqrt(x: ArrayLike, /) -> Tensor:
    """Return the square root, NaN below 0; the gradient at 0 is infinite.

    >>> gx.sqrt(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = sqrt(x)>
    """
    return _floating(ops.sqrt, "sqrt", x)


def cbrt(x: ArrayLike, /) -> Tensor:
    """Return the cube root, also of negative numbers; the gradient at 0 is infinite.

    >>> gx.cbrt(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = cbrt(x)>
    """
    return _floating(ops.cbrt, "cbrt", x)


def exp(x: ArrayLike, /) -> Tensor:
    """Return e to the power x.

    >>> gx.exp(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = exp(x)>
    """
    return _floating(ops.exp, "exp", x)


def exp2(x: ArrayLike, /) -> Tensor:
    """Return 2 to the power x.

    >>> gx.exp2(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = exp2(x)>
    """
    return _floating(ops.exp2, "exp2", x)


def expm1(x: ArrayLike, /) -> Tensor:
    """Return exp(x) - 1, accurate near 0.

    >>> gx.expm1(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = expm1(x)>
    """
    return _floating(ops.expm1, "expm1", x)


def log(x: ArrayLike, /) -> Tensor:
    """Return the natural logarithm: -inf at 0, NaN below. The gradient is 1 / x everywhere, at 0 infinite.

    >>> gx.log(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = log(x)>
    """
    return _floating(ops.log, "log", x)


def log1p(x: ArrayLike, /) -> Tensor:
    """Return log(1 + x), accurate near 0; the gradient at -1 is infinite.

    >>> gx.log1p(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = log1p(x)>
    """
    return _floating(ops.log1p, "log1p", x)


def log2(x: ArrayLike, /) -> Tensor:
    """Return the logarithm to base 2; the gradient at 0 is infinite.

    >>> gx.log2(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = log2(x)>
    """
    return _floating(ops.log2, "log2", x)


def log10(x: ArrayLike, /) -> Tensor:
    """Return the logarithm to base 10; the gradient at 0 is infinite.

    >>> gx.log10(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = log10(x)>
    """
    return _floating(ops.log10, "log10", x)


def logaddexp(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return log(exp(x1) + exp(x2)) without overflow; infinities follow the limit.

    Where the result is near 0, its error is that of rounding the operands, not the result. At a tie the gradient is 1/2
    for each side.

    >>> gx.logaddexp(gx.placeholder((3,), name="x"), 0.0).shape
    (3,)
    """
    a, b = _float_pair("logaddexp", x1, x2)
    return wrap(log_add_exp(a, b))


def sigmoid(x: ArrayLike, /) -> Tensor:
    """Return 1 / (1 + exp(-x)), without overflow.

    >>> gx.sigmoid(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = sigmoid(x)>
    """
    return _floating(ops.sigmoid, "sigmoid", x)


def softplus(x: ArrayLike, /) -> Tensor:
    """Return log(1 + exp(x)), without overflow.

    >>> gx.softplus(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = softplus(x)>
    """
    return _floating(ops.softplus, "softplus", x)


def erf(x: ArrayLike, /) -> Tensor:
    """Return the error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    >>> gx.erf(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = erf(x)>
    """
    return _floating(ops.erf, "erf", x)


def erfc(x: ArrayLike, /) -> Tensor:
    """Return 1 - erf(x), accurate where erf is near 1.

    >>> gx.erfc(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = erfc(x)>
    """
    return _floating(ops.erfc, "erfc", x)


def erfcx(x: ArrayLike, /) -> Tensor:
    """Return exp(x**2) * erfc(x), which falls as slowly as 1/x where erfc has long vanished.

    >>> gx.erfcx(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = erfcx(x)>
    """
    return _floating(ops.erfcx, "erfcx", x)


# Trigonometric and hyperbolic functions; angles are in radians.


def sin(x: ArrayLike, /) -> Tensor:
    """Return the sine.

    >>> gx.sin(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = sin(x)>
    """
    return _floating(ops.sin, "sin", x)


def cos(x: ArrayLike, /) -> Tensor:
    """Return the cosine.

    >>> gx.cos(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = cos(x)>
    """
    return _floating(ops.cos, "cos", x)


def tan(x: ArrayLike, /) -> Tensor:
    """Return the tangent.

    >>> gx.tan(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = tan(x)>
    """
    return _floating(ops.tan, "tan", x)


def asin(x: ArrayLike, /) -> Tensor:
    """Return the angle in [-pi/2, pi/2] whose sine is x, NaN outside [-1, 1]; the gradient at 1 and -1 is infinite.

    >>> gx.asin(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = asin(x)>
    """
    return _floating(ops.asin, "asin", x)


def acos(x: ArrayLike, /) -> Tensor:
    """Return the angle in [0, pi] whose cosine is x, NaN outside [-1, 1]; the gradient at 1 and -1 is -inf.

    >>> gx.acos(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = acos(x)>
    """
    return _floating(ops.acos, "acos", x)


def atan(x: ArrayLike, /) -> Tensor:
    """Return the angle in [-pi/2, pi/2] whose tangent is x.

    >>> gx.atan(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = atan(x)>
    """
    return _floating(ops.atan, "atan", x)


def atan2(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the angle in [-pi, pi] of the point with ordinate x1 and abscissa x2; the gradient at the origin is 0.

    >>> gx.atan2(gx.placeholder((3,), name="y"), 1.0)
    <Tensor f32[3] = atan2(y, 1.0)>
    """
    return _floating_pair(ops.atan2, "atan2", x1, x2)


def sinh(x: ArrayLike, /) -> Tensor:
    """Return the hyperbolic sine.

    >>> gx.sinh(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = sinh(x)>
    """
    return _floating(ops.sinh, "sinh", x)


def cosh(x: ArrayLike, /) -> Tensor:
    """Return the hyperbolic cosine.

    >>> gx.cosh(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = cosh(x)>
    """
    return _floating(ops.cosh, "cosh", x)


def tanh(x: ArrayLike, /) -> Tensor:
    """Return the hyperbolic tangent.

    >>> gx.tanh(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = tanh(x)>
    """
    return _floating(ops.tanh, "tanh", x)


def asinh(x: ArrayLike, /) -> Tensor:
    """Return the inverse of sinh.

    >>> gx.asinh(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = asinh(x)>
    """
    return _floating(ops.asinh, "asinh", x)


def acosh(x: ArrayLike, /) -> Tensor:
    """Return the inverse of cosh, at least 0; NaN below 1. The gradient at 1 is infinite.

    >>> gx.acosh(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = acosh(x)>
    """
    return _floating(ops.acosh, "acosh", x)


def atanh(x: ArrayLike, /) -> Tensor:
    """Return the inverse of tanh: infinite at 1 and -1, as the gradient is there, and NaN beyond.

    >>> gx.atanh(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = atanh(x)>
    """
    return _floating(ops.atanh, "atanh", x)


# Conversion and gradients.


def astype(x: ArrayLike, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """Return x as another dtype: floats to integers toward zero, anything to bool by != 0.

    `copy` is there for the array API standard; a Tensor is immutable and never copied. The cotangent of a float is cast
    back; through an integer or bool nothing flows.

    >>> gx.astype(gx.placeholder((3,), name="x"), "float64").dtype
    dtype('float64')
    """
    as_device("astype", device)
    return wrap(as_node("astype", x, dtype))


def stop_gradient(x: ArrayLike, /) -> Tensor:
    """Return x as a Tensor whose derivative is zero.

    >>> gx.stop_gradient(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = stop_gradient(x)>
    """
    return wrap(ops.stop_gradient(as_node("stop_gradient", x)))


# NumPy's names.

true_divide = divide
power = pow
mod = remainder
absolute = abs
around = round
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
expit = sigmoid
