"""Scalar functions as loop IR: range reduction, a polynomial, and the special values of C99 Annex F.

Nothing branches: where a function has several pieces, all are computed and one is selected, so that a VECTOR loop stays
a vector loop. Formulas rely on the loop IR never contracting or reassociating float operations.

Largest errors found, in units in the last place: in float32 among all values, in float64 and of pow among 10^7.

               float32  float64                 float32  float64
    exp           0.87     0.86      log           0.89     0.88
    exp2          0.92     0.93      log2          1.14     1.18
    expm1         1.07     1.15      log10         1.02     1.03
    sigmoid       0.87     0.86      log1p         0.90     0.86
    softplus      1.15     1.08      pow           0.54     1.05
    tanh          1.04     1.04      sin           0.82     0.81
    erf           1.13     1.13      cos           0.81     0.81

sin and cos reduce every argument by the method of Payne and Hanek: the bits of 2/pi that matter are selected and
multiplied as integers, so that huge arguments cost the same as small ones and are as exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.loops import Apply, Expr, Function, Var, apply, const
from graphc.ir.types import FLOAT32, FLOAT64

DType = np.dtype[Any]
Number = float | int
Pair = tuple[float, float]


class _Term:
    """An expression written as mathematics; a Python number takes the dtype of its partner, where an int wraps."""

    __slots__ = ("expr",)

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    @property
    def dtype(self) -> DType:
        return self.expr.dtype

    def __add__(self, other: _Term | Number) -> _Term:
        return _apply("add", self, other)

    def __radd__(self, other: Number) -> _Term:
        return _apply("add", self, other)

    def __sub__(self, other: _Term | Number) -> _Term:
        return _apply("sub", self, other)

    def __rsub__(self, other: Number) -> _Term:
        return _apply("sub", _number(other, self), self)

    def __mul__(self, other: _Term | Number) -> _Term:
        return _apply("mul", self, other)

    def __rmul__(self, other: Number) -> _Term:
        return _apply("mul", self, other)

    def __truediv__(self, other: _Term | Number) -> _Term:
        return _apply("div", self, other)

    def __rtruediv__(self, other: Number) -> _Term:
        return _apply("div", _number(other, self), self)

    def __neg__(self) -> _Term:
        return _apply("neg", self)

    def __abs__(self) -> _Term:
        return _apply("abs", self)

    def __lt__(self, other: _Term | Number) -> _Term:
        return _apply("lt", self, other)

    def __le__(self, other: _Term | Number) -> _Term:
        return _apply("le", self, other)

    def __gt__(self, other: _Term | Number) -> _Term:
        return _apply("gt", self, other)

    def __ge__(self, other: _Term | Number) -> _Term:
        return _apply("ge", self, other)

    def __and__(self, other: _Term | Number) -> _Term:
        return _apply("and", self, other)

    def __or__(self, other: _Term | Number) -> _Term:
        return _apply("or", self, other)

    def __xor__(self, other: _Term | Number) -> _Term:
        return _apply("xor", self, other)

    def __invert__(self) -> _Term:
        return _apply("not", self)

    def __lshift__(self, other: _Term | Number) -> _Term:
        return _apply("shl", self, other)

    def __rshift__(self, other: _Term | Number) -> _Term:
        return _apply("shr", self, other)

    def cast(self, dtype: DType) -> _Term:
        return _Term(Apply("cast", (self.expr,), dtype))

    def bitcast(self, dtype: DType) -> _Term:
        return _Term(Apply("bitcast", (self.expr,), dtype))


def _number(x: _Term | Number, like: _Term) -> _Term:
    if isinstance(x, _Term):
        return x
    if isinstance(x, int) and like.dtype.kind == "u":
        x &= (1 << 8 * like.dtype.itemsize) - 1
    return _Term(const(x, like.dtype))


def _apply(op: str, x: _Term, *others: _Term | Number) -> _Term:
    return _Term(apply(op, x.expr, *(_number(y, x).expr for y in others)))


def _fma(x: _Term, y: _Term | Number, z: _Term | Number) -> _Term:
    return _apply("fma", x, y, z)


def _minimum(x: _Term, y: _Term | Number) -> _Term:
    return _apply("min", x, y)


def _maximum(x: _Term, y: _Term | Number) -> _Term:
    return _apply("max", x, y)


def _copysign(x: _Term, y: _Term) -> _Term:
    return _apply("copysign", x, y)


def _trunc(x: _Term) -> _Term:
    return _apply("trunc", x)


def _equal(x: _Term, y: _Term | Number) -> _Term:
    return _apply("eq", x, y)


def _select(condition: _Term, x: _Term | Number, y: _Term | Number) -> _Term:
    like = next(term for term in (x, y) if isinstance(term, _Term))
    return _apply("select", condition, _number(x, like), _number(y, like))


def _sum(x: _Term | Number, y: _Term) -> tuple[_Term, _Term]:
    """Return x + y rounded, and what that lacks, for |x| >= |y| or x = 0."""
    total = x + y
    return total, y - (total - x)


def _product(x: _Term, y: _Term | Number) -> tuple[_Term, _Term]:
    """Return x * y rounded, and what that lacks."""
    product = x * y
    return product, _fma(x, y, -product)


def _polynomial(x: _Term, coefficients: Sequence[float]) -> _Term:
    """Return c0 + c1 x + c2 x^2 + ..., by Horner's rule."""
    result = _number(coefficients[-1], x)
    for c in coefficients[-2::-1]:
        result = _fma(result, x, c)
    return result


# Formats.


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
_LN_2 = {FLOAT32: (0.6931472, -1.9046542e-09), FLOAT64: (0.6931471805599453, 2.3190468138462996e-17)}
_LOG2_E = {FLOAT32: (1.442695, 1.925963e-08), FLOAT64: (1.4426950408889634, 2.0355273740931033e-17)}
_LOG10_E = {FLOAT32: (0.4342945, -1.010305e-08), FLOAT64: (0.4342944819032518, 1.098319650216765e-17)}
_LOG10_2 = {FLOAT32: (0.3010254, 4.605039e-06), FLOAT64: (0.3010299956640665, -8.532344317057107e-14)}
_SQRT_HALF_BITS = {FLOAT32: 0x3F3504F3, FLOAT64: 0x3FE6A09E667F3BCD}


def _format(x: _Term) -> _Format:
    return _FORMATS[x.dtype]


def _bits(x: _Term) -> _Term:
    return x.bitcast(_format(x).unsigned)


def _sign_bit(x: _Term) -> _Term:
    return _bits(x) & (1 << _format(x).width - 1)


def _squarable(x: _Term) -> _Term:
    """Return x, but 0 where its square is too small to matter: computing with subnormal numbers is slow."""
    return _select(abs(x) < _format(x).negligible, 0.0, x)


def _round(x: _Term, factor: Number | None = None) -> tuple[_Term, _Term]:
    """Return x * factor rounded to an integer k, |k| < 2**22, and that integer in the low bits of a word."""
    magic = _format(x).round_to_int
    shifted = x + magic if factor is None else _fma(x, factor, magic)
    return shifted - magic, _bits(shifted)


def _power_of_two(k: _Term, dtype: DType) -> _Term:
    """Return 2**k, a normal number, for the integer in the low bits of k."""
    form = _FORMATS[dtype]
    return ((k << form.mantissa) + form.one).bitcast(dtype)


def _power_of_two_factors(k: _Term, dtype: DType) -> tuple[_Term, _Term]:
    """Return normal numbers whose product is 2**k, for k from twice the least to twice the largest exponent."""
    form = _FORMATS[dtype]
    magic = int(dtype.type(form.round_to_int).view(form.unsigned))
    biased = k + (2 * form.bias - magic)
    half = biased >> 1
    return (half << form.mantissa).bitcast(dtype), ((biased - half) << form.mantissa).bitcast(dtype)


# Exponentials.

# (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2, relative error of exp(r) - 1: 2^-28.2 and 2^-61.6.
_EXP = {
    FLOAT32: (0.5, 0.16666636, 0.04166651, 0.008341509, 0.0013930541, 0.00015047444),
    FLOAT64: (
        0.5, 0.16666666666666677, 0.041666666666666685, 0.008333333333321806, 0.0013888888888894495,
        0.0001984126988531235, 2.4801587275981848e-05, 2.7557245179049535e-06, 2.7557333094105316e-07,
        2.5108679746472736e-08, 2.089255311419033e-09,
    ),
}  # fmt: skip


def _reduce_exp(x: _Term) -> tuple[_Term, _Term]:
    """Return r and k (in the low bits) with x = k ln(2) + r, |r| <= ln(2)/2."""
    form = _format(x)
    k, k_bits = _round(x, _LOG2_E[x.dtype][0])
    return _fma(k, -form.ln2_low, _fma(k, -form.ln2_high, x)), k_bits


def _exp_slope(r: _Term) -> _Term:
    """Return (exp(r) - 1) / r."""
    return _fma(r, _polynomial(r, _EXP[r.dtype]), 1.0)


def _exp_moderate(x: _Term) -> _Term:
    """Return exp(x) where it is a normal number."""
    r, k = _reduce_exp(x)
    return _fma(r, _exp_slope(r), 1.0) * _power_of_two(k, x.dtype)


def _exp(x: _Term) -> _Term:
    form = _format(x)
    r, k = _reduce_exp(_minimum(_maximum(x, form.exp_lowest), form.exp_highest))
    scale, scale_too = _power_of_two_factors(k, x.dtype)
    # A result of 0 must not come from multiplying small numbers: that is slow.
    return _fma(r, _exp_slope(r), 1.0) * scale * _select(x < form.exp_lowest, 0.0, scale_too)


def _exp2(x: _Term) -> _Term:
    form = _format(x)
    lowest, highest = -form.bias - form.mantissa - 1.0, form.bias + 1.0
    clamped = _minimum(_maximum(x, lowest), highest)
    k, k_bits = _round(clamped)
    r = (clamped - k) * _LN_2[x.dtype][0]
    scale, scale_too = _power_of_two_factors(k_bits, x.dtype)
    return _fma(r, _exp_slope(r), 1.0) * scale * _select(x < lowest, 0.0, scale_too)


def _expm1(x: _Term) -> _Term:
    form = _format(x)
    # Below the first bound the result is -1 to the last bit.
    clamped = _minimum(_maximum(x, -float(form.mantissa)), form.exp_highest)
    k, k_bits = _round(clamped, _LOG2_E[x.dtype][0])
    r_high = _fma(k, -form.ln2_high, clamped)
    r_low = k * -form.ln2_low
    r = r_high + r_low
    tiny = abs(x) < form.negligible
    factor = _select(tiny, 0.0, r)
    # 2^k (r + r^2 h) + (2^k - 1), by halves since 2^k may overflow; the sum of the two large parts is kept exactly.
    half = _power_of_two(k_bits - 1, x.dtype)
    offset = half - 0.5
    large = _fma(half, r_high, offset)
    small = _fma(half, r_high, offset - large) + half * _fma(factor * factor, _polynomial(r, _EXP[x.dtype]), r_low)
    return _select(tiny, x, (large + small) * 2.0)


def _exp_pair(x: _Term) -> tuple[_Term, _Term, _Term]:
    """Return p, what it lacks, and k (in the low bits), with exp(x) = p 2^k."""
    r, k = _reduce_exp(x)
    slope = _exp_slope(r)
    p = _fma(r, slope, 1.0)
    return p, _fma(r, slope, 1.0 - p), k


def _sigmoid(x: _Term) -> _Term:
    form = _format(x)
    below = _maximum(-abs(x), form.exp_lowest)
    p, p_low, k = _exp_pair(below)
    # With e = exp(-|x|) = p 2^k: 1 / (1 + e) for x >= 0, else p / (1 + e) 2^k, divided with one step of correction.
    e_scale = _select(below > -40.0, _power_of_two(k, x.dtype), 0.0)
    e = p * e_scale
    divisor, divisor_low = _sum(1.0, e)
    divisor_low = divisor_low + p_low * e_scale
    negative = x < 0.0
    dividend, dividend_low = _select(negative, p, 1.0), _select(negative, p_low, 0.0)
    inverse = 1.0 / divisor
    quotient = dividend * inverse
    rest = _fma(-quotient, divisor, dividend) + _fma(-quotient, divisor_low, dividend_low)
    scale, scale_too = _power_of_two_factors(k, x.dtype)
    scale = _select(negative, scale, 1.0)
    scale_too = _select(negative, _select(x < form.exp_lowest, 0.0, scale_too), 1.0)
    return _fma(rest, inverse, quotient) * scale * scale_too


# (tanh(x) - x) / x^3 as a polynomial in x^2 on |x| <= 0.8, relative error of tanh(x): 2^-28.0 and 2^-56.9.
_TANH = {
    FLOAT32: (-0.333333, 0.13332242, -0.053853597, 0.021306526, -0.0074141696, 0.001587038),
    FLOAT64: (
        -0.33333333333333043, 0.1333333333329728, -0.05396825395257096, 0.02186948819155684, -0.008863231047963858,
        0.003592090409169126, -0.001455619704137526, 0.0005891690923700958, -0.00023668478336341176,
        9.19335750993316e-05, -3.204836383244515e-05, 8.544155909457758e-06, -1.2323144101794378e-06,
    ),
}  # fmt: skip


def _tanh(x: _Term) -> _Term:
    # Beyond the bound the result is 1 to the last bit.
    a = _minimum(abs(x), 10.0 if x.dtype == FLOAT32 else 20.0)
    factor = _squarable(a)
    square = factor * factor
    small = _fma(square * factor, _polynomial(square, _TANH[x.dtype]), a)
    large = 1.0 - 2.0 / (_exp_moderate(a + a) + 1.0)
    return _copysign(_select(a < 0.8, small, large), x)


# Logarithms.

# (log(1 + f) - f + f^2/2) / f^3 for sqrt(1/2) <= 1 + f <= sqrt(2), relative error of log(1 + f): 2^-30.2 and 2^-58.1.
_LOG = {
    FLOAT32: (
        0.33333313, -0.24999997, 0.20002036, -0.16668405, 0.14221554, -0.124018356, 0.118711345, -0.11683703,
        0.06787489,
    ),
    FLOAT64: (
        0.33333333333333454, -0.24999999999998926, 0.19999999999945645, -0.1666666666691217, 0.14285714293902835,
        -0.12499999982369571, 0.1111111051245935, -0.10000000358154618, 0.09090933609592844, -0.0833334670217904,
        0.07691713222008462, -0.07141979268849478, 0.0667513963160764, -0.06270067249464766, 0.058182299119446015,
        -0.053251074852555695, 0.054109960157535636, -0.06277115783747053, 0.05715502054476306, -0.024438435690494788,
    ),
}  # fmt: skip


def _log1p_rest(f: _Term) -> _Term:
    """Return log(1 + f) - f for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    return f * f * _fma(f, _polynomial(f, _LOG[f.dtype]), -0.5)


def _exponent(x: _Term) -> tuple[_Term, _Term]:
    """Return, in the exponent's place and as a float, k with sqrt(1/2) <= x / 2^k < sqrt(2), for normal x > 0."""
    form = _format(x)
    biased = _bits(x) + (form.one - _SQRT_HALF_BITS[x.dtype])
    # The bits of an integer below 2^mantissa, as the last bits of 2^mantissa plus that integer.
    offset = 2.0**form.mantissa
    offset_bits = int(x.dtype.type(offset).view(form.unsigned))
    k = ((biased >> form.mantissa) | offset_bits).bitcast(x.dtype) - (offset + form.bias)
    return (biased & (-1 << form.mantissa)) - form.one, k


def _split_normal(x: _Term) -> tuple[_Term, _Term]:
    """Return f and k with x = (1 + f) 2^k, sqrt(1/2) <= 1 + f < sqrt(2), for normal x > 0."""
    k_bits, k = _exponent(x)
    return (_bits(x) - k_bits).bitcast(x.dtype) - 1.0, k


def _split(x: _Term) -> tuple[_Term, _Term]:
    """Return f and k with x = (1 + f) 2^k, sqrt(1/2) <= 1 + f < sqrt(2), for x > 0."""
    form = _format(x)
    subnormal = x < 2.0 ** (1 - form.bias)
    f, k = _split_normal(_select(subnormal, x * 2.0 ** (form.mantissa + 1), x))
    return f, _select(subnormal, k - (form.mantissa + 1.0), k)


def _with_log_limits(x: _Term, result: _Term) -> _Term:
    """Return a logarithm that is `result` for finite x > 0."""
    beyond = _select(_equal(x, 0.0), -np.inf, _number(np.nan, x))
    return _select(_equal(x, np.inf), np.inf, _select(x > 0.0, result, beyond))


def _log_of_product(k: _Term, f: _Term, f_low: _Term | None = None) -> _Term:
    """Return log(2^k (1 + f + f_low))."""
    form = _format(f)
    total, low = _sum(k * form.ln2_high, f)
    low = _fma(k, form.ln2_low, low)
    if f_low is None:
        return total + (_log1p_rest(f) + low)
    return total + (_log1p_rest(_squarable(f)) + (low + _fma(-f, f_low, f_low)))


def _log(x: _Term) -> _Term:
    f, k = _split(x)
    return _with_log_limits(x, _log_of_product(k, f))


def _scaled_log1p(f: _Term, factor: Pair) -> tuple[_Term, _Term]:
    """Return log(1 + f) times a factor, as a sum of two."""
    high, low = _product(f, factor[0])
    return high, low + _fma(_log1p_rest(f), factor[0], f * factor[1])


def _log2(x: _Term) -> _Term:
    f, k = _split(x)
    high, low = _scaled_log1p(f, _LOG2_E[x.dtype])
    total, rest = _sum(k, high)
    return _with_log_limits(x, total + (rest + low))


def _log10(x: _Term) -> _Term:
    f, k = _split(x)
    high, low = _scaled_log1p(f, _LOG10_E[x.dtype])
    k_high, k_low = _LOG10_2[x.dtype]
    total, rest = _sum(k * k_high, high)
    return _with_log_limits(x, total + (rest + _fma(k, k_low, low)))


def _log1p_finite(x: _Term, x_low: _Term | None = None) -> _Term:
    """Return log(1 + x + x_low) for finite x > -1."""
    form = _format(x)
    k_bits, k = _exponent(x + 1.0)
    scaled = (_bits(x) - k_bits).bitcast(x.dtype)  # x 2^-k
    inverse = (form.one - k_bits).bitcast(x.dtype)
    inverse = _select(k < form.bias - 0.5, inverse, 0.0)  # 2^-k, but 0 where that is subnormal
    f, f_low = _sum(inverse - 1.0, scaled)
    if x_low is not None:
        f_low = _fma(x_low, inverse, f_low)
    return _log_of_product(k, f, f_low)


def _log1p(x: _Term) -> _Term:
    inside = _copysign(_log1p_finite(x), x)
    beyond = _select(_equal(x, -1.0), -np.inf, _number(np.nan, x))
    return _select(_equal(x, np.inf), np.inf, _select(x > -1.0, inside, beyond))


def _softplus(x: _Term) -> _Term:
    # max(x, 0) + log(1 + e), e = exp(-|x|); for large x, e is nothing, and not to be computed by subnormals.
    form = _format(x)
    below = _maximum(-abs(x), form.exp_lowest)
    p, p_low, k = _exp_pair(below)
    scale, scale_too = _power_of_two_factors(k, x.dtype)
    vanishes = (x > form.mantissa) | (x < form.exp_lowest)
    e = p * scale * _select(vanishes, 0.0, scale_too)
    e_low = p_low * _select(below > -40.0, _power_of_two(k, x.dtype), 0.0)
    return _maximum(x, 0.0) + _log1p_finite(e, e_low)


# The error function.

# erf(x)/x - 1 as a polynomial in x^2, relative error of erf(x): 2^-27.1 for |x| <= 0.85, 2^-56.0 for |x| <= 1.
_ERF = {
    FLOAT32: (0.12837917, -0.3761259, 0.11282865, -0.026807288, 0.0050577037, -0.00063485187),
    FLOAT64: (
        0.12837916709551256, -0.37612638903183343, 0.1128379167093694, -0.02686617064195554, 0.0052239775966855815,
        -0.0008548325481373734, 0.00012055280344653312, -1.4924461746432834e-05, 1.6444088939448005e-06,
        -1.6183405089755893e-07, 1.3613637930110521e-08, -7.601074239706488e-10,
    ),
}  # fmt: skip

# -log(erfc(x)) as a polynomial in x, error relative to erf(x): 2^-28.8 on [0.85, 3.95] and 2^-57.0 on [1, 5.95].
_ERFC = {
    FLOAT32: (0.000104554696, 1.1280608, 0.6365194, 0.104525425, -0.022518741, 0.0031177548, -0.00020366408),
    FLOAT64: (
        5.028348475149822e-07, 1.1283740896323566, 0.6366436273389853, 0.10270344170639759, -0.018990183212822268,
        -0.00041062163977729544, 0.0019159366411005225, -0.0007706377698728953, 0.00013504696287724462,
        2.0268324053635122e-05, -2.2823139802334963e-05, 8.667354820783108e-06, -2.1357212701246926e-06,
        3.733104043290449e-07, -4.6423817193833164e-08, 3.934338550119895e-09, -2.045004020020764e-10,
        4.928723740722727e-12,
    ),
}  # fmt: skip


def _erf(x: _Term) -> _Term:
    a = _minimum(abs(x), 3.95 if x.dtype == FLOAT32 else 5.95)
    factor = _squarable(a)
    small = _fma(a, _polynomial(factor * factor, _ERF[x.dtype]), a)
    large = 1.0 - _exp_moderate(-_polynomial(a, _ERFC[x.dtype]))
    return _copysign(_select(a < (0.85 if x.dtype == FLOAT32 else 1.0), small, large), x)


# Powers.

# log2(1 + f) / f for sqrt(1/2) <= 1 + f <= sqrt(2), relative error 2^-38.5.
_LOG2_SHORT = (
    1.4426950408865735, -0.721347520327527, 0.48089834880319243, -0.3606737931405316, 0.2885387957062844,
    -0.24044643345002478, 0.2061071236176196, -0.18043675277942384, 0.1602166598753818, -0.14249862048358994,
    0.13027567429081113, -0.13462938613886313, 0.13251180343297925, -0.06973881212856246,
)  # fmt: skip
# 2^r for |r| <= 1/2, relative error 2^-29.0.
_EXP2_SHORT = (
    1.0000000005535017, 0.6931472057492828, 0.24022646897798028, 0.055503287689375194, 0.009618488508527218,
    0.001339993259956231, 0.00015345868397418307,
)  # fmt: skip
# (atanh(s)/s - 1 - s^2/3) / s^4 as a polynomial in s^2 for |s| <= 3 - 2 sqrt(2), error 2^-66.3 of atanh(s).
_ATANH = (
    0.1999999999999999, 0.14285714285722556, 0.1111111110876824, 0.09090909435155707, 0.0769227843562424,
    0.0666815870473183, 0.058374093435079516, 0.05994505916671618,
)  # fmt: skip
_THIRD, _THIRD_LOW = 0.3333333333333333, 1.850371707708594e-17


def _pow(x: _Term, y: _Term) -> _Term:
    magnitude = _pow32_of_magnitude(abs(x), y) if x.dtype == FLOAT32 else _pow64_of_magnitude(abs(x), y)
    half = y * 0.5
    is_integer = _equal(_trunc(y), y)
    is_odd = is_integer & ~_equal(_trunc(half), half)  # large numbers and infinities are even
    signed = (_bits(magnitude) ^ _select(is_odd, _sign_bit(x), 0)).bitcast(x.dtype)
    is_invalid = (x < 0.0) & (x > -np.inf) & ~is_integer
    is_one = _equal(y, 0.0) | _equal(x, 1.0)
    return _select(is_one, 1.0, _select(is_invalid, np.nan, signed))


def _with_pow_limits(x: _Term, log2: _Term) -> _Term:
    """Return log2(x) for x >= 0, which is `log2` for normal x."""
    return _select((x > 0.0) & (x < np.inf), log2, _select(_equal(x, 0.0), -np.inf, x))


def _pow32_of_magnitude(x: _Term, y: _Term) -> _Term:
    """Return x**y for x >= 0, computed in float64 and rounded once."""
    x, y = x.cast(FLOAT64), y.cast(FLOAT64)
    f, k = _split_normal(x)
    # |log2(x)| >= 2^-25, if not 0: a larger y gives 0 or infinity too, and this one is finite.
    y = _minimum(_maximum(y, -(2.0**40)), 2.0**40)
    exponent = _with_pow_limits(x, _fma(f, _polynomial(f, _LOG2_SHORT), k)) * y
    clamped = _minimum(_maximum(exponent, -200.0), 200.0)
    whole, whole_bits = _round(clamped)
    scale = _select(exponent < -151.0, 0.0, _power_of_two(whole_bits, FLOAT64))
    return (_polynomial(clamped - whole, _EXP2_SHORT) * scale).cast(FLOAT32)


def _pow64_of_magnitude(x: _Term, y: _Term) -> _Term:
    """Return x**y for x >= 0, with log2(x) to 66 bits."""
    log2, log2_low = _log2_to_66_bits(x)
    y = _minimum(_maximum(y, -(2.0**70)), 2.0**70)  # |log2(x)| >= 2^-53, if not 0
    log2 = _with_pow_limits(x, log2)
    exponent, exponent_low = _product(log2, y)
    exponent_low = exponent_low + log2_low * y
    lowest, highest = -1076.0, 1025.0
    clamped = _minimum(_maximum(exponent, lowest), highest)
    whole, whole_bits = _round(clamped)
    part, part_low = _sum(clamped - whole, _select(_equal(clamped, exponent), exponent_low, 0.0))
    ln_2, ln_2_low = _LN_2[FLOAT64]
    r, r_low = _product(part, ln_2)
    r_low = r_low + _fma(part, ln_2_low, part_low * ln_2)
    scale, scale_too = _power_of_two_factors(whole_bits, FLOAT64)
    scale_too = _select(exponent < lowest, 0.0, scale_too)
    return (_fma(r, _exp_slope(r), r_low) + 1.0) * scale * scale_too


def _log2_to_66_bits(x: _Term) -> tuple[_Term, _Term]:
    """Return log2(x) as a sum of two floats for finite x > 0."""
    # log(1 + f) = 2 atanh(s), s = f / (2 + f), atanh(s) = s + s^3 factor; all as sums of two.
    f, k = _split(x)
    divisor, divisor_low = _sum(2.0, f)
    inverse = 1.0 / divisor
    s = f * inverse
    s_low = _fma(-s, divisor_low, _fma(-s, divisor, f)) * inverse
    square, square_low = _product(s, s)
    square_low = square_low + (s + s) * s_low
    factor, factor_low = _sum(_THIRD, square * _polynomial(square, _ATANH))
    factor_low = factor_low + _fma(square_low, _ATANH[0], _THIRD_LOW)
    cubic, cubic_low = _product(square, factor)
    cubic_low = cubic_low + _fma(square, factor_low, square_low * factor)
    rest, rest_low = _product(s, cubic)
    rest_low = rest_low + _fma(s, cubic_low, s_low * cubic)
    atanh, atanh_low = _sum(s, rest)
    atanh_low = atanh_low + (s_low + rest_low)
    log2_e, log2_e_low = _LOG2_E[FLOAT64]
    high, low = _product(atanh, 2 * log2_e)
    low = low + _fma(atanh, 2 * log2_e_low, atanh_low * (2 * log2_e))
    total, total_low = _sum(k, high)
    return total, total_low + low


# Sine and cosine.

# (sin(r) - r) / r^3 and (cos(r) - 1 + r^2/2) / r^4 as polynomials in r^2 on |r| <= pi/4,
# relative errors of sin(r): 2^-27.9 and 2^-57.9, of cos(r): 2^-33.0 and 2^-63.9.
_SIN = {
    FLOAT32: (-0.16666655, 0.008332189, -0.00019518286),
    FLOAT64: (
        -0.1666666666666663, 0.00833333333332184, -0.0001984126982935853, 2.755731353851345e-06,
        -2.5050734388706667e-08, 1.5895433238040948e-10,
    ),
}  # fmt: skip
_COS = {
    FLOAT32: (0.041666646, -0.001388731, 2.4432327e-05),
    FLOAT64: (
        0.041666666666666595, -0.001388888888887334, 2.480158728899958e-05, -2.7557314216037567e-07,
        2.0875705227543393e-09, -1.1358739060719958e-11,
    ),
}  # fmt: skip

# 2/pi * 2^1248, rounded down.
_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e006492eea09d1921cfe1deb1cb129a73e"
    "e88235f52ebb4484e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b7"
    "4f463f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc20",
    16,
)
_HALF_PI, _HALF_PI_LOW = 1.5707963267948966, 6.123233995736766e-17


def _window(a: _Term, count: int, words: int) -> tuple[_Term, list[_Term]]:
    """Return m and `count` words of bits B, all of one dtype, with a * 2/pi = 4 m B 2^(-count * bits of a word) + 4n.

    a = m 2^e >= 1/2 with an integer m. The bits of 2/pi worth 4 and more, after multiplication, are left out.
    """
    form = _format(a)
    size = form.width
    # The bits are those of 2/pi from the position on, with zeros in front for the least e.
    position = (_bits(a) >> form.mantissa) - (form.bias - 1)
    zeros = form.mantissa + 3
    padded = _TWO_OVER_PI >> (1248 + zeros - words * size)
    table = [(padded >> (size * (words - 1 - j))) & ((1 << size) - 1) for j in range(words)]
    selected = [_Term(const(word, form.unsigned)) for word in table]
    # Drop words from the front, as many as the upper bits of the position say.
    for bit in reversed(range((words - count - 1).bit_length())):
        step = 1 << bit
        keep = _equal(position & (step * size), 0)
        needed = min(len(selected), count + step)
        selected = [
            _select(keep, selected[j], selected[j + step]) if j + step < len(selected) else selected[j]
            for j in range(needed)
        ]
    shift = position & (size - 1)
    backwards = shift ^ (size - 1)
    window = [(selected[j] << shift) | (selected[j + 1] >> 1 >> backwards) for j in range(count)]
    return (_bits(a) & (2**form.mantissa - 1)) | 2**form.mantissa, window


def _reduce_sin32(a: _Term) -> tuple[_Term, _Term, _Term]:
    """Return r, its error and q (in the low bits) with a = q pi/2 + r, |r| <= pi/4, for finite a >= 1/2."""
    m, window = _window(a, 3, 8)
    wide = np.dtype("uint64")
    m, first, second, third = (term.cast(wide) for term in (m, *window))
    turns = (m * first << 32) + m * second + (m * third >> 32)  # in units of 2^-62 quarters
    quarters = (turns + 2**61) >> 62
    exact = (turns << 2).bitcast(np.dtype("int64")).cast(FLOAT64) * (_HALF_PI * 2.0**-64)
    r = exact.cast(FLOAT32)
    return r, (exact - r.cast(FLOAT64)).cast(FLOAT32), quarters.cast(np.dtype("uint32"))


def _reduce_sin64(a: _Term) -> tuple[_Term, _Term, _Term]:
    """Return r, its error and q (in the low bits) with a = q pi/2 + r, |r| <= pi/4, for finite a >= 1/2."""
    m, (first, second, third) = _window(a, 3, 20)
    middle = m * second
    low = middle + _product_high(m, third)
    carry = _apply("lt", low, middle).cast(low.dtype)
    high = m * first + _product_high(m, second) + carry
    quarters = (high + 2**61) >> 62
    # The fraction of a quarter in units of 2^-64, as 53 + 11 + 62 bits.
    fraction = (high << 2) | (low >> 62)
    top = (fraction & -(2**11)).bitcast(np.dtype("int64")).cast(FLOAT64)
    bottom = (fraction & (2**11 - 1)).bitcast(np.dtype("int64")).cast(FLOAT64)
    rest = (low << 2 >> 1).bitcast(np.dtype("int64")).cast(FLOAT64)
    total, total_low = _sum(top, bottom)
    total_low = _fma(rest, 2.0**-63, total_low)
    scale, scale_low = _HALF_PI * 2.0**-64, _HALF_PI_LOW * 2.0**-64
    r, r_low = _product(total, scale)
    return r, r_low + _fma(total, scale_low, total_low * scale), quarters


def _product_high(x: _Term, y: _Term) -> _Term:
    """Return the upper 64 bits of a product of 64-bit words."""
    x_high, x_low, y_high, y_low = x >> 32, x & (2**32 - 1), y >> 32, y & (2**32 - 1)
    middle = x_low * y_high + (x_low * y_low >> 32)
    other = x_high * y_low + (middle & (2**32 - 1))
    return x_high * y_high + (middle >> 32) + (other >> 32)


def _sin_and_cos(r: _Term, r_low: _Term) -> tuple[_Term, _Term]:
    """Return sin(r + r_low) and cos(r + r_low) for |r| <= pi/4."""
    factor = _squarable(r)
    square = factor * factor
    sin_rest = square * factor * _polynomial(square, _SIN[r.dtype])
    cos_rest = square * _polynomial(square, _COS[r.dtype])
    half = square * 0.5
    cos, cos_low = _sum(1.0, -half)
    return r + _fma(r_low, cos, sin_rest), cos + _fma(square, cos_rest, _fma(-r, r_low, cos_low))


def _sin_or_cos(x: _Term, quarters: int) -> _Term:
    """Return sin(x + quarters pi/2)."""
    form = _format(x)
    a = abs(x)
    r, r_low, q = _reduce_sin32(a) if x.dtype == FLOAT32 else _reduce_sin64(a)
    small = a < 0.75
    sin, cos = _sin_and_cos(_select(small, a, r), _select(small, 0.0, r_low))
    q = _select(small, 0, q) + quarters
    result = _select(_equal(q & 1, 0), sin, cos)
    sign = (q & 2) << (form.width - 2)
    if quarters == 0:
        sign = sign ^ _sign_bit(x)
    return _select(a < np.inf, (_bits(result) ^ sign).bitcast(x.dtype), np.nan)


def _sin(x: _Term) -> _Term:
    return _sin_or_cos(x, 0)


def _cos(x: _Term) -> _Term:
    return _sin_or_cos(x, 1)


# The table.


def _function(name: str, definition: Callable[..., _Term], params: str, dtype: DType) -> Function:
    variables = tuple(Var(letter, dtype) for letter in params)
    return Function(name, variables, definition(*(_Term(v) for v in variables)).expr)


_DEFINITIONS: dict[str, Callable[..., _Term]] = {
    "exp": _exp, "exp2": _exp2, "expm1": _expm1, "sigmoid": _sigmoid, "tanh": _tanh, "log": _log, "log2": _log2,
    "log10": _log10, "log1p": _log1p, "softplus": _softplus, "erf": _erf, "pow": _pow, "sin": _sin, "cos": _cos,
}  # fmt: skip

FUNCTIONS: dict[tuple[str, DType], Function] = {
    (name, dtype): _function(name, definition, "xy" if name == "pow" else "x", dtype)
    for name, definition in _DEFINITIONS.items()
    for dtype in (FLOAT32, FLOAT64)
}
"""By name of the scalar operation and dtype; operations that are missing fall back to the C library."""
