"""Formulas as they are written: terms that build loop expressions with operators, exact sums, float formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.loops import Apply, Expr, apply, const
from graphc.ir.types import FLOAT32, FLOAT64

DType = np.dtype[Any]
Number = float | int
Pair = tuple[float, float]


class Term:
    """An expression written as mathematics; a Python number takes the dtype of its partner, where an int wraps."""

    __slots__ = ("expr",)

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    @property
    def dtype(self) -> DType:
        return self.expr.dtype

    def __add__(self, other: Term | Number) -> Term:
        return apply_to("add", self, other)

    def __radd__(self, other: Number) -> Term:
        return apply_to("add", self, other)

    def __sub__(self, other: Term | Number) -> Term:
        return apply_to("sub", self, other)

    def __rsub__(self, other: Number) -> Term:
        return apply_to("sub", as_term(other, self), self)

    def __mul__(self, other: Term | Number) -> Term:
        return apply_to("mul", self, other)

    def __rmul__(self, other: Number) -> Term:
        return apply_to("mul", self, other)

    def __truediv__(self, other: Term | Number) -> Term:
        return apply_to("div", self, other)

    def __rtruediv__(self, other: Number) -> Term:
        return apply_to("div", as_term(other, self), self)

    def __neg__(self) -> Term:
        return apply_to("neg", self)

    def __abs__(self) -> Term:
        return apply_to("abs", self)

    def __lt__(self, other: Term | Number) -> Term:
        return apply_to("lt", self, other)

    def __le__(self, other: Term | Number) -> Term:
        return apply_to("le", self, other)

    def __gt__(self, other: Term | Number) -> Term:
        return apply_to("gt", self, other)

    def __ge__(self, other: Term | Number) -> Term:
        return apply_to("ge", self, other)

    def __and__(self, other: Term | Number) -> Term:
        return apply_to("and", self, other)

    def __or__(self, other: Term | Number) -> Term:
        return apply_to("or", self, other)

    def __xor__(self, other: Term | Number) -> Term:
        return apply_to("xor", self, other)

    def __invert__(self) -> Term:
        return apply_to("not", self)

    def __lshift__(self, other: Term | Number) -> Term:
        return apply_to("shl", self, other)

    def __rshift__(self, other: Term | Number) -> Term:
        return apply_to("shr", self, other)

    def cast(self, dtype: DType) -> Term:
        return Term(Apply("cast", (self.expr,), dtype))

    def bitcast(self, dtype: DType) -> Term:
        return Term(Apply("bitcast", (self.expr,), dtype))


def as_term(x: Term | Number, like: Term) -> Term:
    if isinstance(x, Term):
        return x
    if isinstance(x, int) and like.dtype.kind == "u":
        x &= (1 << 8 * like.dtype.itemsize) - 1
    return Term(const(x, like.dtype))


def apply_to(op: str, x: Term, *others: Term | Number) -> Term:
    return Term(apply(op, x.expr, *(as_term(y, x).expr for y in others)))


def fma(x: Term, y: Term | Number, z: Term | Number) -> Term:
    return apply_to("fma", x, y, z)


def minimum(x: Term, y: Term | Number) -> Term:
    return apply_to("min", x, y)


def maximum(x: Term, y: Term | Number) -> Term:
    return apply_to("max", x, y)


def copysign(x: Term, y: Term) -> Term:
    return apply_to("copysign", x, y)


def truncated(x: Term) -> Term:
    return apply_to("trunc", x)


def equal(x: Term, y: Term | Number) -> Term:
    return apply_to("eq", x, y)


def select(condition: Term, x: Term | Number, y: Term | Number) -> Term:
    like = next(term for term in (x, y) if isinstance(term, Term))
    return apply_to("select", condition, as_term(x, like), as_term(y, like))


def rarely(condition: Term, exact: Term, common: Term) -> Term:
    """Return exact where the condition holds, else common; the condition must be rare."""
    return apply_to("rarely", condition, exact, common)


def two_sum(x: Term | Number, y: Term) -> tuple[Term, Term]:
    """Return x + y rounded, and what that lacks, for |x| >= |y| or x = 0."""
    total = x + y
    return total, y - (total - x)


def exact_sum(x: Term | Number, y: Term) -> tuple[Term, Term]:
    """Return x + y rounded, and what that lacks, whichever is larger."""
    total = x + y
    part = total - x
    return total, (as_term(x, y) - (total - part)) + (y - part)


def two_product(x: Term, y: Term | Number) -> tuple[Term, Term]:
    """Return x * y rounded, and what that lacks."""
    product = x * y
    return product, fma(x, y, -product)


def polynomial(x: Term, coefficients: Sequence[float]) -> Term:
    """Return c0 + c1 x + c2 x^2 + ..., by Horner's rule."""
    result = as_term(coefficients[-1], x)
    for c in coefficients[-2::-1]:
        result = fma(result, x, c)
    return result


@dataclass(frozen=True)
class _Format:
    """What the formulas need to know about a float dtype.

    `ln2_high` has so few bits that its product with any exponent is exact.
    Adding `round_to_int` leaves x as an integer in the low bits.
    """

    unsigned: DType
    mantissa: int
    bias: int
    ln2_high: float
    ln2_low: float
    exp_lowest: float  # exp of less is 0
    exp_highest: float  # exp of more is inf

    @property
    def width(self) -> int:
        """The number of bits."""
        return 8 * self.unsigned.itemsize

    @property
    def round_to_int(self) -> float:
        return 1.5 * 2.0**self.mantissa

    @property
    def negligible(self) -> float:
        """Less than this is nothing next to 1."""
        return 2.0 ** (-self.mantissa - 8)

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.mantissa


_FORMATS = {
    FLOAT32: _Format(np.dtype("uint32"), 23, 127, 0.693359375, -0.00021219444, -104.0, 89.0),
    FLOAT64: _Format(np.dtype("uint64"), 52, 1023, 0.6931471803691238, 1.9082149292705877e-10, -746.0, 710.0),
}
# Constants as a rounded value and what it lacks; the first part of log10(2) has few bits, as that of ln(2) has.
LN_2 = {FLOAT32: (0.6931472, -1.9046542e-09), FLOAT64: (0.6931471805599453, 2.3190468138462996e-17)}
LOG2_E = {FLOAT32: (1.442695, 1.925963e-08), FLOAT64: (1.4426950408889634, 2.0355273740931033e-17)}
LOG10_E = {FLOAT32: (0.4342945, -1.010305e-08), FLOAT64: (0.4342944819032518, 1.098319650216765e-17)}
LOG10_2 = {FLOAT32: (0.3010254, 4.605039e-06), FLOAT64: (0.3010299956640665, -8.532344317057107e-14)}
SQRT_HALF_BITS = {FLOAT32: 0x3F3504F3, FLOAT64: 0x3FE6A09E667F3BCD}


def format_of(x: Term) -> _Format:
    return _FORMATS[x.dtype]


def bits_of(x: Term) -> Term:
    return x.bitcast(format_of(x).unsigned)


def sign_bit_of(x: Term) -> Term:
    return bits_of(x) & (1 << format_of(x).width - 1)


def squarable(x: Term) -> Term:
    """Return x, but 0 where its square is too small to matter: computing with subnormal numbers is slow."""
    return select(abs(x) < format_of(x).negligible, 0.0, x)


def rounded(x: Term, factor: Number | None = None) -> tuple[Term, Term]:
    """Return x * factor rounded to an integer k, |k| < 2**22, and that integer in the low bits of a word."""
    magic = format_of(x).round_to_int
    shifted = x + magic if factor is None else fma(x, factor, magic)
    return shifted - magic, bits_of(shifted)


def power_of_two(k: Term, dtype: DType) -> Term:
    """Return 2**k, a normal number, for the integer in the low bits of k."""
    form = _FORMATS[dtype]
    return ((k << form.mantissa) + form.one).bitcast(dtype)


def power_of_two_factors(k: Term, dtype: DType) -> tuple[Term, Term]:
    """Return normal numbers whose product is 2**k, for k from twice the least to twice the largest exponent."""
    form = _FORMATS[dtype]
    magic = int(dtype.type(form.round_to_int).view(form.unsigned))
    biased = k + (2 * form.bias - magic)
    half = biased >> 1
    return (half << form.mantissa).bitcast(dtype), ((biased - half) << form.mantissa).bitcast(dtype)
