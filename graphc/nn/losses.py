"""Losses: how far predictions are from targets, in nats where they are probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from graphc.array.convert import (
    ArrayLike,
    as_float,
    as_node,
    cast_to,
    choice,
    count,
    differ,
    number,
    promote_floats,
    spread_to,
)
from graphc.array.creation import matches
from graphc.array.handle import wrap
from graphc.array.reduce import mean, repeated
from graphc.array.reduce import sum as total
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.graph import Node, literal
from graphc.ir.types import Shape
from graphc.nn.activations import log_total, shifted
from graphc.ops import elementwise as ops
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.shape import broadcast

if TYPE_CHECKING:
    from graphc.tensor import Tensor

Reduction = Literal["mean", "sum", "none"]

# Of classes, which lie along the last axis.


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    reduction: Reduction = "mean",
    *,
    weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Tensor:
    """Return the cross-entropy of softmax(logits) along the last axis, of size C, in nats.

    labels are either integers of the shape of logits without the last axis, each in [0, C): another value is an
    OutOfBoundsError when the graph runs; or probabilities of the shape of logits. "mean" averages over all leading
    axes, "sum" adds up, "none" keeps them.

    weight            a number for each class, by which its loss is multiplied; with integer labels "mean" divides by
                      the sum of the labels' weights
    label_smoothing   the share of each target, from 0 to 1, that is spread evenly over all classes
    ignore_index      integer labels of this value count nothing, in the mean too; a mean of nothing is NaN

    torch.nn.functional.cross_entropy has the classes along axis 1, and -100 as the index to ignore.

    >>> logits = gx.placeholder(("batch", 10), name="logits")
    >>> gx.nn.cross_entropy(logits, gx.placeholder(("batch",), "int64", name="labels")).shape
    ()
    """
    name = "cross_entropy"
    scores, given = as_float(name, logits), as_node(name, labels)
    if not scores.ndim:
        raise ShapeError(f"{name}: logits must have rank 1 or more, got {scores.type}")
    if not 0 <= number(name, "label_smoothing", label_smoothing) <= 1:
        raise ArgumentError(f"{name}: label_smoothing must be in [0, 1], got {label_smoothing!r}")
    if given.ndim == scores.ndim:
        if ignore_index is not None:
            raise ArgumentError(f"{name}: ignore_index is for integer labels, got {given.type}")
        return reduced(name, _of_probabilities(name, scores, given, weight, label_smoothing), reduction)
    axes = (scores.ndim - 1,)
    scores = shifted(name, scores, axes)
    return _of_labels(name, scores, log_total(scores, axes), given, reduction, weight, label_smoothing, ignore_index)


def nll_loss(
    log_probabilities: ArrayLike,
    labels: ArrayLike,
    reduction: Reduction = "mean",
    *,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Return minus the log-probability of the label, along the last axis; see cross_entropy for the arguments.

    nll_loss(log_softmax(x), labels) is cross_entropy(x, labels).

    >>> gx.nn.nll_loss(gx.placeholder(("batch", 10)), gx.placeholder(("batch",), "int64"), "none").shape
    (batch,)
    """
    scores = as_float("nll_loss", log_probabilities)
    if not scores.ndim:
        raise ShapeError(f"nll_loss: log_probabilities must have rank 1 or more, got {scores.type}")
    given = as_node("nll_loss", labels)
    return _of_labels("nll_loss", scores, literal(0, scores.dtype), given, reduction, weight, 0.0, ignore_index)


def _of_labels(
    name: str,
    scores: Node,
    least: Node,
    labels: Node,
    reduction: Reduction,
    weight: ArrayLike | None,
    smoothing: float,
    ignored: int | None,
) -> Tensor:
    """Return the loss `least` - scores[label]; picking by comparison lets it fuse with a sum of exponentials."""
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"{name}: labels must be integers or have the rank of logits, got {labels.type}")
    require_shape(name, "labels", labels, scores.shape[:-1], f"logits {scores.type} without the last axis")
    counts = None if ignored is None else _counted(name, labels, ignored)
    if counts is not None:
        labels = ops.where(counts, labels, literal(0, labels.dtype))
    axes = (scores.ndim - 1,)
    is_label = matches(labels, scores.shape[-1], labels.ndim)
    losses = least - _picked(is_label, scores)
    factors = None if weight is None else _class_weights(name, weight, scores)
    shares = None if factors is None else _picked(is_label, factors)
    if shares is not None:
        losses = losses * shares
    if smoothing:
        of_classes = repeated(least, scores, axes) - scores
        spread = mean(wrap(of_classes if factors is None else of_classes * factors), axes).node
        losses = losses * (1 - smoothing) + spread * smoothing
    if counts is not None:
        losses = ops.where(counts, losses, literal(0, losses.dtype))
        shares = (
            cast_to(counts, losses.dtype) if shares is None else ops.where(counts, shares, literal(0, shares.dtype))
        )
    if reduction != "mean" or shares is None:
        return reduced(name, losses, reduction)
    return total(wrap(losses)) / total(wrap(shares))


def _picked(is_label: Node, values: Node) -> Node:
    return reduce_sum(ops.where(is_label, values, literal(0, values.dtype)), axis=(values.ndim - 1,))


def _counted(name: str, labels: Node, ignored: int) -> Node | None:
    """Return which labels count; None for all, where the dtype cannot hold the ignored one."""
    info = np.iinfo(labels.dtype)
    value = count(name, "ignore_index", ignored, -(2**63))
    return ops.ne(labels, literal(value, labels.dtype)) if info.min <= value <= info.max else None


def _class_weights(name: str, weight: ArrayLike, scores: Node) -> Node:
    node = cast_to(as_float(name, weight), scores.dtype)
    require_shape(name, "weight", node, scores.shape[-1:], f"the last axis of {scores.type}")
    return broadcast(node, shape=scores.shape, axes=(scores.ndim - 1,))


def _of_probabilities(name: str, scores: Node, probabilities: Node, weight: ArrayLike | None, smoothing: float) -> Node:
    if probabilities.dtype.kind != "f":
        raise DTypeError(f"{name}: labels of the rank of logits must be probabilities, got {probabilities.type}")
    require_shape(name, "labels", probabilities, scores.shape, f"logits {scores.type}")
    scores, probabilities = promote_floats(name, (wrap(scores), wrap(probabilities)))
    axes = (scores.ndim - 1,)
    if smoothing:
        classes = cast_to(ops.size(value=scores.shape[-1]), scores.dtype)
        probabilities = probabilities * (1 - smoothing) + ops.div(smoothing, classes)
    if weight is not None:
        probabilities = probabilities * _class_weights(name, weight, scores)
    scores = shifted(name, scores, axes)
    return reduce_sum(probabilities * (repeated(log_total(scores, axes), scores, axes) - scores), axis=axes)


def kl_div(
    log_probabilities: ArrayLike,
    targets: ArrayLike,
    reduction: Literal["mean", "sum", "none", "batchmean"] = "mean",
    *,
    log_target: bool = False,
) -> Tensor:
    """Return the summands t * (log(t) - x) of the Kullback-Leibler divergence from log-probabilities x to targets t.

    Both have one shape; with log_target, targets are log-probabilities too. A target of 0 gives 0. "batchmean" adds all
    up and divides by the size of the first axis, which is the divergence itself; "mean" divides by the number of all
    elements, as in PyTorch.

    >>> gx.nn.kl_div(gx.placeholder(("batch", 10)), gx.placeholder(("batch", 10)), "batchmean").shape
    ()
    """
    x, t = promote_floats("kl_div", (log_probabilities, targets))
    require_shape("kl_div", "targets", t, x.shape, f"log_probabilities {x.type}")
    if log_target:
        losses = ops.exp(t) * (t - x)
    else:
        zero, one = literal(0, t.dtype), literal(1, t.dtype)
        is_zero = ops.eq(t, zero)
        losses = ops.where(is_zero, zero, t * (ops.log(ops.where(is_zero, one, t)) - x))
    if reduction != "batchmean":
        return reduced("kl_div", losses, reduction)
    if not losses.ndim:
        raise ShapeError(f"kl_div: 'batchmean' needs rank 1 or more, got {x.type}")
    return total(wrap(losses)) / wrap(cast_to(ops.size(value=losses.shape[0]), losses.dtype))


def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    reduction: Reduction = "mean",
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
) -> Tensor:
    """Return -(w * t * log(sigmoid(x)) + (1 - t) * log(1 - sigmoid(x))) for logits x and targets t in [0, 1], in nats.

    Both have one shape. `pos_weight` is w, by default 1; `weight` multiplies the loss; both broadcast to that shape.
    Computed as softplus(x) - x * t and the like, which does not overflow.

    >>> logits = gx.placeholder(("batch",), name="logits")
    >>> gx.nn.binary_cross_entropy_with_logits(logits, gx.placeholder(("batch",), name="targets")).shape
    ()
    """
    name = "binary_cross_entropy_with_logits"
    scores, wanted = promote_floats(name, (logits, targets))
    require_shape(name, "targets", wanted, scores.shape, f"logits {scores.type}")
    if pos_weight is None:
        losses = ops.softplus(scores) - scores * wanted
    else:
        factor = _factor(name, "pos_weight", pos_weight, scores)
        losses = (1.0 - wanted) * scores + (1.0 + (factor - 1.0) * wanted) * ops.softplus(-scores)
    if weight is not None:
        losses = losses * _factor(name, "weight", weight, scores)
    return reduced(name, losses, reduction)


def binary_cross_entropy(
    probabilities: ArrayLike, targets: ArrayLike, reduction: Reduction = "mean", *, weight: ArrayLike | None = None
) -> Tensor:
    """Return -(t * log(p) + (1 - t) * log(1 - p)) for probabilities p and targets t in [0, 1], in nats.

    Both have one shape; `weight` multiplies the loss and broadcasts to it. A logarithm is at least -100, as in PyTorch,
    and where it would be less its gradient is 0. Of logits, binary_cross_entropy_with_logits is the better choice.

    >>> gx.jit(lambda p: gx.nn.binary_cross_entropy(p, np.array([1.0, 0.0]), "none"))(np.array([0.5, 1.0])).round(4)
    array([  0.6931, 100.    ])
    """
    name = "binary_cross_entropy"
    given, wanted = promote_floats(name, (probabilities, targets))
    require_shape(name, "targets", wanted, given.shape, f"probabilities {given.type}")
    least = literal(-100.0, given.dtype)
    losses = -(
        wanted * ops.maximum(ops.log(given), least) + (1.0 - wanted) * ops.maximum(ops.log1p(-given), least)
    )  # fmt: skip
    if weight is not None:
        losses = losses * _factor(name, "weight", weight, given)
    return reduced(name, losses, reduction)


def _factor(name: str, what: str, value: ArrayLike, like: Node) -> Node:
    node = cast_to(as_float(name, value), like.dtype)
    pairs = zip(reversed(node.shape), reversed(like.shape), strict=False)
    if node.ndim > like.ndim or any(a != 1 and differ(a, b) for a, b in pairs):
        raise ShapeError(f"{name}: {what} must broadcast to {like.type}, got {node.type}")
    return spread_to(node, like.shape)


# Of numbers.


def mse_loss(predictions: ArrayLike, targets: ArrayLike, reduction: Reduction = "mean") -> Tensor:
    """Return the squared differences of two arrays of one shape.

    >>> gx.nn.mse_loss(gx.placeholder(("n", 3)), gx.placeholder(("n", 3))).shape
    ()
    """
    difference = _difference("mse_loss", predictions, targets)
    return reduced("mse_loss", difference * difference, reduction)


def l1_loss(predictions: ArrayLike, targets: ArrayLike, reduction: Reduction = "mean") -> Tensor:
    """Return the absolute differences of two arrays of one shape; the gradient at 0 is 0.

    >>> gx.nn.l1_loss(gx.placeholder(("n", 3)), gx.placeholder(("n", 3))).shape
    ()
    """
    return reduced("l1_loss", ops.abs(_difference("l1_loss", predictions, targets)), reduction)


def huber_loss(predictions: ArrayLike, targets: ArrayLike, reduction: Reduction = "mean", delta: float = 1.0) -> Tensor:
    """Return d**2 / 2 for differences d below delta, delta * (|d| - delta / 2) beyond (Huber, 1964).

    >>> gx.jit(lambda d: gx.nn.huber_loss(d, gx.zeros_like(d), "none"))(np.array([0.5, -3.0]))
    array([0.125, 2.5  ])
    """
    _positive("huber_loss", "delta", delta)
    difference = _difference("huber_loss", predictions, targets)
    size = ops.abs(difference)
    losses = ops.where(ops.le(size, delta), difference * difference * 0.5, (size - 0.5 * delta) * delta)
    return reduced("huber_loss", losses, reduction)


def smooth_l1_loss(
    predictions: ArrayLike, targets: ArrayLike, reduction: Reduction = "mean", beta: float = 1.0
) -> Tensor:
    """Return d**2 / (2 * beta) for differences d below beta, |d| - beta / 2 beyond: the Huber loss over beta.

    >>> gx.jit(lambda d: gx.nn.smooth_l1_loss(d, gx.zeros_like(d), "none"))(np.array([0.5, -3.0]))
    array([0.125, 2.5  ])
    """
    _positive("smooth_l1_loss", "beta", beta)
    difference = _difference("smooth_l1_loss", predictions, targets)
    size = ops.abs(difference)
    losses = ops.where(ops.lt(size, beta), difference * difference * (0.5 / beta), size - 0.5 * beta)
    return reduced("smooth_l1_loss", losses, reduction)


def _difference(name: str, predictions: ArrayLike, targets: ArrayLike) -> Node:
    given, wanted = promote_floats(name, (predictions, targets))
    require_shape(name, "targets", wanted, given.shape, f"predictions {given.type}")
    return given - wanted


def _positive(name: str, what: str, value: float) -> None:
    if not number(name, what, value) > 0:
        raise ArgumentError(f"{name}: {what} must be positive, got {value!r}")


# What all share.


def require_shape(name: str, what: str, node: Node, shape: Shape, of: str) -> None:
    """Raise ShapeError for a node that is known not to have a shape, that of `of`."""
    if node.ndim != len(shape) or any(differ(a, b) for a, b in zip(node.shape, shape, strict=True)):
        raise ShapeError(f"{name}: {what} must have the shape of {of}, got {node.type}")


def reduced(name: str, losses: Node, reduction: str) -> Tensor:
    """Return the mean or the sum of losses, or them."""
    choice(name, "reduction", reduction, ("mean", "sum", "none"))
    if reduction == "none":
        return wrap(losses)
    return mean(wrap(losses)) if reduction == "mean" else total(wrap(losses))


__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip
