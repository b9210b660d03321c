"""Convolution and pooling as modules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.array.convert import ArrayLike, count
from graphc.errors import ArgumentError
from graphc.nn import init
from graphc.nn.convolution import IntOrPair, Padding, avg_pool2d, conv1d, conv2d, conv_transpose2d, max_pool2d
from graphc.nn.init import Seed
from graphc.nn.layers import uniform_parameter
from graphc.nn.module import Module
from graphc.tensor import Tensor


class Conv2d(Module):
    """conv2d of images x[N, in_channels, H, W] with weight[out_channels, in_channels/groups, kh, kw] and bias.

    Both start between -1/sqrt(f) and 1/sqrt(f), where f = in_channels/groups * kh * kw.

    >>> gx.nn.Conv2d(3, 8, 5, stride=2, padding=2)(gx.placeholder(("batch", 3, 32, 32))).shape
    (batch, 8, 16, 16)
    """

    rank = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: Padding = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Any = "float32",
        seed: Seed = None,
    ) -> None:
        name = type(self).__name__
        self.in_channels, self.out_channels, self.groups = _channels(name, in_channels, out_channels, groups)
        self.kernel_size = _extent(name, kernel_size, self.rank)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        fan_in, rng = math.prod(shape[1:]), init.generator(seed)
        self.weight = uniform_parameter("weight", shape, fan_in, dtype, rng)
        self.bias = uniform_parameter("bias", shape[:1], fan_in, dtype, rng) if bias else None

    def forward(self, x: ArrayLike) -> Tensor:
        """Return the convolution of x."""
        function = conv2d if self.rank == 2 else conv1d
        return function(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        kernel = self.kernel_size[0] if len(set(self.kernel_size)) == 1 else self.kernel_size
        options = [("stride", self.stride, 1), ("padding", self.padding, 0), ("dilation", self.dilation, 1)]
        options += [("groups", self.groups, 1), ("bias", self.bias is not None, True)]
        return ", ".join(
            [f"{self.in_channels}, {self.out_channels}, {kernel}", *[f"{k}={v}" for k, v, d in options if v != d]]
        )


class Conv1d(Conv2d):
    """conv1d of signals x[N, in_channels, L] with weight[out_channels, in_channels/groups, k] and bias; see Conv2d.

    >>> gx.nn.Conv1d(3, 8, 5, padding="same")(gx.placeholder(("batch", 3, 100))).shape
    (batch, 8, 100)
    """

    rank = 1


class ConvTranspose2d(Module):
    """conv_transpose2d of x[N, in_channels, H, W] with weight[in_channels, out_channels/groups, kh, kw] and bias.

    Both start between -1/sqrt(f) and 1/sqrt(f), where f = out_channels/groups * kh * kw.

    >>> gx.nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)(gx.placeholder(("batch", 8, 16, 16))).shape
    (batch, 3, 32, 32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair = 0,
        output_padding: IntOrPair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrPair = 1,
        *,
        dtype: Any = "float32",
        seed: Seed = None,
    ) -> None:
        name = "ConvTranspose2d"
        self.in_channels, self.out_channels, self.groups = _channels(name, in_channels, out_channels, groups)
        self.kernel_size = _extent(name, kernel_size, 2)
        self.stride, self.padding, self.output_padding, self.dilation = stride, padding, output_padding, dilation
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        fan_in, rng = math.prod(shape[1:]), init.generator(seed)
        self.weight = uniform_parameter("weight", shape, fan_in, dtype, rng)
        self.bias = uniform_parameter("bias", (self.out_channels,), fan_in, dtype, rng) if bias else None

    def forward(self, x: ArrayLike) -> Tensor:
        """Return the transposed convolution of x."""
        return conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, {self.kernel_size}, stride={self.stride}"


class MaxPool2d(Module):
    """max_pool2d as a module.

    >>> gx.nn.MaxPool2d(2)(gx.placeholder(("batch", 6, 28, 28))).shape
    (batch, 6, 14, 14)
    """

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: Padding = 0,
        dilation: IntOrPair = 1,
    ) -> None:
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation

    def forward(self, x: ArrayLike) -> Tensor:
        """Return the largest element of each window of x."""
        return max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}"


class AvgPool2d(Module):
    """avg_pool2d as a module.

    >>> gx.nn.AvgPool2d(2)(gx.placeholder(("batch", 6, 28, 28))).shape
    (batch, 6, 14, 14)
    """

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: Padding = 0,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.count_include_pad = count_include_pad

    def forward(self, x: ArrayLike) -> Tensor:
        """Return the mean of each window of x."""
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}"


def _channels(name: str, inputs: int, outputs: int, groups: int) -> tuple[int, int, int]:
    """Return how many channels there are of both, and the groups that divide them."""
    a, b = count(name, "in_channels", inputs, 1), count(name, "out_channels", outputs, 1)
    parts = count(name, "groups", groups, 1)
    if a % parts or b % parts:
        raise ArgumentError(f"{name}: groups must divide the numbers of channels, {a} and {b}, got {parts}")
    return a, b, parts


def _extent(name: str, kernel_size: Any, rank: int) -> tuple[int, ...]:
    given = tuple(kernel_size) if isinstance(kernel_size, Sequence) else (kernel_size,) * rank
    if len(given) != rank:
        raise ArgumentError(f"{name}: kernel_size must be an int or {rank} of them, got {kernel_size!r}")
    return tuple(count(name, "kernel_size", k, 1) for k in given)


__all__ = ["AvgPool2d", "Conv1d", "Conv2d", "ConvTranspose2d", "MaxPool2d"]
