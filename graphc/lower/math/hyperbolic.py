"""sinh, cosh and the inverse functions asinh, acosh, atanh; tanh is in exponential.py."""

from __future__ import annotations

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.logarithm import exponent_of
from graphc.lower.math.terms import (
    LOG2_E,
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
    a = minimum(abs(x), 710.5 if x.dtype == FLOAT64 else 89.45)  # beyond, the result is infinite
    k, k_bits = rounded(a, LOG2_E[x.dtype][0])
    r_high = fma(k, -form.ln2_high, a)
    r_low = k * -form.ln2_low
    r = squarable(r_high + r_low)
    square = r * r
    sinh_rest = fma(square * r, polynomial(square, _SINH[x.dtype]), r_low)
    cosh_rest = square * polynomial(square, _COSH[x.dtype])
    grown = power_of_two(k_bits - 2, x.dtype)
    shrunk = select(a > form.mantissa, 0.0, power_of_two(-2 - k_bits, x.dtype))
    (of_cosh, of_cosh_low), of_sinh = two_sum(grown, shrunk * sign), grown - shrunk * sign
    total = fma(of_sinh, r_high, of_cosh)
    total_low = fma(of_sinh, r_high, of_cosh - total) + of_cosh_low
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


def _atanh_and_powers(k: Term, dividend: Sum, divisor: Sum, inverse: Term, factor: float) -> Term:
    """Return factor (k ln(2)/2 + atanh(dividend / divisor)) for a ratio of at most 0.2, given 1 / divisor."""
    form = format_of(k)
    (p, p_low), (q, q_low) = dividend, divisor
    s = p * inverse
    s_low = (fma(-s, q, p) + (p_low - s * q_low)) * inverse
    small = squarable(s)
    square = small * small
    rest = fma(square * small, polynomial(square, _ATANH[s.dtype]), s_low)
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
    inside = _atanh_and_powers(k, dividend, divisor, 1.0 / q, 1.0)
    limit = select(equal(a, 1.0), as_term(np.inf, x), np.nan)
    return copysign(select(a < 1.0, inside, limit), x)


def _log_of_sum(sinh: Term, cosh: Term, root: Term, lacks: Term, *, is_cosh: bool) -> Term:
    """Return y >= 0 with the given sinh(y) and cosh(y), finite: log(sinh + cosh).

    One of the two is a square root, and `lacks` what its square lacks. Where it is so large that this does not matter,
    `root` may be a smaller number.
    """
    form = format_of(sinh)
    # m 2^k is half of the sum, which itself may overflow.
    total, total_low = two_sum(0.5 * cosh, 0.5 * sinh)
    k_bits, k = exponent_of(total)
    m = (bits_of(total) - k_bits).bitcast(total.dtype)
    # Near 0, tanh(y/2) = sinh / (1 + cosh).
    is_small = k < -0.5
    above, above_low = two_sum(as_term(1.0, m), m)
    one_more, one_more_low = two_sum(cosh, as_term(1.0, cosh))
    divisor = select(is_small, one_more, above)
    both = 1.0 / (divisor * root)  # one division for two inverses
    root_low = lacks * 0.5 * (both * divisor)
    scale = select(k < form.bias - 0.5, (form.one - k_bits).bitcast(total.dtype), 0.0)
    m_low = fma(root_low, 0.5, total_low) * scale
    dividend = select(is_small, sinh, m - 1.0), select(is_small, 0.0 if is_cosh else root_low, m_low)
    divisor_low = select(is_small, one_more_low + root_low if is_cosh else one_more_low, above_low + m_low)
    k = select(is_small, 0.0, k + 1.0)
    return _atanh_and_powers(k, dividend, (divisor, divisor_low), both * root, 2.0)


def asinh(x: Term) -> Term:
    a, large, highest = abs(x), _large(x), float(np.finfo(x.dtype).max)
    bounded = squarable(minimum(a, large))
    square = fma(bounded, bounded, 1.0)
    root = apply_to("sqrt", square)
    lacks = fma(-root, root, square) + fma(bounded, bounded, 1.0 - square)
    finite = minimum(a, highest)
    inside = _log_of_sum(finite, select(a > large, finite, root), root, lacks, is_cosh=True)
    is_itself = (a < format_of(x).negligible) | equal(a, np.inf)
    return copysign(select(is_itself, a, inside), x)


def acosh(x: Term) -> Term:
    large, highest = _large(x), float(np.finfo(x.dtype).max)
    more = minimum(x, large) - 1.0
    square = fma(more, more, 2.0 * more)
    root = apply_to("sqrt", square)
    lacks = fma(-root, root, square) + fma(more, more, 2.0 * more - square)
    finite = minimum(x, highest)
    not_zero = maximum(root, format_of(x).negligible)
    inside = _log_of_sum(select(x > large, finite, root), finite, not_zero, lacks, is_cosh=False)
    return select(x < 1.0, as_term(np.nan, x), select(x < np.inf, inside, x))


def _large(x: Term) -> float:
    """Return a number next to whose square 1 is nothing."""
    return 2.0 ** (format_of(x).mantissa // 2 + 5)
