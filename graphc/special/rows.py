"""softmax and its logarithm, by default over all elements as in scipy.special."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, as_float
from graphc.array.handle import wrap
from graphc.array.shape import reshape
from graphc.nn import activations

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def softmax(x: ArrayLike, axis: int | None = None) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis, without overflow; None sums over all elements.

    >>> gx.special.softmax(gx.placeholder((3, 4), name="x"), axis=1).shape
    (3, 4)
    """
    return _normalized(activations.softmax, "softmax", x, axis)


def log_softmax(x: ArrayLike, axis: int | None = None) -> Tensor:
    """Return log(softmax(x)) along an axis, accurate also where softmax is nearly 0 or 1; None sums over all elements.

    >>> gx.special.log_softmax(gx.placeholder((3, 4), name="x"), axis=1).shape
    (3, 4)
    """
    return _normalized(activations.log_softmax, "log_softmax", x, axis)


def _normalized(function: Callable[..., Tensor], name: str, x: ArrayLike, axis: int | None) -> Tensor:
    if axis is not None:
        return function(x, axis=axis)
    node = wrap(as_float(name, x))
    return reshape(function(reshape(node, (-1,)), axis=0), node.shape)
