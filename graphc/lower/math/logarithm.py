"""log, log2, log10, log1p and softplus."""

from __future__ import annotations

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.exponential import exp_pair
from graphc.lower.math.terms import (
    LOG2_E,
    LOG10_2,
    LOG10_E,
    SQRT_HALF_BITS,
    Pair,
    Term,
    as_term,
    bits_of,
    copysign,
    equal,
    fma,
    format_of,
    maximum,
    polynomial,
    power_of_two,
    power_of_two_factors,
    select,
    squarable,
    two_product,
    two_sum,
)

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


def _log1p_rest(f: Term) -> Term:
    """Return log(1 + f) - f for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    return f * f * fma(f, polynomial(f, _LOG[f.dtype]), -0.5)


def exponent_of(x: Term) -> tuple[Term, Term]:
    """Return, in the exponent's place and as a float, k with sqrt(1/2) <= x / 2^k < sqrt(2), for normal x > 0."""
    form = format_of(x)
    biased = bits_of(x) + (form.one - SQRT_HALF_BITS[x.dtype])
    # The bits of an integer below 2^mantissa, as the last bits of 2^mantissa plus that integer.
    offset = 2.0**form.mantissa
    offset_bits = int(x.dtype.type(offset).view(form.unsigned))
    k = ((biased >> form.mantissa) | offset_bits).bitcast(x.dtype) - (offset + form.bias)
    return (biased & (-1 << form.mantissa)) - form.one, k


def split_normal(x: Term) -> tuple[Term, Term]:
    """Return f and k with x = (1 + f) 2^k, sqrt(1/2) <= 1 + f < sqrt(2), for normal x > 0."""
    k_bits, k = exponent_of(x)
    return (bits_of(x) - k_bits).bitcast(x.dtype) - 1.0, k


def split(x: Term) -> tuple[Term, Term]:
    """Return f and k with x = (1 + f) 2^k, sqrt(1/2) <= 1 + f < sqrt(2), for x > 0."""
    form = format_of(x)
    subnormal = x < 2.0 ** (1 - form.bias)
    f, k = split_normal(select(subnormal, x * 2.0 ** (form.mantissa + 1), x))
    return f, select(subnormal, k - (form.mantissa + 1.0), k)


def _with_log_limits(x: Term, result: Term) -> Term:
    """Return a logarithm that is `result` for finite x > 0."""
    beyond = select(equal(x, 0.0), -np.inf, as_term(np.nan, x))
    return select(equal(x, np.inf), np.inf, select(x > 0.0, result, beyond))


def log_pair(k: Term, f: Term, f_low: Term | None = None) -> tuple[Term, Term]:
    """Return log(2^k (1 + f + f_low)) as a sum of two; f and the rest where k = 0."""
    form = format_of(f)
    total, low = two_sum(k * form.ln2_high, f)
    low = fma(k, form.ln2_low, low)
    if f_low is None:
        return total, _log1p_rest(f) + low
    return total, _log1p_rest(squarable(f)) + (low + fma(-f, f_low, f_low))


def _log_of_product(k: Term, f: Term, f_low: Term | None = None) -> Term:
    """Return log(2^k (1 + f + f_low))."""
    total, low = log_pair(k, f, f_low)
    return total + low


def log(x: Term) -> Term:
    f, k = split(x)
    return _with_log_limits(x, _log_of_product(k, f))


def _scaled_log1p(f: Term, factor: Pair) -> tuple[Term, Term]:
    """Return log(1 + f) times a factor, as a sum of two."""
    high, low = two_product(f, factor[0])
    return high, low + fma(_log1p_rest(f), factor[0], f * factor[1])


def log2(x: Term) -> Term:
    f, k = split(x)
    high, low = _scaled_log1p(f, LOG2_E[x.dtype])
    total, rest = two_sum(k, high)
    return _with_log_limits(x, total + (rest + low))


def log10(x: Term) -> Term:
    f, k = split(x)
    high, low = _scaled_log1p(f, LOG10_E[x.dtype])
    k_high, k_low = LOG10_2[x.dtype]
    total, rest = two_sum(k * k_high, high)
    return _with_log_limits(x, total + (rest + fma(k, k_low, low)))


def _log1p_finite(x: Term, x_low: Term | None = None) -> Term:
    """Return log(1 + x + x_low) for finite x > -1."""
    form = format_of(x)
    k_bits, k = exponent_of(x + 1.0)
    scaled = (bits_of(x) - k_bits).bitcast(x.dtype)  # x 2^-k
    inverse = (form.one - k_bits).bitcast(x.dtype)
    inverse = select(k < form.bias - 0.5, inverse, 0.0)  # 2^-k, but 0 where that is subnormal
    f, f_low = two_sum(inverse - 1.0, scaled)
    if x_low is not None:
        f_low = fma(x_low, inverse, f_low)
    return _log_of_product(k, f, f_low)


def log1p(x: Term) -> Term:
    inside = copysign(_log1p_finite(x), x)
    beyond = select(equal(x, -1.0), -np.inf, as_term(np.nan, x))
    return select(equal(x, np.inf), np.inf, select(x > -1.0, inside, beyond))


def softplus(x: Term) -> Term:
    # max(x, 0) + log(1 + e), e = exp(-|x|); for large x, e is nothing, and not to be computed by subnormals.
    form = format_of(x)
    below = maximum(-abs(x), form.exp_lowest)
    p, p_low, k = exp_pair(below)
    scale, scale_too = power_of_two_factors(k, x.dtype)
    vanishes = (x > form.mantissa) | (x < form.exp_lowest)
    e = p * scale * select(vanishes, 0.0, scale_too)
    e_low = p_low * select(below > -40.0, power_of_two(k, x.dtype), 0.0)
    return maximum(x, 0.0) + _log1p_finite(e, e_low)
