"""The gamma function, its logarithm and derivatives, beta functions and binomial coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike, cast_to, count
from graphc.array.handle import wrap
from graphc.errors import ArgumentError
from graphc.ir.graph import Node, literal
from graphc.ir.types import FLOAT64
from graphc.ops.elementwise import (
    bitwise_and,
    bitwise_or,
    copysign,
    eq,
    exp,
    floor,
    ge,
    gt,
    log,
    log1p,
    lt,
    rint,
    stop_gradient,
    where,
)
from graphc.ops.special import gamma as ops
from graphc.special.operands import applied, floats

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def lgamma(x: ArrayLike, /) -> Tensor:
    """Return log(|gamma(x)|): inf at 0, -1, -2, ... and at both infinities. The gradient is digamma(x).

    >>> gx.lgamma(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = lgamma(x)>
    """
    return applied(ops.lgamma, x)


gammaln = lgamma


def digamma(x: ArrayLike, /) -> Tensor:
    """Return the derivative of lgamma: -inf at 0 (inf at -0), NaN at -1, -2, ... The gradient is trigamma(x).

    >>> gx.digamma(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = digamma(x)>
    """
    return applied(ops.digamma, x)


def trigamma(x: ArrayLike, /) -> Tensor:
    """Return the derivative of digamma: inf at 0, -1, -2, ... The gradient is polygamma(2, x).

    >>> gx.special.trigamma(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = trigamma(x)>
    """
    return applied(ops.trigamma, x)


def polygamma(n: int, x: ArrayLike, /) -> Tensor:
    """Return the n-th derivative of digamma, for an int n known while building.

    At 0, -1, -2, ... it is infinite with the sign of the values above. The gradient is polygamma(n + 1, x).

    >>> gx.special.polygamma(1, gx.placeholder((3,), name="x"))
    <Tensor f32[3] = trigamma(x)>
    """
    order = count("polygamma", "n", n)
    if order < 2:
        return (digamma, trigamma)[order](x)
    if order >= ops.MOST_POWER:
        raise ArgumentError(f"polygamma: n must be less than {ops.MOST_POWER}, got {order}")
    (a,) = floats("polygamma", x)
    return wrap(ops.polygamma(order, a))


def gammasgn(x: ArrayLike, /) -> Tensor:
    """Return the sign of gamma(x), 1 or -1, that of the zero at 0, NaN at -1, -2, ... The gradient is zero.

    >>> gx.special.gammasgn(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    (a,) = floats("gammasgn", x)
    return wrap(_gammasgn(a))


def _gammasgn(x: Node) -> Node:
    whole = floor(x)
    sign = 1.0 - (whole - floor(whole * 0.5) * 2.0) * 2.0
    below = where(eq(x, whole), literal(np.nan, x.dtype), sign)
    return where(ge(x, 0.0), copysign(literal(1, x.dtype), x), below)


def _in_float64(function: Callable[..., Node], *nodes: Node) -> Tensor:
    """Return a function that takes the exponential of a large logarithm, which magnifies the error of float32."""
    return wrap(cast_to(function(*[cast_to(n, FLOAT64) for n in nodes]), nodes[0].dtype))


def _whole(y: Node, *of: Node) -> Node:
    """Return y >= 0, rounded to the integer that it is between integers."""
    between = reduce(bitwise_and, [eq(x, floor(x)) for x in of], lt(y, _EXACT))
    return where(between, rint(y), y)


def _with_gradient_of(y: Node, value: Node) -> Node:
    """Return `value`, which is y >= 0 but for rounding, so that their difference is exact, with the gradient of y."""
    is_finite = bitwise_and(lt(y, np.inf), lt(value, np.inf))
    zero = literal(0, y.dtype)
    near, wanted = where(is_finite, y, zero), where(is_finite, value, zero)
    return where(is_finite, near + stop_gradient(wanted - near), y)


_EXACT = 2.0**52
"""Floats from there on are integers."""


def gamma(x: ArrayLike, /) -> Tensor:
    """Return the gamma function, (x - 1)! at positive integers: inf at 0, -inf at -0, NaN at -1, -2, ...

    It is exact at integers as far as floats hold them. The gradient is gamma(x) * digamma(x).

    >>> gx.special.gamma(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    (a,) = floats("gamma", x)
    return _in_float64(_gamma, a)


# What lgamma has beyond (x - 1/2) log(x) - x + log(2 pi)/2, times x, in powers of 1/x^2; for x >= 10.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
_LARGE = 10.0


def _stirling(x: Node) -> Node:
    square = 1.0 / (x * x)
    total = square * _STIRLING[-1]
    for c in _STIRLING[-2:0:-1]:
        total = (total + c) * square
    return (total + _STIRLING[0]) / x


def _gamma(x: Node) -> Node:
    rough = exp(ops.lgamma(x))
    return _gammasgn(x) * _with_gradient_of(rough, _whole(where(_is_middling(x), _large_gamma(x), rough), x))


def _is_middling(x: Node) -> Node:
    return bitwise_and(gt(x, _LARGE), lt(x, 172.0))  # beyond, gamma is infinite


def _large_gamma(x: Node) -> Node:
    """Return sqrt(2 pi) x^(x - 1/2) e^-x e^(...), in factors none of which has a large logarithm that is rounded."""
    t = where(_is_middling(x), x, literal(_LARGE, x.dtype))
    half = t ** (t * 0.5 - 0.25)  # its square overflows before gamma does
    return half * exp(-t) * half * (exp(_stirling(t)) * math.sqrt(2 * math.pi))


def factorial(n: ArrayLike, /) -> Tensor:
    """Return n! = gamma(n + 1) as a float, also between integers; 0 for n < 0. It is as exact as `gamma`.

    >>> gx.special.factorial(gx.placeholder((3,), name="n")).shape
    (3,)
    """
    (a,) = floats("factorial", n)
    return _in_float64(_factorial, a)


def _factorial(n: Node) -> Node:
    zero, is_negative = literal(0, n.dtype), lt(n, 0.0)
    return where(is_negative, zero, _gamma(where(is_negative, zero, n) + 1.0))


def betaln(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Return log(|beta(a, b)|), without the cancellation of lgamma(a) + lgamma(b) - lgamma(a + b) for large numbers.

    The gradient is (digamma(a) - digamma(a + b), digamma(b) - digamma(a + b)).

    >>> gx.special.betaln(gx.placeholder((3,), name="a"), 2.0).shape
    (3,)
    """
    return wrap(_betaln(*floats("betaln", a, b)))


def _betaln(a: Node, b: Node) -> Node:
    is_less = lt(a, b)
    p, q = where(is_less, a, b), where(is_less, b, a)
    plain = ops.lgamma(p) + ops.lgamma(q) - ops.lgamma(p + q)
    # By Stirling's series in which the large terms have cancelled (after DiDonato and Morris, TOMS 708).
    large = literal(_LARGE, p.dtype)
    one_is_large = bitwise_and(gt(q, _LARGE), gt(p, 0.0))
    both_are_large = gt(p, _LARGE)
    s, t = where(both_are_large, p, large), where(one_is_large, q, large)
    u = where(one_is_large, p, large)
    share = u / (u + t)
    rest = _stirling(t) - _stirling(u + t)
    one = ops.lgamma(u) + rest + u - u * log(u + t) + (t - 0.5) * log1p(-share)
    ratio = s / (s + t)
    both = (
        _stirling(s) + _stirling(t) - _stirling(s + t) + (0.5 * math.log(2 * math.pi) - log(t) * 0.5)
        + (s - 0.5) * log(ratio) + t * log1p(-ratio)
    )  # fmt: skip
    return where(both_are_large, both, where(one_is_large, one, plain))


def beta(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Return gamma(a) * gamma(b) / gamma(a + b).

    >>> gx.special.beta(gx.placeholder((3,), name="a"), 2.0).shape
    (3,)
    """
    return _in_float64(_beta, *floats("beta", a, b))


def _beta(a: Node, b: Node) -> Node:
    sign = _gammasgn(a) * _gammasgn(b) * _gammasgn(a + b)
    return sign * exp(_betaln(a, b))


def comb(n: ArrayLike, k: ArrayLike, /) -> Tensor:
    """Return the number of ways to choose k out of n things, as a float; 0 for k < 0 or k > n or n < 0.

    Between integers it is 1 / ((n + 1) beta(n - k + 1, k + 1)), of which the gradient is.

    >>> gx.special.comb(gx.placeholder((3,), name="n"), 2.0).shape
    (3,)
    """
    return _in_float64(_comb, *floats("comb", n, k))


def _comb(n: Node, k: Node) -> Node:
    is_outside = bitwise_or(bitwise_or(lt(k, 0.0), lt(n, k)), lt(n, 0.0))
    zero = literal(0, n.dtype)
    p, q = where(is_outside, zero, n), where(is_outside, zero, k)
    found = exp(-_betaln(p - q + 1.0, q + 1.0)) / (p + 1.0)
    return where(is_outside, zero, _with_gradient_of(found, _whole(found, p, q)))
