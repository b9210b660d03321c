"""Floating-point numbers from bits, one word (float32) or two (float64) for each: distributions with a simple inverse.

A draw takes the place u = (bits + 1/2) / 2^width among all of its kind, which is never 0 nor 1 and as fine at both ends
as floats are, and returns the number below which the part u of the distribution lies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array import elementwise as el
from graphc.array.convert import ArrayLike
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.ir.types import FLOAT32, Shape
from graphc.ops.random import normal_quantile
from graphc.random.arguments import float_request
from graphc.random.keys import UINT32, UINT64, ShapeArgument, draw, upper

if TYPE_CHECKING:
    from graphc.tensor import Tensor

DType = np.dtype[Any]


def uniform(
    key: ArrayLike,
    shape: ShapeArgument | None = None,
    dtype: Any = None,
    minval: ArrayLike = 0.0,
    maxval: ArrayLike = 1.0,
) -> Tensor:
    """Return numbers between minval and maxval, all equally likely: minval can occur, maxval cannot.

    shape    ints and dimensions of Tensors; by default that of minval and maxval together
    dtype    float32 or float64; by default that of minval and maxval, float32 if they are Python's numbers

    Between 0 and 1 they are the multiples of 2^-24 (float32) or 2^-53 (float64). The gradient with respect to minval is
    1 - u and that with respect to maxval u, for the underlying number u between 0 and 1.

    >>> x = gx.random.uniform(gx.random.key(0), (2, 3))
    >>> x
    <Tensor f32[2, 3] = mul(cast(...), 5.960464477539063e-08)>
    """
    sizes, wanted, (low, high) = float_request("uniform", shape, dtype, minval, maxval)
    u = unit("uniform", key, sizes, wanted)
    if _is_number(minval, 0.0) and _is_number(maxval, 1.0):
        return u
    found = low + u * (high - low)
    return where(found < high, found, low)  # where rounding went up to maxval


def _is_number(value: Any, number: float) -> bool:
    return isinstance(value, int | float) and value == number


def unit(name: str, key: ArrayLike, shape: Shape, dtype: DType) -> Tensor:
    """Return multiples of the distance of floats below 1, from 0 to 1 excluded."""
    width, digits = (32, 24) if dtype == FLOAT32 else (64, 53)
    found = upper(wrap(draw(name, key, shape, words_of(dtype))), width - digits)
    # By way of a signed integer, which more machines have instructions for.
    return found.astype(f"int{width}").astype(dtype) * 2.0**-digits


def open_unit(bits: Tensor, dtype: DType) -> Tensor:
    """Return (bits + 1/2) / 2^width for bits of some width: more than 0, and 1 at most."""
    width = 8 * bits.dtype.itemsize
    return (bits.astype(dtype) + 0.5) * 2.0**-width


def words_of(dtype: DType) -> DType:
    """Return the dtype of the bits that a float is made of."""
    return UINT32 if dtype == FLOAT32 else UINT64


def normal(
    key: ArrayLike,
    shape: ShapeArgument | None = None,
    dtype: Any = None,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Tensor:
    """Return normal numbers of mean `loc` and standard deviation `scale`.

    shape    ints and dimensions of Tensors; by default that of loc and scale together
    dtype    float32 or float64; by default that of loc and scale, float32 if they are Python's numbers

    They are loc + scale * z, z the quantile of a random place in the normal distribution, of which there are 2^32 or
    2^64: none is farther from 0 than 6.34 (float32) or 9.16 (float64). Gradients pass to loc and scale.

    >>> mean = gx.placeholder(("n", 3), name="mean")
    >>> gx.random.normal(gx.random.key(0), loc=mean, scale=0.1).shape
    (n, 3)
    """
    sizes, wanted, (mean, deviation) = float_request("normal", shape, dtype, loc, scale)
    z = standard_normal("normal", key, sizes, wanted)
    if not _is_number(scale, 1.0):
        z = z * deviation
    return z if _is_number(loc, 0.0) else mean + z


def standard_normal(name: str, key: ArrayLike, shape: Shape, dtype: DType) -> Tensor:
    return wrap(normal_quantile(draw(name, key, shape, words_of(dtype))))


# Distributions whose quantiles are elementary.


def exponential(
    key: ArrayLike, shape: ShapeArgument | None = None, dtype: Any = None, scale: ArrayLike = 1.0
) -> Tensor:
    """Return numbers of the exponential distribution of mean `scale`. Gradients pass to scale.

    shape and dtype are as for `normal`.

    >>> gx.random.exponential(gx.random.key(0), (3,), scale=2.0).shape
    (3,)
    """
    sizes, wanted, (mean,) = float_request("exponential", shape, dtype, scale)
    found = standard_exponential("exponential", key, sizes, wanted)
    return found if _is_number(scale, 1.0) else found * mean


def standard_exponential(name: str, key: ArrayLike, shape: Shape, dtype: DType) -> Tensor:
    above, v = from_end(name, key, shape, dtype)
    return -where(above, el.log1p(-v), el.log(v))


def from_end(name: str, key: ArrayLike, shape: Shape, dtype: DType) -> tuple[Tensor, Tensor]:
    """Return whether a random place u lies in the upper half of (0, 1), and how far it is from the nearer end."""
    width = 32 if dtype == FLOAT32 else 64
    found = wrap(draw(name, key, shape, words_of(dtype)))
    above = found >= np.asarray(2 ** (width - 1), found.dtype)
    rest = where(above, ~found, found).astype(f"int{width}")
    return above, (rest.astype(dtype) + 0.5) * 2.0**-width


def gumbel(
    key: ArrayLike,
    shape: ShapeArgument | None = None,
    dtype: Any = None,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Tensor:
    """Return numbers of the Gumbel distribution of maxima: loc - scale * log(e) for exponential numbers e.

    shape and dtype are as for `normal`; gradients pass to loc and scale.

    >>> gx.random.gumbel(gx.random.key(0), (3,)).shape
    (3,)
    """
    sizes, wanted, parameters = float_request("gumbel", shape, dtype, loc, scale)
    return _moved(-el.log(standard_exponential("gumbel", key, sizes, wanted)), parameters, loc, scale)


def _moved(z: Tensor, parameters: list[Tensor], loc: ArrayLike, scale: ArrayLike) -> Tensor:
    if not _is_number(scale, 1.0):
        z = z * parameters[1]
    return z if _is_number(loc, 0.0) else parameters[0] + z


def laplace(
    key: ArrayLike,
    shape: ShapeArgument | None = None,
    dtype: Any = None,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Tensor:
    """Return numbers of the Laplace distribution, of density exp(-|x - loc| / scale) / (2 scale).

    shape and dtype are as for `normal`; gradients pass to loc and scale.

    >>> gx.random.laplace(gx.random.key(0), (3,)).shape
    (3,)
    """
    sizes, wanted, parameters = float_request("laplace", shape, dtype, loc, scale)
    above, v = from_end("laplace", key, sizes, wanted)
    depth = el.log(2.0 * v)
    return _moved(where(above, -depth, depth), parameters, loc, scale)


def logistic(
    key: ArrayLike,
    shape: ShapeArgument | None = None,
    dtype: Any = None,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Tensor:
    """Return numbers of the logistic distribution: loc + scale * log(u / (1 - u)) for uniform numbers u.

    shape and dtype are as for `normal`; gradients pass to loc and scale.

    >>> gx.random.logistic(gx.random.key(0), (3,)).shape
    (3,)
    """
    sizes, wanted, parameters = float_request("logistic", shape, dtype, loc, scale)
    above, v = from_end("logistic", key, sizes, wanted)
    depth = el.log(v) - el.log1p(-v)
    return _moved(where(above, -depth, depth), parameters, loc, scale)


def cauchy(
    key: ArrayLike,
    shape: ShapeArgument | None = None,
    dtype: Any = None,
    loc: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
) -> Tensor:
    """Return numbers of the Cauchy distribution, of density scale / (pi (scale^2 + (x - loc)^2)).

    shape and dtype are as for `normal`; gradients pass to loc and scale.

    >>> gx.random.cauchy(gx.random.key(0), (3,)).shape
    (3,)
    """
    sizes, wanted, parameters = float_request("cauchy", shape, dtype, loc, scale)
    above, v = from_end("cauchy", key, sizes, wanted)
    angle = math.pi * v
    depth = el.cos(angle) / el.sin(angle)
    return _moved(where(above, depth, -depth), parameters, loc, scale)


__all__ = ["cauchy", "exponential", "gumbel", "laplace", "logistic", "normal", "uniform"]
