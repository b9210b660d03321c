"""Random numbers as functions of their parameters: the number that is given, and how it moves with a parameter.

A number x that was drawn is the quantile of its distribution at a place u, and for the derivative that place is fixed
(Figurnov, Mohamed and Mnih, Implicit reparameterization gradients, 2018). Of a gamma number, with F the distribution
function and f the density for the parameter a,

    d log x / da = -(dF / da) / (x f) = integral from 0 to inf of exp(s a t - x expm1(s t)) (s (log x - digamma(a)) + t)

for s = -1, which integrates the density from 0 to x, and for s = 1, from x on; each is well conditioned on its side.
"""

from __future__ import annotations

import numpy as np

from graphc.ir.graph import Elementwise, Node, literal
from graphc.ir.types import FLOAT64
from graphc.ops.elementwise import (
    FLOATS,
    cast,
    choose,
    elementwise,
    exp,
    expm1,
    gt,
    log,
    maximum,
    minimum,
    same,
    sqrt,
    stop_gradient,
)
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast
from graphc.ops.special.gamma import digamma

STEP = 0.075
_PLACES = np.arange(-3.4, 4.0, STEP)
TIMES = np.exp(_PLACES - np.exp(-_PLACES))
"""Where to evaluate what falls off like exp(-t): a trapezoidal rule after t = exp(y - exp(-y)). Errors found are below
1e-10, relative, for a from 1e-4 to 3000 and places from 1e-6 to 1 - 1e-6."""
WEIGHTS = STEP * TIMES * (1 + np.exp(-_PLACES))

FROM = 0.1
"""Up to here the integral from 0 is taken also where x is above a: the other one would end abruptly."""

LONGEST = 650.0
"""Beyond it exp(t) times the least x that there is would overflow: there the integrand is long 0."""


def _log_slope(a: Node, log_x: Node) -> Node:
    """Return how the logarithm of a gamma number moves with its parameter, computed in float64."""
    dtype = a.dtype
    a, log_x = (n if n.dtype == FLOAT64 else cast(n, dtype=FLOAT64) for n in (a, log_x))
    x = exp(log_x)
    above = gt(x, maximum(a, literal(FROM, FLOAT64)))
    sign = choose(above, literal(1, FLOAT64), -1.0)
    root = sqrt(x)
    # The integral is the same for every rate, by which time is scaled: it needs no derivative.
    rate = stop_gradient(choose(above, x - a + root, a / (root + 1.0)))

    def spread(node: Node) -> Node:
        return broadcast(node, shape=(*node.shape, TIMES.size), axes=tuple(range(node.ndim)))

    def along(values: np.ndarray) -> Node:
        return broadcast(literal(values, FLOAT64), shape=(*a.shape, TIMES.size), axes=(a.ndim,))

    t = along(TIMES) / spread(rate)
    signed = minimum(spread(sign) * t, literal(LONGEST, FLOAT64))
    falls = exp(spread(a) * signed - spread(x) * expm1(signed))
    integrand = falls * (spread(sign * (log_x - digamma(a))) + t) * along(WEIGHTS)
    found = reduce_sum(integrand, axis=(a.ndim,)) / rate
    return found if dtype == FLOAT64 else cast(found, dtype=dtype)


def _vjp_gamma(ct: Node, out: Node, a: Node, x: Node) -> Node:
    positive = gt(out, 0.0)
    return ct * choose(positive, out * _log_slope(a, log(choose(positive, out, 1.0))), 0.0)


gamma_path: Elementwise = elementwise(
    "gamma_path",
    same(FLOATS),
    lambda a, x: np.broadcast_arrays(a, x)[1].copy(),
    (_vjp_gamma, None),
    doc="x, which is a number of the gamma distribution of the parameter a; derivative in a at its place there.",
)
log_gamma_path: Elementwise = elementwise(
    "log_gamma_path",
    same(FLOATS),
    lambda a, x: np.broadcast_arrays(a, x)[1].copy(),
    (lambda ct, out, a, x: ct * _log_slope(a, out), None),
    doc="x, which is the logarithm of a number of the gamma distribution of the parameter a; derivative in a.",
)

__all__ = ["gamma_path", "log_gamma_path"]
