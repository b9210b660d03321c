"""The incomplete gamma functions and what their derivatives are made of."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from graphc.errors import ArgumentError
from graphc.ir.graph import Elementwise, Node, literal
from graphc.ir.types import TensorType
from graphc.ops.elementwise import FLOATS, common_shape, elementwise, exp, log, same
from graphc.ops.special.gamma import PI, digamma, lgamma, lgamma_near_two, lgamma_of_positive

Array = np.ndarray[Any, Any]

LOWEST = 0.25
"""Below this, and below a, it is the integral from 0 to x that is computed, otherwise that from x to infinity."""

MOST_ORDER = 8
"""Derivatives in a beyond this are refused."""


def _is_lower(a: Array, x: Array) -> Array:
    return x < np.maximum(a, LOWEST)


@lru_cache(maxsize=1)
def _rule() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(80)
    return nodes / 2 + 0.5, weights / 2


def _moment(a: Array, x: Array, order: int) -> tuple[Array, Array]:
    """Return the integral that gamma_tail is, and where it is that from 0 to x."""
    lower = _is_lower(a, x)
    # As in graphc/lower/math/incomplete.py, with v = 0 ... beyond which the exponent is above 60.
    b = 60 - 2 * (a - x)
    below = (b + np.sqrt(b * b + 480 * a)) / (2 * a)
    above = (np.sqrt((x - a) ** 2 + 120 * x) - (x - a)) / x
    for _ in range(4):
        above = np.minimum(above, np.log1p((60 + a * above) / x))
    reach = np.where(lower, below, above)
    total = np.zeros_like(x)
    for node, weight in zip(*_rule(), strict=True):
        u = np.where(lower, -reach, reach) * node**2
        bend = np.where(np.abs(u) < 0.5, _small_bend(u), np.expm1(u) - u)
        total += 2 * node * weight * u**order * np.exp(-(np.abs(x - a) * np.abs(u)) - x * bend)
    return total * reach, lower


def _small_bend(u: Array) -> Array:
    """exp(u) - 1 - u by its power series."""
    total = np.zeros_like(u)
    for k in range(24, 1, -1):
        total = total * u + np.longdouble(1) / math.factorial(k)
    return total * u * u


def _tail(a: Array, x: Array, order: int) -> Array:
    if order:
        # The derivatives of the integral for a + 2 and those of what surrounds it, by Leibniz' rule.
        direct, lower = _moment(a, x, order)
        series = [_moment(a + 2, x, j)[0] * x / math.factorial(j) for j in range(order + 1)]
        series[0] = series[0] + 1
        for shift in (1, 0):
            factor = [(-1) ** j / (a + shift) ** (j + 1) for j in range(order + 1)]
            series = [sum(factor[j] * series[n - j] for j in range(n + 1)) for n in range(order + 1)]
            if shift:
                series = [x * c for c in series]
                series[0] = series[0] + 1
        shifted = series[order] * math.factorial(order)
    else:
        direct, lower = _moment(a, x, 0)
        shifted = (1 + x / (a + 1) * (1 + x * _moment(a + 2, x, 0)[0])) / a
    return np.where(lower, np.where(a < 3, shifted, direct), -direct)


def _density(a: Array, x: Array) -> Array:
    """x^a exp(-x) / gamma(a)."""
    offset = (x - a) / a
    stirling = lgamma_of_positive(a) - (a - 0.5) * np.log(a) + a - np.log(2 * PI) / 2
    log = np.where(np.abs(offset) < 0.5, np.log1p(offset), np.log(x / a))
    near = np.sqrt(a / (2 * PI)) * np.exp(a * (log - offset) - np.where(a < 1e3, stirling, 1 / (12 * a)))
    density: Array = np.where(a < 3, np.exp(a * np.log(x) - x - lgamma_of_positive(a)), near)
    return density


def _small_complement(a: Array, x: Array) -> Array:
    series = np.zeros_like(x)
    for n in range(20, 0, -1):
        series = (series + (-1) ** n / (a + n) / math.factorial(n)) * x
    less_one = np.expm1(a * np.log(x) - lgamma_near_two(a) + np.log1p(a))
    small: Array = -less_one - (less_one + 1) * a * series
    return small


def _wide(a: Any, x: Any) -> tuple[Array, Array]:
    p, q = np.asarray(a).astype(np.longdouble), np.asarray(x).astype(np.longdouble)
    return np.where(q == q, p, p), np.where(p == p, q, q)  # of one shape, of any rank


def _gamma_tail(a: Any, x: Any, *, order: int) -> Any:
    p, q = _wide(a, x)
    inside = (p > 0) & (q >= 0) & (p < np.inf) & (q < np.inf)
    with np.errstate(all="ignore"):
        found = np.where(inside, _tail(np.where(inside, p, 1), np.where(inside, q, 1), order), np.nan)
    return found.astype(np.asarray(x).dtype)


def _regularized(a: Any, x: Any, is_complement: bool) -> Any:
    p, q = _wide(a, x)
    is_inside = (p > 0) & (q > 0) & (p < np.inf) & (q < np.inf)
    safe_a, safe_x = np.where(is_inside, p, 1), np.where(is_inside, q, 1)
    with np.errstate(all="ignore"):
        density = _density(safe_a, safe_x)
        part = _tail(safe_a, safe_x, 0) * density
        lower = _is_lower(safe_a, safe_x)
        found = np.where(lower, part, 1 + part)
        if is_complement:
            found = np.where(lower, 1 - part, -part)
            is_small = (safe_x < LOWEST) & (safe_a < 0.5)
            found = np.where(is_small, _small_complement(np.minimum(safe_a, 0.5), safe_x), found)
        at_start, at_end = (q == 0) | (p == np.inf), (q == np.inf) | (p == 0)
        edge = np.where(at_start != at_end, np.where(at_start, is_complement, not is_complement), np.nan)
        found = np.where(is_inside, found, np.where((p >= 0) & (q >= 0), edge, np.nan))
    return found.astype(np.asarray(x).dtype)


def gamma_density(a: Node, x: Node) -> Node:
    """Return x^(a - 1) exp(-x) / gamma(a)."""
    return exp((a - 1.0) * log(x) - x - lgamma(a))


def gamma_slope(a: Node, x: Node) -> Node:
    """Return the derivative of gammainc(a, x) in a, divided by that in x."""
    return x * ((log(x) - digamma(a)) * gamma_tail(a, x, order=0) + gamma_tail(a, x, order=1))


gammainc: Elementwise = elementwise(
    "gammainc",
    same(FLOATS),
    lambda a, x: _regularized(a, x, is_complement=False),
    (
        lambda ct, out, a, x: ct * (gamma_density(a, x) * gamma_slope(a, x)),
        lambda ct, out, a, x: ct * gamma_density(a, x),
    ),
    doc="The integral of t^(a-1) exp(-t) / gamma(a) over t from 0 to x, for a, x >= 0; NaN elsewhere.",
)
gammaincc: Elementwise = elementwise(
    "gammaincc",
    same(FLOATS),
    lambda a, x: _regularized(a, x, is_complement=True),
    (
        lambda ct, out, a, x: -(ct * (gamma_density(a, x) * gamma_slope(a, x))),
        lambda ct, out, a, x: -(ct * gamma_density(a, x)),
    ),
    doc="1 - gammainc(a, x).",
)


def _infer_gamma_tail(a: TensorType, x: TensorType, *, order: int) -> TensorType:
    dtype = same(FLOATS)("gamma_tail", (a, x))
    if not 0 <= order <= MOST_ORDER:
        raise ArgumentError(f"gamma_tail: derivatives in a must be of order 0 to {MOST_ORDER}, got {order}")
    return TensorType(dtype, common_shape("gamma_tail", (a, x)))


def _tail_slope_in_x(ct: Node, out: Node, a: Node, x: Node) -> Node:
    # By the differential equation x y' = 1 - (a - x) y, differentiated in a.
    order = out.attrs["order"]
    rest = literal(1, x.dtype) if order == 0 else gamma_tail(a, x, order=order - 1) * float(-order)
    return ct * ((rest - (a - x) * out) / x)


gamma_tail: Elementwise = Elementwise(
    "gamma_tail",
    infer=_infer_gamma_tail,
    reference=_gamma_tail,
    vjp=(lambda ct, out, a, x: ct * gamma_tail(a, x, order=out.attrs["order"] + 1), _tail_slope_in_x),
    doc="gammainc(a, x) for x < max(a, 1/4), else gammainc(a, x) - 1, divided by x^a exp(-x) / gamma(a); of that the "
    "derivative in a of an order.",
    scalar="gamma_tail",
)
