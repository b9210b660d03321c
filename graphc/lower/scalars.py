"""Elementwise operations as scalar expressions of the loop IR.

Most are a primitive or a function of lower/math under the same name. Those that are neither are spelled out here, so
that NaN, signed zero and division by zero come out as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.graph import Elementwise, Node
from graphc.ir.loops import Apply, Expr, apply, const
from graphc.lower.math import NUMBERED
from graphc.lower.math.remainder import fmod
from graphc.lower.math.terms import Term
from graphc.lower.philox import word
from graphc.ops.random import QUANTILE_DTYPES, philox_words

DType = np.dtype[Any]


def scalar_expr(node: Node, args: tuple[Expr, ...]) -> Expr:
    """Return the value of an elementwise node for one element."""
    assert isinstance(node.op, Elementwise)
    name = node.op.scalar
    if name == "identity":
        return args[0]
    if name == "cast":
        return cast(args[0], node.dtype)
    if name in NUMBERED:
        return apply(f"{name}_{node.attrs[NUMBERED[name]]}", *args)
    spelled = SPELLED_OUT.get(name)
    if spelled is not None:
        return spelled(*args)
    return apply(name, *args)


def cast(value: Expr, dtype: DType) -> Expr:
    return value if value.dtype == dtype else Apply("cast", (value,), dtype)


def _sign(x: Expr) -> Expr:
    """1, -1, 0 without a sign, or NaN."""
    zero = const(0, x.dtype)
    if x.dtype.kind == "u":
        return cast(apply("ne", x, zero), x.dtype)
    negative = apply("select", apply("lt", x, zero), const(-1, x.dtype), apply("add", x, zero))
    return apply("select", apply("gt", x, zero), const(1, x.dtype), negative)


def _relu(x: Expr) -> Expr:
    """A NaN stays one, and 0 is positive."""
    zero = const(0, x.dtype)
    return apply("max", x, zero) if x.dtype.kind != "f" else apply("select", apply("le", x, zero), zero, x)


def _floor_divide(x: Expr, y: Expr) -> Expr:
    return _float_floor_divide(x, y) if x.dtype.kind == "f" else _integer_division(x, y)[0]


def _remainder(x: Expr, y: Expr) -> Expr:
    return _float_remainder(x, y) if x.dtype.kind == "f" else _integer_division(x, y)[1]


def _integer_division(x: Expr, y: Expr) -> tuple[Expr, Expr]:
    """Floor quotient and remainder with the sign of y; 0 and 0 for y = 0. MIN / -1 wraps to MIN and 0."""
    dtype = x.dtype
    zero, one = const(0, dtype), const(1, dtype)
    bad = apply("eq", y, zero)
    if dtype.kind == "i":
        minus_one = apply("eq", y, const(-1, dtype))
        bad = apply("or", bad, minus_one)
    safe = apply("select", bad, one, y)
    quotient, rest = apply("quot", x, safe), apply("rem", x, safe)
    if dtype.kind == "i":
        # Toward zero becomes downward where the signs of rest and divisor differ.
        differs = apply("and", apply("ne", rest, zero), apply("lt", apply("xor", rest, safe), zero))
        quotient = apply("select", differs, apply("sub", quotient, one), quotient)
        rest = apply("select", differs, apply("add", rest, safe), rest)
        quotient = apply("select", minus_one, apply("neg", x), quotient)
        rest = apply("select", minus_one, zero, rest)
    is_zero = apply("eq", y, zero)
    return apply("select", is_zero, zero, quotient), apply("select", is_zero, zero, rest)


def _float_remainder(x: Expr, y: Expr) -> Expr:
    """The remainder of C's fmod, moved to the sign of y; a zero has the sign of y."""
    zero = const(0, x.dtype)
    rest = fmod(Term(x), Term(y)).expr
    differs = apply("ne", apply("lt", rest, zero), apply("lt", y, zero))
    moved = apply("select", differs, apply("add", rest, y), rest)
    is_zero = apply("eq", rest, zero)
    return apply("select", is_zero, apply("copysign", zero, y), moved)


def _float_floor_divide(x: Expr, y: Expr) -> Expr:
    """The floor of the quotient as NumPy computes it: from the exact remainder, so that it is never one too large."""
    zero, one = const(0, x.dtype), const(1, x.dtype)
    rest = fmod(Term(x), Term(y)).expr
    quotient = apply("div", apply("sub", x, rest), y)
    differs = apply("and", apply("ne", rest, zero), apply("ne", apply("lt", rest, zero), apply("lt", y, zero)))
    quotient = apply("select", differs, apply("sub", quotient, one), quotient)
    down = apply("floor", quotient)
    up = apply("gt", apply("sub", quotient, down), const(0.5, x.dtype))
    rounded = apply("select", up, apply("add", down, one), down)
    exact = apply("div", x, y)
    rounded = apply("select", apply("eq", quotient, zero), apply("copysign", zero, exact), rounded)
    return apply("select", apply("eq", y, zero), exact, rounded)


SPELLED_OUT: dict[str, Callable[..., Expr]] = {
    "sign": _sign,
    "relu": _relu,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "gamma_path": lambda a, x: x,
    "log_gamma_path": lambda a, x: x,
    "normal_quantile": lambda bits: Apply("normal_quantile", (bits,), QUANTILE_DTYPES[bits.dtype]),
    **{op.scalar: word(k) for k, op in enumerate(philox_words)},
}
