"""Convolution and pooling of images and signals, channels first, with PyTorch's meaning of every argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphc.array.convert import ArrayLike, as_float, as_node, count, differ, promote
from graphc.array.handle import wrap
from graphc.array.reduce import mean
from graphc.errors import ArgumentError, DTypeError, ShapeError, shown
from graphc.ir.dims import Size
from graphc.ir.graph import Node, literal
from graphc.ops.conv import convolve, convolve_input
from graphc.ops.dot import contract
from graphc.ops.pool import max_pool
from graphc.ops.shape import broadcast, reshape, slice_

if TYPE_CHECKING:
    from graphc.tensor import Tensor

IntOrPair = int | Sequence[int]
Padding = str | int | Sequence[int] | Sequence[Sequence[int]]

AXES = ("height", "width")


class Windows(NamedTuple):
    """How windows lie on the spatial axes; `low` and `high` are the padding before and after."""

    extent: tuple[Size, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]

    def counts(self, name: str, node: Node) -> tuple[Size, ...]:
        """Return how many windows fit along each of the last axes of a node."""
        sizes: list[Size] = []
        for what, size, k, s, d, low, high in zip(AXES, node.shape[-2:], *self, strict=True):
            span = d * (k - 1) + 1
            if isinstance(span, int) and isinstance(size, int) and span > size + low + high:
                raise ShapeError(
                    f"{name}: a window spans {span} elements of the {what}, which must be at most that of x with its "
                    f"padding, {size} + {low} + {high}, got {node.type}"
                )
            sizes.append((size + low + high - span) // s + 1)
        return tuple(sizes)


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Correlate images x[N, C, H, W] with kernels w[O, C/groups, kh, kw]: the convolution of neural networks.

    y[n, o, i, j] = bias[o] + sum over c, k, l of w[o, c, k, l] * x[n, c, i*stride + k*dilation - padding, ...],
    where x is 0 outside. The result is [N, O, (H + padding - dilation*(kh - 1) - 1) // stride + 1, ...], with the
    padding of both sides in it. stride and dilation are an int for both axes or one for each. padding is an int, one
    for each axis, a pair (before, after) for each, "valid" for none, or "same" for a result of the size of x, which
    needs stride 1; where that takes an odd number, one more lies after. groups cuts the channels: output channels of
    one group see the input channels of that group only (groups=C: depthwise). Operands are promoted to one dtype,
    floats or integers, which wrap. N, H and W may be unknown, and so may be the kernel's extent unless padding is
    "same".

    The gradients are convolutions again, so every order exists. A weight that is not finite gives NaN where it meets
    padding. Dumoulin and Visin, arXiv:1603.07285; torch.nn.functional.conv2d.

    Raises ShapeError where channels do not fit or a kernel is larger than the padded image, DTypeError for bools.

    >>> x = gx.placeholder(("batch", 3, 32, 32), name="x")
    >>> gx.nn.conv2d(x, gx.placeholder((8, 3, 5, 5), name="w"), stride=2, padding=2).shape
    (batch, 8, 16, 16)
    """
    return _convolution("conv2d", x, w, bias, (stride, padding, dilation), groups)


def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Correlate signals x[N, C, L] with kernels w[O, C/groups, k]; see conv2d, of which this is the case H = kh = 1.

    stride and dilation are ints; padding is an int, a pair (before, after), "same" or "valid".

    >>> x = gx.placeholder(("batch", 3, 100), name="x")
    >>> gx.nn.conv1d(x, gx.placeholder((8, 3, 5), name="w"), padding="same").shape
    (batch, 8, 100)
    """
    a, b = _numbers("conv1d", (x, w))
    _require_rank("conv1d", 3, ("x", "[N, C, L]", a), ("w", "[O, C/groups, k]", b))
    if not isinstance(padding, str):
        widths = _pair("conv1d", "padding", padding, 0)
        padding = ((0, 0), widths)
    steps = [(1, count("conv1d", what, s, 1)) for what, s in (("stride", stride), ("dilation", dilation))]
    images, kernels = (wrap(reshape(n, shape=(*n.shape[:2], 1, n.shape[2]))) for n in (a, b))
    result = _convolution("conv1d", images, kernels, bias, (steps[0], padding, steps[1]), groups).node
    return wrap(reshape(result, shape=(*result.shape[:2], result.shape[3])))


def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> Tensor:
    """Spread images x[N, C, H, W] by kernels w[C, O/groups, kh, kw]: the transpose of conv2d as a linear map.

    Element (i, j) of x adds to the window of the result that conv2d, with the same arguments, would see from there. The
    result is [N, O, (H - 1) * stride - 2 * padding + dilation * (kh - 1) + output_padding + 1, ...], where
    output_padding, less than the stride, says which of the sizes that conv2d takes to H is meant. The gradients are
    convolutions. Arguments are those of torch.nn.functional.conv_transpose2d.

    Raises ShapeError where channels do not fit or nothing is left of the result, DTypeError for bools.

    >>> x = gx.placeholder(("batch", 8, 16, 16), name="x")
    >>> gx.nn.conv_transpose2d(x, gx.placeholder((8, 3, 4, 4), name="w"), stride=2, padding=1).shape
    (batch, 3, 32, 32)
    """
    name = "conv_transpose2d"
    a, b, *rest = _numbers(name, (x, w) if bias is None else (x, w, bias))
    _require_rank(name, 4, ("x", "[N, C, H, W]", a), ("w", "[C, O/groups, kh, kw]", b))
    groups = count(name, "groups", groups, 1)
    if differ(a.shape[1], b.shape[0]) or (isinstance(b.shape[0], int) and b.shape[0] % groups):
        raise ShapeError(
            f"{name}: the channels of x ({a.type}) must be the first dimension of w ({b.type}), which groups must "
            f"divide, got {groups}"
        )
    low, further = _pair(name, "padding", padding, 0), _pair(name, "output_padding", output_padding, 0)
    steps = {"stride": _pair(name, "stride", stride, 1), "dilation": _pair(name, "dilation", dilation, 1)}
    if any(f >= s for f, s in zip(further, steps["stride"], strict=True)):
        raise ArgumentError(f"{name}: output_padding must be less than stride, got {further} and {steps['stride']}")
    along = zip(a.shape[2:], b.shape[2:], steps["stride"], steps["dilation"], low, further, strict=True)
    shape = tuple([(n - 1) * s - 2 * p + d * (k - 1) + f + 1 for n, k, s, d, p, f in along])
    if any(isinstance(n, int) and n < 1 for n in shape):
        raise ShapeError(f"{name}: nothing is left of the result, {shape}, of {a.type} and {b.type}")
    return _with_bias(name, convolve_input(a, b, shape=shape, low=low, groups=groups, **steps), rest)


def _convolution(
    name: str, x: ArrayLike, w: ArrayLike, bias: ArrayLike | None, steps: tuple[Any, Any, Any], groups: int
) -> Tensor:
    a, b, *rest = _numbers(name, (x, w) if bias is None else (x, w, bias))
    _require_rank(name, 4, ("x", "[N, C, H, W]", a), ("w", "[O, C/groups, kh, kw]", b))
    groups = count(name, "groups", groups, 1)
    stride, padding, dilation = steps
    windows = _windows(name, b.shape[2:], stride, padding, dilation)
    channels, of_group, outputs = a.shape[1], b.shape[1], b.shape[0]
    if differ(channels, of_group * groups):
        raise ShapeError(
            f"{name}: the channels of x ({a.type}) must be the second dimension of w ({b.type}) times groups: "
            f"{channels} != {of_group} * {groups}"
        )
    if isinstance(outputs, int) and outputs % groups:
        raise ShapeError(f"{name}: groups must divide the first dimension of w ({b.type}): {outputs} % {groups} != 0")
    shape = windows.counts(name, a)
    if windows.extent == (1, 1) and not any((*windows.low, *windows.high)):
        result = _pointwise(a, b, windows.stride, groups, shape)
    else:
        attrs = {"stride": windows.stride, "dilation": windows.dilation, "low": windows.low, "groups": groups}
        result = convolve(a, b, shape=shape, **attrs)
    return _with_bias(name, result, rest)


def _with_bias(name: str, result: Node, bias: Sequence[Node]) -> Tensor:
    if not bias:
        return wrap(result)
    channels = result.shape[1]
    if bias[0].ndim != 1 or differ(bias[0].shape[0], channels):
        raise ShapeError(f"{name}: bias must have one element for each of {channels} channels, got {bias[0].type}")
    return wrap(result + broadcast(bias[0], shape=result.shape, axes=(1,)))


def _pointwise(x: Node, w: Node, stride: tuple[int, ...], groups: int, shape: tuple[Size, ...]) -> Node:
    """Return a convolution with kernels of one element: a matrix product for each image."""
    if stride != (1, 1):
        x = slice_(x, start=(0,) * 4, shape=(*x.shape[:2], *shape), step=(1, 1, *stride))
    n, outputs, own = x.shape[0], w.shape[0], w.shape[1]
    if groups == 1:
        return contract(reshape(w, shape=(outputs, own)), x, spec="oc,nchw->nohw")
    x = reshape(x, shape=(n, groups, own, *shape))
    w = reshape(w, shape=(groups, outputs // groups, own))
    return reshape(contract(w, x, spec="goc,ngchw->ngohw"), shape=(n, outputs, *shape))


def max_pool2d(
    x: ArrayLike,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
) -> Tensor:
    """Return the largest element of each window of x[N, C, H, W]; NaN if any is NaN.

    kernel_size, stride (by default kernel_size) and dilation are an int for both axes or one for each; padding too, or
    a pair (before, after) for each: at most half a window, so that no window lies outside. Padding is less than any
    number. The result is [N, C, (H + padding - dilation*(kh - 1) - 1) // stride + 1, ...], of the dtype of x: floats or
    integers. The gradient goes to the largest element, of several the first in row-major order (of NaNs too), as in
    PyTorch; a share of it to each is what gx.max gives. torch.nn.functional.max_pool2d.

    >>> gx.nn.max_pool2d(gx.placeholder(("batch", 6, 28, 28), name="x"), 2).shape
    (batch, 6, 14, 14)
    """
    (node,) = _numbers("max_pool2d", (x,))
    _require_rank("max_pool2d", 4, ("x", "[N, C, H, W]", node))
    windows = _pooling("max_pool2d", kernel_size, stride, padding, dilation)
    attrs = {"window": windows.extent, "stride": windows.stride, "dilation": windows.dilation, "low": windows.low}
    return wrap(max_pool(node, shape=windows.counts("max_pool2d", node), **attrs))


def avg_pool2d(
    x: ArrayLike,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window of x[N, C, H, W], of floats; integers are converted.

    Arguments and the shape of the result are those of max_pool2d. Padding counts as zeros; with
    count_include_pad=False it does not count, and the mean is that of the elements of x in the window.
    torch.nn.functional.avg_pool2d.

    >>> gx.nn.avg_pool2d(gx.placeholder(("batch", 6, 28, 28), name="x"), 2).shape
    (batch, 6, 14, 14)
    """
    node = as_float("avg_pool2d", x)
    _require_rank("avg_pool2d", 4, ("x", "[N, C, H, W]", node))
    windows = _pooling("avg_pool2d", kernel_size, stride, padding, 1)
    shape = windows.counts("avg_pool2d", node)
    n, channels, *extents = node.shape
    if tuple(extents) == windows.extent and shape == (1, 1) and not any((*windows.low, *windows.high)):
        return mean(wrap(node), (2, 3), keepdims=True)
    total = _window_sum(reshape(node, shape=(n * channels, 1, *extents)), windows, shape)
    total = reshape(total, shape=(n, channels, *shape))
    if count_include_pad or not any((*windows.low, *windows.high)):
        return wrap(total / float(windows.extent[0] * windows.extent[1]))
    ones = broadcast(literal(1, node.dtype), shape=(1, 1, *extents), axes=())
    counts = reshape(_window_sum(ones, windows, shape), shape=shape)
    return wrap(total / broadcast(counts, shape=total.shape, axes=(2, 3)))


def _window_sum(x: Node, windows: Windows, shape: tuple[Size, ...]) -> Node:
    """Return the sums over windows of images of one channel: a convolution with ones."""
    ones = broadcast(literal(1, x.dtype), shape=(1, 1, *windows.extent), axes=())
    return convolve(x, ones, shape=shape, stride=windows.stride, dilation=windows.dilation, low=windows.low, groups=1)


# Arguments.


def _numbers(name: str, values: Sequence[ArrayLike]) -> list[Node]:
    nodes = promote(name, [wrap(as_node(name, v)) for v in values])
    if nodes[0].dtype.kind == "b":
        raise DTypeError(f"{name}: takes numbers, got {nodes[0].type}")
    return nodes


def _require_rank(name: str, rank: int, *operands: tuple[str, str, Node]) -> None:
    for what, layout, node in operands:
        if node.ndim != rank:
            raise ShapeError(f"{name}: {what} must be {layout}, got {node.type}")


def _pair(name: str, what: str, value: Any, least: int) -> tuple[int, int]:
    """Return an int for both axes, or one for each."""
    given = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value, value]
    if len(given) != 2:
        raise ArgumentError(f"{name}: {what} must be an int or a pair of ints, got {shown(value)}")
    first, second = (count(name, what, v, least) for v in given)
    return first, second


def _windows(name: str, extent: tuple[Size, ...], stride: Any, padding: Any, dilation: Any) -> Windows:
    strides, dilations = _pair(name, "stride", stride, 1), _pair(name, "dilation", dilation, 1)
    if isinstance(padding, str) and padding == "valid":
        padding = 0
    if isinstance(padding, str):
        if padding != "same":
            raise ArgumentError(f"{name}: padding must be ints, 'same' or 'valid', got {shown(padding)}")
        if strides != (1, 1):
            raise ArgumentError(f"{name}: padding 'same' needs stride 1, got {strides}; give the padding in numbers")
        if not all(isinstance(k, int) for k in extent):
            raise ArgumentError(f"{name}: padding 'same' needs a kernel of known size, got {extent}")
        widths = [d * (k - 1) for k, d in zip(extent, dilations, strict=True)]
        return Windows(
            extent, strides, dilations, tuple(int(n // 2) for n in widths), tuple(int(n - n // 2) for n in widths)
        )
    low, high = _padding(name, padding)
    return Windows(extent, strides, dilations, low, high)


def _padding(name: str, padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding before and after, along each axis."""
    is_sequence = isinstance(padding, Sequence) and not isinstance(padding, str)
    if is_sequence and any(isinstance(p, Sequence) for p in padding):
        if len(padding) != 2:
            raise ArgumentError(
                f"{name}: padding must be a pair (before, after) for each of 2 axes, got {shown(padding)}"
            )
        height, width = (_pair(name, "padding", p, 0) for p in padding)
        return (height[0], width[0]), (height[1], width[1])
    both = _pair(name, "padding", padding, 0)
    return both, both


def _pooling(name: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Windows:
    extent = _pair(name, "kernel_size", kernel_size, 1)
    windows = _windows(name, extent, extent if stride is None else stride, padding, dilation)
    for k, d, low, high in zip(extent, windows.dilation, windows.low, windows.high, strict=True):
        if 2 * max(low, high) > d * (k - 1) + 1:
            raise ArgumentError(
                f"{name}: padding must be at most half of the window, which spans {d * (k - 1) + 1}, "
                f"got {shown(padding)}"
            )
    return windows


__all__ = ["avg_pool2d", "conv1d", "conv2d", "conv_transpose2d", "max_pool2d"]
