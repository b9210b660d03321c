"""Linear maps of features: by a matrix, and of one-hot vectors by taking rows of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, as_float, as_node, count, differ
from graphc.array.creation import one_hot
from graphc.array.dot import matmul
from graphc.array.elementwise import stop_gradient
from graphc.array.gathering import take
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.shape import expand_dims, matrix_transpose
from graphc.errors import ArgumentError, DTypeError, ShapeError

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Tensor:
    """Return x @ weight^T + bias for x[..., inputs], weight[outputs, inputs] and bias[outputs].

    >>> gx.nn.linear(gx.placeholder(("batch", 4)), gx.placeholder((3, 4)), gx.placeholder((3,))).shape
    (batch, 3)
    """
    a, w = (wrap(as_float("linear", v)) for v in (x, weight))
    if not a.ndim or w.ndim != 2 or differ(a.shape[-1], w.shape[1]):
        raise ShapeError(
            f"linear: x must be [..., inputs] and weight [outputs, inputs], got {a.node.type} and {w.node.type}"
        )
    product = matmul(a, matrix_transpose(w))
    if bias is None:
        return product
    b = wrap(as_float("linear", bias))
    if b.ndim != 1 or differ(b.shape[0], w.shape[0]):
        raise ShapeError(f"linear: bias must have an element for each of {w.shape[0]} outputs, got {b.node.type}")
    return product + b


def embedding(indices: ArrayLike, weight: ArrayLike, padding_idx: int | None = None) -> Tensor:
    """Return the rows of weight[rows, features] at integer indices: [..., features].

    An index outside of the rows is an OutOfBoundsError when the graph runs; negative ones count from the end. The row
    `padding_idx` gets no gradient.

    >>> gx.nn.embedding(gx.placeholder(("batch", 7), "int64"), gx.placeholder((100, 8))).shape
    (batch, 7, 8)
    """
    table, places = wrap(as_node("embedding", weight)), wrap(as_node("embedding", indices))
    if table.ndim != 2:
        raise ShapeError(f"embedding: weight must be [rows, features], got {table.node.type}")
    if places.dtype.kind not in "iu":
        raise DTypeError(f"embedding: indices must be integers, got {places.node.type}")
    found = take(table, places, axis=0)
    if padding_idx is None:
        return found
    rows = table.shape[0]
    index = count("embedding", "padding_idx", padding_idx, -(2**31))
    if isinstance(rows, int) and not -rows <= index < rows:
        raise ArgumentError(f"embedding: padding_idx must be one of the {rows} rows, got {index}")
    is_padding = places == (index if index >= 0 else rows + index)
    return where(expand_dims(is_padding, -1), stop_gradient(found), found)


__all__ = ["embedding", "linear", "one_hot"]
