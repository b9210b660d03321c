"""x to the power y, by way of a logarithm with extra bits, and the cube root."""

from __future__ import annotations

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.exponential import exp_slope
from graphc.lower.math.logarithm import split, split_normal
from graphc.lower.math.terms import (
    LN_2,
    LOG2_E,
    Term,
    as_term,
    bits_of,
    copysign,
    equal,
    fma,
    maximum,
    minimum,
    polynomial,
    power_of_two,
    power_of_two_factors,
    rounded,
    select,
    sign_bit_of,
    truncated,
    two_product,
    two_sum,
)

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


def pow(x: Term, y: Term) -> Term:
    magnitude = _pow32_of_magnitude(abs(x), y) if x.dtype == FLOAT32 else _pow64_of_magnitude(abs(x), y)
    half = y * 0.5
    is_integer = equal(truncated(y), y)
    is_odd = is_integer & ~equal(truncated(half), half)  # large numbers and infinities are even
    signed = (bits_of(magnitude) ^ select(is_odd, sign_bit_of(x), 0)).bitcast(x.dtype)
    is_invalid = (x < 0.0) & (x > -np.inf) & ~is_integer
    is_one = equal(y, 0.0) | equal(x, 1.0)
    return select(is_one, 1.0, select(is_invalid, np.nan, signed))


def _with_pow_limits(x: Term, log2: Term) -> Term:
    """Return log2(x) for x >= 0, which is `log2` for normal x."""
    return select((x > 0.0) & (x < np.inf), log2, select(equal(x, 0.0), -np.inf, x))


def _pow32_of_magnitude(x: Term, y: Term) -> Term:
    """Return x**y for x >= 0, computed in float64 and rounded once."""
    x, y = x.cast(FLOAT64), y.cast(FLOAT64)
    f, k = split_normal(x)
    # |log2(x)| >= 2^-25, if not 0: a larger y gives 0 or infinity too, and this one is finite.
    y = minimum(maximum(y, -(2.0**40)), 2.0**40)
    exponent = _with_pow_limits(x, fma(f, polynomial(f, _LOG2_SHORT), k)) * y
    clamped = minimum(maximum(exponent, -200.0), 200.0)
    whole, whole_bits = rounded(clamped)
    scale = select(exponent < -151.0, 0.0, power_of_two(whole_bits, FLOAT64))
    return (polynomial(clamped - whole, _EXP2_SHORT) * scale).cast(FLOAT32)


def _pow64_of_magnitude(x: Term, y: Term) -> Term:
    """Return x**y for x >= 0, with log2(x) to 66 bits."""
    log2, log2_low = _log2_to_66_bits(x)
    y = minimum(maximum(y, -(2.0**70)), 2.0**70)  # |log2(x)| >= 2^-53, if not 0
    log2 = _with_pow_limits(x, log2)
    exponent, exponent_low = two_product(log2, y)
    exponent_low = exponent_low + log2_low * y
    lowest, highest = -1076.0, 1025.0
    clamped = minimum(maximum(exponent, lowest), highest)
    whole, whole_bits = rounded(clamped)
    part, part_low = two_sum(clamped - whole, select(equal(clamped, exponent), exponent_low, 0.0))
    ln_2, ln_2_low = LN_2[FLOAT64]
    r, r_low = two_product(part, ln_2)
    r_low = r_low + fma(part, ln_2_low, part_low * ln_2)
    scale, scale_too = power_of_two_factors(whole_bits, FLOAT64)
    scale_too = select(exponent < lowest, 0.0, scale_too)
    return (fma(r, exp_slope(r), r_low) + 1.0) * scale * scale_too


def _log2_to_66_bits(x: Term) -> tuple[Term, Term]:
    """Return log2(x) as a sum of two floats for finite x > 0."""
    # log(1 + f) = 2 atanh(s), s = f / (2 + f), atanh(s) = s + s^3 factor; all as sums of two.
    f, k = split(x)
    divisor, divisor_low = two_sum(2.0, f)
    inverse = 1.0 / divisor
    s = f * inverse
    s_low = fma(-s, divisor_low, fma(-s, divisor, f)) * inverse
    square, square_low = two_product(s, s)
    square_low = square_low + (s + s) * s_low
    factor, factor_low = two_sum(_THIRD, square * polynomial(square, _ATANH))
    factor_low = factor_low + fma(square_low, _ATANH[0], _THIRD_LOW)
    cubic, cubic_low = two_product(square, factor)
    cubic_low = cubic_low + fma(square, factor_low, square_low * factor)
    rest, rest_low = two_product(s, cubic)
    rest_low = rest_low + fma(s, cubic_low, s_low * cubic)
    atanh, atanh_low = two_sum(s, rest)
    atanh_low = atanh_low + (s_low + rest_low)
    log2_e, log2_e_low = LOG2_E[FLOAT64]
    high, low = two_product(atanh, 2 * log2_e)
    low = low + fma(atanh, 2 * log2_e_low, atanh_low * (2 * log2_e))
    total, total_low = two_sum(k, high)
    return total, total_low + low


# (1 + f)^(-1/3) for sqrt(1/2) <= 1 + f <= sqrt(2), relative error 2^-11.9 and 2^-17.4.
_INVERSE_CBRT = {
    FLOAT32: (0.9997786, -0.33467063, 0.23778544, -0.15874597),
    FLOAT64: (
        1.0000038463166634, -0.33326101463505037, 0.221605032362922, -0.17582048772629724, 0.160416070009742,
        -0.10803965119253392,
    ),
}  # fmt: skip
# 2^n and 2^(-n/3) for n = -1, 0, 1, as polynomials in n.
_POWER, _INVERSE_CBRT_OF_POWER = (1.0, 0.75, 0.25), (1.0, -0.2331, 0.0268)


def cbrt(x: Term) -> Term:
    a = abs(x)
    f, k = split(a)
    # a = m 8^q, m = (1 + f) 2^n with n = -1, 0, 1.
    q, q_bits = rounded(k, 1 / 3)
    n = fma(q, -3.0, k)
    m = fma(f, 1.0, 1.0) * polynomial(n, _POWER)
    r = polynomial(f, _INVERSE_CBRT[x.dtype]) * polynomial(n, _INVERSE_CBRT_OF_POWER)
    # A step of Newton's for m^(-1/3), and one for y = m^(1/3) that takes what it lacks of m exactly.
    r = fma(r * fma(-m * r, r * r, 1.0), 1 / 3, r)
    r_square = r * r
    y = m * r_square
    y = fma(fma(-y * y, y, m) * r_square, 1 / 3, y)
    root = y * power_of_two(q_bits, x.dtype)
    return copysign(select((a > 0.0) & (a < np.inf), root, a), x)


def nextafter(x: Term, y: Term) -> Term:
    grows = equal(y > x, x > 0.0)
    stepped = (bits_of(x) + select(grows, as_term(1, bits_of(x)), -1)).bitcast(x.dtype)
    least = (sign_bit_of(y) | 1).bitcast(x.dtype)
    moved = select(equal(x, 0.0), least, stepped)
    return select(equal(x, y), y, select(equal(x, x) & equal(y, y), moved, np.nan))
