"""Normalisation: mean and variance taken out over some axes, then a learned scale and shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike, as_float, as_node, asarray, axis_index, count, differ
from graphc.array.elementwise import maximum, sqrt
from graphc.array.handle import wrap
from graphc.array.reduce import mean
from graphc.array.shape import reshape, shape_of
from graphc.array.state import with_updates
from graphc.errors import ArgumentError, ShapeError
from graphc.ir.dims import Size, product
from graphc.ir.graph import Node
from graphc.ir.types import Shape
from graphc.nn.losses import require_shape
from graphc.ops.shape import broadcast
from graphc.tensor import Variable

if TYPE_CHECKING:
    from graphc.tensor import Tensor

# Over the last axes of each sample.


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
    shape = _normalized_shape("layer_norm", node, normalized_shape)
    return _affine("layer_norm", _standardized(wrap(node), _last(node, shape), eps), shape, weight, bias)


def rms_norm(
    x: ArrayLike,
    normalized_shape: int | Sequence[int] | None = None,
    weight: ArrayLike | None = None,
    eps: float | None = None,
) -> Tensor:
    """Return x / sqrt(mean of x**2 + eps) * weight, over the last axes (Zhang and Sennrich, arXiv:1910.07467).

    `normalized_shape` is the shape of those axes, by default the last one; weight has it too. eps is the distance from
    1 to the next number of the dtype, unless given.

    >>> gx.nn.rms_norm(gx.placeholder(("batch", 8), name="x")).shape
    (batch, 8)
    """
    node = as_float("rms_norm", x)
    shape = _normalized_shape("rms_norm", node, normalized_shape)
    tensor = wrap(node)
    least = float(np.finfo(node.dtype).eps) if eps is None else eps
    result = tensor / sqrt(mean(tensor * tensor, _last(node, shape), keepdims=True) + least)
    return _affine("rms_norm", result, shape, weight, None)


def _last(node: Node, shape: Shape) -> tuple[int, ...]:
    return tuple(range(node.ndim - len(shape), node.ndim))


def _standardized(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = x - mean(x, axes, keepdims=True)
    return centred / sqrt(mean(centred * centred, axes, keepdims=True) + eps)


def _affine(name: str, x: Tensor, shape: Shape, weight: ArrayLike | None, bias: ArrayLike | None) -> Tensor:
    for what, parameter in (("weight", weight), ("bias", bias)):
        if parameter is None:
            continue
        require_shape(name, what, as_node(name, parameter), shape, f"the normalized axes of {x.node.type}")
        x = x * parameter if what == "weight" else x + parameter
    return x


def _normalized_shape(name: str, node: Node, shape: int | Sequence[int] | None) -> Shape:
    if not node.ndim:
        raise ShapeError(f"{name}: takes rank 1 or more, got {node.type}")
    wanted = node.shape[-1:] if shape is None else shape_of(name, shape)
    own = node.shape[node.ndim - len(wanted) :]
    if not wanted or len(wanted) > node.ndim or any(differ(a, b) for a, b in zip(own, wanted, strict=True)):
        raise ShapeError(f"{name}: normalized_shape {wanted} must be that of the last axes, got {node.type}")
    return wanted


# Over channels, which lie along one axis.


def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return x[N, C, ...] normalised over each of num_groups groups of its channels and all positions, per sample.

    weight and bias have an element for each channel. With one group it is layer_norm of all but the first axis, with C
    groups instance normalisation. Wu and He, arXiv:1803.08494.

    >>> gx.nn.group_norm(gx.placeholder(("batch", 6, "h", "w"), name="x"), 3).shape
    (batch, 6, h, w)
    """
    node = as_float("group_norm", x)
    groups = count("group_norm", "num_groups", num_groups, 1)
    if node.ndim < 2:
        raise ShapeError(f"group_norm: x must be [N, C, ...], got {node.type}")
    channels = node.shape[1]
    if isinstance(channels, int) and channels % groups:
        raise ShapeError(f"group_norm: num_groups must divide the channels of {node.type}: {channels} % {groups} != 0")
    parts = reshape(wrap(node), (node.shape[0], groups, channels // groups, *node.shape[2:]))
    result = reshape(_standardized(parts, tuple(range(2, parts.ndim)), eps), node.shape)
    return _per_channel("group_norm", result, 1, weight, bias)


def batch_norm(
    x: ArrayLike,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
    axis: int = 1,
) -> Tensor:
    """Return (x - mean) / sqrt(variance + eps) * weight + bias for each channel, along `axis` (arXiv:1502.03167).

    In training, mean and variance are those of the batch, over all axes but `axis`. Running statistics, if given, must
    then be variables: every compiled graph that computes the result moves them, as if `updates=` of `gx.compile` said
    so, by running = (1 - momentum) * running + momentum * that of the batch, where the variance is the unbiased one.
    Otherwise the running statistics are taken in their place; without them, those of the batch.

    Raises ShapeError where a channel of a batch in training is known to have fewer than two elements.

    >>> x = gx.placeholder(("batch", 3), name="x")
    >>> mean, var = gx.variable(np.zeros(3, np.float32)), gx.variable(np.ones(3, np.float32))
    >>> y = gx.compile([x], gx.nn.batch_norm(x, mean, var, training=True))([[1, 2, 3], [3, 2, 1]])
    >>> mean.value, var.value
    (array([0.2, 0.2, 0.2], dtype=float32), array([1.1, 0.9, 1.1], dtype=float32))
    """
    name = "batch_norm"
    node = as_float(name, x)
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(f"{name}: running_mean and running_var must be given together")
    channel = axis_index(name, axis, node.ndim)
    for what, value in (("running_mean", running_mean), ("running_var", running_var)):
        if value is not None:
            require_shape(name, what, as_node(name, value), (node.shape[channel],), f"axis {channel} of {node.type}")
    if training or running_mean is None:
        result = _over_batch(node, channel, (running_mean, running_var) if training else (None, None), momentum, eps)
    else:
        mean_, var = (_along(wrap(as_node(name, v)), node, channel) for v in (running_mean, running_var))
        result = (wrap(node) - mean_) / sqrt(var + eps)
    return _per_channel(name, result, channel, weight, bias)


def _over_batch(
    node: Node, channel: int, running: tuple[ArrayLike | None, ...], momentum: float | Tensor, eps: float
) -> Tensor:
    axes = tuple(k for k in range(node.ndim) if k != channel)
    sizes: Size = product([node.shape[k] for k in axes])
    if running[0] is not None and isinstance(sizes, int) and sizes < 2:
        raise ShapeError(f"batch_norm: training needs two or more elements for each channel, got {node.type}")
    x = wrap(node)
    average = mean(x, axes)
    if running[0] is not None:
        average = _observed("running_mean", running[0], average, average, momentum)
    centred = x - _along(average, node, channel)
    spread = mean(centred * centred, axes)
    if running[1] is not None:
        samples = asarray(sizes, node.dtype)
        unbiased = spread * (samples / maximum(samples - 1.0, 1.0))
        spread = _observed("running_var", running[1], spread, unbiased, momentum)
    return centred / _along(sqrt(spread + eps), node, channel)


def _observed(what: str, running: ArrayLike, value: Tensor, observed: Tensor, momentum: float | Tensor) -> Tensor:
    """Return a statistic of a batch, such that who computes it moves the running one."""
    if not isinstance(running, Variable):
        raise ArgumentError(f"batch_norm: in training {what} must be a variable, which is updated; got {running!r}")
    new = running + (observed.astype(running.dtype) - running) * momentum
    return with_updates(value, {running: new.astype(running.dtype)})


def _along(values: Tensor, node: Node, channel: int) -> Tensor:
    """Return a number for each channel in the shape of the node."""
    return wrap(broadcast(values.node, shape=node.shape, axes=(channel,)))


def _per_channel(name: str, x: Tensor, channel: int, weight: ArrayLike | None, bias: ArrayLike | None) -> Tensor:
    for what, parameter in (("weight", weight), ("bias", bias)):
        if parameter is None:
            continue
        node = as_node(name, parameter)
        require_shape(name, what, node, (x.shape[channel],), f"axis {channel} of {x.node.type}")
        spread = _along(wrap(node), x.node, channel)
        x = x * spread if what == "weight" else x + spread
    return x


__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]
