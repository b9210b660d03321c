"""sin, cos and tan, as exact for every argument."""

from __future__ import annotations

import numpy as np

from graphc.ir.loops import const
from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.terms import (
    Term,
    apply_to,
    bits_of,
    equal,
    fma,
    format_of,
    polynomial,
    rarely,
    rounded,
    select,
    sign_bit_of,
    squarable,
    two_product,
    two_sum,
)

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


def _window(a: Term, count: int, words: int) -> tuple[Term, list[Term]]:
    """Return m and `count` words of bits B, all of one dtype, with a * 2/pi = 4 m B 2^(-count * bits of a word) + 4n.

    a = m 2^e >= 1/2 with an integer m. The bits of 2/pi worth 4 and more, after multiplication, are left out.
    """
    form = format_of(a)
    size = form.width
    # The bits are those of 2/pi from the position on, with zeros in front for the least e.
    position = (bits_of(a) >> form.mantissa) - (form.bias - 1)
    zeros = form.mantissa + 3
    padded = _TWO_OVER_PI >> (1248 + zeros - words * size)
    table = [(padded >> (size * (words - 1 - j))) & ((1 << size) - 1) for j in range(words)]
    selected = [Term(const(word, form.unsigned)) for word in table]
    # Drop words from the front, as many as the upper bits of the position say.
    for bit in reversed(range((words - count - 1).bit_length())):
        step = 1 << bit
        keep = equal(position & (step * size), 0)
        needed = min(len(selected), count + step)
        selected = [
            select(keep, selected[j], selected[j + step]) if j + step < len(selected) else selected[j]
            for j in range(needed)
        ]
    shift = position & (size - 1)
    backwards = shift ^ (size - 1)
    window = [(selected[j] << shift) | (selected[j + 1] >> 1 >> backwards) for j in range(count)]
    return (bits_of(a) & (2**form.mantissa - 1)) | 2**form.mantissa, window


def _reduce_sin32(a: Term) -> tuple[Term, Term, Term]:
    """Return r, its error and q (in the low bits) with a = q pi/2 + r, |r| <= pi/4, for finite a >= 1/2."""
    m, window = _window(a, 3, 8)
    wide = np.dtype("uint64")
    m, first, second, third = (term.cast(wide) for term in (m, *window))
    turns = (m * first << 32) + m * second + (m * third >> 32)  # in units of 2^-62 quarters
    quarters = (turns + 2**61) >> 62
    exact = (turns << 2).bitcast(np.dtype("int64")).cast(FLOAT64) * (_HALF_PI * 2.0**-64)
    r = exact.cast(FLOAT32)
    return r, (exact - r.cast(FLOAT64)).cast(FLOAT32), quarters.cast(np.dtype("uint32"))


def _reduce_sin64(a: Term) -> tuple[Term, Term, Term]:
    """Return r, its error and q (in the low bits) with a = q pi/2 + r, |r| <= pi/4, for finite a >= 1/2."""
    m, (first, second, third) = _window(a, 3, 20)
    middle = m * second
    low = middle + _product_high(m, third)
    carry = apply_to("lt", low, middle).cast(low.dtype)
    high = m * first + _product_high(m, second) + carry
    quarters = (high + 2**61) >> 62
    # The fraction of a quarter in units of 2^-64, as 53 + 11 + 62 bits.
    fraction = (high << 2) | (low >> 62)
    top = (fraction & -(2**11)).bitcast(np.dtype("int64")).cast(FLOAT64)
    bottom = (fraction & (2**11 - 1)).bitcast(np.dtype("int64")).cast(FLOAT64)
    rest = (low << 2 >> 1).bitcast(np.dtype("int64")).cast(FLOAT64)
    total, total_low = two_sum(top, bottom)
    total_low = fma(rest, 2.0**-63, total_low)
    scale, scale_low = _HALF_PI * 2.0**-64, _HALF_PI_LOW * 2.0**-64
    r, r_low = two_product(total, scale)
    return r, r_low + fma(total, scale_low, total_low * scale), quarters


def _product_high(x: Term, y: Term) -> Term:
    """Return the upper 64 bits of a product of 64-bit words."""
    x_high, x_low, y_high, y_low = x >> 32, x & (2**32 - 1), y >> 32, y & (2**32 - 1)
    middle = x_low * y_high + (x_low * y_low >> 32)
    other = x_high * y_low + (middle & (2**32 - 1))
    return x_high * y_high + (middle >> 32) + (other >> 32)


def _sin_and_cos(r: Term, r_low: Term) -> tuple[Term, Term]:
    """Return sin(r + r_low) and cos(r + r_low) for |r| <= pi/4."""
    factor = squarable(r)
    square = factor * factor
    sin_rest = square * factor * polynomial(square, _SIN[r.dtype])
    cos_rest = square * polynomial(square, _COS[r.dtype])
    half = square * 0.5
    cos, cos_low = two_sum(1.0, -half)
    return r + fma(r_low, cos, sin_rest), cos + fma(square, cos_rest, fma(-r, r_low, cos_low))


def _exactly(x: Term, quarters: int) -> Term:
    """Return sin(x + quarters pi/2) for |x| >= 1/2, however large."""
    a = abs(x)
    r, r_low, q = _reduce_sin32(a) if x.dtype == FLOAT32 else _reduce_sin64(a)
    sin, cos = _sin_and_cos(r, r_low)
    return select(a < np.inf, _turned(sin, cos, q + quarters, x if quarters == 0 else None), np.nan)


def _turned(sin: Term, cos: Term, q: Term, odd: Term | None) -> Term:
    """Return the sine q quarters of a turn further, with the sign of an odd function's argument if that is given."""
    form = format_of(sin)
    sign = (q & 2) << (form.width - 2)
    if odd is not None:
        sign = sign ^ sign_bit_of(odd)
    return (bits_of(select(equal(q & 1, 0), sin, cos)) ^ sign).bitcast(sin.dtype)


# (sin(r) - r) / r^3 as a polynomial in r^2 on |r| <= pi/2, relative error of sin(r): 2^-27.3.
_WIDE_SIN = (-0.16666659550272592, 0.00833306624289754, -0.00019809602703649434, 2.6057802522193646e-06)


def _quickly32(x: Term, quarters: int) -> Term:
    """Return sin(x + quarters pi/2) for |x| < 2^20, computed in float64: x less the nearest multiple of pi, for cos the
    nearest odd multiple of pi/2."""
    wide = x.cast(FLOAT64)
    form = format_of(wide)
    # cos(x) = sin(x + pi/2), so the turns are counted from there.
    shifted = fma(wide, 1 / np.pi, 0.5 * quarters) + form.round_to_int
    turns = (shifted - form.round_to_int) - 0.5 * quarters
    r = fma(turns, -2 * _HALF_PI_LOW, fma(turns, -2 * _HALF_PI, wide))
    square = r * r
    y = r * fma(square, polynomial(square, _WIDE_SIN), 1.0)
    sign = bits_of(shifted) << (form.width - 1)
    return (bits_of(y) ^ sign).bitcast(FLOAT64).cast(FLOAT32)


# pi/2 as a sum of three.
_HALF_PI_PARTS = {
    FLOAT32: (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    FLOAT64: (_HALF_PI, _HALF_PI_LOW, -1.4973849048591833e-33),
}


def _reduce_moderate(x: Term) -> tuple[Term, Term, Term]:
    """Return r, its error and q (in the low bits) with x = q pi/2 + r, |r| <= pi/4, for |x| < 2^20."""
    high, middle, low = _HALF_PI_PARTS[x.dtype]
    k, k_bits = rounded(x, 2 / np.pi)
    first = fma(k, -high, x)  # exact: the result has no bit below the last one of pi/2
    second, second_low = two_product(k, middle)
    r = first - second
    taken = r - first
    rest = (first - (r - taken)) - (second + taken)
    return r, rest - fma(k, low, second_low), k_bits


def _quickly64(x: Term, quarters: int) -> Term:
    """Return sin(x + quarters pi/2) for |x| < 2^20: x less the nearest multiple of pi/2, in three parts."""
    r, r_low, k_bits = _reduce_moderate(x)
    sin, cos = _sin_and_cos(r, r_low)
    return _turned(select(equal(x, 0.0), x, sin), cos, k_bits + quarters, None)  # -0 would become 0


MODERATE = 2.0**20
"""Arguments below are reduced by subtraction; larger ones, which are rare, by the bits of 2/pi that matter to them."""


def _sin_or_cos(x: Term, quarters: int) -> Term:
    """Return sin(x + quarters pi/2)."""
    quick = _quickly32(x, quarters) if x.dtype == FLOAT32 else _quickly64(x, quarters)
    return rarely(abs(x) >= MODERATE, _exactly(x, quarters), quick)


def sin(x: Term) -> Term:
    return _sin_or_cos(x, 0)


def cos(x: Term) -> Term:
    return _sin_or_cos(x, 1)


# (tan(r) - r) / r^3 as a polynomial in r^2 on |r| <= pi/4, relative error of tan(r): 2^-29.6 and 2^-60.0.
_TAN = {
    FLOAT32: (0.3333335, 0.13332677, 0.054058682, 0.02128755, 0.010823753, 0.00010310328, 0.004370235),
    FLOAT64: (
        0.33333333333333376, 0.13333333333326083, 0.053968253972533985, 0.021869488408891028, 0.008863237772860083,
        0.003592102405509669, 0.0014560348987795086, 0.0005889170313837934, 0.00024356613127503177,
        8.402788831616962e-05, 6.637378490513898e-05, -2.4566735397011958e-05, 4.77487772872288e-05,
        -2.383587319564831e-05, 9.701792017907719e-06,
    ),
}  # fmt: skip


def _tan_turned(r: Term, r_low: Term, q: Term) -> Term:
    """Return tan(r + r_low + q pi/2) for |r| <= pi/4: tan, or -1 / tan with a step of correction."""
    factor = squarable(r)
    square = factor * factor
    rest = square * factor * polynomial(square, _TAN[r.dtype])
    slope = fma(rest + r, rest + r, 1.0)
    t, t_low = two_sum(r, fma(r_low, slope, rest))
    inverse = -1.0 / t
    lacks = fma(inverse, t, 1.0) + inverse * t_low
    return select(equal(q & 1, 0), t, fma(inverse, lacks, inverse))


def _tan_exactly(x: Term) -> Term:
    a = abs(x)
    turned = _tan_turned(*(_reduce_sin32(a) if x.dtype == FLOAT32 else _reduce_sin64(a)))
    return select(a < np.inf, (bits_of(turned) ^ sign_bit_of(x)).bitcast(x.dtype), np.nan)


def tan(x: Term) -> Term:
    quick = select(equal(x, 0.0), x, _tan_turned(*_reduce_moderate(x)))  # -0 would become 0
    # For more, 2/pi in float32 gives a k that leaves r too far beyond pi/4.
    moderate = MODERATE if x.dtype == FLOAT64 else 2.0**16
    return rarely(abs(x) >= moderate, _tan_exactly(x), quick)
