"""Normal numbers between two bounds, however far out these are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array import elementwise as el
from graphc.array.closeness import isneginf
from graphc.array.convert import ArrayLike, as_node
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.errors import ArgumentError
from graphc.ir.graph import known_value
from graphc.ir.types import FLOAT64
from graphc.random.arguments import float_request
from graphc.random.continuous import open_unit, words_of
from graphc.random.keys import ShapeArgument, draw
from graphc.special.normal import log_ndtr, ndtri

if TYPE_CHECKING:
    from graphc.tensor import Tensor

FAR = -30.0
"""Logarithm of a probability below which the quantile begins from its asymptotic form."""


def truncated_normal(
    key: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    shape: ShapeArgument | None = None,
    dtype: Any = None,
) -> Tensor:
    """Return standard normal numbers between `lower` and `upper`, which may be infinite.

    shape    ints and dimensions of Tensors; by default that of lower and upper together
    dtype    float32 or float64; by default that of lower and upper, float32 if they are Python's numbers

    They are right for any bounds, also where normal numbers never lie. Gradients pass to both bounds, at a fixed place
    between them. Known bounds in the wrong order are an ArgumentError, others give NaN.

    >>> gx.random.truncated_normal(gx.random.key(0), -2.0, 2.0, (3,)).shape
    (3,)
    """
    sizes, wanted, (low, high) = float_request("truncated_normal", shape, dtype, lower, upper)
    _require_order(lower, upper)
    u = open_unit(wrap(draw("truncated_normal", key, sizes, words_of(wanted))).astype("uint64"), FLOAT64)
    u = u if wanted == FLOAT64 else u * 2.0**32
    least, most = low.astype(FLOAT64), high.astype(FLOAT64)
    # In the lower half, where probabilities are small, they have all their digits.
    mirrored = least > 0
    least, most = where(mirrored, -most, least), where(mirrored, -least, most)
    end = log_ndtr(most)
    open_ended = isneginf(least)
    below = where(open_ended, -np.inf, log_ndtr(where(open_ended, 0.0, least)) - end)
    found = _quantile(end + el.log(u + (1 - u) * el.exp(below)))
    found = where(mirrored, -found, found).astype(wanted)
    return where(low <= high, el.minimum(el.maximum(found, low), high), np.nan)


def _require_order(lower: ArrayLike, upper: ArrayLike) -> None:
    known = [known_value(as_node("truncated_normal", b)) for b in (lower, upper)]
    if known[0] is not None and known[1] is not None and np.any(known[0] > known[1]):
        raise ArgumentError(f"truncated_normal: lower must not be above upper, got {known[0]} and {known[1]}")


def _quantile(log_p: Tensor) -> Tensor:
    """Return the normal number below which the part exp(log_p) lies, by Newton's method far out."""
    is_far = log_p < FAR
    near = ndtri(el.exp(where(is_far, -1.0, log_p)))
    far = where(is_far, log_p, 2 * FAR)
    # log ndtr(x) is about -x^2/2 - log(-x sqrt(2 pi)); its slope is the density by the distribution function.
    x = -el.sqrt(-2 * far - el.log(-4 * math.pi * far))
    for _ in range(4):
        value = log_ndtr(x)
        slope = el.exp(-0.5 * x * x - 0.5 * math.log(2 * math.pi) - value)
        x = x - (value - far) / slope
    return where(is_far, x, near)


__all__ = ["truncated_normal"]
