"""Gamma numbers, and those that are made of them: beta, Dirichlet, chi-square, Student's t."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array import elementwise as el
from graphc.array.convert import ArrayLike, as_node, cast_to
from graphc.array.creation import zeros
from graphc.array.handle import wrap
from graphc.array.logic import isfinite, where
from graphc.array.reduce import logsumexp
from graphc.array.shape import broadcast_to
from graphc.errors import ShapeError
from graphc.ir.types import FLOAT32, Shape
from graphc.ops.random import normal_quantile
from graphc.ops.random_paths import gamma_path, log_gamma_path
from graphc.random.arguments import broadcast_request, float_dtype, float_request, require
from graphc.random.continuous import open_unit, standard_exponential, standard_normal
from graphc.random.keys import UINT32, UINT64, ShapeArgument, as_key, draw, split, upper
from graphc.random.rejection import accepted, in_blocks

if TYPE_CHECKING:
    from graphc.tensor import Tensor

DType = np.dtype[Any]


def gamma(key: ArrayLike, a: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = None) -> Tensor:
    """Return numbers of the gamma distribution of shape parameter `a` and scale 1, of density x^(a-1) e^-x / gamma(a).

    shape    ints and dimensions of Tensors; by default that of a
    dtype    float32 or float64; by default that of a, float32 if it is a Python number

    For a = 0 it is 0, for a < 0 and NaN it is NaN; an `a` below 0 that is known is an ArgumentError. The gradient with
    respect to a is that of the quantile at the place of the number (Figurnov, Mohamed and Mnih, Implicit
    reparameterization gradients, 2018). The method is that of Marsaglia and Tsang (2000).

    >>> gx.random.gamma(gx.random.key(0), [0.5, 1.0, 30.0], (100, 3)).shape
    (100, 3)
    """
    require("gamma", "a", a, low=0.0)
    sizes, _, (shape_parameter,) = float_request("gamma", shape, dtype, a)
    return _gamma("gamma", key, sizes, shape_parameter)


def loggamma(key: ArrayLike, a: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = None) -> Tensor:
    """Return logarithms of gamma numbers: right also where these are too small for floats, as they are for small a.

    Everything else is as for `gamma`.

    >>> gx.random.loggamma(gx.random.key(0), 1e-3, (3,)).shape
    (3,)
    """
    require("loggamma", "a", a, low=0.0)
    sizes, _, (shape_parameter,) = float_request("loggamma", shape, dtype, a)
    return _log_gamma("loggamma", key, sizes, shape_parameter)


def _gamma(name: str, key: ArrayLike, shape: Shape, a: Tensor) -> Tensor:
    found = in_blocks(wrap(as_key(name, key)), shape, [el.stop_gradient(a)], partial(_sample, False))
    return wrap(gamma_path(broadcast_to(a, shape).node, found.node))


def _log_gamma(name: str, key: ArrayLike, shape: Shape, a: Tensor) -> Tensor:
    found = in_blocks(wrap(as_key(name, key)), shape, [el.stop_gradient(a)], partial(_sample, True))
    return wrap(log_gamma_path(broadcast_to(a, shape).node, found.node))


def _sample(is_log: bool, key: Tensor, size: int, a: Tensor) -> Tensor:
    """Return gamma numbers, or their logarithms: d (1 + t)^3 with a normal t, for a below 1 of a + 1 and times u^(1/a).

    With d = a - 1/3 and t of variance 1 / 9d, t is taken with the chance exp(d (1.5 t^2 + 3 (log1p(t) - t) - t^3)).
    """
    rounds, powers = split(key)
    dtype = a.dtype
    d = where(a < 1, a + 1, a) - 1 / 3
    deviation = 1 / el.sqrt(9 * d)

    def propose(own: Tensor) -> tuple[Tensor, Tensor]:
        z, u = _normal_and_uniform(own, size, dtype)
        t = deviation * z
        inside = t > -1
        s = where(inside, t, 0)
        return t, inside & (el.log(u) < d * (1.5 * s * s + 3 * (el.log1p(s) - s) - s * s * s))

    waiting = broadcast_to(isfinite(d) & (a >= 0), (size,))
    t = accepted(rounds, zeros((size,), dtype), waiting, propose)
    depth = where(a < 1, standard_exponential("gamma", powers, (size,), dtype) / a, 0)
    found = el.log(d) + 3 * el.log1p(t) - depth if is_log else d * (1 + t) ** 3 * el.exp(-depth)
    return where(a >= 0, found, np.nan)


def _normal_and_uniform(key: Tensor, size: int, dtype: DType) -> tuple[Tensor, Tensor]:
    """Return normal numbers and uniform ones in (0, 1]; for float32 they share a number of 64 bits."""
    if dtype == FLOAT32:
        both = wrap(draw("gamma", key, (size,), UINT64))
        z = wrap(normal_quantile(upper(both, 32).astype(UINT32).node))
        return z, open_unit(both.astype(UINT32), dtype)
    first, second = split(key)
    z = standard_normal("gamma", first, (size,), dtype)
    return z, open_unit(wrap(draw("gamma", second, (size,), UINT64)), dtype)


# What is made of them.


def chisquare(key: ArrayLike, df: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = None) -> Tensor:
    """Return numbers of the chi-square distribution of `df` degrees of freedom: sums of so many squared normal numbers.

    shape, dtype and the gradient with respect to df are as for `gamma`.

    >>> gx.random.chisquare(gx.random.key(0), 3, (5,)).shape
    (5,)
    """
    require("chisquare", "df", df, low=0.0)
    sizes, _, (freedom,) = float_request("chisquare", shape, dtype, df)
    return 2 * _gamma("chisquare", key, sizes, freedom / 2)


def student_t(key: ArrayLike, df: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = None) -> Tensor:
    """Return numbers of Student's t distribution of `df` degrees of freedom: normal ones over sqrt(chisquare / df).

    shape, dtype and the gradient with respect to df are as for `gamma`.

    >>> gx.random.student_t(gx.random.key(0), 3, (5,)).shape
    (5,)
    """
    require("student_t", "df", df, low=0.0)
    sizes, wanted, (freedom,) = float_request("student_t", shape, dtype, df)
    first, second = split(wrap(as_key("student_t", key)))
    half = freedom / 2
    depth = el.log(half) - _log_gamma("student_t", second, sizes, half)
    return standard_normal("student_t", first, sizes, wanted) * el.exp(depth / 2)


def beta(key: ArrayLike, a: ArrayLike, b: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = None) -> Tensor:
    """Return numbers of the beta distribution, of density proportional to x^(a-1) (1-x)^(b-1) between 0 and 1.

    They are x / (x + y) for gamma numbers x and y of the parameters a and b. shape, dtype and gradients are as for
    `gamma`.

    >>> gx.random.beta(gx.random.key(0), 2.0, 3.0, (5,)).shape
    (5,)
    """
    require("beta", "a", a, low=0.0)
    require("beta", "b", b, low=0.0)
    sizes, _, (one, other) = float_request("beta", shape, dtype, a, b)
    first, second = split(wrap(as_key("beta", key)))
    return el.sigmoid(_log_gamma("beta", first, sizes, one) - _log_gamma("beta", second, sizes, other))


def dirichlet(key: ArrayLike, alpha: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = None) -> Tensor:
    """Return numbers of the Dirichlet distribution: along the last axis positive ones with sum 1.

    `alpha` has a parameter for each of them in its last axis; the result has the shape `shape`, by default that of
    alpha's other axes, and this axis. They are gamma numbers over their sum. dtype and gradient are as for `gamma`.

    >>> gx.random.dirichlet(gx.random.key(0), [1.0, 2.0, 3.0], (5,)).shape
    (5, 3)
    """
    require("dirichlet", "alpha", alpha, low=0.0)
    wanted = float_dtype("dirichlet", dtype, alpha)
    node = cast_to(as_node("dirichlet", alpha), wanted)
    if not node.ndim or node.shape[-1] == 0:
        raise ShapeError(f"dirichlet: alpha must have parameters in a last axis, got {node.type}")
    sizes, _ = broadcast_request("dirichlet", shape, [wrap(node)[..., 0].node])
    whole = (*sizes, node.shape[-1])
    logs = _log_gamma("dirichlet", key, whole, broadcast_to(wrap(node), whole))
    return el.exp(logs - logsumexp(logs, axis=-1, keepdims=True))


__all__ = ["beta", "chisquare", "dirichlet", "gamma", "loggamma", "student_t"]
