"""erfc, also scaled by exp(x^2), and hypot."""

from __future__ import annotations

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.exponential import exp_slope, reduce_exp
from graphc.lower.math.logarithm import log_pair, split_normal
from graphc.lower.math.terms import (
    Term,
    apply_to,
    bits_of,
    equal,
    exact_sum,
    fma,
    format_of,
    maximum,
    minimum,
    polynomial,
    power_of_two_factors,
    select,
    squarable,
    two_product,
    two_sum,
)

# (x + 7/8) exp(x^2) erfc(x) as a polynomial in t = (x - 3) / (x + 3), x >= 0, relative error 2^-29 and 2^-57. By the
# choice of 7/8 it is nearly level at x = 0, so that the rounding of t does not matter there.
_ERFCX = {
    FLOAT32: (
        0.69362944, -0.19014812, 0.06832028, 0.008528626, -0.032762147, 0.025010737, -0.010284375, 0.0015162383,
        0.00072073104, -0.0003484903, -2.915725e-05, 3.580524e-05,
    ),
    FLOAT64: (
        0.693629460827886, -0.1901481380784295, 0.06832027846539944, 0.008529103163585258, -0.03276214275844906,
        0.025006826427596496, -0.010284331333824693, 0.0015301008210786577, 0.0007204469424681605,
        -0.0003729453867064117, -2.855865646420386e-05, 5.7726928282667506e-05, -5.171784085185201e-07,
        -9.255084705538921e-06, 1.0420706023053579e-07, 1.625580203758961e-06, 9.000498558777297e-08,
        -2.9713353908065664e-07, -5.279384581143369e-08, 5.0957750861849736e-08, 1.730493045979077e-08,
        -6.962056996296816e-09, -3.6392249457699775e-09, 5.408179836325374e-10, 3.8136544601977677e-10,
    ),
}  # fmt: skip

# (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2, with a term more than exp needs.
_EXP32 = (0.5, 0.16666667, 0.041666668, 0.008333298, 0.0013888854, 0.00019899274, 2.4859579e-05)


def _scaled_tail(a: Term) -> tuple[Term, Term]:
    """Return exp(a^2) erfc(a) and what that lacks, for finite a >= 0."""
    first, *rest = _ERFCX[a.dtype]
    t = (a - 3.0) / (a + 3.0)
    slope = polynomial(t, rest)
    p = fma(t, slope, first)
    p_low = fma(t, slope, first - p)
    larger, smaller = maximum(a, 0.875), minimum(a, 0.875)
    divisor, divisor_low = two_sum(larger, smaller)
    inverse = 1.0 / divisor
    q = p * inverse
    q_low = (fma(-q, divisor, p) + fma(-q, divisor_low, p_low)) * inverse
    is_one = a < format_of(a).negligible
    return select(is_one, 1.0, q), select(is_one, 0.0, q_low)


def _exp_of_square(a: Term, sign: float) -> tuple[Term, Term, tuple[Term, Term]]:
    """Return p, what it lacks, and the factors of a power of two, with exp(sign a^2) = p times them."""
    form = format_of(a)
    bounded = minimum(squarable(a), 64.0 if a.dtype == FLOAT64 else 16.0)
    square, square_low = two_product(bounded, bounded)
    square, square_low = square * sign, square_low * sign
    r, k = reduce_exp(minimum(maximum(square, form.exp_lowest), form.exp_highest))
    r = r + square_low
    slope = fma(r, polynomial(r, _EXP32), 1.0) if a.dtype == FLOAT32 else exp_slope(r)
    p = fma(r, slope, 1.0)
    return p, fma(r, slope, 1.0 - p), power_of_two_factors(k, a.dtype)


def erfcx(x: Term) -> Term:
    a = abs(x)
    q, q_low = _scaled_tail(minimum(a, float(np.finfo(x.dtype).max)))
    tail = select(equal(a, np.inf), 0.0, q + q_low)
    # Below 0 it is 2 exp(x^2) less that of -x.
    p, p_low, (scale, scale_too) = _exp_of_square(a, 1.0)
    grown = 2.0 * p * scale * scale_too
    total, total_low = two_sum(grown, -q)
    large = total + select(total < np.inf, fma(2.0 * p_low * scale, scale_too, total_low - q_low), 0.0)
    return select(x < 0.0, large, tail)


def _decaying(a: Term, factor: float, scaled: tuple[Term, Term]) -> tuple[Term, Term]:
    """Return exp(factor a^2), factor < 0, times a sum of two, and what that lacks; 0 and nothing far out."""
    q, q_low = scaled
    p, p_low, (scale, scale_too) = _exp_of_square(a, factor)
    product, product_low = two_product(p, q)
    low = fma(p, q_low, fma(p_low, q, product_low))
    # A result of 0 must not come from multiplying small numbers: that is slow.
    vanishes = a * a * -factor > -format_of(a).exp_lowest
    scale_too = select(vanishes, 0.0, scale_too)
    total, low = two_sum(product, low)
    return total * scale * scale_too, low * scale * scale_too


def erfc(x: Term) -> Term:
    bounded = minimum(abs(x), 28.0 if x.dtype == FLOAT64 else 10.5)
    tail, _ = _decaying(bounded, -1.0, _scaled_tail(bounded))
    return select(x < 0.0, 2.0 - tail, tail)


_ROOT_HALF = {FLOAT32: (0.70710677, 1.2101617e-08), FLOAT64: (0.7071067811865476, -4.833646656726457e-17)}
_TWO_OVER_ROOT_PI = 1.1283791670955126


def _half_scaled_tail(a: Term) -> tuple[Term, Term]:
    """Return exp(t^2) erfc(t) / 2 for t = a / sqrt(2) and what that lacks, for finite a >= 0."""
    high, low = _ROOT_HALF[a.dtype]
    t, t_low = two_product(a, high)
    q, q_low = _scaled_tail(t)
    # The derivative in t is 2 t q - 2 / sqrt(pi).
    q_low = fma(fma(t + t, q, -_TWO_OVER_ROOT_PI), fma(a, low, t_low), q_low)
    return q * 0.5, q_low * 0.5


def ndtr(x: Term) -> Term:
    bounded = minimum(abs(x), 40.0 if x.dtype == FLOAT64 else 15.0)
    tail, _ = _decaying(bounded, -0.5, _half_scaled_tail(bounded))
    return select(x > 0.0, 1.0 - tail, tail)


def log_ndtr(x: Term) -> Term:
    if x.dtype == FLOAT32:  # the parts, each rounded, make more than the error that a logarithm near 0 may have
        return log_ndtr(x.cast(FLOAT64)).cast(FLOAT32)
    # Below 0 log(q / 2) - x^2 / 2, with q = exp(x^2 / 2) erfc(-x / sqrt(2)); above, the logarithm of 1 less a tail.
    a = minimum(abs(x), float(np.finfo(x.dtype).max))
    bounded = minimum(a, 40.0 if x.dtype == FLOAT64 else 15.0)
    below = x < 0.0
    half, half_low = _half_scaled_tail(select(below, a, bounded))
    tail, tail_low = _decaying(bounded, -0.5, (half, half_low))
    rest, rest_low = two_sum(1.0, -tail)
    inside, inside_low = select(below, half, rest), select(below, half_low, rest_low - tail_low)
    f, k = split_normal(inside)
    log, log_low = log_pair(k, f, inside_low * (f + 1.0) / inside)
    square, square_low = two_product(x, x * 0.5)
    total, total_low = exact_sum(-square, log)  # either may be the larger one
    low = total_low + (log_low - square_low)
    return select(below, select(square < np.inf, total + low, -np.inf), -abs(log + log_low))


def hypot(x: Term, y: Term) -> Term:
    form = format_of(x)
    a, b = abs(x), abs(y)
    # Both are divided by a power of two near the larger one, so that no square is too large or too small.
    exponent = bits_of(maximum(a, b)) & (2 * form.bias + 1 << form.mantissa)
    highest = 2 * form.bias - 1 << form.mantissa
    exponent = select(exponent > highest, highest, select(equal(exponent, 0), 1 << form.mantissa, exponent))
    scale = exponent.bitcast(x.dtype)
    inverse = ((2 * form.bias << form.mantissa) - exponent).bitcast(x.dtype)
    p, q = a * inverse, b * inverse
    high, low = maximum(p, q), squarable(minimum(p, q))
    square, square_low = two_product(high, high)
    total, total_low = two_sum(square, low * low)
    root = apply_to("sqrt", total + (total_low + square_low)) * scale
    infinite = equal(a, np.inf) | equal(b, np.inf)
    return select(infinite, np.inf, root)
