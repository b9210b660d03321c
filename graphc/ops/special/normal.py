"""The normal distribution function, its logarithm and inverse, and the inverses of the error functions."""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from graphc.ir.graph import Elementwise
from graphc.ops.elementwise import FLOATS, each, elementwise, erfcx, exp, same

_ROOT_TWO = Fraction(1.4142135623730951) + Fraction(-9.667293313452913e-17)


def _ndtr(x: float) -> float:
    if not abs(x) < 40.0:
        return x if x != x else float(x > 0)
    t = -x / math.sqrt(2.0)
    # What t lacks times the slope of erfc, which is steep.
    t_low = float(-Fraction(x) / _ROOT_TWO - Fraction(t))
    return 0.5 * (math.erfc(t) - 2.0 / math.sqrt(math.pi) * math.exp(-t * t) * t_low)


def _log_ndtr(x: float) -> float:
    if x > -1.0:
        return math.log1p(-_ndtr(-x))
    scaled = float(erfcx.reference(np.float64(-x / math.sqrt(2.0))))
    return (math.log(scaled * 0.5) if scaled else 0.0) - x * x / 2.0


ndtr: Elementwise = elementwise(
    "ndtr",
    same(FLOATS),
    each(lambda x: _ndtr(float(x))),
    (lambda ct, out, x: ct * (exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))),),
    doc="erfc(-x / sqrt(2)) / 2.",
)
log_ndtr: Elementwise = elementwise(
    "log_ndtr",
    same(FLOATS),
    each(lambda x: _log_ndtr(float(x))),
    # The density by the distribution function: both vanish below, their quotient by exp(-x*x/2) does not.
    (lambda ct, out, x: ct * (math.sqrt(2.0 / math.pi) / erfcx(x * -math.sqrt(0.5))),),
    doc="log(ndtr(x)).",
)

_NORMAL = NormalDist()


def _erfcinv(q: float) -> float:
    if not 0.0 < q < 2.0:
        return {0.0: math.inf, 2.0: -math.inf}.get(q, math.nan)
    if q > 1.0:
        return -_erfcinv(2.0 - q)
    if q < 1e-300:
        # Too small for a density: erfc(x) = q where log(x) + x*x = -log(q sqrt(pi)) ...
        x = 26.0
        for _ in range(60):
            t = 0.5 / (x * x)
            series = 1.0 - t * (1.0 - t * (3.0 - t * (15.0 - t * (105.0 - t * (945.0 - t * 10395.0)))))
            x = math.sqrt(math.log(series / x / math.sqrt(math.pi)) - math.log(q))
        return x
    x = -_NORMAL.inv_cdf(q / 2.0) / math.sqrt(2.0)
    # A step of Newton's method removes what rounding left.
    return x + (math.erfc(x) / q - 1.0) * q / (2.0 / math.sqrt(math.pi) * math.exp(-x * x))


def _erfinv(x: float) -> float:
    if not abs(x) < 0.5:
        return math.copysign(_erfcinv(1.0 - abs(x)), x)
    y = x * (math.sqrt(math.pi) / 2.0)
    for _ in range(6):
        y -= (math.erf(y) - x) / (2.0 / math.sqrt(math.pi) * math.exp(-y * y))
    return y


def _ndtri(p: float) -> float:
    return 0.0 - math.sqrt(2.0) * _erfcinv(2.0 * p)


erfinv: Elementwise = elementwise(
    "erfinv",
    same(FLOATS),
    each(_erfinv),
    (lambda ct, out, x: ct * (exp(out * out) * (math.sqrt(math.pi) / 2.0)),),
    doc="The inverse of erf on [-1, 1]; NaN outside.",
)
erfcinv: Elementwise = elementwise(
    "erfcinv",
    same(FLOATS),
    each(_erfcinv),
    (lambda ct, out, x: ct * (exp(out * out) * (-math.sqrt(math.pi) / 2.0)),),
    doc="The inverse of erfc on [0, 2]; NaN outside.",
)
ndtri: Elementwise = elementwise(
    "ndtri",
    same(FLOATS),
    each(_ndtri),
    (lambda ct, out, x: ct * (exp(out * out * 0.5) * math.sqrt(2.0 * math.pi)),),
    doc="The x at which the standard normal distribution function has a value in [0, 1]; NaN outside.",
)
