"""Activations, losses, normalisation and attention: compositions of the functions on Tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from graphc.array.convert import ArrayLike, as_float, as_node, asarray, axis_index, differ, promote_floats
from graphc.array.creation import matches, ones
from graphc.array.dot import matmul
from graphc.array.elementwise import sigmoid, softplus, sqrt
from graphc.array.handle import wrap
from graphc.array.logic import where
from graphc.array.matrices import tril
from graphc.array.reduce import mean, repeated, require_elements
from graphc.array.reduce import sum as total
from graphc.array.shape import matrix_transpose, shape_of
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.graph import Node, literal
from graphc.ir.types import Shape
from graphc.ops import elementwise as ops
from graphc.ops.compositions import finite_max
from graphc.ops.reduce import sum as reduce_sum

if TYPE_CHECKING:
    from graphc.tensor import Tensor

Reduction = Literal["mean", "sum", "none"]

# Activations.


def relu(x: ArrayLike) -> Tensor:
    """Return max(x, 0); the gradient at 0 is 0.

    >>> gx.nn.relu(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = relu(x)>
    """
    return wrap(ops.relu(as_float("relu", x)))


def silu(x: ArrayLike) -> Tensor:
    """Return x * sigmoid(x).

    >>> gx.nn.silu(gx.placeholder((3,), name="x"))
    <Tensor f32[3] = mul(x, sigmoid(...))>
    """
    node = as_float("silu", x)
    return wrap(node * ops.sigmoid(node))


def gelu(x: ArrayLike, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """Return x times the probability that a standard normal number is below x.

    approximate="tanh" takes 0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))) (Hendrycks and Gimpel,
    arXiv:1606.08415), which differs by up to 5e-4.

    >>> gx.nn.gelu(gx.placeholder((3,), name="x")).shape
    (3,)
    """
    node = as_float("gelu", x)
    if approximate == "none":
        return wrap(node * ((ops.erf(node * math.sqrt(0.5)) + 1.0) * 0.5))
    if approximate != "tanh":
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    inner = (node + node * node * node * 0.044715) * math.sqrt(2 / math.pi)
    return wrap(node * ((ops.tanh(inner) + 1.0) * 0.5))


def softmax(x: ArrayLike, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis, without overflow.

    >>> gx.nn.softmax(gx.placeholder(("batch", 10), name="x")).shape
    (batch, 10)
    """
    node, axes = _along("softmax", x, axis)
    powers = ops.exp(_shifted("softmax", node, axes))
    return wrap(powers / repeated(reduce_sum(powers, axis=axes), node, axes))


def log_softmax(x: ArrayLike, axis: int = -1) -> Tensor:
    """Return log(softmax(x)) along an axis, accurate also where softmax is nearly 0 or 1.

    >>> gx.nn.log_softmax(gx.placeholder(("batch", 10), name="x")).shape
    (batch, 10)
    """
    node, axes = _along("log_softmax", x, axis)
    shifted = _shifted("log_softmax", node, axes)
    return wrap(shifted - repeated(_log_total(shifted, axes), node, axes))


def _along(name: str, x: ArrayLike, axis: int) -> tuple[Node, tuple[int, ...]]:
    node = as_float(name, x)
    if not node.ndim:
        raise ShapeError(f"{name}: takes rank 1 or more, got {node.type}")
    return node, (axis_index(name, axis, node.ndim),)


def _shifted(name: str, node: Node, axes: tuple[int, ...]) -> Node:
    """Return the node minus its largest element, which softmax and its logarithm do not notice."""
    require_elements(name, node, axes)
    return node - repeated(finite_max(node, axes), node, axes)


def _log_total(shifted: Node, axes: tuple[int, ...]) -> Node:
    return ops.log(reduce_sum(ops.exp(shifted), axis=axes))


# Losses.


def cross_entropy(logits: ArrayLike, labels: ArrayLike, reduction: Reduction = "mean") -> Tensor:
    """Return the cross-entropy of softmax(logits) along the last axis, of size C, in nats.

    labels are either integers of the shape of logits without the last axis, each in [0, C): another value is an
    OutOfBoundsError when the graph runs; or probabilities of the shape of logits. "mean" averages over all leading
    axes, "sum" adds up, "none" keeps them.

    >>> logits = gx.placeholder(("batch", 10), name="logits")
    >>> gx.nn.cross_entropy(logits, gx.placeholder(("batch",), "int64", name="labels")).shape
    ()
    """
    scores = as_float("cross_entropy", logits)
    given = as_node("cross_entropy", labels)
    if not scores.ndim:
        raise ShapeError(f"cross_entropy: logits must have rank 1 or more, got {scores.type}")
    losses = (_soft_cross_entropy if given.ndim == scores.ndim else _hard_cross_entropy)(scores, given)
    return _reduced("cross_entropy", losses, reduction)


def _hard_cross_entropy(scores: Node, labels: Node) -> Node:
    """Return logsumexp(scores) - scores[label]; picking by comparison lets it fuse with the sum of exponentials."""
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: labels must be integers or have the rank of logits, got {labels.type}")
    _require_shape("cross_entropy", "labels", labels, scores.shape[:-1], f"logits {scores.type} without the last axis")
    axes = (scores.ndim - 1,)
    shifted = _shifted("cross_entropy", scores, axes)
    is_label = matches(labels, scores.shape[-1], labels.ndim)
    picked = reduce_sum(ops.where(is_label, shifted, literal(0, scores.dtype)), axis=axes)
    return _log_total(shifted, axes) - picked


def _soft_cross_entropy(scores: Node, probabilities: Node) -> Node:
    if probabilities.dtype.kind != "f":
        raise DTypeError(f"cross_entropy: labels of the rank of logits must be probabilities, got {probabilities.type}")
    _require_shape("cross_entropy", "labels", probabilities, scores.shape, f"logits {scores.type}")
    scores, probabilities = promote_floats("cross_entropy", (wrap(scores), wrap(probabilities)))
    axes = (scores.ndim - 1,)
    shifted = _shifted("cross_entropy", scores, axes)
    return reduce_sum(probabilities * (repeated(_log_total(shifted, axes), scores, axes) - shifted), axis=axes)


def _require_shape(name: str, what: str, node: Node, shape: Shape, of: str) -> None:
    if node.ndim != len(shape) or any(differ(a, b) for a, b in zip(node.shape, shape, strict=True)):
        raise ShapeError(f"{name}: {what} must have the shape of {of}, got {node.type}")


def _reduced(name: str, losses: Node, reduction: Reduction) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    if reduction == "none":
        return wrap(losses)
    return mean(wrap(losses)) if reduction == "mean" else total(wrap(losses))


def binary_cross_entropy_with_logits(logits: ArrayLike, targets: ArrayLike, reduction: Reduction = "mean") -> Tensor:
    """Return -(t * log(sigmoid(x)) + (1 - t) * log(1 - sigmoid(x))) for logits x and targets t in [0, 1], in nats.

    Both have one shape. Computed as softplus(x) - x * t, which does not overflow.

    >>> logits = gx.placeholder(("batch",), name="logits")
    >>> gx.nn.binary_cross_entropy_with_logits(logits, gx.placeholder(("batch",), name="targets")).shape
    ()
    """
    name = "binary_cross_entropy_with_logits"
    scores, wanted = promote_floats(name, (logits, targets))
    _require_shape(name, "targets", wanted, scores.shape, f"logits {scores.type}")
    return _reduced(name, ops.softplus(scores) - scores * wanted, reduction)


def mse_loss(predictions: ArrayLike, targets: ArrayLike, reduction: Reduction = "mean") -> Tensor:
    """Return the squared differences of two arrays of one shape.

    >>> gx.nn.mse_loss(gx.placeholder(("n", 3)), gx.placeholder(("n", 3))).shape
    ()
    """
    given, wanted = promote_floats("mse_loss", (predictions, targets))
    _require_shape("mse_loss", "targets", wanted, given.shape, f"predictions {given.type}")
    difference = given - wanted
    return _reduced("mse_loss", difference * difference, reduction)


# Normalisation and attention.


def layer_norm(
    x: ArrayLike,
    normalized_shape: int | Sequence[int] | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return (x - mean) / sqrt(variance + eps) * weight + bias, over the last axes (Ba et al., arXiv:1607.06450).

    `normalized_shape` is the shape of those axes, by default the last one; weight and bias have it too.

    >>> gx.nn.layer_norm(gx.placeholder(("batch", 8), name="x"), 8).shape
    (batch, 8)
    """
    node = as_float("layer_norm", x)
    shape = _normalized_shape(node, normalized_shape)
    axes = tuple(range(node.ndim - len(shape), node.ndim))
    tensor = wrap(node)
    centred = tensor - mean(tensor, axes, keepdims=True)
    result = centred / sqrt(mean(centred * centred, axes, keepdims=True) + eps)
    for what, parameter in (("weight", weight), ("bias", bias)):
        if parameter is None:
            continue
        _require_shape(
            "layer_norm", what, as_node("layer_norm", parameter), shape, f"the normalized axes of {node.type}"
        )
        result = result * parameter if what == "weight" else result + parameter
    return result


def _normalized_shape(node: Node, shape: int | Sequence[int] | None) -> Shape:
    if not node.ndim:
        raise ShapeError(f"layer_norm: takes rank 1 or more, got {node.type}")
    wanted = node.shape[-1:] if shape is None else shape_of("layer_norm", shape)
    own = node.shape[node.ndim - len(wanted) :]
    if not wanted or len(wanted) > node.ndim or any(differ(a, b) for a, b in zip(own, wanted, strict=True)):
        raise ShapeError(f"layer_norm: normalized_shape {wanted} must be that of the last axes, got {node.type}")
    return wanted


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    mask: ArrayLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Return softmax(query @ key^T * scale) @ value (Vaswani et al., arXiv:1706.03762).

    query is [..., n, d], key [..., m, d], value [..., m, e]; leading axes broadcast. scale is 1/sqrt(d) by default. A
    bool mask broadcasts to [..., n, m] and is false where a query must not see a key, a floating-point one is added.
    is_causal hides the keys after the query's own position. A query that sees no key gives NaN.

    >>> q = gx.placeholder(("batch", 5, 8), name="q")
    >>> gx.nn.scaled_dot_product_attention(q, q, q, is_causal=True).shape
    (batch, 5, 8)
    """
    name = "scaled_dot_product_attention"
    q, k = (wrap(as_float(name, v)) for v in (query, key))
    if q.ndim < 2 or k.ndim < 2:
        raise ShapeError(f"{name}: query and key must have rank 2 or more, got {q.node.type} and {k.node.type}")
    width = q.shape[-1]
    scores = matmul(q, matrix_transpose(k)) * (scale if scale is not None else 1 / sqrt(asarray(width, q.dtype)))
    if is_causal:
        scores = where(tril(ones(scores.shape[-2:], "bool")), scores, -np.inf)
    if mask is not None:
        given = asarray(mask)
        scores = where(given, scores, -np.inf) if given.dtype.kind == "b" else scores + given
    return matmul(softmax(scores), value)


__all__ = [
    "binary_cross_entropy_with_logits", "cross_entropy", "gelu", "layer_norm", "log_softmax", "mse_loss", "relu",
    "scaled_dot_product_attention", "sigmoid", "silu", "softmax", "softplus",
]  # fmt: skip
