"""The logarithm of the gamma function and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import ArgumentError
from graphc.ir.graph import Elementwise, Node
from graphc.ir.types import TensorType
from graphc.ops.elementwise import FLOATS, choose, cos, elementwise, lt, rint, same, sin, where

Array = np.ndarray[Any, Any]

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
"""B2, B4, ..."""
_SHIFT = 20
MOST_POWER = 171
"""The factor of polygamma is beyond float64 from here."""
PI = np.longdouble("3.14159265358979323846264338327950288")
_EULER = np.longdouble("0.577215664901532860606512090082402431")


def _widened(function: Callable[[Array], Array]) -> Callable[[Any], Any]:
    """Return a function computed in the widest format there is, rounded once."""

    def reference(x: Any) -> Any:
        x = np.asarray(x)
        with np.errstate(all="ignore"):
            return np.asarray(function(x.astype(np.longdouble))).astype(x.dtype)

    return reference


def _zeta(power: int, x: Array) -> Array:
    """Hurwitz' zeta function by Euler and Maclaurin, for x >= 0."""
    near = x < _SHIFT
    total = np.zeros_like(x)
    for k in reversed(range(_SHIFT)):
        total += np.where(near, (x + k) ** -power, 0)
    last = np.where(near, x + _SHIFT, x)
    tail = np.longdouble(1) / (power - 1) + 0.5 / last
    factor = power / last / last
    for j, b in enumerate(_BERNOULLI, 1):
        tail = tail + b / math.factorial(2 * j) * factor
        factor = factor * ((power + 2 * j - 1) / last) * ((power + 2 * j) / last)
    return np.where(x == np.inf, 0, total + tail * last ** (1 - power))


def lgamma_near_two(t: Array) -> Array:
    """lgamma(2 + t) for |t| <= 1/2, by its power series."""
    total = np.zeros_like(t)
    for k in range(40, 1, -1):
        total = (total + _zeta(k, np.longdouble(2)) * (-1) ** k / k) * t
    value: Array = (total + (1 - _EULER)) * t
    return value


def lgamma_of_positive(x: Array) -> Array:
    product = np.ones_like(x)
    for k in range(_SHIFT):
        product *= np.where(x < _SHIFT, x + k, 1)
    last = np.where(x < _SHIFT, x + _SHIFT, x)
    rest = np.zeros_like(x)
    for j, b in reversed(list(enumerate(_BERNOULLI, 1))):
        rest = rest / (last * last) + np.longdouble(b) / (2 * j * (2 * j - 1))
    far = (last - 0.5) * (np.log(last) - 1) + (np.log(2 * PI) - 1) / 2 + rest / last - np.log(product)
    t = np.clip(x - np.where(x < 1.5, 1, 2), -0.5, 0.5)
    near = lgamma_near_two(t) - np.where(x < 1.5, np.log1p(t), 0)
    return np.where(np.abs(x - 1.5) <= 1, near, far)


def _lgamma(x: Array) -> Array:
    a = np.abs(x)
    value = lgamma_of_positive(np.minimum(a, np.finfo(np.float64).max))
    sine = np.abs(np.sin(_angle(a)))
    reflected = np.where(sine == 0, np.inf, np.log(PI / (a * sine)) - value)
    return np.where((a == np.inf) | (x == 0), np.inf, np.where(x < 0, reflected, value))


def _digamma_of_positive(x: Array) -> Array:
    total = np.zeros_like(x)
    for k in range(_SHIFT):
        total -= np.where(x < _SHIFT, 1 / (x + k), 0)
    last = np.where(x < _SHIFT, x + _SHIFT, x)
    rest = np.zeros_like(x)
    for j, b in reversed(list(enumerate(_BERNOULLI, 1))):
        rest = (rest + np.longdouble(b) / (2 * j)) / (last * last)
    return total + np.log(last) - 1 / (2 * last) - rest


def _angle(x: Array) -> Array:
    """Return pi times the distance of x from the nearest integer."""
    angle: Array = (x - np.rint(x)) * PI
    return angle


def _digamma(x: Array) -> Array:
    negative = x < 0
    value = _digamma_of_positive(np.where(negative, 1 - x, x))
    angle = _angle(x)
    reflected = np.where(angle == 0, np.nan, value - PI * np.cos(angle) / np.sin(angle))
    return np.where(negative, reflected, np.where(x == 0, -1 / x, value))


def _trigamma(x: Array) -> Array:
    negative = x < 0
    value = _zeta(2, np.where(negative, 1 - x, x))
    return np.where(negative, (PI / np.sin(_angle(x))) ** 2 - value, value)


lgamma: Elementwise = elementwise(
    "lgamma",
    same(FLOATS),
    _widened(_lgamma),
    (lambda ct, out, x: ct * digamma(x),),
    doc="log(|gamma(x)|): inf at 0, -1, -2, ...",
)
digamma: Elementwise = elementwise(
    "digamma",
    same(FLOATS),
    _widened(_digamma),
    (lambda ct, out, x: ct * trigamma(x),),
    doc="The derivative of lgamma: -inf at 0, NaN at -1, -2, ...",
)
trigamma: Elementwise = elementwise(
    "trigamma",
    same(FLOATS),
    _widened(_trigamma),
    (lambda ct, out, x: ct * polygamma(2, x),),
    doc="The derivative of digamma: inf at 0, -1, -2, ...",
)


def _infer_hurwitz_zeta(x: TensorType, *, power: int) -> TensorType:
    same(FLOATS)("hurwitz_zeta", (x,))
    if not 2 <= power <= MOST_POWER:
        raise ArgumentError(f"hurwitz_zeta: the power must be in [2, {MOST_POWER}], got {power}")
    return x


hurwitz_zeta: Elementwise = Elementwise(
    "hurwitz_zeta",
    infer=_infer_hurwitz_zeta,
    reference=lambda x, *, power: _widened(lambda a: np.where(a >= 0, _zeta(power, a), np.nan))(x),
    vjp=(lambda ct, out, x: ct * (hurwitz_zeta(x, power=out.attrs["power"] + 1) * float(-out.attrs["power"])),),
    doc="The sum of (x + k)**-power over k >= 0 for x >= 0; NaN below.",
    scalar="hurwitz_zeta",
)


def polygamma(n: int, x: Node) -> Node:
    """Return the n-th derivative of digamma, n >= 2; at 0, -1, ... as if coming from above."""
    is_negative = lt(x, 0.0)
    y = where(is_negative, 1.0 - x, x)
    above = hurwitz_zeta(y, power=n + 1) * float((-1) ** (n + 1) * math.factorial(n))
    # (-1)^n polygamma(n, 1 - x) - polygamma(n, x) = pi d^n cot(pi x) / dx^n, a polynomial in the cotangent.
    angle = choose(is_negative, x - rint(x), 0.25) * math.pi
    cotangent = cos(angle) / sin(angle)
    return where(is_negative, above * float((-1) ** n) - _cotangent_derivative(n, cotangent), above)


def _cotangent_derivative(n: int, cotangent: Node) -> Node:
    """Return pi^(n + 1) p(cotangent) with p = (-1)^n ((1 + c^2) d/dc)^n c."""
    p = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [a + b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    scale = (-math.pi) ** n * math.pi
    square = cotangent * cotangent
    odd = (n + 1) % 2
    terms = [float(c) * scale for c in p[odd::2]]
    result: Node = square * terms[-1]
    for term in terms[-2:0:-1]:
        result = (result + term) * square
    result = result + terms[0]
    return result * cotangent if odd else result
