"""exp and what is made of it: exp2, expm1, sigmoid, tanh, erf."""

from __future__ import annotations

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.terms import (
    LN_2,
    LOG2_E,
    Term,
    copysign,
    fma,
    format_of,
    maximum,
    minimum,
    polynomial,
    power_of_two,
    power_of_two_factors,
    rounded,
    select,
    squarable,
    two_sum,
)

# (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2, relative error of exp(r) - 1: 2^-28.2 and 2^-61.6.
EXP_REST = {
    FLOAT32: (0.5, 0.16666636, 0.04166651, 0.008341509, 0.0013930541, 0.00015047444),
    FLOAT64: (
        0.5, 0.16666666666666677, 0.041666666666666685, 0.008333333333321806, 0.0013888888888894495,
        0.0001984126988531235, 2.4801587275981848e-05, 2.7557245179049535e-06, 2.7557333094105316e-07,
        2.5108679746472736e-08, 2.089255311419033e-09,
    ),
}  # fmt: skip


def reduce_exp(x: Term) -> tuple[Term, Term]:
    """Return r and k (in the low bits) with x = k ln(2) + r, |r| <= ln(2)/2."""
    form = format_of(x)
    k, k_bits = rounded(x, LOG2_E[x.dtype][0])
    return fma(k, -form.ln2_low, fma(k, -form.ln2_high, x)), k_bits


def exp_slope(r: Term) -> Term:
    """Return (exp(r) - 1) / r."""
    return fma(r, polynomial(r, EXP_REST[r.dtype]), 1.0)


def _exp_moderate(x: Term) -> Term:
    """Return exp(x) where it is a normal number."""
    r, k = reduce_exp(x)
    return fma(r, exp_slope(r), 1.0) * power_of_two(k, x.dtype)


def exp(x: Term) -> Term:
    form = format_of(x)
    r, k = reduce_exp(minimum(maximum(x, form.exp_lowest), form.exp_highest))
    scale, scale_too = power_of_two_factors(k, x.dtype)
    # A result of 0 must not come from multiplying small numbers: that is slow.
    return fma(r, exp_slope(r), 1.0) * scale * select(x < form.exp_lowest, 0.0, scale_too)


def exp2(x: Term) -> Term:
    form = format_of(x)
    lowest, highest = -form.bias - form.mantissa - 1.0, form.bias + 1.0
    clamped = minimum(maximum(x, lowest), highest)
    k, k_bits = rounded(clamped)
    r = (clamped - k) * LN_2[x.dtype][0]
    scale, scale_too = power_of_two_factors(k_bits, x.dtype)
    return fma(r, exp_slope(r), 1.0) * scale * select(x < lowest, 0.0, scale_too)


def expm1(x: Term) -> Term:
    form = format_of(x)
    # Below the first bound the result is -1 to the last bit.
    clamped = minimum(maximum(x, -float(form.mantissa)), form.exp_highest)
    k, k_bits = rounded(clamped, LOG2_E[x.dtype][0])
    r_high = fma(k, -form.ln2_high, clamped)
    r_low = k * -form.ln2_low
    r = r_high + r_low
    tiny = abs(x) < form.negligible
    factor = select(tiny, 0.0, r)
    # 2^k (r + r^2 h) + (2^k - 1), by halves since 2^k may overflow; the sum of the two large parts is kept exactly.
    half = power_of_two(k_bits - 1, x.dtype)
    offset = half - 0.5
    large = fma(half, r_high, offset)
    small = fma(half, r_high, offset - large) + half * fma(factor * factor, polynomial(r, EXP_REST[x.dtype]), r_low)
    return select(tiny, x, (large + small) * 2.0)


def exp_pair(x: Term) -> tuple[Term, Term, Term]:
    """Return p, what it lacks, and k (in the low bits), with exp(x) = p 2^k."""
    r, k = reduce_exp(x)
    slope = exp_slope(r)
    p = fma(r, slope, 1.0)
    return p, fma(r, slope, 1.0 - p), k


def sigmoid(x: Term) -> Term:
    form = format_of(x)
    below = maximum(-abs(x), form.exp_lowest)
    p, p_low, k = exp_pair(below)
    # With e = exp(-|x|) = p 2^k: 1 / (1 + e) for x >= 0, else p / (1 + e) 2^k, divided with one step of correction.
    e_scale = select(below > -40.0, power_of_two(k, x.dtype), 0.0)
    e = p * e_scale
    divisor, divisor_low = two_sum(1.0, e)
    divisor_low = divisor_low + p_low * e_scale
    negative = x < 0.0
    dividend, dividend_low = select(negative, p, 1.0), select(negative, p_low, 0.0)
    inverse = 1.0 / divisor
    quotient = dividend * inverse
    rest = fma(-quotient, divisor, dividend) + fma(-quotient, divisor_low, dividend_low)
    scale, scale_too = power_of_two_factors(k, x.dtype)
    scale = select(negative, scale, 1.0)
    scale_too = select(negative, select(x < form.exp_lowest, 0.0, scale_too), 1.0)
    return fma(rest, inverse, quotient) * scale * scale_too


# (tanh(x) - x) / x^3 as a polynomial in x^2 on |x| <= 0.8, relative error of tanh(x): 2^-28.0 and 2^-56.9.
_TANH = {
    FLOAT32: (-0.333333, 0.13332242, -0.053853597, 0.021306526, -0.0074141696, 0.001587038),
    FLOAT64: (
        -0.33333333333333043, 0.1333333333329728, -0.05396825395257096, 0.02186948819155684, -0.008863231047963858,
        0.003592090409169126, -0.001455619704137526, 0.0005891690923700958, -0.00023668478336341176,
        9.19335750993316e-05, -3.204836383244515e-05, 8.544155909457758e-06, -1.2323144101794378e-06,
    ),
}  # fmt: skip


def tanh(x: Term) -> Term:
    # Beyond the bound the result is 1 to the last bit.
    a = minimum(abs(x), 10.0 if x.dtype == FLOAT32 else 20.0)
    factor = squarable(a)
    square = factor * factor
    small = fma(square * factor, polynomial(square, _TANH[x.dtype]), a)
    large = 1.0 - 2.0 / (_exp_moderate(a + a) + 1.0)
    return copysign(select(a < 0.8, small, large), x)


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


def erf(x: Term) -> Term:
    a = minimum(abs(x), 3.95 if x.dtype == FLOAT32 else 5.95)
    factor = squarable(a)
    small = fma(a, polynomial(factor * factor, _ERF[x.dtype]), a)
    large = 1.0 - _exp_moderate(-polynomial(a, _ERFC[x.dtype]))
    return copysign(select(a < (0.85 if x.dtype == FLOAT32 else 1.0), small, large), x)
