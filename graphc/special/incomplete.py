"""The regularised incomplete gamma functions, and their derivatives in the first argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike
from graphc.array.handle import wrap
from graphc.ops.special import incomplete as ops
from graphc.special.operands import floats

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def gammainc(a: ArrayLike, x: ArrayLike, /) -> Tensor:
    """Return the integral of t**(a-1) exp(-t) / gamma(a) over t from 0 to x: the distribution function of gamma(a).

    For a, x >= 0; NaN elsewhere and at (0, 0). It is 0 at x = 0 and 1 at x = inf. Relative errors are below 1e-13 where
    the value is no subnormal number. The gradient is that of the integral in both arguments, in a up to order 8.

    >>> gx.special.gammainc(gx.placeholder((3,), name="a"), 2.0)
    <Tensor f32[3] = gammainc(a, 2.0)>
    """
    return wrap(ops.gammainc(*floats("gammainc", a, x)))


def gammaincc(a: ArrayLike, x: ArrayLike, /) -> Tensor:
    """Return 1 - gammainc(a, x), the integral from x to infinity, accurate also where it is small.

    >>> gx.special.gammaincc(gx.placeholder((3,), name="a"), 2.0)
    <Tensor f32[3] = gammaincc(a, 2.0)>
    """
    return wrap(ops.gammaincc(*floats("gammaincc", a, x)))


def gammainc_der_a(a: ArrayLike, x: ArrayLike, /) -> Tensor:
    """Return the derivative of gammainc(a, x) in a, for a, x > 0; it is below 0.

    >>> gx.special.gammainc_der_a(gx.placeholder((3,), name="a"), 2.0).shape
    (3,)
    """
    p, q = floats("gammainc_der_a", a, x)
    return wrap(ops.gamma_density(p, q) * ops.gamma_slope(p, q))


def random_gamma_grad(a: ArrayLike, sample: ArrayLike, /) -> Tensor:
    """Return the derivative in a of a sample of the gamma distribution, at a fixed probability gammainc(a, sample).

    It is -gammainc_der_a(a, x) divided by the density at x, computed without it, so that nothing vanishes: the implicit
    derivative (Figurnov, Mohamed and Mnih, 2018), for a, sample > 0.

    >>> gx.special.random_gamma_grad(gx.placeholder((3,), name="a"), 2.0).shape
    (3,)
    """
    p, q = floats("random_gamma_grad", a, sample)
    return wrap(-ops.gamma_slope(p, q))
