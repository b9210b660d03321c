"""sin(pi x) / (pi x), with derivatives that are right at 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.graph import Elementwise, Node, literal
from graphc.ops.elementwise import FLOATS, abs, choose, cos, elementwise, lt, mul, rint, same, where

_TERMS = 24
# The derivative of sinc as a power series: x times one in x^2.
_SLOPE = [(-1.0) ** k * math.pi ** (2 * k) * 2 * k / math.factorial(2 * k + 1) for k in range(1, _TERMS)]


def _reference(x: Any) -> Any:
    x = np.asarray(x)
    wide = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        r = wide - np.rint(wide)
        sign = 1 - 2 * np.abs(np.rint(wide) - 2 * np.trunc(np.rint(wide) / 2))
        pi = np.longdouble("3.14159265358979323846264338327950288")
        value = sign * np.sin(pi * r) / (pi * np.where(wide == 0, 1, wide))
    return (np.where(wide == 0, 1, value) + 0.0).astype(x.dtype)


def _slope(x: Node) -> Node:
    """Return the derivative: near 0 by its series, as (cos(pi x) - sinc(x)) / x cancels there."""
    is_near = lt(abs(x), 0.5)
    near = choose(is_near, x, 0.0)
    square = near * near
    series = square * _SLOPE[-1]
    for c in _SLOPE[-2:0:-1]:
        series = (series + c) * square
    far = where(is_near, literal(1, x.dtype), x)
    # The angle modulo 2 pi is that of an exact remainder.
    cosine = cos((far - rint(far * 0.5) * 2.0) * math.pi)
    return where(is_near, (series + _SLOPE[0]) * near, (cosine - sinc(far)) / far)


sinc: Elementwise = elementwise(
    "sinc",
    same(FLOATS),
    _reference,
    (lambda ct, out, x: mul(ct, _slope(x)),),
    doc="sin(pi x) / (pi x), 1 at 0.",
)
