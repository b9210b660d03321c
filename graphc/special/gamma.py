"""The gamma function, its logarithm and derivatives, beta functions and binomial coefficients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike, count
from graphc.array.handle import wrap
from graphc.errors import ArgumentError
from graphc.ir.graph import Node, literal
from graphc.ops.elementwise import (
    bitwise_and,
    bitwise_or,
    eq,
    exp,
    floor,
    ge,
    gt,
    log,
    log1p,
    lt,
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
    """Return the sign of gamma(x), 1 or -1, NaN at -1, -2, ... The gradient is zero.

    >>> gx.special.gammasgn(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    (a,) = floats("gammasgn", x)
    return wrap(_gammasgn(a))


def _gammasgn(x: Node) -> Node:
    whole = floor(x)
    sign = 1.0 - (whole - floor(whole * 0.5) * 2.0) * 2.0
    below = where(eq(x, whole), literal(np.nan, x.dtype), sign)
    return where(ge(x, 0.0), literal(1, x.dtype), below)


def gamma(x: ArrayLike, /) -> Tensor:
    """Return the gamma function, (x - 1)! at positive integers: inf at 0, NaN at -1, -2, ...

    The gradient is gamma(x) * digamma(x).

    >>> gx.special.gamma(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    (a,) = floats("gamma", x)
    return wrap(_gammasgn(a) * exp(ops.lgamma(a)))


def factorial(n: ArrayLike, /) -> Tensor:
    """Return n! = gamma(n + 1) as a float, also between integers; 0 for n < 0.

    >>> gx.special.factorial(gx.placeholder((3,), name="n")).shape
    (3,)
    """
    (a,) = floats("factorial", n)
    is_negative = lt(a, 0.0)
    return wrap(
        where(is_negative, literal(0, a.dtype), exp(ops.lgamma(where(is_negative, literal(0, a.dtype), a) + 1.0)))
    )


# What lgamma has beyond (x - 1/2) log(x) - x + log(2 pi)/2, times x, in powers of 1/x^2; for x >= 10.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
_LARGE = 10.0


def _stirling(x: Node) -> Node:
    square = 1.0 / (x * x)
    total = square * _STIRLING[-1]
    for c in _STIRLING[-2:0:-1]:
        total = (total + c) * square
    return (total + _STIRLING[0]) / x


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
    p, q = floats("beta", a, b)
    sign = _gammasgn(p) * _gammasgn(q) * _gammasgn(p + q)
    return wrap(sign * exp(_betaln(p, q)))


def comb(n: ArrayLike, k: ArrayLike, /) -> Tensor:
    """Return the number of ways to choose k out of n things, as a float; 0 for k < 0 or k > n or n < 0.

    Between integers it is 1 / ((n + 1) beta(n - k + 1, k + 1)), of which the gradient is.

    >>> gx.special.comb(gx.placeholder((3,), name="n"), 2.0).shape
    (3,)
    """
    a, b = floats("comb", n, k)
    is_outside = bitwise_or(bitwise_or(lt(b, 0.0), lt(a, b)), lt(a, 0.0))
    zero = literal(0, a.dtype)
    p, q = where(is_outside, zero, a), where(is_outside, zero, b)
    return wrap(where(is_outside, zero, exp(-_betaln(p - q + 1.0, q + 1.0)) / (p + 1.0)))
