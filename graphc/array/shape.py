"""Functions that move elements and change none: reshaping, reordering, repeating, joining, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import (
    ArrayLike,
    as_node,
    axis_index,
    axis_indices,
    choice,
    common_shape,
    count,
    differ,
    listed,
    promote,
    spread_to,
)
from graphc.array.handle import wrap
from graphc.errors import ArgumentError, ShapeError, shown
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node
from graphc.ir.types import MOST_AXES, MOST_ELEMENTS, Shape, as_shape
from graphc.ops import shape as ops

if TYPE_CHECKING:
    from graphc.tensor import Tensor

Axes = int | Sequence[int]

MOST_PARTS = 100_000
"""Tensors that one call makes."""


def shape_of(name: str, shape: Any) -> Shape:
    """Return a shape argument as sizes; only ints and dimensions of other Tensors are known here."""
    entries = shape if isinstance(shape, tuple | list) or getattr(shape, "ndim", 0) != 0 else (shape,)
    if isinstance(entries, tuple | list) and any(s is None or isinstance(s, str) for s in entries):
        raise ArgumentError(
            f"{name}: shape takes ints and dimensions of tensors such as x.shape[0], got {shown(shape)}"
        )
    return as_shape(entries)


# Reshaping.


def reshape(
    x: ArrayLike, /, shape: int | Dim | Sequence[int | Dim], order: str = "C", *, copy: bool | None = None
) -> Tensor:
    """Return the same elements, in row-major order, in another shape.

    One entry may be -1 and follows from the others; dimensions of Tensors and arithmetic with them are sizes too. Where
    the sizes are not known yet, the call checks that the number of elements agrees. With the order "F" elements are
    taken and placed column by column: the first index runs fastest. `copy` is there for the array API standard.

    >>> x = gx.placeholder(("batch", 28, 28), name="x")
    >>> gx.reshape(x, (x.shape[0], -1)), gx.reshape(x, (-1, 7)).shape
    (<Tensor f32[batch, 784] = reshape(x)>, (112*batch, 7))
    """
    node = as_node("reshape", x)
    if not _is_by_columns("reshape", order):
        return wrap(_reshaped("reshape", node, _filled(node, shape)))
    backwards = tuple(reversed(shape)) if isinstance(shape, tuple | list) else (shape,)
    return transpose(reshape(transpose(x), backwards))


def _is_by_columns(name: str, order: str) -> bool:
    """Tell whether the first index runs fastest. Tensors have no other order of their own that A and K could mean."""
    return bool(choice(name, "order", order, ("C", "F", "A", "K")) == "F")


def _filled(node: Node, shape: Any) -> Shape:
    entries = list(shape) if isinstance(shape, tuple | list) else [shape]
    unknown = [k for k, s in enumerate(entries) if isinstance(s, int | np.integer) and s == -1]
    if len(unknown) > 1:
        raise ArgumentError(f"reshape: only one dimension can be -1, got {shape}")
    rest = shape_of("reshape", [s for k, s in enumerate(entries) if k not in unknown])
    if not unknown:
        return rest
    total, product = node.tensor_type.size, dims.product(rest)
    if product == 0:
        raise ShapeError(f"reshape: -1 has no value where the other sizes have product 0, got {node.type} to {shape}")
    quotient = dims.floordiv(total, product)
    if differ(quotient * product, total):
        raise ShapeError(f"reshape: {node.type} has {total} elements, which {product} does not divide, for {shape}")
    return (*rest[: unknown[0]], quotient, *rest[unknown[0] :])


def _reshaped(name: str, node: Node, shape: Shape) -> Node:
    if len(shape) > MOST_AXES:
        raise ArgumentError(f"{name}: an array has at most {MOST_AXES} axes, got {len(shape)}")
    total, product = node.tensor_type.size, dims.product(shape)
    if differ(total, product):
        raise ShapeError(f"{name}: {node.type} has {total} elements, shape {_written(shape)} has {product}")
    return node if node.shape == shape else ops.reshape(node, shape=shape)


def _written(shape: Shape) -> str:
    return f"({', '.join(str(s) for s in shape)}{',' if len(shape) == 1 else ''})"


def ravel(x: ArrayLike, /, order: str = "C") -> Tensor:
    """Return the elements as one axis: in row-major order, or with the order "F" column by column.

    >>> gx.ravel(gx.placeholder((3, 4), name="x"))
    <Tensor f32[12] = reshape(x)>
    """
    node = as_node("ravel", transpose(x) if _is_by_columns("ravel", order) else x)
    return wrap(_reshaped("ravel", node, (node.tensor_type.size,)))


def expand_dims(x: ArrayLike, /, axis: Axes = 0) -> Tensor:
    """Insert axes of size 1, at these places of the result.

    >>> gx.expand_dims(gx.placeholder((3, 4), name="x"), axis=1).shape
    (3, 1, 4)
    """
    node = as_node("expand_dims", x)
    many = len(axis) if isinstance(axis, Sequence) else 1
    places = axis_indices("expand_dims", axis, node.ndim + many)
    sizes = iter(node.shape)
    shape = tuple(1 if k in places else next(sizes) for k in range(node.ndim + many))
    return wrap(_reshaped("expand_dims", node, shape))


def squeeze(x: ArrayLike, /, axis: Axes | None = None) -> Tensor:
    """Remove axes of size 1: these, or all whose size is known to be 1.

    >>> gx.squeeze(gx.placeholder((3, 1, 4, 1), name="x")).shape
    (3, 4)
    """
    node = as_node("squeeze", x)
    if axis is None:
        axes = tuple(k for k, s in enumerate(node.shape) if s == 1)
    else:
        axes = axis_indices("squeeze", axis, node.ndim)
    wrong = [k for k in axes if differ(node.shape[k], 1)]
    if wrong:
        raise ShapeError(f"squeeze: axis {wrong[0]} of {node.type} must have size 1, got {node.shape[wrong[0]]}")
    return wrap(_reshaped("squeeze", node, tuple(s for k, s in enumerate(node.shape) if k not in axes)))


# Reordering.


def permute_dims(x: ArrayLike, /, axes: Sequence[int]) -> Tensor:
    """Return x with its axes in another order: axis k of the result is axis axes[k] of x.

    >>> gx.permute_dims(gx.placeholder((2, 3, 4), name="x"), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return wrap(_permuted("permute_dims", as_node("permute_dims", x), axes))


def _permuted(name: str, node: Node, axes: Sequence[int]) -> Node:
    if not isinstance(axes, list | tuple):
        raise ArgumentError(f"{name}: axes must be a list or tuple of ints, got {shown(axes)}")
    order = axis_indices(name, tuple(axes), node.ndim)
    if len(order) != node.ndim:
        raise ArgumentError(f"{name}: axes must name each of the {node.ndim} axes of {node.type}, got {tuple(axes)}")
    return node if order == tuple(range(node.ndim)) else ops.transpose(node, axes=order)


def transpose(x: ArrayLike, /, axes: Sequence[int] | None = None) -> Tensor:
    """Return x with its axes reversed, or in the order of `axes`.

    >>> gx.transpose(gx.placeholder((2, 3, 4), name="x")).shape
    (4, 3, 2)
    """
    node = as_node("transpose", x)
    return wrap(_permuted("transpose", node, tuple(reversed(range(node.ndim))) if axes is None else axes))


def matrix_transpose(x: ArrayLike, /) -> Tensor:
    """Swap the last two axes.

    >>> gx.matrix_transpose(gx.placeholder((2, 3, 4), name="x")).shape
    (2, 4, 3)
    """
    node = as_node("matrix_transpose", x)
    if node.ndim < 2:
        raise ShapeError(f"matrix_transpose: takes rank 2 or more, got {node.type}")
    return wrap(_permuted("matrix_transpose", node, (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2)))


def swapaxes(x: ArrayLike, /, axis1: int, axis2: int) -> Tensor:
    """Swap two axes.

    >>> gx.swapaxes(gx.placeholder((2, 3, 4), name="x"), 0, -1).shape
    (4, 3, 2)
    """
    node = as_node("swapaxes", x)
    a, b = axis_index("swapaxes", axis1, node.ndim), axis_index("swapaxes", axis2, node.ndim)
    order = list(range(node.ndim))
    order[a], order[b] = b, a
    return wrap(_permuted("swapaxes", node, order))


def moveaxis(x: ArrayLike, /, source: Axes, destination: Axes) -> Tensor:
    """Move axes to other places; the rest keep their order.

    >>> gx.moveaxis(gx.placeholder((2, 3, 4), name="x"), 0, -1).shape
    (3, 4, 2)
    """
    node = as_node("moveaxis", x)
    return wrap(moved("moveaxis", node, source, destination))


def moved(name: str, node: Node, source: Axes, destination: Axes) -> Node:
    """Return a node with axes moved to other places."""
    origins, places = axis_indices(name, source, node.ndim), axis_indices(name, destination, node.ndim)
    if len(origins) != len(places):
        raise ArgumentError(f"{name}: source and destination must have equal length, got {source} and {destination}")
    rest = iter(k for k in range(node.ndim) if k not in origins)
    to = dict(zip(places, origins, strict=True))
    return _permuted(name, node, [to[k] if k in to else next(rest) for k in range(node.ndim)])


def flip(x: ArrayLike, /, axis: Axes | None = None) -> Tensor:
    """Reverse the order along these axes, by default all.

    >>> gx.flip(gx.placeholder((2, 3), name="x"), axis=0)
    <Tensor f32[2, 3] = slice(x)>
    """
    node = as_node("flip", x)
    axes = axis_indices("flip", axis, node.ndim)
    if not axes:
        return wrap(node)
    start = tuple(s - 1 if k in axes else 0 for k, s in enumerate(node.shape))
    step = tuple(-1 if k in axes else 1 for k in range(node.ndim))
    return wrap(ops.slice_(node, start=start, shape=node.shape, step=step))


def roll(x: ArrayLike, /, shift: int | Sequence[int], axis: Axes | None = None) -> Tensor:
    """Move elements on by `shift` places along axes, those that leave at the end coming in at the start.

    Without `axis` the flattened elements move.

    >>> gx.roll(gx.placeholder((2, 3), name="x"), 1, axis=1).shape
    (2, 3)
    """
    node = as_node("roll", x)
    if axis is None:
        flat = ops.reshape(node, shape=(node.tensor_type.size,))
        return wrap(ops.reshape(_rolled(flat, count("roll", "shift", shift, -(2**62)), 0), shape=node.shape))
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    shifts = tuple(shift) if isinstance(shift, Sequence) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ArgumentError(f"roll: shift and axis must have equal length, got {shift} and {axis}")
    for places, where in zip(shifts, axes, strict=True):
        node = _rolled(node, count("roll", "shift", places, -(2**62)), axis_index("roll", where, node.ndim))
    return wrap(node)


def _rolled(node: Node, shift: int, axis: int) -> Node:
    extent = node.shape[axis]
    if shift == 0 or extent in (0, 1):
        return node
    # The last shift % extent elements come first; an unknown extent may be 0, where nothing moves.
    nonzero = dims.maximum(extent, 1)
    head: Size = shift - dims.floordiv(shift, nonzero) * nonzero
    if head == 0:
        return node
    return ops.concat(part(node, axis, extent - head, head), part(node, axis, 0, extent - head), axis=axis)


def part(node: Node, axis: int, start: Size, length: Size) -> Node:
    """Return `length` elements along an axis, from `start` on."""
    return ops.slice_(
        node,
        start=tuple(start if k == axis else 0 for k in range(node.ndim)),
        shape=tuple(length if k == axis else s for k, s in enumerate(node.shape)),
        step=(1,) * node.ndim,
    )


# Repeating.


def broadcast_to(x: ArrayLike, /, shape: int | Dim | Sequence[int | Dim]) -> Tensor:
    """Repeat x to a shape: missing leading axes and axes of size 1 repeat, others must be equal.

    >>> gx.broadcast_to(gx.placeholder((3, 1), name="x"), (2, 3, 4)).shape
    (2, 3, 4)
    """
    return wrap(repeated_to("broadcast_to", as_node("broadcast_to", x), shape))


def repeated_to(name: str, node: Node, shape: Any) -> Node:
    """Return a node repeated to a shape argument, which it must fit."""
    wanted = shape_of(name, shape)
    extra = len(wanted) - node.ndim
    fits = extra >= 0 and all(a == 1 or not differ(a, b) for a, b in zip(node.shape, wanted[extra:], strict=True))
    if not fits:
        raise ShapeError(f"{name}: {node.type} does not broadcast to shape {_written(wanted)}")
    return spread_to(node, wanted)


def broadcast_arrays(*arrays: ArrayLike) -> list[Tensor]:
    """Repeat arrays to the shape that they have together; dtypes stay.

    >>> [t.shape for t in gx.broadcast_arrays(gx.placeholder((3, 1)), gx.placeholder((4,)))]
    [(3, 4), (3, 4)]
    """
    nodes = [as_node("broadcast_arrays", a) for a in arrays]
    shape = common_shape("broadcast_arrays", nodes)
    return [wrap(spread_to(n, shape)) for n in nodes]


def tile(x: ArrayLike, repetitions: int | Sequence[int], /) -> Tensor:
    """Repeat the whole of x along each axis, missing leading axes counting as size 1.

    >>> gx.tile(gx.placeholder((3,), name="x"), (2, 4)).shape
    (2, 12)
    """
    node = as_node("tile", x)
    given = tuple(repetitions) if isinstance(repetitions, Sequence) else (repetitions,)
    times = [count("tile", "a repetition", r) for r in given]
    rank = max(len(times), node.ndim)
    if math.prod([max(t, 1) for t in times]) > MOST_ELEMENTS:
        raise ArgumentError(f"tile: repeats more often than can be counted, got {shown(given)}")
    if 2 * rank > MOST_AXES:
        raise ArgumentError(f"tile: takes at most {MOST_AXES // 2} axes, got {rank}")
    times = [1] * (rank - len(times)) + times
    sizes = (1,) * (rank - node.ndim) + node.shape
    # Every axis n becomes the pair (times, n), whose rows are the copies.
    pairs = tuple(v for r, n in zip(times, sizes, strict=True) for v in (r, n))
    axes = tuple(2 * k + 1 for k in range(rank))[rank - node.ndim :]
    spread = ops.broadcast(node, shape=pairs, axes=axes) if pairs else node
    return wrap(_reshaped("tile", spread, tuple(r * n for r, n in zip(times, sizes, strict=True))))


# Joining and taking apart.


def concat(arrays: Sequence[ArrayLike], /, axis: int | None = 0, *, dtype: Any = None) -> Tensor:
    """Join arrays one after the other along an axis; None joins the flattened arrays.

    Dtypes promote, or become `dtype`.

    >>> gx.concat([gx.placeholder(("n", 3)), gx.placeholder((2, 3))]).shape
    (n + 2, 3)
    """
    nodes = _sequence("concat", arrays, dtype)
    if axis is None:
        nodes, axis = [_reshaped("concat", n, (n.tensor_type.size,)) for n in nodes], 0
    place = axis_index("concat", axis, nodes[0].ndim)
    _require_alike("concat", nodes, but=place)
    return wrap(ops.concat(*nodes, axis=place) if len(nodes) > 1 else nodes[0])


def stack(arrays: Sequence[ArrayLike], /, axis: int = 0, *, dtype: Any = None) -> Tensor:
    """Join arrays of one shape along a new axis. Dtypes promote, or become `dtype`.

    >>> gx.stack([gx.placeholder((3,)), gx.placeholder((3,))], axis=1).shape
    (3, 2)
    """
    nodes = _sequence("stack", arrays, dtype)
    _require_alike("stack", nodes)
    place = axis_index("stack", axis, nodes[0].ndim + 1)
    rows = [ops.reshape(n, shape=(*n.shape[:place], 1, *n.shape[place:])) for n in nodes]
    return wrap(ops.concat(*rows, axis=place) if len(rows) > 1 else rows[0])


def _sequence(name: str, arrays: Any, dtype: Any) -> list[Node]:
    if not isinstance(arrays, list | tuple) or not arrays:
        raise ArgumentError(f"{name}: takes a list or tuple of at least one array, got {shown(arrays)}")
    return promote(name, arrays) if dtype is None else [as_node(name, a, dtype) for a in arrays]


def _require_alike(name: str, nodes: list[Node], but: int | None = None) -> None:
    first = nodes[0]
    for n in nodes[1:]:
        alike = n.ndim == first.ndim and not any(
            k != but and differ(a, b) for k, (a, b) in enumerate(zip(n.shape, first.shape, strict=True))
        )
        if not alike:
            where = "" if but is None else f" but for axis {but}"
            raise ShapeError(f"{name}: arrays must have one shape{where}, got {listed((first, n))}")


def unstack(x: ArrayLike, /, axis: int = 0) -> tuple[Tensor, ...]:
    """Return the slices along an axis, whose size must be known.

    >>> [t.shape for t in gx.unstack(gx.placeholder((2, 3), name="x"))]
    [(3,), (3,)]
    """
    node = as_node("unstack", x)
    place = axis_index("unstack", axis, node.ndim)
    extent = node.shape[place]
    if not isinstance(extent, int):
        raise ShapeError(f"unstack: axis {place} of {node.type} must have a known size; use scan for the steps of one")
    if extent > MOST_PARTS:
        raise ShapeError(
            f"unstack: gives at most {MOST_PARTS} parts, got {node.type}; use scan for steps along an axis"
        )
    rest = (*node.shape[:place], *node.shape[place + 1 :])
    return tuple(wrap(ops.reshape(part(node, place, k, 1), shape=rest)) for k in range(extent))


def split(x: ArrayLike, sections: int | Sequence[int], /, axis: int = 0) -> list[Tensor]:
    """Cut an axis of known size into equal parts, or at these places.

    >>> [t.shape for t in gx.split(gx.placeholder((6, 2), name="x"), 3)]
    [(2, 2), (2, 2), (2, 2)]
    """
    node = as_node("split", x)
    place = axis_index("split", axis, node.ndim)
    extent = node.shape[place]
    if not isinstance(extent, int):
        raise ShapeError(f"split: axis {place} of {node.type} must have a known size; slice x instead")
    if isinstance(sections, Sequence | np.ndarray) and np.ndim(sections) == 1:
        cuts = [slice(None, count("split", "a place", s, -(2**62))).indices(extent)[1] for s in sections]
    else:
        number = count("split", "the number of parts", sections, 1)
        if extent % number:
            raise ShapeError(f"split: axis {place} of {node.type} must be divisible by {number}")
        cuts = list(range(extent // number, extent, extent // number)) if extent else [0] * (number - 1)
    starts, stops = [0, *cuts], [*cuts, extent]
    return [wrap(part(node, place, a, max(b - a, 0))) for a, b in zip(starts, stops, strict=True)]


concatenate = concat
