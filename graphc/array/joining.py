"""Joining and cutting arrays in NumPy's many ways, and turning them: rows, columns, blocks, parts, quarter turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_index, axis_indices, common_shape, count, spread_to
from graphc.array.handle import wrap
from graphc.array.shape import Axes, concat, flip, moveaxis, ravel, reshape, shape_of, split
from graphc.errors import ArgumentError, ShapeError, shown
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node
from graphc.ir.types import Shape, as_shape
from graphc.ops import shape as ops

if TYPE_CHECKING:
    from graphc.tensor import Tensor


# At least so many axes.


def _at_least(name: str, arrays: tuple[ArrayLike, ...], places: dict[int, tuple[int, ...]]) -> Any:
    """Return arrays with new axes of size 1 at the places that belong to their ranks; one array is not in a tuple."""
    found = []
    for array in arrays:
        node = as_node(name, array)
        sizes = list(node.shape)
        for place in places.get(node.ndim, ()):
            sizes.insert(place, 1)
        found.append(reshape(wrap(node), sizes))
    return found[0] if len(found) == 1 else tuple(found)


def atleast_1d(*arrays: ArrayLike) -> Any:
    """Return arrays with at least one axis, a new one of size 1; several arrays give a tuple.

    >>> gx.atleast_1d(gx.placeholder(())).shape
    (1,)
    """
    return _at_least("atleast_1d", arrays, {0: (0,)})


def atleast_2d(*arrays: ArrayLike) -> Any:
    """Return arrays with at least two axes, vectors becoming rows; several arrays give a tuple.

    >>> gx.atleast_2d(gx.placeholder((3,))).shape
    (1, 3)
    """
    return _at_least("atleast_2d", arrays, {0: (0, 0), 1: (0,)})


def atleast_3d(*arrays: ArrayLike) -> Any:
    """Return arrays with at least three axes: [n] becomes [1, n, 1], [m, n] becomes [m, n, 1].

    >>> gx.atleast_3d(gx.placeholder((3, 4))).shape
    (3, 4, 1)
    """
    return _at_least("atleast_3d", arrays, {0: (0, 0, 0), 1: (0, 2), 2: (2,)})


# Joining.


def _each(name: str, arrays: Any) -> list[Any]:
    if not isinstance(arrays, list | tuple) or not arrays:
        raise ArgumentError(f"{name}: takes a list or tuple of at least one array, got {shown(arrays)}")
    return list(arrays)


def hstack(arrays: Sequence[ArrayLike], /, *, dtype: Any = None) -> Tensor:
    """Join arrays side by side: along axis 1, vectors along axis 0. Dtypes promote, or become `dtype`.

    >>> gx.hstack([gx.placeholder((2, 3)), gx.placeholder((2, 1))]).shape
    (2, 4)
    """
    rows = [atleast_1d(a) for a in _each("hstack", arrays)]
    return concat(rows, axis=0 if rows[0].ndim == 1 else 1, dtype=dtype)


def vstack(arrays: Sequence[ArrayLike], /, *, dtype: Any = None) -> Tensor:
    """Join arrays one below the other, vectors as rows. Dtypes promote, or become `dtype`.

    >>> gx.vstack([gx.placeholder((3,)), gx.placeholder((2, 3))]).shape
    (3, 3)
    """
    return concat([atleast_2d(a) for a in _each("vstack", arrays)], axis=0, dtype=dtype)


def dstack(arrays: Sequence[ArrayLike], /) -> Tensor:
    """Join arrays along the third axis.

    >>> gx.dstack([gx.placeholder((2, 3)), gx.placeholder((2, 3))]).shape
    (2, 3, 2)
    """
    return concat([atleast_3d(a) for a in _each("dstack", arrays)], axis=2)


def column_stack(arrays: Sequence[ArrayLike], /) -> Tensor:
    """Join matrices side by side, vectors as columns.

    >>> gx.column_stack([gx.placeholder((3,)), gx.placeholder((3, 2))]).shape
    (3, 3)
    """
    given = [wrap(as_node("column_stack", a)) for a in _each("column_stack", arrays)]
    return concat([a if a.ndim > 1 else reshape(a, (-1, 1)) for a in given], axis=1)


def block(arrays: Any, /) -> Tensor:
    """Join arrays in nested lists: the innermost along the last axis, those around them along the one before.

    >>> a, b = gx.placeholder((2, 2)), gx.placeholder((2, 3))
    >>> gx.block([[a, b], [gx.zeros((1, 2)), gx.ones((1, 3))]]).shape
    (3, 5)
    """
    depth = _depth(arrays)
    leaves = _leaves(arrays)
    rank = max([depth, *[as_node("block", a).ndim for a in leaves]])

    def joined(nest: Any, level: int) -> Tensor:
        if isinstance(nest, list):
            return concat([joined(part, level + 1) for part in nest], axis=level - depth)
        node = wrap(as_node("block", nest))
        return reshape(node, (1,) * (rank - node.ndim) + node.shape)

    return joined(arrays, 0)


def _depth(nest: Any) -> int:
    if not isinstance(nest, list):
        return 0
    depths = {_depth(part) for part in nest}
    if len(depths) != 1:
        what = "an empty list" if not depths else f"depths {sorted(depths)} side by side"
        raise ArgumentError(f"block: lists must have one depth everywhere and hold something, got {what}")
    return 1 + depths.pop()


def _leaves(nest: Any) -> list[Any]:
    return [leaf for part in nest for leaf in _leaves(part)] if isinstance(nest, list) else [nest]


# Cutting.


def array_split(x: ArrayLike, sections: int | Sequence[int], /, axis: int = 0) -> list[Tensor]:
    """Cut an axis of known size into parts, of which the first may be one longer, or at these places.

    >>> [t.shape for t in gx.array_split(gx.placeholder((5, 2)), 3)]
    [(2, 2), (2, 2), (1, 2)]
    """
    node = as_node("array_split", x)
    place = axis_index("array_split", axis, node.ndim)
    extent = node.shape[place]
    if isinstance(sections, Sequence | np.ndarray) or not isinstance(extent, int):
        return split(wrap(node), sections, axis=place)
    number = count("array_split", "the number of parts", sections, 1)
    length, longer = divmod(extent, number)
    return split(wrap(node), [k * length + min(k, longer) for k in range(1, number)], axis=place)


def _split_at(name: str, x: ArrayLike, sections: int | Sequence[int], axis: int, least: int) -> list[Tensor]:
    node = as_node(name, x)
    if node.ndim < least:
        raise ShapeError(f"{name}: takes rank {least} or more, got {node.type}")
    return split(wrap(node), sections, axis=axis)


def hsplit(x: ArrayLike, sections: int | Sequence[int], /) -> list[Tensor]:
    """Cut along axis 1, or axis 0 of a vector; see `split`.

    >>> [t.shape for t in gx.hsplit(gx.placeholder((2, 4)), 2)]
    [(2, 2), (2, 2)]
    """
    return _split_at("hsplit", x, sections, 0 if as_node("hsplit", x).ndim == 1 else 1, 1)


def vsplit(x: ArrayLike, sections: int | Sequence[int], /) -> list[Tensor]:
    """Cut along axis 0 of at least two; see `split`.

    >>> [t.shape for t in gx.vsplit(gx.placeholder((4, 2)), [1])]
    [(1, 2), (3, 2)]
    """
    return _split_at("vsplit", x, sections, 0, 2)


def dsplit(x: ArrayLike, sections: int | Sequence[int], /) -> list[Tensor]:
    """Cut along axis 2; see `split`.

    >>> [t.shape for t in gx.dsplit(gx.placeholder((2, 2, 4)), 2)]
    [(2, 2, 2), (2, 2, 2)]
    """
    return _split_at("dsplit", x, sections, 2, 3)


# Turning.


def fliplr(x: ArrayLike, /) -> Tensor:
    """Reverse the order along axis 1.

    >>> gx.fliplr(gx.placeholder((2, 3))).shape
    (2, 3)
    """
    return flip(x, axis=1)


def flipud(x: ArrayLike, /) -> Tensor:
    """Reverse the order along axis 0.

    >>> gx.flipud(gx.placeholder((2, 3))).shape
    (2, 3)
    """
    return flip(x, axis=0)


def rot90(x: ArrayLike, /, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turn by k quarter turns in the plane of two axes, from the first toward the second.

    >>> gx.rot90(gx.placeholder((2, 3))).shape
    (3, 2)
    """
    node = as_node("rot90", x)
    plane = axis_indices("rot90", tuple(axes), node.ndim)
    if len(plane) != 2:
        raise ArgumentError(f"rot90: axes must be two, got {shown(axes)}")
    turns = count("rot90", "k", k, -(2**62)) % 4
    if turns == 0:
        return wrap(node)
    if turns == 2:
        return flip(wrap(node), axis=plane)
    order = list(range(node.ndim))
    order[plane[0]], order[plane[1]] = order[plane[1]], order[plane[0]]
    turned = flip(wrap(node), axis=plane[1]) if turns == 1 else wrap(node)
    turned = wrap(ops.transpose(turned.node, axes=tuple(order)))
    return turned if turns == 1 else flip(turned, axis=plane[1])


def rollaxis(x: ArrayLike, /, axis: int, start: int = 0) -> Tensor:
    """Move an axis to stand before the axis `start`; `moveaxis` says it more clearly.

    >>> gx.rollaxis(gx.placeholder((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    node = as_node("rollaxis", x)
    origin, place = axis_index("rollaxis", axis, node.ndim), axis_index("rollaxis", start, node.ndim + 1)
    if start < 0:
        place -= 1
    return moveaxis(wrap(node), origin, place - 1 if origin < place else place)


# Shapes.


def resize(x: ArrayLike, /, new_shape: int | Dim | Sequence[int | Dim]) -> Tensor:
    """Return the elements in row-major order in another shape, from the first on again where they do not suffice.

    >>> gx.resize(gx.placeholder((3,)), (2, 4)).shape
    (2, 4)
    """
    flat, shape = ravel(x).node, shape_of("resize", new_shape)
    total, own = dims.product(shape), dims.maximum(flat.shape[0], 1)
    if own != flat.shape[0]:
        flat = ops.embed(flat, shape=(own,), start=(0,), step=(1,), value=0)  # of nothing, zeros
    copies = dims.maximum(dims.ceildiv(total, own), 1)
    many = ops.reshape(ops.broadcast(flat, shape=(copies, own), axes=(1,)), shape=(copies * own,))
    cut = ops.slice_(many, start=(0,), shape=(total,), step=(1,))
    return reshape(wrap(cut), shape)


def broadcast_shapes(*shapes: int | Sequence[int | Dim]) -> Shape:
    """Return the shape to which arrays of these shapes broadcast.

    >>> gx.broadcast_shapes((3, 1), (4,), (2, 1, 1))
    (2, 3, 4)
    """
    sizes = [as_shape(s if isinstance(s, tuple | list) else (s,)) for s in shapes]
    return common_shape("broadcast_shapes", [_empty(s) for s in sizes])


def _empty(shape: Shape) -> Node:
    """Return a node of a shape, of which nothing else is asked."""
    return spread_to(as_node("broadcast_shapes", 0), shape)


# Facts.


def ndim(x: ArrayLike, /) -> int:
    """Return the number of axes.

    >>> gx.ndim(gx.placeholder((2, 3)))
    2
    """
    return as_node("ndim", x).ndim


def shape(x: ArrayLike, /) -> Shape:
    """Return the sizes: an int where it is known, else a symbolic dimension.

    >>> gx.shape(gx.placeholder(("n", 3)))
    (n, 3)
    """
    return as_node("shape", x).shape


def size(x: ArrayLike, /, axis: Axes | None = None) -> Size:
    """Return the number of elements, or of those along axes.

    >>> gx.size(gx.placeholder(("n", 3))), gx.size(gx.placeholder((2, 3)), 1)
    (3*n, 3)
    """
    node = as_node("size", x)
    return dims.product(node.shape[k] for k in axis_indices("size", axis, node.ndim))


def copy(x: ArrayLike, /) -> Tensor:
    """Return x, which needs no copy: a Tensor is immutable.

    >>> gx.copy(gx.placeholder((3,), name="x"))
    <Tensor x: f32[3]>
    """
    return wrap(as_node("copy", x))


row_stack = vstack
