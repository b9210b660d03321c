"""The incomplete gamma functions, by quadrature.

With t = x exp(-v) below x, and t = x exp(v) above, the integral of t^(a-1) exp(-t) is x^a exp(-x) times the integral of

    exp(-(a - x) v - x (exp(-v) - 1 + v))      from 0 to x
    exp(-(x - a) v - x (exp(v) - 1 - v))       from x on

over v from 0. Where the first is taken for x < a and the second for x > a, both exponents grow, and are convex: one
rule of Gauss and Legendre in sqrt(v), over the range in which they matter, serves all a and x. Its relative error is
below 2e-15, and 5e-14 for a < 1 and x < 1. Derivatives in a only bring powers of v.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from graphc.ir.types import FLOAT32, FLOAT64
from graphc.lower.math.exponential import EXP_REST, exp, expm1, reduce_exp
from graphc.lower.math.gamma import STIRLING, lgamma_of_one_plus, log_parts, positive_lgamma
from graphc.lower.math.logarithm import log1p
from graphc.lower.math.terms import (
    DType,
    Term,
    apply_to,
    as_term,
    equal,
    fma,
    maximum,
    minimum,
    polynomial,
    power_of_two,
    rarely,
    select,
)
from graphc.ops.special.incomplete import LOWEST

_NODES = {FLOAT32: 18, FLOAT64: 32}
_NEGLIGIBLE = {FLOAT32: 20.0, FLOAT64: 40.0}
"""An exponent that is as good as infinite."""
_SERIES_TERMS = 12
_SMALL = 3.0
"""Below, lower integrals are computed for a + 2."""


def legendre_rule(count: int) -> Iterator[tuple[float, float]]:
    """Yield the nodes and weights of Gauss and Legendre's rule on [0, 1]."""
    for k in range(1, count + 1):
        x = math.cos(math.pi * (k - 0.25) / (count + 0.5))
        for _ in range(8):
            before, value = 1.0, x
            for j in range(2, count + 1):
                before, value = value, ((2 * j - 1) * x * value - (j - 1) * before) / j
            slope = count * (x * value - before) / (x * x - 1.0)
            x -= value / slope
        yield (1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope)


def _range(a: Term, x: Term, lower: Term, negligible: float) -> Term:
    """Return the v at which the exponent is about negligible."""
    b = negligible - 2.0 * (a - x)
    total = abs(b) + _root(b, 8.0 * negligible * a)
    below = select(b > 0.0, total / (a + a), 4.0 * negligible / total)
    d = x - a
    above = 2.0 * negligible / (d + _root(d, 2.0 * negligible * x))
    for _ in range(2):
        above = minimum(above, log1p(fma(a, above, negligible) / x))
    return select(lower, below, above)


def _root(b: Term, rest: Term) -> Term:
    """Return sqrt(b^2 + rest), where b^2 may overflow."""
    return select(abs(b) > 2.0**500, abs(b), apply_to("sqrt", fma(b, b, rest)))


def _moments(a: Term, x: Term, lower: Term, order: int, precision: DType) -> list[Term]:
    """Return the integrals of (-v)^j below and of v^j above, for j = 0 ... order."""
    reach = _range(a, x, lower, _NEGLIGIBLE[precision])
    slope = select(lower, a - x, x - a)
    totals = [as_term(0.0, x)] * (order + 1)
    for node, weight in legendre_rule(_NODES[precision]):
        v = reach * (node * node)
        u = select(lower, -v, v)
        r, k = reduce_exp(u)
        excess = r * r * polynomial(r, EXP_REST[precision])
        whole = power_of_two(k, FLOAT64)
        bend = select(equal(whole, 1.0), excess, (excess + (r + 1.0)) * whole - 1.0 - u)
        term = 2.0 * node * weight * _decayed(fma(x, bend, slope * v), precision)
        for j in range(order + 1):
            totals[j] = totals[j] + term
            term = term * u
    return [total * reach for total in totals]


def _decayed(exponent: Term, precision: DType) -> Term:
    """Return exp(-exponent) for exponents from 0 to a few hundred."""
    r, k = reduce_exp(-minimum(exponent, 600.0))
    return fma(r * r, polynomial(r, EXP_REST[precision]), r + 1.0) * power_of_two(k, FLOAT64)


def _tail(a: Term, x: Term, order: int, precision: DType) -> Term:
    """Return the `order`-th derivative in a of what gamma_tail is."""
    lower = is_lower(a, x)
    shifted = lower & (a < _SMALL)
    moments = _moments(select(shifted, a + 2.0, a), x, lower, order, precision)
    # The integral for a is (1 + x / (a + 1) (1 + x times that for a + 2)) / a: Taylor's coefficients of products.
    inner = _plus_one([x * m / math.factorial(j) for j, m in enumerate(moments)])
    outer = _plus_one(_product(_reciprocal(a + 1.0, order), [x * c for c in inner]))
    whole = _product(_reciprocal(a, order), outer)[order] * math.factorial(order)
    return select(lower, select(shifted, whole, moments[order]), -moments[order])


def _plus_one(series: list[Term]) -> list[Term]:
    return [series[0] + 1.0, *series[1:]]


def _product(x: list[Term], y: list[Term]) -> list[Term]:
    found = []
    for n in range(len(x)):
        total = x[0] * y[n]
        for j in range(1, n + 1):
            total = fma(x[j], y[n - j], total)
        found.append(total)
    return found


def _reciprocal(a: Term, order: int) -> list[Term]:
    """Return Taylor's coefficients of 1/a."""
    found = [1.0 / a]
    for _ in range(order):
        found.append(-found[-1] * found[0])
    return found


def is_lower(a: Term, x: Term) -> Term:
    return x < maximum(a, LOWEST)


def _density(a: Term, x: Term, precision: DType) -> Term:
    """Return x^a exp(-x) / gamma(a) for finite a, x > 0."""
    ratio = x / a
    log, log_low = log_parts(select(a < _SMALL, x, ratio), precision)
    offset = ratio - 1.0
    high, low = positive_lgamma(a, precision)
    small = fma(a, log, a * log_low) - x - (high + low)
    # sqrt(a / (2 pi)) exp(a (log(ratio) - offset) - Stirling's correction).
    inverse = 1.0 / a
    correction = inverse * polynomial(inverse * inverse, STIRLING[precision])
    large = fma(a, (log - offset) + log_low, -correction)
    scale = select(a < _SMALL, 1.0, apply_to("sqrt", a * (0.5 / math.pi)))
    return scale * exp(select(a < _SMALL, small, large))


def _small_complement(a: Term, x: Term, precision: DType) -> Term:
    """Return gammaincc(a, x) for a < 1/2, x < 1/4: (1 - p) - p a (sum over n of (-x)^n / (n! (a + n))), in which all
    terms are positive, with p = x^a / gamma(a + 1)."""
    total = as_term(0.0, x)
    for n in reversed(range(1, _SERIES_TERMS + 1)):
        total = fma(total, -x / float(n + 1), 1.0 / (a + float(n))) if n < _SERIES_TERMS else 1.0 / (a + float(n))
    log, log_low = log_parts(x, precision)
    exponent = fma(a, log, a * log_low) - lgamma_of_one_plus(a, precision)
    less_one = expm1(exponent)
    return fma(a * x, (less_one + 1.0) * total, -less_one)


def gamma_tail(a: Term, x: Term, order: int) -> Term:
    precision = x.dtype
    a, x = a.cast(FLOAT64), x.cast(FLOAT64)
    inside = (a > 0.0) & (x >= 0.0) & (a < np.inf) & (x < np.inf)
    return select(inside, _tail(a, x, order, precision), np.nan).cast(precision)


def gammainc(a: Term, x: Term) -> Term:
    return _regularized(a, x, is_complement=False)


def gammaincc(a: Term, x: Term) -> Term:
    return _regularized(a, x, is_complement=True)


def _regularized(a: Term, x: Term, is_complement: bool) -> Term:
    precision = x.dtype
    a, x = a.cast(FLOAT64), x.cast(FLOAT64)
    at_start, at_end = equal(x, 0.0) | equal(a, np.inf), equal(x, np.inf) | equal(a, 0.0)
    is_number = (a >= 0.0) & (x >= 0.0)
    # Of huge numbers only the order matters.
    scale = select(maximum(a, x) > 2.0**1000, as_term(2.0**-100, x), 1.0)
    a, x = a * scale, x * scale
    lower = is_lower(a, x)
    part = _tail(a, x, 0, precision) * _density(a, x, precision)
    result = select(a < 2.0**-900, 1.0, select(lower, part, 1.0 + part))
    if is_complement:
        common = select(lower, maximum(1.0 - part, 0.0), -part)
        result = rarely((x < LOWEST) & (a < 0.5), _small_complement(a, x, precision), common)
    # At an end of the range of a or x all of the distribution is on one side, unless both are there.
    none, all_of_it = (1.0, 0.0) if is_complement else (0.0, 1.0)
    edge = select(at_start, as_term(none, x), all_of_it)
    result = select(at_start | at_end, select(at_start & at_end, np.nan, edge), result)
    return select(is_number, result, np.nan).cast(precision)
