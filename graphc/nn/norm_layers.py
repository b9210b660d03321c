"""Normalisation as modules, with scale and shift as parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.array.convert import ArrayLike, count, flag
from graphc.errors import ArgumentError
from graphc.nn import init
from graphc.nn.module import Module
from graphc.nn.normalization import batch_norm, group_norm, layer_norm, rms_norm
from graphc.tensor import Tensor, Variable, variable


class LayerNorm(Module):
    """layer_norm over the last axes, of `normalized_shape`, with weight (ones at first) and bias (zeros).

    >>> gx.nn.LayerNorm(8)(gx.placeholder(("batch", "time", 8))).shape
    (batch, time, 8)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = "float32",
    ) -> None:
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        affine, bias = flag("LayerNorm", "affine", affine), flag("LayerNorm", "bias", bias)
        self.eps = eps
        self.weight = _ones("weight", self.normalized_shape, dtype) if affine else None
        self.bias = _zeros("bias", self.normalized_shape, dtype) if affine and bias else None

    def forward(self, x: ArrayLike) -> Tensor:
        """Return x normalised."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{_short(self.normalized_shape)}"


class RMSNorm(Module):
    """rms_norm over the last axes, of `normalized_shape`, with weight (ones at first).

    >>> gx.nn.RMSNorm(8)(gx.placeholder(("batch", "time", 8))).shape
    (batch, time, 8)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        affine: bool = True,
        *,
        dtype: Any = "float32",
    ) -> None:
        self.normalized_shape = _sizes("RMSNorm", normalized_shape)
        self.eps = eps
        self.weight = _ones("weight", self.normalized_shape, dtype) if affine else None

    def forward(self, x: ArrayLike) -> Tensor:
        """Return x normalised."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{_short(self.normalized_shape)}"


class GroupNorm(Module):
    """group_norm of x[N, num_channels, ...] with weight (ones at first) and bias (zeros) for each channel.

    >>> gx.nn.GroupNorm(3, 6)(gx.placeholder(("batch", 6, "h", "w"))).shape
    (batch, 6, h, w)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, dtype: Any = "float32"
    ) -> None:
        self.num_groups = count("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = count("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ArgumentError(f"GroupNorm: num_groups must divide num_channels, got {num_groups} and {num_channels}")
        self.eps = eps
        self.weight = _ones("weight", (self.num_channels,), dtype) if affine else None
        self.bias = _zeros("bias", (self.num_channels,), dtype) if affine else None

    def forward(self, x: ArrayLike) -> Tensor:
        """Return x normalised."""
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}"


class BatchNorm(Module):
    """batch_norm over all axes but that of channels, with weight (ones at first), bias (zeros) and running statistics.

    In training (`training` is True when the graph is built) it normalises by the batch, and every compiled graph that
    computes its result moves running_mean and running_var, by `momentum` of the way to those of the batch; nothing has
    to be said to `gx.compile`. In evaluation it normalises by them. x is [N, num_features], [N, num_features, L],
    [N, num_features, H, W]; `axis` may be another one.

    >>> layer = gx.nn.BatchNorm(3)
    >>> x = gx.placeholder(("batch", 3, 8, 8), name="x")
    >>> _ = gx.compile([x], layer(x))(np.ones((2, 3, 8, 8), np.float32))
    >>> layer.running_mean.value
    array([0.1, 0.1, 0.1], dtype=float32)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        axis: int = 1,
        *,
        dtype: Any = "float32",
    ) -> None:
        self.num_features = count("BatchNorm", "num_features", num_features, 1)
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ArgumentError(f"BatchNorm: momentum must be a number from 0 to 1, got {momentum!r}")
        self.eps, self.momentum, self.axis = eps, momentum, axis
        shape = (self.num_features,)
        self.weight = _ones("weight", shape, dtype) if affine else None
        self.bias = _zeros("bias", shape, dtype) if affine else None
        self.running_mean = _zeros("running_mean", shape, dtype, False) if track_running_stats else None
        self.running_var = _ones("running_var", shape, dtype, False) if track_running_stats else None

    def forward(self, x: ArrayLike) -> Tensor:
        """Return x normalised."""
        running = (self.running_mean, self.running_var)
        return batch_norm(x, *running, self.weight, self.bias, self.training, self.momentum, self.eps, self.axis)

    def extra_repr(self) -> str:
        return f"{self.num_features}"


def _sizes(name: str, shape: Any) -> tuple[int, ...]:
    given = shape if isinstance(shape, list | tuple) else (shape,)
    return tuple(count(name, "normalized_shape", s, 1) for s in given)


def _short(shape: tuple[int, ...]) -> Any:
    return shape[0] if len(shape) == 1 else shape


def _ones(name: str, shape: tuple[int, ...], dtype: Any, trainable: bool = True) -> Variable:
    return variable(init.ones(shape, dtype), name=name, trainable=trainable)


def _zeros(name: str, shape: tuple[int, ...], dtype: Any, trainable: bool = True) -> Variable:
    return variable(init.zeros(shape, dtype), name=name, trainable=trainable)


__all__ = ["BatchNorm", "GroupNorm", "LayerNorm", "RMSNorm"]
