"""Norms of vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, as_float, number
from graphc.array.elementwise import absolute, astype, multiply, pow, sqrt
from graphc.array.handle import wrap
from graphc.array.logic import equal, not_equal, where
from graphc.array.reduce import Axis, max, min, sum

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def norm(x: ArrayLike, /, ord: float | None = None, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the norm of vectors: of all elements, or along axes, sum(|x|^ord)^(1/ord).

    `ord` is 2 (None means it), inf for the largest and -inf for the smallest magnitude, 0 for how many are not zero,
    or any other number. Norms of matrices as maps are not among them: of a matrix it is the Frobenius norm.

    The gradient at zeros is 0 for ord > 0. Raises ArgumentError for an ord that is no number.

    >>> gx.norm(gx.asarray([[3.0, 4.0], [6.0, 8.0]]), axis=1).tolist()
    [5.0, 10.0]
    """
    node = as_float("norm", x)
    power = 2.0 if ord is None else number("norm", "ord", ord)
    values = wrap(node)
    if power == 2:
        return _root(sum(multiply(values, values), axis, keepdims=keepdims), 2.0)
    size = absolute(values)
    if power == 0:
        return sum(astype(not_equal(values, 0), node.dtype), axis, keepdims=keepdims)
    if math.isinf(power):
        return max(size, axis, keepdims=keepdims) if power > 0 else min(size, axis, keepdims=keepdims)
    if power == 1:
        return sum(size, axis, keepdims=keepdims)
    if power < 0:
        return pow(sum(pow(size, power), axis, keepdims=keepdims), 1.0 / power)
    return _root(sum(_masked_power(size, power), axis, keepdims=keepdims), power)


def _masked_power(size: Tensor, power: float) -> Tensor:
    """Return size^power, with the gradient 0 at 0."""
    is_zero = equal(size, 0)
    return where(is_zero, 0.0, pow(where(is_zero, 1.0, size), power))


def _root(total: Tensor, power: float) -> Tensor:
    """Return total^(1/power), with the gradient 0 at 0."""
    is_zero = equal(total, 0)
    kept = where(is_zero, 1.0, total)
    return where(is_zero, 0.0, sqrt(kept) if power == 2 else pow(kept, 1.0 / power))
