"""Angles: asin, acos, atan and atan2."""

from __future__ import annotations

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.terms import (
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
    select,
    sign_bit_of,
    squarable,
    two_sum,
)

# (asin(s) - s) / s^3 as a polynomial in s^2 on |s| <= 1/2, relative error of asin(s): 2^-27.6 and 2^-55.9.
_ASIN = {
    FLOAT32: (0.16666752, 0.074953094, 0.04546927, 0.024183506, 0.04216158),
    FLOAT64: (
        0.16666666666665408, 0.0750000000033714, 0.044642856828215186, 0.030381959141991, 0.022371757922593997,
        0.017359706788667315, 0.013885214601843568, 0.012169353751528795, 0.006527340182620881, 0.019530055626638586,
        -0.01622713977335397, 0.03191429891182857,
    ),
}  # fmt: skip
# (atan(t) - t) / t^3 as a polynomial in t^2, relative error of atan(t): 2^-28.4 on |t| <= 1, 2^-57.8 on |t| <= 1/2;
# in float32 such that the angle of 1 is the float nearest to pi/4.
_ATAN = {
    FLOAT32: (
        -0.333333, 0.19998533, -0.14264017, 0.10950862, -0.08399212, 0.057878982, -0.031093711, 0.010866415,
        -0.0017821818,
    ),
    FLOAT64: (
        -0.3333333333333298, 0.19999999999903104, -0.14285714276385697, 0.11111110659641368, -0.09090896245092425,
        0.07692073920682387, -0.06663810718927944, 0.058582997011342765, -0.05122009603003008, 0.04186515717197086,
        -0.027435141800475668, 0.010116987491646877,
    ),
}  # fmt: skip
# pi/2 as a rounded value and what it lacks.
_HALF_PI = {FLOAT32: (1.5707964, -4.371139e-08), FLOAT64: (1.5707963267948966, 6.123233995736766e-17)}


def _asin_parts(x: Term) -> tuple[Term, Term, Term]:
    """Return where |x| > 1/2, and s and asin(s) - s with asin(|x|) = pi/2 - 2 asin(s) there, asin(s) elsewhere."""
    a = abs(x)
    is_far = a > 0.5
    not_tiny = maximum(
        a, format_of(x).negligible
    )  # whose square is no subnormal number; the rest vanishes all the same
    square = select(is_far, (1.0 - a) * 0.5, not_tiny * not_tiny)
    s = select(is_far, apply_to("sqrt", square), a)
    return is_far, s, s * square * polynomial(square, _ASIN[x.dtype])


def asin(x: Term) -> Term:
    high, low = _HALF_PI[x.dtype]
    is_far, s, rest = _asin_parts(x)
    total = fma(s, -2.0, high)
    far = total + (fma(s, -2.0, high - total) + fma(rest, -2.0, low))
    return copysign(select(is_far, far, s + rest), x)


def acos(x: Term) -> Term:
    high, low = _HALF_PI[x.dtype]
    is_far, s, rest = _asin_parts(x)
    # pi/2 - asin(x) near 0; beyond, 2 asin(s) for x > 0 and pi - 2 asin(s) for x < 0.
    factor = select(is_far, as_term(2.0, x), -1.0)
    turns = select(is_far, select(x < 0.0, as_term(2.0, x), 0.0), 1.0)
    s, rest = copysign(s, x), copysign(rest, x)
    base = turns * high
    total = fma(factor, s, base)
    return total + (fma(factor, s, base - total) + fma(factor, rest, turns * low))


def atan(x: Term) -> Term:
    a = abs(x)
    is_far = a > 1.0
    if x.dtype == FLOAT32:
        return copysign(_atan32(select(is_far, 1.0 / a, a), is_far), x)
    largest = 1.0 / format_of(x).negligible  # beyond, the angle is pi/2 to the last bit
    return copysign(_atan64(select(is_far, 1.0, a), minimum(maximum(a, 1.0), largest), is_far, None), x)


def _atan32(t: Term, is_far: Term) -> Term:
    """Return atan(t) for 0 <= t <= 1, from the other axis where that is far."""
    high, low = _HALF_PI[t.dtype]
    rest = _atan_rest(t)
    total = high - t
    far = total + (((high - total) - t) + (low - rest))
    return select(is_far, far, t + rest)


def _atan_rest(t: Term) -> Term:
    """Return atan(t) - t."""
    factor = squarable(t)
    square = factor * factor
    return square * factor * polynomial(square, _ATAN[t.dtype])


def _atan64(low: Term, high: Term, is_swapped: Term, is_behind: Term | None) -> Term:
    """Return the angle of a point: atan(low / high), 0 <= low <= high, from the other axis if the two were swapped, and
    from the negative one if it is behind the origin.

    Beyond atan(1/2) the angle is pi/4 less that of the rotated point: a shorter polynomial will do.
    """
    is_rotated = low + low > high
    t = select(is_rotated, high - low, low) / (high + select(is_rotated, low, 0.0))
    turns, flips = select(is_rotated, as_term(0.5, low), 0.0), is_swapped ^ is_rotated
    turns = select(is_swapped, 1.0 - turns, turns)
    if is_behind is not None:
        turns, flips = select(is_behind, 2.0 - turns, turns), flips ^ is_behind
    return _turned(turns, flips, t, _atan_rest(t))


def _turned(turns: Term, flips: Term, t: Term, rest: Term) -> Term:
    """Return turns pi/2 + t + rest, or less where the direction flips."""
    sign = select(flips, sign_bit_of(as_term(-0.0, t)), 0)
    t, rest = ((bits_of(part) ^ sign).bitcast(t.dtype) for part in (t, rest))
    high, low = _HALF_PI[t.dtype]
    base = turns * high
    base_low = fma(turns, high, -base) + turns * low
    total, total_low = two_sum(base, t)
    return total + (total_low + (base_low + rest))


def atan2(y: Term, x: Term) -> Term:
    a, b = abs(x), abs(y)
    low, high = minimum(a, b), maximum(a, b)
    # Neither the sum nor the inverse of what is divided by may leave the range of normal numbers, nor what a quotient
    # lacks vanish.
    large, small, shift = (2.0**1000, 2.0**300, 200) if x.dtype == FLOAT64 else (2.0**100, 2.0**30, 32)
    scale = select(high > large, as_term(2.0 ** -(shift // 2), x), select(high < small, as_term(2.0**shift, x), 1.0))
    is_infinite = equal(high, np.inf)
    low = select(is_infinite, select(equal(low, np.inf), as_term(1.0, x), 0.0), low * scale)
    high = select(is_infinite | equal(high, 0.0), 1.0, high * scale)
    is_behind = ~equal(sign_bit_of(x), 0)
    if x.dtype == FLOAT64:
        return copysign(_atan64(low, high, b > a, is_behind), y)
    inverse = 1.0 / high
    t = low * inverse
    slope = fma(t * t, -0.5, 1.0)  # near enough to 1 / (1 + t^2)
    rest = fma(fma(-t, high, low) * inverse, slope, _atan_rest(t))
    turns = select(b > a, as_term(1.0, t), 0.0)
    return copysign(_turned(select(is_behind, 2.0 - turns, turns), (b > a) ^ is_behind, t, rest), y)
