"""sinh, cosh and the inverse functions asinh, acosh, atanh; tanh is in exponential.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.logarithm import exponent_of
from graphc.lower.math.terms import (
    LOG2_E,
    DType,
    Term,
    apply_to,
    as_term,
    bits_of,
    copysign,
    equal,
    fma,
    format_of,
    maximum,
    minimum,
    polynomial,
    power_of_two,
    rounded,
    select,
    squarable,
    two_sum,
)

Sum = tuple[Term, Term]
"""A rounded value and what it lacks."""

# (sinh(r) - r) / r^3 and (cosh(r) - 1) / r^2 as polynomials in r^2 on |r| <= ln(2)/2, relative errors of sinh(r)
# 2^-34.3 and 2^-61.7, of cosh(r) 2^-33.2 and 2^-58.0.
_SINH = {
    FLOAT32: (0.16666667, 0.008333175, 0.00019973975),
    FLOAT64: (
        0.16666666666666677, 0.008333333333321376, 0.00019841269886867953, 2.755724337517414e-06,
        2.5109355715456686e-08,
    ),
}  # fmt: skip
_COSH = {
    FLOAT32: (0.5, 0.04166646, 0.0013935426),
    FLOAT64: (
        0.5000000000000013, 0.04166666666651047, 0.001388888894835662, 2.4801488504513847e-05, 2.763181113612069e-07,
    ),
}  # fmt: skip


def _sum_of_exponentials(x: Term, sign: float) -> Term:
    """Return (exp(|x|) + sign exp(-|x|)) / 2.

    With |x| = k ln(2) + r that is a cosh(r) + b sinh(r), where a and b are 2^(k-1) +- 2^(-k-1), all by halves, as 2^k
    may overflow.
    """
    form = format_of(x)
    # Below, the result is 1 or x to the last bit; beyond, it is infinite.
    a = minimum(maximum(abs(x), form.negligible), 710.5 if x.dtype == FLOAT64 else 89.45)
    k, k_bits = rounded(a, LOG2_E[x.dtype][0])
    r_high = fma(k, -form.ln2_high, a)
    r_low = k * -form.ln2_low
    r = r_high + r_low
    square = r * r
    sinh_rest = fma(square * r, polynomial(square, _SINH[x.dtype]), r_low)
    cosh_rest = square * polynomial(square, _COSH[x.dtype])
    grown = power_of_two(k_bits - 2, x.dtype)
    shrunk = select(a > form.mantissa, 0.0, power_of_two(-2 - k_bits, x.dtype))
    of_cosh, of_sinh = grown + shrunk * sign, grown - shrunk * sign
    total = fma(of_sinh, r_high, of_cosh)
    total_low = fma(of_sinh, r_high, of_cosh - total)
    if sign > 0.0:
        total_low = total_low + (shrunk - (of_cosh - grown))
    return (total + (total_low + fma(of_sinh, sinh_rest, of_cosh * cosh_rest))) * 2.0


def cosh(x: Term) -> Term:
    return _sum_of_exponentials(x, 1.0)


def sinh(x: Term) -> Term:
    is_tiny = abs(x) < format_of(x).negligible
    return select(is_tiny, x, copysign(_sum_of_exponentials(x, -1.0), x))


# (atanh(s) - s) / s^3 as a polynomial in s^2 on |s| <= 0.2005, relative error of atanh(s): 2^-28.4 and 2^-55.8.
_ATANH = {
    FLOAT32: (0.33333474, 0.19978799, 0.15183237),
    FLOAT64: (
        0.3333333333333645, 0.19999999998027782, 0.14285714707281563, 0.1111106845567247, 0.09093210875155798,
        0.07624432561124421, 0.07689272508507151,
    ),
}  # fmt: skip
# The same on |s| <= 1/3, relative error 2^-27.7 and 2^-59.4.
_ATANH_WIDE = {
    FLOAT32: (0.33333206, 0.20010896, 0.13998455, 0.14019287),
    FLOAT64: (
        0.3333333333333315, 0.20000000000080131, 0.14285714273713368, 0.11111111999448042, 0.09090871406073042,
        0.07693292656430742, 0.06650309808506988, 0.06054519646817791, 0.04163284067472647, 0.08522383018732718,
    ),
}  # fmt: skip


def _atanh_and_powers(
    k: Term, dividend: Sum, divisor: Sum, inverse: Term, factor: float, table: Mapping[DType, Sequence[float]]
) -> Term:
    """Return factor (k ln(2)/2 + atanh(dividend / divisor)), given 1 / divisor and a table for as large a ratio."""
    form = format_of(k)
    (p, p_low), (q, q_low) = dividend, divisor
    s = p * inverse
    s_low = (fma(-s, q, p) + (p_low - s * q_low)) * inverse
    small = squarable(s)
    square = small * small
    rest = fma(square * small, polynomial(square, table[s.dtype]), s_low)
    total, total_low = two_sum(k * (form.ln2_high * 0.5 * factor), s * factor)
    return total + (fma(k, form.ln2_low * 0.5 * factor, total_low) + rest * factor)


def atanh(x: Term) -> Term:
    # atanh(a) = log(m 2^k)/2, m = (1 + a) / (1 - a) / 2^k near 1: atanh(s) + k ln(2)/2, s = (m - 1) / (m + 1).
    form = format_of(x)
    a = abs(x)
    above, below = 1.0 + a, 1.0 - a
    # The difference of their bits is nearly that of their logarithms to base 2.
    k_bits = (bits_of(above) - bits_of(below) + (1 << form.mantissa - 1)) >> form.mantissa
    offset = 2.0**form.mantissa
    offset_bits = int(x.dtype.type(offset).view(form.unsigned))
    k = (k_bits | offset_bits).bitcast(x.dtype) - offset
    power = power_of_two(k_bits, x.dtype)
    scaled, above_low, scaled_low = below * power, a - (above - 1.0), ((1.0 - below) - a) * power
    p, (q, q_low) = above - scaled, two_sum(above, scaled)
    dividend, divisor = (p, above_low - scaled_low), (q, q_low + (above_low + scaled_low))
    inside = _atanh_and_powers(k, dividend, divisor, 1.0 / q, 1.0, _ATANH)
    limit = select(equal(a, 1.0), as_term(np.inf, x), np.nan)
    return copysign(select(a < 1.0, inside, limit), x)


def _log_of_sum(sinh: Term, cosh: Term, lacks: Term | None) -> Term:
    """Return y >= 0 with the given sinh(y) and cosh(y), finite: log(sinh + cosh).

    Where the sum is less than 2, tanh(y/2) = sinh / (1 + cosh): the roundings of a sum near 1 would count for much.
    `lacks` is what the square of sinh lacks, where that is a root.
    """
    form = format_of(sinh)
    # m 2^k is half of the sum, which itself may overflow.
    total, total_low = two_sum(0.5 * cosh, 0.5 * sinh)
    k_bits, k = exponent_of(total)
    m = (bits_of(total) - k_bits).bitcast(total.dtype)
    scale = select(k < form.bias - 0.5, (form.one - k_bits).bitcast(total.dtype), 0.0)
    m_low = total_low * scale
    is_small = total < 1.0
    above = select(is_small, cosh, m)
    divisor, divisor_low = two_sum(above, as_term(1.0, m))
    inverse, sinh_low = _inverse_and_root(divisor, sinh, lacks)
    dividend = select(is_small, sinh, m - 1.0), select(is_small, sinh_low, m_low)
    divisor_low = divisor_low + select(is_small, 0.0, m_low)
    k = select(is_small, 0.0, k + 1.0)
    return _atanh_and_powers(k, dividend, (divisor, divisor_low), inverse, 2.0, _ATANH_WIDE)


def _inverse_and_root(divisor: Term, root: Term, lacks: Term | None) -> tuple[Term, Term | float]:
    """Return 1 / divisor, and what a root lacks if its square lacks that much, by one division."""
    if lacks is None:
        return 1.0 / divisor, 0.0
    root = minimum(maximum(root, format_of(root).negligible), _large(root))  # beyond, it does not matter
    both = 1.0 / (divisor * root)
    return both * root, lacks * 0.5 * (both * divisor)


def asinh(x: Term) -> Term:
    a, large = abs(x), _large(x)
    bounded = squarable(minimum(a, large))
    finite = minimum(a, float(np.finfo(x.dtype).max))
    cosh = select(a > large, finite, apply_to("sqrt", fma(bounded, bounded, 1.0)))
    is_itself = (a < format_of(x).negligible) | equal(a, np.inf)
    return copysign(select(is_itself, a, _log_of_sum(finite, cosh, None)), x)


def acosh(x: Term) -> Term:
    large = _large(x)
    more = minimum(x, large) - 1.0
    finite = minimum(x, float(np.finfo(x.dtype).max))
    square = fma(more, more, 2.0 * more)
    root = apply_to("sqrt", square)
    lacks = fma(-root, root, square) + fma(more, more, 2.0 * more - square)
    inside = _log_of_sum(select(x > large, finite, root), finite, lacks)
    return select(x < 1.0, as_term(np.nan, x), select(x < np.inf, inside, x))


def _large(x: Term) -> float:
    """Return a number next to whose square 1 is nothing."""
    return 2.0 ** (format_of(x).mantissa // 2 + 5)
