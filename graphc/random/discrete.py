"""Choices: booleans, integers, categories, orders and samples. Their derivative is zero."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_index, cast_to, differ, scalar
from graphc.array.creation import arange
from graphc.array.cumulative import cumsum
from graphc.array.elementwise import minimum
from graphc.array.gathering import take, take_along_axis
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.ordering import argsort, searchsorted
from graphc.array.reduce import argmax
from graphc.array.shape import moveaxis, shape_of
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim
from graphc.ir.graph import Node, known_value
from graphc.ir.types import INT64, Shape, as_dtype
from graphc.random.arguments import broadcast_request, float_dtype, float_request, require
from graphc.random.continuous import gumbel, standard_exponential, unit
from graphc.random.keys import UINT32, UINT64, ShapeArgument, draw, split, upper

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def bernoulli(key: ArrayLike, p: ArrayLike = 0.5, shape: ShapeArgument | None = None) -> Tensor:
    """Return True with probability p, else False: a uniform number is less than p.

    The shape is by default that of p. 0 is never True, 1 always; NaN never. In between, p counts in steps of 2^-24, or
    of 2^-53 where it is float64. Raises ArgumentError for a p outside of [0, 1], if it is known.

    >>> gx.random.bernoulli(gx.random.key(0), 0.9, (2, 3)).dtype
    dtype('bool')
    """
    require("bernoulli", "p", p, low=0.0, high=1.0)
    sizes, wanted, (chance,) = float_request("bernoulli", shape, None, p)
    return unit("bernoulli", key, sizes, wanted) < chance


def rademacher(key: ArrayLike, shape: ShapeArgument = (), dtype: Any = "int64") -> Tensor:
    """Return 1 or -1, equally likely, in a signed integer or floating dtype.

    >>> gx.random.rademacher(gx.random.key(0), (3,), "float32").dtype
    dtype('float32')
    """
    wanted = as_dtype(dtype)
    if wanted.kind not in "if":
        raise DTypeError(f"rademacher: dtype must be a signed integer or a float, got {wanted.name}")
    found = upper(wrap(draw("rademacher", key, shape_of("rademacher", shape), UINT32)), 31)
    return 1 - 2 * found.astype("int32").astype(wanted)


# Integers.


def randint(
    key: ArrayLike, shape: ShapeArgument | None, minval: ArrayLike, maxval: ArrayLike, dtype: Any = "int64"
) -> Tensor:
    """Return integers from minval up to and without maxval, equally likely but for a bias of at most 2^-32.

    minval and maxval are integers or arrays of them that broadcast to `shape`, by default theirs. Where maxval is not
    above minval, the result is minval. Raises ArgumentError for known bounds that `dtype` does not hold, or between
    which there is no integer.

    >>> gx.random.randint(gx.random.key(0), (10,), 1, 7).shape
    (10,)
    """
    wanted = as_dtype(dtype)
    if wanted.kind not in "iu":
        raise DTypeError(f"randint: dtype must be an integer dtype, got {wanted.name}")
    known = [_known_bound(b) for b in (minval, maxval)]
    least, end = known
    if least is not None and end is not None:
        _check_bounds(least, end, wanted)
        sizes = shape_of("randint", () if shape is None else shape)
        return wrap(cast_to(_below("randint", key, sizes, end - least), wanted)) + scalar_of(least, wanted)
    bounds = [_bound(b, k, wanted) for k, b in zip(known, (minval, maxval), strict=True)]
    sizes, spread = broadcast_request("randint", shape, bounds)
    low, high = (wrap(n) for n in spread)
    span = where(high > low, (high - low).astype(UINT64), np.uint64(1))
    small = wanted.itemsize <= 4
    found = _scaled(key, sizes, span) if small else _scaled_exactly(key, sizes, span)
    return low.astype(wanted) + found.astype(wanted)


def scalar_of(value: int, dtype: np.dtype[Any]) -> Tensor:
    return wrap(scalar("randint", value, dtype))


def _known_bound(value: Any) -> int | None:
    if isinstance(value, bool | Dim):
        return None
    try:
        return operator.index(value)
    except (TypeError, ArgumentError):
        return None


def _check_bounds(least: int, end: int, dtype: np.dtype[Any]) -> None:
    info = np.iinfo(dtype)
    if least >= end:
        raise ArgumentError(f"randint: maxval must be above minval, got {least} and {end}")
    if least < info.min or end > info.max + 1:
        raise ArgumentError(f"randint: {dtype.name} holds {info.min} to {info.max}, got {least} and {end}")


def _bound(value: ArrayLike, known: int | None, dtype: np.dtype[Any]) -> Node:
    """Return a bound in 64 bits."""
    wide = UINT64 if dtype == UINT64 else INT64
    if known is not None:
        return scalar("randint", known, wide)
    node = as_node("randint", value)
    if node.dtype.kind not in "iu":
        raise DTypeError(f"randint: bounds must be integers, got {node.type}")
    return cast_to(node, wide)


def _below(name: str, key: ArrayLike, shape: Shape, span: int) -> Node:
    """Return integers from 0 up to and without `span`, of uint64."""
    if span == 2**64:
        return draw(name, key, shape, UINT64)
    number = wrap(scalar(name, span, UINT64))
    return (_scaled(key, shape, number) if span <= 2**32 else _scaled_exactly(key, shape, number)).node


_LOW = 0xFFFFFFFF


def _scaled(key: ArrayLike, shape: Shape, span: Tensor) -> Tensor:
    """Return floor(u * span) for uniform numbers u of 64 bits and a span of at most 2^32."""
    u = wrap(draw("randint", key, shape, UINT64))
    return upper(upper(u, 32) * span + upper((u & _LOW) * span, 32), 32)


def _scaled_exactly(key: ArrayLike, shape: Shape, span: Tensor) -> Tensor:
    """Return floor(u * span) for uniform numbers u of 128 bits, of which the upper ones are those of `_scaled`."""
    high, low = (wrap(draw("randint", k, shape, UINT64)) for k in (key, split(key, 1)[0]))
    rest = _upper_product(low, span)
    carried = (high * span + rest) < rest
    return _upper_product(high, span) + carried.astype(UINT64)


def _upper_product(x: Tensor, y: Tensor) -> Tensor:
    """Return the upper 64 bits of products of 64 by 64 bits."""
    x_low, x_high, y_low, y_high = x & _LOW, upper(x, 32), y & _LOW, upper(y, 32)
    cross, other = x_low * y_high, x_high * y_low
    middle = upper(x_low * y_low, 32) + (cross & _LOW) + (other & _LOW)
    return x_high * y_high + upper(cross, 32) + upper(other, 32) + upper(middle, 32)


# Categories.


def categorical(key: ArrayLike, logits: ArrayLike, axis: int = -1, shape: ShapeArgument | None = None) -> Tensor:
    """Return positions along an axis of logits, as int64, with probabilities softmax(logits): -inf is never chosen.

    The shape is by default that of logits without the axis, which must broadcast to it. The position is that of the
    largest sum of a logit and a Gumbel number. A row with NaN gives the position of the NaN, one of -inf alone 0.

    >>> logits = gx.placeholder(("batch", 10), name="logits")
    >>> gx.random.categorical(gx.random.key(0), logits).shape
    (batch,)
    """
    node = as_node("categorical", logits)
    if not node.ndim:
        raise ShapeError(f"categorical: logits must have rank 1 or more, got {node.type}")
    place = axis_index("categorical", axis, node.ndim)
    wanted = float_dtype("categorical", None, wrap(node))
    last = moveaxis(wrap(cast_to(node, wanted)), place, -1)
    count = last.shape[-1]
    if isinstance(count, int) and count == 0:
        raise ShapeError(f"categorical: there must be a category, got {node.type}")
    sizes, _ = broadcast_request("categorical", shape, [wrap(last.node)[..., 0].node])
    return argmax(last + gumbel(key, (*sizes, count), wanted), axis=-1)


# Orders and samples.


def permutation(key: ArrayLike, x: ArrayLike, axis: int = 0, independent: bool = False) -> Tensor:
    """Return x with its slices along an axis in random order, or for an int the numbers below it in random order.

    With `independent`, the elements of each row along the axis are put in an order of their own. The order is that of
    random numbers of 64 bits, so that all are equally likely but for a bias below n^2 / 2^64. Gradients pass to x.

    >>> gx.random.permutation(gx.random.key(0), 10).shape
    (10,)
    """
    if isinstance(x, int | np.integer | Dim) and not isinstance(x, bool):
        if not isinstance(x, Dim) and x < 0:
            raise ArgumentError(f"permutation: takes an array or a number that is not negative, got {x}")
        return _order(key, shape_of("permutation", x), 0)
    node = as_node("permutation", x)
    if not node.ndim:
        raise ShapeError(f"permutation: takes an array of rank 1 or more or an int, got {node.type}")
    place = axis_index("permutation", axis, node.ndim)
    if independent:
        return take_along_axis(wrap(node), _order(key, node.shape, place), axis=place)
    return take(wrap(node), _order(key, (node.shape[place],), 0), axis=place)


def _order(key: ArrayLike, shape: Shape, axis: int) -> Tensor:
    return argsort(wrap(draw("permutation", key, shape, UINT64)), axis=axis)


def choice(
    key: ArrayLike,
    a: ArrayLike,
    shape: ShapeArgument = (),
    replace: bool = True,
    p: ArrayLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Return a sample of the slices of `a` along an axis, or for an int of the numbers below it.

    `shape` says how many, and takes the place of the axis. Without `replace`, none is chosen twice. `p` are their
    probabilities, one for each, which sum to 1; by default all are equally likely. Without `replace`, they are those of
    the first choice, and of each next one among what is left.

    Raises ArgumentError where there is nothing to choose from, where more are asked for than there are without
    `replace`, and for a known p that is no distribution.

    >>> gx.random.choice(gx.random.key(0), 5, (3,), replace=False).shape
    (3,)
    """
    is_count = isinstance(a, int | np.integer | Dim) and not isinstance(a, bool)
    source = arange(shape_of("choice", a)[0]) if is_count else wrap(as_node("choice", a))
    if not source.ndim:
        raise ShapeError(f"choice: takes an array of rank 1 or more or an int, got {source.node.type}")
    place = axis_index("choice", axis, source.ndim)
    total, sizes = source.shape[place], shape_of("choice", shape)
    count = dims.product(sizes)
    if (
        isinstance(total, int)
        and isinstance(count, int)
        and (count > 0 if total == 0 else count > total and not replace)
    ):
        raise ArgumentError(f"choice: {count} of {total} cannot be chosen" + ("" if replace else " without replace"))
    index = _places(key, total, sizes, count, replace) if p is None else _weighted(key, p, total, sizes, count, replace)
    return index if is_count else take(source, index, axis=place)


def _places(key: ArrayLike, total: Any, sizes: Shape, count: Any, replace: bool) -> Tensor:
    if replace:
        return randint(key, sizes, 0, total if isinstance(total, int) else wrap(as_node("choice", total)))
    return _order(key, (total,), 0)[:count].reshape(sizes)


def _weighted(key: ArrayLike, p: ArrayLike, total: Any, sizes: Shape, count: Any, replace: bool) -> Tensor:
    wanted = float_dtype("choice", None, p)
    chances = cast_to(as_node("choice", p), wanted)
    if chances.ndim != 1 or differ(chances.shape[0], total):
        raise ShapeError(f"choice: p must have one probability for each of {total}, got {chances.type}")
    _check_chances(chances, count, replace)
    if not replace:
        race = standard_exponential("choice", key, (total,), wanted) / wrap(chances)
        return argsort(race)[:count].reshape(sizes)
    sums = cumsum(wrap(chances), axis=0)
    # The last one that is not impossible, where rounding goes beyond all of them.
    last = searchsorted(sums, sums[-1:])[0]
    return minimum(searchsorted(sums, unit("choice", key, sizes, wanted) * sums[-1], side="right"), last)


def _check_chances(chances: Node, count: Any, replace: bool) -> None:
    known = known_value(chances)
    if known is None:
        return
    if not np.all(known >= 0) or abs(float(known.sum()) - 1.0) > float(np.finfo(known.dtype).eps) ** 0.5:
        raise ArgumentError(
            f"choice: p must be a distribution, got numbers from {known.min():g} with sum {known.sum():g}"
        )
    possible = int(np.count_nonzero(known))
    if not replace and isinstance(count, int) and count > possible:
        raise ArgumentError(f"choice: {count} cannot be chosen without replace where {possible} have a probability")


__all__ = ["bernoulli", "categorical", "choice", "permutation", "rademacher", "randint"]
