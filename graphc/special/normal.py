"""The standard normal distribution function, its logarithm and inverse, and the inverses of the error functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike
from graphc.ops.special import normal as ops
from graphc.special.operands import applied

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def erfinv(x: ArrayLike, /) -> Tensor:
    """Return the number whose erf is x: -inf and inf at -1 and 1, NaN outside.

    The gradient is sqrt(pi)/2 * exp(erfinv(x)**2).

    >>> gx.erfinv(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = erfinv(x)>
    """
    return applied(ops.erfinv, x)


def erfcinv(x: ArrayLike, /) -> Tensor:
    """Return the number whose erfc is x, accurate also for tiny x: inf and -inf at 0 and 2, NaN outside.

    The gradient is -sqrt(pi)/2 * exp(erfcinv(x)**2).

    >>> gx.special.erfcinv(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = erfcinv(x)>
    """
    return applied(ops.erfcinv, x)


def ndtr(x: ArrayLike, /) -> Tensor:
    """Return the probability that a standard normal number is below x: erfc(-x / sqrt(2)) / 2.

    The gradient is the density, exp(-x**2 / 2) / sqrt(2 pi).

    >>> gx.special.ndtr(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = ndtr(x)>
    """
    return applied(ops.ndtr, x)


def log_ndtr(x: ArrayLike, /) -> Tensor:
    """Return log(ndtr(x)), accurate also where ndtr underflows or is nearly 1: close to -x**2 / 2 far below 0.

    The gradient is the density divided by ndtr(x), close to -x far below 0.

    >>> gx.log_ndtr(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = log_ndtr(x)>
    """
    return applied(ops.log_ndtr, x)


def ndtri(x: ArrayLike, /) -> Tensor:
    """Return the number below which a standard normal one is with probability x: -inf at 0, inf at 1, NaN outside.

    The gradient is sqrt(2 pi) * exp(ndtri(x)**2 / 2).

    >>> gx.special.ndtri(gx.placeholder((3,), name="p"))
    <Tensor f32[3] = ndtri(p)>
    """
    return applied(ops.ndtri, x)
