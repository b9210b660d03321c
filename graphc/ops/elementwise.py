"""Elementwise operations: one scalar function at every index.

Operands have the same shape, or rank 0. A derivative is written for one element; where an operand of rank 0 met a
larger one, the derivative pass sums. `scalar` is the operation's name in the loop IR.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, OutOfBoundsError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.graph import ZERO_DERIVATIVE, Elementwise, Node, Vjp, literal
from graphc.ir.types import BOOL, DTYPE_NAMES, INT64, TensorType, Type

FLOATS, NUMBERS, INTEGERS, LOGICAL, ANY = "f", "fiu", "iu", "iub", "fiub"
"""Kinds of dtypes that operations take (NumPy's dtype.kind letters)."""

DTypeRule = Callable[[str, tuple[TensorType, ...]], np.dtype[Any]]


def common_shape(name: str, types: tuple[TensorType, ...]) -> tuple[Size, ...]:
    """Return the shape that all operands of rank > 0 share; unknown sizes are taken to agree until they are known."""
    shape: tuple[Size, ...] = ()
    for t in types:
        if not t.shape or t.shape is shape:
            continue
        if not shape or t.shape == shape:
            shape = shape or t.shape
            continue
        if len(shape) != len(t.shape):
            raise ShapeError(f"{name}: operands must have the same rank or rank 0, got {_listed(types)}")
        shape = tuple(_common_size(name, types, a, b) for a, b in zip(shape, t.shape, strict=True))
    return shape


def _common_size(name: str, types: tuple[TensorType, ...], a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise ShapeError(f"{name}: operands must have the same shape, got {_listed(types)}: {a} != {b}")
    return a if isinstance(a, int) else b


def _listed(types: tuple[Type, ...]) -> str:
    return " and ".join(str(t) for t in types)


def same(kinds: str) -> DTypeRule:
    """All operands have one dtype of these kinds, and so has the result."""

    def rule(name: str, types: tuple[TensorType, ...]) -> np.dtype[Any]:
        dtype = types[0].dtype
        for t in types:
            if t.dtype is not dtype and t.dtype != dtype:
                raise DTypeError(f"{name}: operands must have one dtype, got {_listed(types)}")
        if dtype.kind not in kinds:
            allowed = ", ".join(d.name for d in DTYPE_NAMES if d.kind in kinds)
            raise DTypeError(f"{name}: takes {allowed}, got {_listed(types)}")
        return dtype

    return rule


def compared(name: str, types: tuple[TensorType, ...]) -> np.dtype[Any]:
    """All operands have one dtype; the result is bool."""
    same(ANY)(name, types)
    return BOOL


def chosen(name: str, types: tuple[TensorType, ...]) -> np.dtype[Any]:
    """The condition is bool, the two alternatives have one dtype, and so has the result."""
    if types[0].dtype != BOOL:
        raise DTypeError(f"{name}: the condition must be bool, got {types[0]}")
    return same(ANY)(name, types[1:])


def elementwise(
    name: str,
    dtypes: DTypeRule,
    reference: Callable[..., Any],
    vjp: Vjp,
    *,
    scalar: str | None = None,
    commutative: bool = False,
    doc: str = "",
) -> Elementwise:
    """Define an elementwise operation."""

    def infer(*types: TensorType) -> TensorType:
        dtype, shape = dtypes(name, types), common_shape(name, types)
        first = types[0]
        # The same object again: equality of the types along a chain is then one identity check.
        return first if first.shape is shape and first.dtype is dtype else TensorType(dtype, shape)

    return Elementwise(
        name, infer=infer, reference=reference, vjp=vjp, doc=doc, scalar=scalar or name, commutative=commutative
    )


def choose(condition: Node, a: Node, b: Node | float) -> Node:
    """Return a where the condition holds, else b (a number takes a's dtype)."""
    return where(condition, a, b if isinstance(b, Node) else literal(b, a.dtype))


# Arithmetic.

add: Elementwise = elementwise(
    "add", same(NUMBERS), np.add, (lambda ct, out, x, y: ct, lambda ct, out, x, y: ct), commutative=True
)
sub: Elementwise = elementwise("sub", same(NUMBERS), np.subtract, (lambda ct, out, x, y: ct, lambda ct, out, x, y: -ct))
mul: Elementwise = elementwise(
    "mul", same(NUMBERS), np.multiply, (lambda ct, out, x, y: ct * y, lambda ct, out, x, y: ct * x), commutative=True
)
div: Elementwise = elementwise(
    "div",
    same(FLOATS),
    np.divide,
    (lambda ct, out, x, y: ct / y, lambda ct, out, x, y: -(ct * out / y)),
)
neg: Elementwise = elementwise("neg", same(NUMBERS), np.negative, (lambda ct, out, x: -ct,))
pow: Elementwise = elementwise(
    "pow",
    same(FLOATS),
    np.power,
    (
        # y * x**(y-1), where y = 0 gives 0 also at x = 0.
        lambda ct, out, x, y: ct * (y * pow(x, where(eq(y, 0.0), literal(1, y.dtype), y - 1.0))),
        # x**y * log(x), with the limit 0 at x = 0 for y >= 0.
        lambda ct, out, x, y: ct * (out * log(where(bitwise_and(eq(x, 0.0), ge(y, 0.0)), literal(1, x.dtype), x))),
    ),
    doc="x to the power y.",
)
abs: Elementwise = elementwise(
    "abs", same(NUMBERS), np.abs, (lambda ct, out, x: ct * sign(x),), doc="|x|; derivative 0 at 0."
)
sign: Elementwise = elementwise("sign", same(NUMBERS), np.sign, ZERO_DERIVATIVE)
maximum: Elementwise = elementwise(
    "maximum",
    same(ANY),
    np.maximum,
    (lambda ct, out, x, y: ct * _share(x, y, gt), lambda ct, out, x, y: ct * _share(y, x, gt)),
    scalar="max",
    commutative=True,
    doc="The larger one, NaN if either is; at a tie each side gets half of the cotangent.",
)
minimum: Elementwise = elementwise(
    "minimum",
    same(ANY),
    np.minimum,
    (lambda ct, out, x, y: ct * _share(x, y, lt), lambda ct, out, x, y: ct * _share(y, x, lt)),
    scalar="min",
    commutative=True,
    doc="The smaller one, NaN if either is; at a tie each side gets half of the cotangent.",
)
floor_divide: Elementwise = elementwise(
    "floor_divide", same(NUMBERS), np.floor_divide, ZERO_DERIVATIVE, doc="x / y rounded down; integers: 0 for y = 0."
)
remainder: Elementwise = elementwise(
    "remainder",
    same(NUMBERS),
    np.remainder,
    (lambda ct, out, x, y: ct, lambda ct, out, x, y: -(ct * floor_divide(x, y))),
    doc="x - floor_divide(x, y) * y, with the sign of y; integers: 0 for y = 0.",
)
floor: Elementwise = elementwise("floor", same(FLOATS), np.floor, ZERO_DERIVATIVE)
ceil: Elementwise = elementwise("ceil", same(FLOATS), np.ceil, ZERO_DERIVATIVE)
trunc: Elementwise = elementwise("trunc", same(FLOATS), np.trunc, ZERO_DERIVATIVE)
rint: Elementwise = elementwise(
    "rint", same(FLOATS), np.rint, ZERO_DERIVATIVE, doc="The nearest integer, halves to even."
)
copysign: Elementwise = elementwise(
    "copysign",
    same(FLOATS),
    np.copysign,
    (lambda ct, out, x, y: ct * copysign(literal(1, x.dtype), x) * copysign(literal(1, y.dtype), y), None),
)
nextafter: Elementwise = elementwise(
    "nextafter",
    same(FLOATS),
    np.nextafter,
    (lambda ct, out, x, y: ct, None),
    doc="The next number from x towards y; derivative 1 in x.",
)
hypot: Elementwise = elementwise(
    "hypot",
    same(FLOATS),
    np.hypot,
    (
        lambda ct, out, x, y: ct * _slope_of_norm(x, out),
        lambda ct, out, x, y: ct * _slope_of_norm(y, out),
    ),
    commutative=True,
    doc="sqrt(x*x + y*y) without overflow in between; derivative 0 at the origin.",
)


def _slope_of_norm(x: Node, norm: Node) -> Node:
    """Return x / norm, 0 at the origin, and so are further derivatives."""
    is_away = ne(norm, 0.0)
    return choose(is_away, x / choose(is_away, norm, 1.0), 0.0)


def _share(x: Node, y: Node, wins: Elementwise) -> Node:
    """Return 1 where x wins over y, 1/2 at a tie, else 0."""
    one = literal(1, x.dtype)
    return choose(wins(x, y), one, choose(eq(x, y), literal(0.5, x.dtype), 0.0))


# Functions.

sqrt: Elementwise = elementwise("sqrt", same(FLOATS), np.sqrt, (lambda ct, out, x: ct * 0.5 / out,))
cbrt: Elementwise = elementwise(
    "cbrt", same(FLOATS), np.cbrt, (lambda ct, out, x: ct / (out * out * 3.0),), doc="The cube root."
)
exp: Elementwise = elementwise("exp", same(FLOATS), np.exp, (lambda ct, out, x: ct * out,))
expm1: Elementwise = elementwise("expm1", same(FLOATS), np.expm1, (lambda ct, out, x: ct * exp(x),), doc="exp(x) - 1.")
log: Elementwise = elementwise("log", same(FLOATS), np.log, (lambda ct, out, x: ct / x,))
log1p: Elementwise = elementwise(
    "log1p", same(FLOATS), np.log1p, (lambda ct, out, x: ct / (x + 1.0),), doc="log(1 + x)."
)
exp2: Elementwise = elementwise("exp2", same(FLOATS), np.exp2, (lambda ct, out, x: ct * out * float(np.log(2.0)),))
log2: Elementwise = elementwise("log2", same(FLOATS), np.log2, (lambda ct, out, x: ct / (x * float(np.log(2.0))),))
log10: Elementwise = elementwise("log10", same(FLOATS), np.log10, (lambda ct, out, x: ct / (x * float(np.log(10.0))),))
tanh: Elementwise = elementwise("tanh", same(FLOATS), np.tanh, (lambda ct, out, x: ct * (1.0 - out * out),))
sin: Elementwise = elementwise("sin", same(FLOATS), np.sin, (lambda ct, out, x: ct * cos(x),))
cos: Elementwise = elementwise("cos", same(FLOATS), np.cos, (lambda ct, out, x: -(ct * sin(x)),))
tan: Elementwise = elementwise("tan", same(FLOATS), np.tan, (lambda ct, out, x: ct * (out * out + 1.0),))
asin: Elementwise = elementwise("asin", same(FLOATS), np.arcsin, (lambda ct, out, x: ct / sqrt((1.0 - x) * (x + 1.0)),))
acos: Elementwise = elementwise(
    "acos", same(FLOATS), np.arccos, (lambda ct, out, x: -(ct / sqrt((1.0 - x) * (x + 1.0))),)
)
atan: Elementwise = elementwise("atan", same(FLOATS), np.arctan, (lambda ct, out, x: ct / (x * x + 1.0),))
sinh: Elementwise = elementwise("sinh", same(FLOATS), np.sinh, (lambda ct, out, x: ct * cosh(x),))
cosh: Elementwise = elementwise("cosh", same(FLOATS), np.cosh, (lambda ct, out, x: ct * sinh(x),))
asinh: Elementwise = elementwise(
    "asinh", same(FLOATS), np.arcsinh, (lambda ct, out, x: ct / hypot(x, literal(1, x.dtype)),)
)
acosh: Elementwise = elementwise(
    # Two roots, as their product is in range where that of their squares is not.
    "acosh",
    same(FLOATS),
    np.arccosh,
    (lambda ct, out, x: ct / (sqrt(x - 1.0) * sqrt(x + 1.0)),),
)
atanh: Elementwise = elementwise("atanh", same(FLOATS), np.arctanh, (lambda ct, out, x: ct / ((1.0 - x) * (x + 1.0)),))
atan2: Elementwise = elementwise(
    "atan2",
    same(FLOATS),
    np.arctan2,
    (
        lambda ct, out, y, x: ct * _over_square_of_radius(x, y, x),
        lambda ct, out, y, x: -(ct * _over_square_of_radius(y, y, x)),
    ),
    doc="The angle of the point (x, y); derivative 0 at the origin.",
)


def _over_square_of_radius(z: Node, y: Node, x: Node) -> Node:
    """Return z / (x*x + y*y), neither over- nor underflowing in between; 0 at the origin."""
    radius = hypot(x, y)
    is_away = ne(radius, 0.0)
    divisor = choose(is_away, radius, 1.0)
    return choose(is_away, z / divisor / divisor, 0.0)


sigmoid: Elementwise = elementwise(
    "sigmoid",
    same(FLOATS),
    # exp of -|x| never overflows: 1/(1+e) for x >= 0, e/(1+e) below.
    lambda x: np.where(x >= 0, np.ones_like(x), np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x))),
    (lambda ct, out, x: ct * out * (1.0 - out),),
    doc="1 / (1 + exp(-x)).",
)
softplus: Elementwise = elementwise(
    "softplus",
    same(FLOATS),
    lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    (lambda ct, out, x: ct * sigmoid(x),),
    doc="log(1 + exp(x)).",
)
relu: Elementwise = elementwise(
    "relu",
    same(FLOATS),
    lambda x: np.maximum(x, x.dtype.type(0)),
    # out > 0 where x > 0; asking out leaves x free to go.
    (lambda ct, out, x: choose(gt(out, 0.0), ct, 0.0),),
    doc="max(x, 0); derivative 0 at 0.",
)


def each(function: Callable[[float], float]) -> Callable[..., Any]:
    """Return a function of Python floats as one of arrays, rounded once to their dtype."""
    many = np.vectorize(function, otypes=[np.float64])
    return lambda x: many(x).astype(x.dtype)


erf: Elementwise = elementwise(
    "erf",
    same(FLOATS),
    each(math.erf),
    (lambda ct, out, x: ct * (exp(-(x * x)) * (2.0 / math.sqrt(math.pi))),),
    doc="2/sqrt(pi) times the integral of exp(-t*t) from 0 to x.",
)
erfc: Elementwise = elementwise(
    "erfc",
    same(FLOATS),
    each(math.erfc),
    (lambda ct, out, x: ct * (exp(-(x * x)) * (-2.0 / math.sqrt(math.pi))),),
    doc="1 - erf(x).",
)


def _erfcx(x: float) -> float:
    if x < -26.7:
        return math.inf
    if x < 8.0:
        # exp(x*x) with a square that is exact: x = head + (x - head).
        head = math.floor(x * 16.0) / 16.0
        half = math.exp(head * head / 2.0)  # the whole may overflow where the result does not
        return half * math.exp((x - head) * (x + head)) * math.erfc(x) * half
    # A continued fraction (Abramowitz and Stegun 7.1.14), whose terms beyond these change nothing for x >= 8.
    denominator = x
    for k in range(50, 0, -1):
        denominator = x + 0.5 * k / denominator
    return 1.0 / (denominator * math.sqrt(math.pi))


erfcx: Elementwise = elementwise(
    "erfcx",
    same(FLOATS),
    each(_erfcx),
    (lambda ct, out, x: ct * (x * out * 2.0 - 2.0 / math.sqrt(math.pi)),),
    doc="exp(x*x) * erfc(x), which falls as slowly as 1/x.",
)

# Comparisons and choice.

lt: Elementwise = elementwise("lt", compared, np.less, ZERO_DERIVATIVE)
le: Elementwise = elementwise("le", compared, np.less_equal, ZERO_DERIVATIVE)
gt: Elementwise = elementwise("gt", compared, np.greater, ZERO_DERIVATIVE)
ge: Elementwise = elementwise("ge", compared, np.greater_equal, ZERO_DERIVATIVE)
eq: Elementwise = elementwise("eq", compared, np.equal, ZERO_DERIVATIVE, commutative=True)
ne: Elementwise = elementwise("ne", compared, np.not_equal, ZERO_DERIVATIVE, commutative=True)
where: Elementwise = elementwise(
    "where",
    chosen,
    np.where,
    (None, lambda ct, out, c, x, y: choose(c, ct, 0.0), lambda ct, out, c, x, y: where(c, literal(0, ct.dtype), ct)),
    scalar="select",
    doc="x where the condition holds, else y; each side's derivative is zero where the other is taken.",
)

# Bits.

bitwise_and: Elementwise = elementwise(
    "bitwise_and", same(LOGICAL), np.bitwise_and, ZERO_DERIVATIVE, scalar="and", commutative=True
)
bitwise_or: Elementwise = elementwise(
    "bitwise_or", same(LOGICAL), np.bitwise_or, ZERO_DERIVATIVE, scalar="or", commutative=True
)
bitwise_xor: Elementwise = elementwise(
    "bitwise_xor", same(LOGICAL), np.bitwise_xor, ZERO_DERIVATIVE, scalar="xor", commutative=True
)
bitwise_not: Elementwise = elementwise("bitwise_not", same(LOGICAL), np.invert, ZERO_DERIVATIVE, scalar="not")
left_shift: Elementwise = elementwise(
    "left_shift", same(INTEGERS), np.left_shift, ZERO_DERIVATIVE, scalar="shl", doc="x << y for y in [0, bits of x)."
)
right_shift: Elementwise = elementwise(
    "right_shift",
    same(INTEGERS),
    np.right_shift,
    ZERO_DERIVATIVE,
    scalar="shr",
    doc="x >> y for y in [0, bits of x), repeating the sign.",
)

# Operations with attributes.


def _infer_cast(x: TensorType, *, dtype: np.dtype[Any]) -> TensorType:
    return x.with_dtype(dtype)


def _reference_cast(x: Any, *, dtype: np.dtype[Any]) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(x).astype(dtype)


cast: Elementwise = Elementwise(
    "cast",
    infer=_infer_cast,
    reference=_reference_cast,
    vjp=(lambda ct, out, x: cast(ct, dtype=x.dtype),),
    doc="The value as another dtype; floats to integers toward zero, anything to bool by != 0.",
    scalar="cast",
)

stop_gradient: Elementwise = elementwise(
    "stop_gradient", same(ANY), lambda x: x, ZERO_DERIVATIVE, scalar="identity", doc="x, with derivative zero."
)
again: Elementwise = Elementwise(
    "again",
    infer=lambda x, *, turn: x,
    reference=lambda x, *, turn: x,
    vjp=(lambda ct, out, x: ct,),
    doc="x, which no pass takes for x or for another turn: what is computed from it is computed again.",
    scalar="identity",
)


def _infer_check_index(x: TensorType, *, size: Size, wrap: bool) -> TensorType:
    if x.dtype.kind not in "iu":
        raise DTypeError(f"check_index: indices must be integers, got {x}")
    return TensorType(INT64, x.shape)


def _reference_check_index(x: Any, *, size: int, wrap: bool) -> Any:
    x = np.asarray(x)
    bad = (x >= size) | (x < (-size if wrap else 0))
    if bad.any():
        raise OutOfBoundsError(out_of_bounds(int(x[bad].flat[0]), size, wrap))
    return np.where(x < 0, x + size, x).astype(np.int64)


def out_of_bounds(index: int, size: int, wrap: bool) -> str:
    """Return the message about an index outside an axis."""
    return f"index {index} is out of bounds for an axis of size {size}: must be in [{-size if wrap else 0}, {size})"


check_index: Elementwise = Elementwise(
    "check_index",
    infer=_infer_check_index,
    reference=_reference_check_index,
    vjp=ZERO_DERIVATIVE,
    doc="The index, counted from the front; outside [0, size), or [-size, size) with wrap, the run fails.",
    scalar="check_index",
)


def _reference_iota(*, shape: tuple[int, ...], axis: int, dtype: np.dtype[Any]) -> Any:
    along = np.arange(shape[axis], dtype=dtype).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return np.broadcast_to(along, shape).copy()


iota: Elementwise = Elementwise(
    "iota",
    infer=lambda *, shape, axis, dtype: TensorType(dtype, shape),
    reference=_reference_iota,
    vjp=ZERO_DERIVATIVE,
    doc="The position along `axis`.",
    scalar="index",
)

size: Elementwise = Elementwise(
    "size",
    infer=lambda *, value: TensorType(INT64, ()),
    reference=lambda *, value: np.asarray(value, np.int64),
    vjp=ZERO_DERIVATIVE,
    doc="A size as a number; a constant once it is known.",
    scalar="size",
)

copy: Elementwise = elementwise(
    "copy", same(ANY), np.array, (lambda ct, out, x: ct,), scalar="identity", doc="x, in memory of its own."
)
