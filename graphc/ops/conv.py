"""Convolutions: one sum of products over three arrays, of which any two give the third.

    T(x, w, y) = sum over n, o, c, p, k of x[n, c, p * stride + k * dilation - low] * w[o, c, k] * y[n, o, p]

p and k run over positions in the result and in the kernel, along every spatial axis; terms whose place in x lies
outside of it are zero, which is what padding with zeros means. What stands beside y in T is the convolution of x and w,
what stands beside x is the gradient with respect to the input (a transposed convolution), what stands beside w the one
with respect to the kernel. T is linear in each, so the derivatives of all three are these three operations again, with
the same stride, dilation and low. With `groups`, the channels of x and y are cut into so many runs, and each run of y
sees its run of x only. Where a factor is not finite, a term that is outside may be NaN instead of zero.

`shape` is the spatial shape of the result, which the operands alone do not tell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Convolution, Node
from graphc.ir.types import Shape, TensorType
from graphc.ops.elementwise import NUMBERS

Array = np.ndarray[Any, Any]


def _check(name: str, a: TensorType, b: TensorType, shape: Shape, attrs: dict[str, Any]) -> None:
    if a.dtype != b.dtype or a.dtype.kind not in NUMBERS:
        raise DTypeError(f"{name}: operands must have one numeric dtype, got {a} and {b}")
    rank = len(shape)
    if a.ndim != rank + 2 or b.ndim != rank + 2:
        raise ShapeError(f"{name}: operands must have rank {rank + 2} for a spatial shape {shape}, got {a} and {b}")
    if rank != 2:
        raise ArgumentError(f"{name}: shape must have 2 entries, got {shape}")
    if any(len(attrs[k]) != rank for k in ("stride", "dilation", "low")):
        raise ArgumentError(f"{name}: stride, dilation and low must have {rank} entries, got {attrs}")
    if attrs["groups"] < 1 or any(s < 1 for s in (*attrs["stride"], *attrs["dilation"])):
        raise ArgumentError(f"{name}: stride, dilation and groups must be 1 or more, got {attrs}")
    least = 1 if name == "convolve" else 0
    if any(isinstance(s, int) and s < least for s in shape):
        raise ShapeError(f"{name}: the kernel is larger than the padded input: {a} and {b} give the size {shape}")


def _require(name: str, what: str, a: Size, b: Size, types: tuple[TensorType, TensorType]) -> None:
    if not isinstance(a, Dim) and not isinstance(b, Dim) and a != b:
        raise ShapeError(f"{name}: {what}, got {types[0]} and {types[1]}: {a} != {b}")


def _divide(name: str, channels: Size, groups: int, type: TensorType) -> Size:
    if isinstance(channels, int) and channels % groups:
        raise ShapeError(f"{name}: {groups} groups must divide the {channels} channels of {type}")
    return channels // groups


def _infer_output(x: TensorType, w: TensorType, *, shape: Shape, groups: int, **attrs: Any) -> TensorType:
    _check("convolve", x, w, shape, {**attrs, "groups": groups})
    _divide("convolve", w.shape[0], groups, w)
    what = "the channels of x must be groups times the second dimension of w"
    _require("convolve", what, x.shape[1], w.shape[1] * groups, (x, w))
    return x.with_shape((x.shape[0], w.shape[0], *shape))


def _infer_input(y: TensorType, w: TensorType, *, shape: Shape, groups: int, **attrs: Any) -> TensorType:
    _check("convolve_input", y, w, shape, {**attrs, "groups": groups})
    _divide("convolve_input", w.shape[0], groups, w)
    _require("convolve_input", "the channels of y must be the first dimension of w", y.shape[1], w.shape[0], (y, w))
    return y.with_shape((y.shape[0], w.shape[1] * groups, *shape))


def _infer_weight(x: TensorType, y: TensorType, *, shape: Shape, groups: int, **attrs: Any) -> TensorType:
    _check("convolve_weight", x, y, shape, {**attrs, "groups": groups})
    _divide("convolve_weight", y.shape[1], groups, y)
    _require("convolve_weight", "x and y must have one batch size", x.shape[0], y.shape[0], (x, y))
    return x.with_shape((y.shape[1], _divide("convolve_weight", x.shape[1], groups, x), *shape))


# The reference: for each place in the kernel, one batched product of matrices over the positions that see x there.

Places = tuple[Any, ...]


def valid(extent: int, count: int, shift: int, stride: int) -> tuple[int, int]:
    """Return the first position p and the end of those in 0 .. count-1 for which 0 <= p * stride + shift < extent."""
    first = min(count, max(0, -(shift // stride)))
    return first, max(first, min(count, (extent - 1 - shift) // stride + 1))


def _taps(
    kernel: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...], stride: Any, dilation: Any, low: Any
) -> Iterator[tuple[Places, Places, Places]]:
    """Yield each place in the kernel with the parts of x and y that meet there."""
    for tap in itertools.product(*map(range, kernel)):
        in_x: list[Any] = [...]
        in_y: list[Any] = [...]
        for k, extent, count, s, d, before in zip(tap, x, y, stride, dilation, low, strict=True):
            first, end = valid(extent, count, k * d - before, s)
            start = first * s + k * d - before
            in_x.append(slice(start, start + (end - first) * s, s) if end > first else slice(0, 0))
            in_y.append(slice(first, end))
        yield (..., *tap), tuple(in_x), tuple(in_y)


def _grouped(array: Any, groups: int, axis: int) -> Array:
    shape = np.shape(array)
    return np.reshape(array, (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))


def _part(array: Array, places: Places) -> Array:
    """Return [n, g, channel, position] of part of [n, g, channel, ...]."""
    part = array[places]
    return part.reshape((*part.shape[:3], math.prod(part.shape[3:])))


def _reference_output(x: Any, w: Any, *, shape: Any, groups: int, **attrs: Any) -> Array:
    a, b = _grouped(x, groups, 1), _grouped(w, groups, 0)
    out = np.zeros((x.shape[0], groups, b.shape[1], *shape), x.dtype)
    for tap, in_x, in_y in _taps(w.shape[2:], x.shape[2:], shape, **attrs):
        target = out[in_y]
        target += (b[tap] @ _part(a, in_x)).reshape(target.shape)
    return out.reshape((x.shape[0], w.shape[0], *shape))


def _reference_input(y: Any, w: Any, *, shape: Any, groups: int, **attrs: Any) -> Array:
    a, b = _grouped(y, groups, 1), _grouped(w, groups, 0)
    out = np.zeros((y.shape[0], groups, w.shape[1], *shape), y.dtype)
    for tap, in_x, in_y in _taps(w.shape[2:], shape, y.shape[2:], **attrs):
        target = out[in_x]
        target += (np.swapaxes(b[tap], 1, 2) @ _part(a, in_y)).reshape(target.shape)
    return out.reshape((y.shape[0], groups * w.shape[1], *shape))


def _reference_weight(x: Any, y: Any, *, shape: Any, groups: int, **attrs: Any) -> Array:
    a, b = _grouped(x, groups, 1), _grouped(y, groups, 1)
    out = np.zeros((groups, b.shape[2], a.shape[2], *shape), x.dtype)
    for tap, in_x, in_y in _taps(shape, x.shape[2:], y.shape[2:], **attrs):
        products = _part(b, in_y) @ np.swapaxes(_part(a, in_x), 2, 3)
        out[tap] = np.sum(products, axis=0, dtype=x.dtype)
    return out.reshape((y.shape[1], a.shape[2], *shape))


def _geometry(node: Node) -> dict[str, Any]:
    return {k: node.attrs[k] for k in ("stride", "dilation", "low", "groups")}


def _towards(op: str, a: Node, b: Node, like: Node, of: Node) -> Node:
    """Return the derivative with respect to `like` of a convolution `of`."""
    ops = {"output": convolve, "input": convolve_input, "weight": convolve_weight}
    return ops[op](a, b, shape=like.shape[2:], **_geometry(of))


convolve: Convolution = Convolution(
    "convolve",
    infer=_infer_output,
    reference=_reference_output,
    vjp=(
        lambda ct, out, x, w: _towards("input", ct, w, x, out),
        lambda ct, out, x, w: _towards("weight", x, ct, w, out),
    ),
    role="output",
    doc="x[n, c, ...] seen through kernels w[o, c/groups, ...]: y[n, o, ...].",
)
convolve_input: Convolution = Convolution(
    "convolve_input",
    infer=_infer_input,
    reference=_reference_input,
    vjp=(
        lambda ct, out, y, w: _towards("output", ct, w, y, out),
        lambda ct, out, y, w: _towards("weight", ct, y, w, out),
    ),
    role="input",
    doc="The transpose of `convolve` in x: what y[n, o, ...] sends back to x through w.",
)
convolve_weight: Convolution = Convolution(
    "convolve_weight",
    infer=_infer_weight,
    reference=_reference_weight,
    vjp=(
        lambda ct, out, x, y: _towards("input", y, ct, x, out),
        lambda ct, out, x, y: _towards("output", x, ct, y, out),
    ),
    role="weight",
    doc="The transpose of `convolve` in w: what y[n, o, ...] sends back to the kernels through x.",
)
