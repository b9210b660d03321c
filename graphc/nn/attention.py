"""Attention: each query takes a mean of values, weighed by how well it fits their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike, as_float, asarray, flag
from graphc.array.creation import ones
from graphc.array.dot import matmul
from graphc.array.elementwise import sqrt
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.matrices import tril
from graphc.array.reduce import max
from graphc.array.shape import expand_dims, matrix_transpose, reshape
from graphc.errors import ArgumentError, ShapeError
from graphc.nn.activations import softmax
from graphc.nn.dropout import checked_rate, dropout

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    mask: ArrayLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    dropout_p: float = 0.0,
    dropout_key: ArrayLike | None = None,
) -> Tensor:
    """Return softmax(query @ key^T * scale) @ value (Vaswani et al., arXiv:1706.03762).

    query is [..., n, d], key [..., m, d], value [..., m, e]; leading axes broadcast. scale is 1/sqrt(d) by default. A
    bool mask broadcasts to [..., n, m] and is false where a query must not see a key, a floating-point one is added.
    is_causal hides the keys after the query's own position. A query that sees no key gets zeros.

    Where the axis before the last two, of heads, is larger in query than in key and value, a multiple of theirs, the
    heads of query share keys and values in groups, those of one group side by side (Ainslie et al., arXiv:2305.13245).

    `dropout_p` leaves out weights at random as `dropout` does, with a key of `gx.random` in dropout_key.

    >>> q = gx.placeholder(("batch", 5, 8), name="q")
    >>> gx.nn.scaled_dot_product_attention(q, q, q, is_causal=True).shape
    (batch, 5, 8)
    """
    name = "scaled_dot_product_attention"
    q, k, v = (wrap(as_float(name, t)) for t in (query, key, value))
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ShapeError(f"{name}: takes rank 2 or more, got {q.node.type}, {k.node.type} and {v.node.type}")
    factor = scale if scale is not None else 1 / sqrt(asarray(q.shape[-1], q.dtype))
    groups = _groups(name, q, k, v)
    scores = _by_group(q, matrix_transpose(k), groups) * factor
    if flag(name, "is_causal", is_causal):
        scores = where(tril(ones(scores.shape[-2:], "bool")), scores, -np.inf)
    weights = softmax(scores) if mask is None else _seen(scores, asarray(mask))
    if checked_rate(name, "dropout_p", dropout_p):
        if dropout_key is None:
            raise ArgumentError(f"{name}: dropout_p needs a dropout_key, as gx.random.key(0), or stream.key()")
        weights = dropout(weights, dropout_p, key=dropout_key)
    return _by_group(weights, v, groups)


def _seen(scores: Tensor, mask: Tensor) -> Tensor:
    """Return the weights of what a mask shows, all zero where it shows nothing."""
    masked = where(mask, scores, -np.inf) if mask.dtype.kind == "b" else scores + mask
    return where(max(masked, axis=-1, keepdims=True) > -np.inf, softmax(masked), 0.0)


def _groups(name: str, q: Tensor, k: Tensor, v: Tensor) -> int:
    """Return how many heads of keys and values groups of heads of the query share; 0 where each has its own."""
    if min(q.ndim, k.ndim, v.ndim) < 3:
        return 0
    heads, own = q.shape[-3], k.shape[-3]
    if not isinstance(heads, int) or not isinstance(own, int) or own in (1, heads) or heads == 1:
        return 0
    if heads % own or v.shape[-3] != own:
        raise ShapeError(
            f"{name}: the heads of query must be a multiple of those of key and value, got {q.node.type}, "
            f"{k.node.type} and {v.node.type}"
        )
    return own


def _by_group(a: Tensor, b: Tensor, groups: int) -> Tensor:
    """Return a @ b, where groups of matrices in a meet one of b."""
    if not groups:
        return matmul(a, b)
    split = reshape(a, (*a.shape[:-3], groups, a.shape[-3] // groups, *a.shape[-2:]))
    product = matmul(split, expand_dims(b, -3))
    return reshape(product, (*product.shape[:-4], a.shape[-3], *product.shape[-2:]))


__all__ = ["scaled_dot_product_attention"]
