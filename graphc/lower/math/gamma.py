"""lgamma, digamma, trigamma and Hurwitz' zeta function of integral power.

Computed in float64; for float32 with shorter polynomials, rounded once. Those given here interpolate the function at
Chebyshev's points, in 40 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.logarithm import log1p, log_pair, split, split_normal
from graphc.lower.math.terms import (
    LN_2,
    DType,
    Term,
    apply_to,
    as_term,
    equal,
    exact_sum,
    fma,
    minimum,
    polynomial,
    rarely,
    select,
    squarable,
    two_product,
    two_sum,
)

_EULER, _EULER_LOW = 0.5772156649015329, -4.942915152430645e-18

# (log(1 + f) - f) / f^2 for sqrt(1/2) <= 1 + f <= sqrt(2), relative error of log(1 + f): 2^-34.8.
_LOG_REST_SHORT = (
    -0.5000000000445634, 0.33333333619653827, -0.24999997692993609, 0.19999941130866822, -0.16666823826926574,
    0.14289164800185855, -0.1249823881958088, 0.11028403306854524, -0.0993614137651327, 0.09923879802924102,
    -0.09771449356382762, 0.053931296078182256,
)  # fmt: skip

# (lgamma(2 + t)/t - 1 + Euler's constant) / t on [-1, 1/2], relative error 2^-32.0 and 2^-58.6.
_NEAR_TWO = {
    FLOAT32: (
        0.3224670333231541, -0.06735230156842659, 0.020580825592929237, -0.00738551916412491, 0.0028900549167302316,
        -0.0011934864105584875, 0.0005137963683040073, -0.00021563701873654055, 8.564052979001104e-05,
        -7.850529890716586e-05, 2.6229399427057892e-05, 4.325547282544583e-05, 3.856077944093132e-05,
    ),
    FLOAT64: (
        0.3224670334241132, -0.06735230105319812, 0.020580808427784064, -0.007385551028669708, 0.0028905103307929844,
        -0.001192753911939826, 0.0005096695225255604, -0.00022315475316454165, 9.945756269922858e-05,
        -4.492628463140843e-05, 2.0506561599740656e-05, -9.43952062421641e-06, 4.37994232932122e-06,
        -2.0349518272380703e-06, 9.323336755995964e-07, -4.860580580405133e-07, 2.6068297929621397e-07,
        4.4833774734327356e-08, 5.783833636766439e-08, -2.851483002769079e-07, -2.2776343110655055e-07,
        9.451135649071132e-08, 2.955717154137658e-07, 1.8750248128974245e-07, 4.480054659037492e-08,
    ),
}  # fmt: skip

# (lgamma(x) - (x - 1/2) log(x) + x - log(2 pi)/2) x as a polynomial in 1/x^2 for x >= 5/2, error 2^-32.6 and 2^-56.2
# of lgamma(x).
STIRLING = {
    FLOAT32: (
        0.08333333318250694, -0.002777730267917978, 0.0007911751677638835, -0.0005477085546540336,
        0.0004225167871385413,
    ),
    FLOAT64: (
        0.08333333333333331, -0.0027777777777425704, 0.0007936507810740789, -0.0005952362987525512,
        0.0008416146468954755, -0.0019112061273278312, 0.00621416883593992, -0.025211948545317147,
        0.10689474701340294, -0.39730201679484567, 1.1113197941746704, -1.9839544447221413, 1.6579126428005446,
    ),
}  # fmt: skip
# log(2 pi)/2 - 1/2.
_SHIFT, _SHIFT_LOW = 0.4189385332046727, 1.6728209650585413e-17
_LGAMMA_HIGHEST = 2.5599833278516383e305

# (sin(pi r)/(pi r) - 1) / r^2 as a polynomial in r^2 on |r| <= 1/2, relative error of sin(pi r): 2^-33.1 and 2^-59.4.
_SINPI = {
    FLOAT32: (-1.6449340665733154, 0.8117423702881529, -0.19075006208997916, 0.02612805885863882,
              -0.0022550628168998606),
    FLOAT64: (
        -1.6449340668482264, 0.8117424252833519, -0.19075182412194128, 0.026147847813078808, -0.0023460809634923995,
        0.00014842817816693618, -6.972960555564221e-06, 2.459180384815939e-07,
    ),
}  # fmt: skip
_PI_LOW = 1.2246467991473532e-16
_SINPI_LOW = -3.040672350398476e-17
"""What the first coefficient lacks."""

# digamma(x) / (x - root) as a polynomial in x - 3/2 on [1, 2], relative error 2^-32.9 and 2^-58.4.
_ROOT, _ROOT_LOW = 1.4616321449683622, 9.549995429965697e-17
_NEAR_ROOT = {
    FLOAT32: (
        0.9510558760318328, -0.4236274186325623, 0.2405424824751142, -0.14840521855349975, 0.09498892142362683,
        -0.061912770922936004, 0.040754593297480844, -0.027101835424346757, 0.01799126155857759,
        -0.011096228103516554, 0.007385776781953944, -0.00769679044525289, 0.0051290832618366995,
    ),
    FLOAT64: (
        0.9510558760318328, -0.4236274212814606, 0.24054248424078697, -0.14840492305388092, 0.09498872445289039,
        -0.06192213327548831, 0.040760833940846085, -0.026975796659787055, 0.017907248317313294,
        -0.011908220105959716, 0.007927021796868154, -0.005279937255532708, 0.003518106563802472,
        -0.0023454947397380833, 0.0015633696313653504, -0.0010364584817312839, 0.0006909255761282986,
        -0.00048595039220036254, 0.00032395945401345196, -0.00014480643368061614, 9.653646261410062e-05,
        -0.0001782188548855923, 0.00011881232908510335,
    ),
}  # fmt: skip

# (log(x) - 1/(2x) - digamma(x)) x^2 as a polynomial in 1/x^2 for x >= 2, error 2^-31.4 and 2^-57.9 of digamma(x).
_DIGAMMA_REST = {
    FLOAT32: (
        0.08333333226982041, -0.008333023530402009, 0.00395293427439026, -0.003871175731461454, 0.0046657741369666335,
        -0.003575915263748221,
    ),
    FLOAT64: (
        0.08333333333333331, -0.008333333333282403, 0.003968253945839088, -0.004166662685238446, 0.0075753767455309946,
        -0.021070054649552764, 0.08240354891856491, -0.41543190760742665, 2.4086326657401416, -14.175672334916992,
        76.38818202819134, -350.6596772999366, 1303.3202157768428, -3758.4014455627503, 8025.2668059909365,
        -11879.665696300202, 10847.141982752735, -4591.938846782404,
    ),
}  # fmt: skip

# (x trigamma(x) - 1 - 1/(2x)) x^2 as a polynomial in 1/x^2 for x >= 2, error 2^-32.4 and 2^-56.7 of trigamma(x).
_TRIGAMMA_REST = {
    FLOAT32: (
        0.16666666482658496, -0.033332603880701805, 0.02376012424159163, -0.032003434474622394, 0.05695989692148768,
        -0.08768269653828427, 0.07043394875310396,
    ),
    FLOAT64: (
        0.16666666666666655, -0.03333333333294931, 0.023809523621130008, -0.03333329599675978, 0.07575358503305606,
        -0.252846726545239, 1.1544234171698304, -6.679939459852164, 44.198561442374796, -298.10801360243204,
        1861.0573632271085, -10052.567942573789, 44879.392178481656, -159871.07488015396, 439123.65347787726,
        -891517.0549304823, 1255357.0687252404, -1092121.2875403264, 441443.4349518989,
    ),
}  # fmt: skip


def log_parts(x: Term, precision: DType) -> tuple[Term, Term]:
    """Return log(x) as a sum of two for finite x > 0: x - 1 and the rest for x near 1."""
    if precision == FLOAT64:
        f, k = split(x)
        return log_pair(k, f)
    f, k = split_normal(x)
    return fma(k, LN_2[FLOAT64][0], f), f * f * polynomial(f, _LOG_REST_SHORT)


def in_float64(function: Callable[[Term, DType], Term]) -> Callable[[Term], Term]:
    """Return a function of float64, which takes the precision that is needed, as one of either dtype."""

    def either(x: Term) -> Term:
        return function(x, FLOAT64) if x.dtype == FLOAT64 else function(x.cast(FLOAT64), FLOAT32).cast(FLOAT32)

    return either


def _times(x: tuple[Term, Term], y: tuple[Term, Term]) -> tuple[Term, Term]:
    product, low = two_product(x[0], y[0])
    return product, fma(x[0], y[1], fma(x[1], y[0], low))


def nearest_integer_less(x: Term) -> Term:
    """Return x less the nearest integer."""
    return x - apply_to("rint", x)


def sine_excess(r: Term, precision: DType) -> Term:
    """Return sin(pi r) / (pi r) - 1 for |r| <= 1/2."""
    factor = squarable(r)
    square = factor * factor
    return square * polynomial(square, _SINPI[precision])


@in_float64
def sinc(x: Term, precision: DType) -> Term:
    whole = apply_to("rint", x)
    half = whole * 0.5
    is_odd = ~equal(apply_to("trunc", half), half)
    r = x - whole
    excess = sine_excess(r, precision)
    sine = fma(r, excess, r)
    far = select(is_odd, -sine, sine) / x + 0.0  # no zero is negative
    return select(abs(x) < 0.5, excess + 1.0, far)


@in_float64
def lgamma(x: Term, precision: DType) -> Term:
    a = abs(x)
    high, low = positive_lgamma(minimum(a, _LGAMMA_HIGHEST), precision)
    is_infinite = (a > _LGAMMA_HIGHEST) | equal(a, 0.0)
    result = select(is_infinite, np.inf, high + low)
    return rarely(x < 0.0, select(a > _LGAMMA_HIGHEST, np.inf, _reflected_lgamma(a, high, low, precision)), result)


def positive_lgamma(x: Term, precision: DType) -> tuple[Term, Term]:
    """Return lgamma(x) as a sum of two for finite x > 0."""
    log, log_low = log_parts(x, precision)
    # lgamma(2 + t) = t (1 - Euler's constant) + t^2 rest for x = 2 + t, less log(1 + t) for x = 1 + t.
    below = x < 1.35
    t = x - select(below, as_term(1.0, x), 2.0)
    first, *others = _NEAR_TWO[precision]
    slope = polynomial(t, others)
    rest = fma(t, slope, first)
    square = two_product(t, t)
    rest, rest_low = _times(square, (rest, fma(t, slope, first - rest)))
    near, near_low = two_product(t, select(below, as_term(-_EULER, x), 1.0 - _EULER))
    near, sum_low = exact_sum(near, rest)
    near_low = sum_low + (rest_low + fma(t, -_EULER_LOW, near_low))
    near, sum_low = exact_sum(near, select(below, t - log, 0.0))
    near_low = near_low + (sum_low - select(below, log_low, 0.0))
    # Stirling's series, as (x - 1/2) (log(x) - 1) + ..., which does not overflow before lgamma does.
    inverse = 1.0 / x
    factor = squarable(inverse)
    correction = inverse * polynomial(factor * factor, STIRLING[precision])
    half_less = x - 0.5
    less_one, less_one_low = two_sum(log, as_term(-1.0, x))
    far, far_low = two_product(half_less, less_one)
    far_low = fma(half_less, log_low + less_one_low, far_low)
    far, sum_low = exact_sum(_SHIFT, far)
    far_low = far_low + (sum_low + (correction + _SHIFT_LOW))
    is_far = x >= 2.5
    return select(is_far, far, near), select(is_far, far_low, near_low)


def lgamma_of_one_plus(t: Term, precision: DType) -> Term:
    """Return lgamma(1 + t) for 0 <= t <= 1/2."""
    return fma(t, 1.0 - _EULER, t * t * polynomial(t, _NEAR_TWO[precision])) - log1p(t)


def _reflected_lgamma(a: Term, high: Term, low: Term, precision: DType) -> Term:
    """Return lgamma(-a) = -log(a sin(pi a) / pi) - lgamma(a), with lgamma(a) a sum of two."""
    r = abs(nearest_integer_less(a))
    is_tiny = a < 2.0**-60  # -log(a)
    # sin(pi r) / (pi r) as a sum of two.
    square = two_product(r, r)
    slope = two_sum(_SINPI[FLOAT64][0], fma(square[0], polynomial(square[0], _SINPI[precision][1:]), _SINPI_LOW))
    excess, excess_low = _times(square, slope)
    sine, sine_low = two_sum(1.0, excess)
    product, product_low = _times(two_product(a, r), (sine, sine_low + excess_low))
    product, product_low = select(is_tiny, a, product), select(is_tiny, 0.0, product_low)
    f, k = split(product)
    log, log_low = log_pair(k, f, product_low / product * (f + 1.0))
    total, total_low = exact_sum(-log, select(is_tiny, 0.0, -high))
    result = total + (total_low - log_low - select(is_tiny, 0.0, low))
    return select(equal(r, 0.0), np.inf, result)


def _cotangent(r: Term, precision: DType) -> tuple[Term, Term]:
    """Return pi cot(pi r) for |r| <= 1/2 as a sum of two."""
    above, above_low = _times(_sine(0.5 - abs(r), precision), (as_term(math.pi, r), as_term(_PI_LOW, r)))
    below, below_low = _sine(r, precision)
    quotient = above / below
    return quotient, (fma(-quotient, below, above) + fma(-quotient, below_low, above_low)) / below


def _sine(r: Term, precision: DType) -> tuple[Term, Term]:
    """Return sin(pi r) / pi for |r| <= 1/2 as a sum of two."""
    product, product_low = two_product(r, sine_excess(r, precision))
    total, low = two_sum(r, product)
    return total, low + product_low


@in_float64
def digamma(x: Term, precision: DType) -> Term:
    is_negative = x < 0.0
    y = select(is_negative, 1.0 - x, abs(x))
    inverse = 1.0 / y
    # digamma(y) = digamma(y + 1) - 1/y below 1.
    below = y < 1.0
    z = select(below, y + 1.0, y)
    near = ((z - _ROOT) - _ROOT_LOW) * polynomial(z - 1.5, _NEAR_ROOT[precision])
    inverse_low = select(inverse < 2.0**100, fma(-inverse, y, 1.0) * inverse, 0.0)
    near = select(below, (near - inverse_low) - inverse, near)
    factor = squarable(inverse)
    square = factor * factor
    log, log_low = log_parts(y, precision)
    far = log + (log_low - fma(square, polynomial(square, _DIGAMMA_REST[precision]), inverse * 0.5))
    result = select(y < 2.0, near, far)
    result = select(equal(y, np.inf), y, result)
    r = nearest_integer_less(x)
    cotangent, cotangent_low = _cotangent(r, precision)
    reflected, reflected_low = exact_sum(result, -cotangent)
    reflected = select(abs(cotangent) < 2.0**900, reflected + (reflected_low - cotangent_low), -cotangent)
    reflected = select(equal(r, 0.0) | equal(y, np.inf), np.nan, reflected)
    return rarely(is_negative, reflected, select(equal(x, 0.0), -1.0 / x, result))


@in_float64
def trigamma(x: Term, precision: DType) -> Term:
    is_negative = x < 0.0
    y = select(is_negative, 1.0 - x, abs(x))
    # trigamma(y) = trigamma(y + 2) + 1/y^2 + 1/(y + 1)^2 below 2.
    below = y < 2.0
    inverse = 1.0 / select(below, y + 2.0, y)
    factor = squarable(inverse)
    square = factor * factor
    rest = fma(square, polynomial(square, _TRIGAMMA_REST[precision]), inverse * 0.5)
    far = fma(inverse, rest, inverse)
    first, second = 1.0 / y, 1.0 / (y + 1.0)
    pole, pole_low = two_product(first, first)
    pole_low = fma(first + first, fma(-first, y, 1.0) * first, pole_low)
    pole_low = select(first < 2.0**100, pole_low, 0.0)
    result = select(below, pole + (fma(second, second, far) + pole_low), far)
    # trigamma(x) + trigamma(1 - x) = (pi / sin(pi x))^2.
    r = nearest_integer_less(x)
    sine, sine_low = _sine(r, precision)
    inverse = 1.0 / sine
    inverse_low = (fma(-inverse, sine, 1.0) - inverse * sine_low) * inverse
    square, square_low = _times((inverse, inverse_low), (inverse, inverse_low))
    reflected, reflected_low = exact_sum(square, -result)
    reflected = select(abs(inverse) < 2.0**100, reflected + (reflected_low + square_low), square)
    beyond = select(equal(r, 0.0), np.inf, reflected)
    return rarely(is_negative, select(equal(y, np.inf), np.nan, beyond), result)


_SHIFT_TERMS, _TAIL_TERMS = 10, 10


def hurwitz_zeta(x: Term, power: int) -> Term:
    """Return the sum of (x + k)^-power over k >= 0 for x >= 0."""
    wide = abs(x.cast(FLOAT64))
    # Euler and Maclaurin: terms one by one until x + k >= 10, then an integral and its corrections.
    near = wide < float(_SHIFT_TERMS)
    total = as_term(0.0, wide)
    for k in reversed(range(1, _SHIFT_TERMS)):
        total = total + inverse_power(wide + float(k), power)
    last = select(near, wide + float(_SHIFT_TERMS), wide)
    inverse = 1.0 / last
    factor = squarable(inverse)
    rest = fma(inverse, polynomial(factor * factor, _tail_coefficients(power)), 0.5)
    tail = inverse_power(last, power - 1) * fma(inverse, rest, 1.0 / (power - 1))
    result = select(near, (total + tail) + inverse_power(wide, power), tail)
    result = select(equal(wide, np.inf), 0.0, result)
    return select(x >= 0.0, result.cast(x.dtype), np.nan)


def _tail_coefficients(power: int) -> list[float]:
    """Return B(2j) power (power + 1) ... (power + 2j - 2) / (2j)! for j = 1, 2, ..."""
    found, rising = [], Fraction(power)
    for j in range(1, _TAIL_TERMS + 1):
        found.append(float(bernoulli(2 * j) * rising / math.factorial(2 * j)))
        rising *= (power + 2 * j - 1) * (power + 2 * j)
    return found


def bernoulli(n: int) -> Fraction:
    """Return a Bernoulli number."""
    row = [Fraction(0)] * (n + 1)
    for m in range(n + 1):
        row[m] = Fraction(1, m + 1)
        for j in range(m, 0, -1):
            row[j - 1] = j * (row[j - 1] - row[j])
    return row[0]


def inverse_power(x: Term, power: int) -> Term:
    """Return x to a negative power, by squares with extra bits; x >= 0."""
    found: tuple[Term, Term] | None = None
    square = (x, as_term(0.0, x))
    while power:
        if power & 1:
            found = square if found is None else _times(found, square)
        power >>= 1
        if power:
            square = _times(square, square)
    assert found is not None
    high, low = found
    inverse = 1.0 / high
    correction = fma(-inverse, high, 1.0) - inverse * low
    return select((inverse > 2.0**-900) & (inverse < 2.0**900), fma(inverse, correction, inverse), inverse)
