"""Views: the same elements at other indices. Each says at which index of the source an element of the result lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, OutOfBoundsError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node, Opaque, View
from graphc.ir.types import Shape, TensorType
from graphc.ops.reduce import sum as reduce_sum
from graphc.ops.rows import copied_rows, rows

FAR = 1 << 40
"""Larger than any axis: sends an index that hits no element out of bounds."""


def _may_equal(a: Size, b: Size) -> bool:
    return a == b or isinstance(a, Dim) or isinstance(b, Dim)


# broadcast: axis k of the source becomes axis axes[k] of the result; along the others it repeats.


def _infer_broadcast(x: TensorType, *, shape: Shape, axes: tuple[int, ...]) -> TensorType:
    if len(axes) != x.ndim or sorted(set(axes)) != list(axes) or any(not 0 <= a < len(shape) for a in axes):
        raise ShapeError(f"broadcast: axes {axes} must name one axis of {shape} for each axis of {x}, in order")
    if not all(_may_equal(s, shape[a]) for s, a in zip(x.shape, axes, strict=True)):
        raise ShapeError(f"broadcast: {x} does not fit axes {axes} of shape {shape}")
    return x.with_shape(shape)


def _reference_broadcast(x: Any, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    spread = [1] * len(shape)
    for extent, axis in zip(np.shape(x), axes, strict=True):
        spread[axis] = extent
    return np.broadcast_to(np.reshape(x, spread), shape)


def _vjp_broadcast(ct: Node, out: Node, x: Node) -> Node:
    repeated = tuple(a for a in range(out.ndim) if a not in out.attrs["axes"])
    if repeated:
        return reduce_sum(ct, axis=repeated)
    return ct if ct.shape == x.shape else broadcast(ct, shape=x.shape, axes=tuple(range(x.ndim)))


broadcast: View = View(
    "broadcast",
    infer=_infer_broadcast,
    reference=_reference_broadcast,
    vjp=(_vjp_broadcast,),
    index=lambda position, source, result, *, shape, axes: tuple(position[a] for a in axes),
    doc="Repeat along the axes of `shape` that are not in `axes`.",
)

# reshape: the same elements in row-major order.


def _infer_reshape(x: TensorType, *, shape: Shape) -> TensorType:
    if not _may_equal(x.size, dims.product(shape)):
        raise ShapeError(f"reshape: {x} has {x.size} elements, shape {shape} has {dims.product(shape)}")
    return x.with_shape(shape)


def _index_reshape(position: tuple[Any, ...], source: TensorType, result: TensorType, *, shape: Shape) -> Any:
    flat: Any = 0
    for p, extent in zip(position, result.shape, strict=True):
        flat = flat * extent + p
    index = []
    for extent in reversed(source.shape):
        index.append(flat % extent)
        flat = flat // extent
    return tuple(reversed(index))


reshape: View = View(
    "reshape",
    infer=_infer_reshape,
    reference=lambda x, *, shape: np.reshape(x, shape),
    vjp=(lambda ct, out, x: reshape(ct, shape=x.shape),),
    index=_index_reshape,
    doc="The same elements, in row-major order, in another shape.",
)

# transpose: axis k of the result is axis axes[k] of the source.


def _infer_transpose(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"transpose: axes {axes} must be a permutation of the axes of {x}")
    return x.with_shape(tuple(x.shape[a] for a in axes))


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the permutation that undoes `axes`."""
    return tuple(axes.index(k) for k in range(len(axes)))


transpose: View = View(
    "transpose",
    infer=_infer_transpose,
    reference=lambda x, *, axes: np.transpose(x, axes),
    vjp=(lambda ct, out, x: transpose(ct, axes=inverse(out.attrs["axes"])),),
    index=lambda position, source, result, *, axes: tuple(position[k] for k in inverse(axes)),
    doc="Axes in another order.",
)

# slice: element i of the result is element start + i * step of the source, step of either sign.


def _infer_slice(x: TensorType, *, start: Shape, shape: Shape, step: tuple[int, ...]) -> TensorType:
    if not len(start) == len(shape) == len(step) == x.ndim:
        raise ShapeError(f"slice: start, shape and step must have {x.ndim} entries for {x}")
    for extent, first, count, stride in zip(x.shape, start, shape, step, strict=True):
        last = first + (count - 1) * stride
        if isinstance(extent, Dim) or isinstance(first, Dim) or isinstance(last, Dim):
            continue
        if count and not (0 <= first < extent and 0 <= last < extent):
            at = f"element {first} is" if first == last else f"elements {first} to {last} are"
            raise OutOfBoundsError(f"slice: {at} outside an axis of size {extent} of {x}")
    return x.with_shape(shape)


def _reference_slice(x: Any, *, start: Any, shape: Any, step: Any) -> Any:
    def along(first: int, count: int, stride: int) -> slice:
        stop = first + count * stride
        return slice(first, stop if stop >= 0 else None, stride) if count else slice(0, 0)

    return x[tuple(along(*s) for s in zip(start, shape, step, strict=True))]


slice_: View = View(
    "slice",
    infer=_infer_slice,
    reference=_reference_slice,
    vjp=(lambda ct, out, x: embed(ct, shape=x.shape, start=out.attrs["start"], step=out.attrs["step"], value=0),),
    index=lambda position, source, result, *, start, shape, step: tuple(
        p * stride + first for p, first, stride in zip(position, start, step, strict=True)
    ),
    doc="Every step-th element from start, along each axis.",
)

# embed: the adjoint of slice, and padding: source element i lies at start + i * step, `value` everywhere else.


def _infer_embed(x: TensorType, *, shape: Shape, start: Shape, step: tuple[int, ...], value: Any) -> TensorType:
    if not len(start) == len(shape) == len(step) == x.ndim:
        raise ShapeError(f"embed: start, shape and step must have {x.ndim} entries for {x}")
    return x.with_shape(shape)


def _reference_embed(x: Any, *, shape: Any, start: Any, step: Any, value: Any) -> Any:
    result = np.full(shape, value, x.dtype)
    position = np.ix_(*[np.arange(n) * k + s for n, s, k in zip(x.shape, start, step, strict=True)])
    inside = tuple((p >= 0) & (p < n) for p, n in zip(position, shape, strict=True))
    kept = [np.flatnonzero(i) for i in inside]
    result[tuple(np.take(p, k, axis=a) for a, (p, k) in enumerate(zip(position, kept, strict=True)))] = x[np.ix_(*kept)]
    return result


def _index_embed(position: Any, source: TensorType, result: TensorType, *, start: Any, step: Any, **_: Any) -> Any:
    def along(p: Any, first: int, stride: int) -> Any:
        offset = p - first if stride > 0 else (p * -1) + first
        stride = abs(stride)
        return offset if stride == 1 else offset // stride + (offset % stride) * FAR

    return tuple(along(*s) for s in zip(position, start, step, strict=True))


embed: View = View(
    "embed",
    infer=_infer_embed,
    reference=_reference_embed,
    vjp=(lambda ct, out, x: slice_(ct, start=out.attrs["start"], shape=x.shape, step=out.attrs["step"]),),
    index=_index_embed,
    fill=lambda *, value, **_: value,
    doc="The source placed at start, start + step, ... of a larger array filled with `value`.",
)

# concat: several sources one after the other along an axis.


def _infer_concat(*types: TensorType, axis: int) -> TensorType:
    first = types[0]
    for t in types[1:]:
        if t.dtype != first.dtype:
            raise DTypeError(f"concat: operands must have one dtype, got {first} and {t}")
        fits = t.ndim == first.ndim and all(
            k == axis or _may_equal(a, b) for k, (a, b) in enumerate(zip(t.shape, first.shape, strict=True))
        )
        if not fits:
            raise ShapeError(f"concat: operands must have the same shape but for axis {axis}, got {first} and {t}")
    total: Size = 0
    for t in types:
        total = total + t.shape[axis]
    return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _vjp_concat(ct: Node, out: Node, *inputs: Node) -> tuple[Node, ...]:
    axis = out.attrs["axis"]
    parts = []
    offset: Size = 0
    for x in inputs:
        start = tuple(offset if k == axis else 0 for k in range(x.ndim))
        parts.append(slice_(ct, start=start, shape=x.shape, step=(1,) * x.ndim))
        offset = offset + x.shape[axis]
    return tuple(parts)


concat: Opaque = Opaque(
    "concat",
    infer=_infer_concat,
    reference=lambda *arrays, axis: np.concatenate(arrays, axis),
    vjp=_vjp_concat,
    seen=rows,
    nest=copied_rows,
    doc="Arrays one after the other along `axis`.",
)
