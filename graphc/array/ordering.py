"""Order: sorted values, where they come from, the first few of them, and where others belong among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphc.array.convert import ArrayLike, as_node, axis_index, choice, count, differ, flag, listed, promote
from graphc.array.gathering import take_along_axis
from graphc.array.handle import wrap
from graphc.array.shape import unstack
from graphc.errors import ArgumentError, ShapeError
from graphc.ir.dims import Size
from graphc.ir.graph import Node, Ordering
from graphc.ops import ordering as ops
from graphc.ops.shape import reshape, transpose

if TYPE_CHECKING:
    from graphc.tensor import Tensor


def _ordered(op: Ordering, node: Node, axis: int, descending: bool, size: Size | None = None) -> Node:
    """Return the first `size` elements in order along an axis, or where they come from."""
    last = node.ndim - 1
    turn = tuple([last if k == axis else axis if k == last else k for k in range(node.ndim)])
    turned = node if axis == last else transpose(node, axes=turn)
    found = op(turned, descending=descending, count=node.shape[axis] if size is None else size)
    return found if axis == last else transpose(found, axes=turn)


def _along(name: str, x: ArrayLike, axis: int | None) -> tuple[Node, int]:
    node = as_node(name, x)
    if not node.ndim:
        raise ShapeError(f"{name}: takes an array of rank 1 or more, got {node.type}")
    if axis is None:
        return (node if node.ndim == 1 else reshape(node, shape=(node.tensor_type.size,))), 0
    return node, axis_index(name, axis, node.ndim)


def sort(x: ArrayLike, /, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """Return the elements along an axis in order, smallest first, or largest first if `descending`.

    NaN counts as larger than any number, so NaNs are last, and first if `descending`, as in PyTorch and JAX. Equal
    elements (also 0.0 and -0.0) keep their order, whether `stable` or not. With axis None, x is flattened. The
    derivative moves each element's cotangent back to where it came from. Array API 2024.12.

    >>> gx.sort(gx.placeholder((3, 4), name="x"), axis=1)
    <Tensor f32[3, 4] = sort(x)>
    """
    node, place = _along("sort", x, axis)
    return wrap(_ordered(ops.sort, node, place, flag("sort", "descending", descending)))


def argsort(x: ArrayLike, /, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """Return where the elements along an axis come from when they are put in order, as int64; see `sort`.

    >>> gx.argsort(gx.placeholder((3, 4), name="x"), axis=0)
    <Tensor i64[3, 4] = transpose(argsort(...))>
    """
    node, place = _along("argsort", x, axis)
    return wrap(_ordered(ops.argsort, node, place, flag("argsort", "descending", descending)))


def topk(
    x: ArrayLike, /, k: int, axis: int = -1, *, largest: bool = True, sorted: bool = True
) -> tuple[Tensor, Tensor]:
    """Return the k largest elements along an axis, largest first, and their positions as int64; or the smallest.

    NaN counts as larger than any number. Of equal elements the first comes first. The result is in order whether
    `sorted` or not. Each value's cotangent goes where it came from. As torch.topk.

    >>> values, places = gx.topk(gx.placeholder((3, 10), name="scores"), 2)
    >>> values.shape, places.dtype
    ((3, 2), dtype('int64'))
    """
    node, place = _along("topk", x, axis)
    size, number = node.shape[place], count("topk", "k", k)
    if isinstance(size, int) and number > size:
        raise ArgumentError(f"topk: k must be at most {size}, the size of axis {place} of {node.type}, got {number}")
    places = wrap(_ordered(ops.argsort, node, place, bool(largest), number))
    return take_along_axis(wrap(node), places, axis=place), places


def searchsorted(x1: ArrayLike, x2: ArrayLike, /, side: str = "left", sorter: ArrayLike | None = None) -> Tensor:
    """Return for each x2 how many elements of the sorted x1 are less, or, for the side "right", not larger, as int64.

    NaN counts as larger than any number. `sorter` says where the elements of x1 in order are. The result is undefined
    if x1 is not in order. Array API 2024.12.

    >>> gx.searchsorted(gx.asarray([1.0, 2.0, 3.0]), gx.placeholder((5,), "float64", name="x")).dtype
    dtype('int64')
    """
    choice("searchsorted", "side", side, ("left", "right"))
    table, values = promote("searchsorted", (x1, x2))
    if table.ndim != 1:
        raise ShapeError(f"searchsorted: x1 must have one axis, got {table.type}")
    if sorter is not None:
        table = take_along_axis(wrap(table), sorter).node
    return wrap(ops.searchsorted(table, values, right=side == "right"))


def lexsort(keys: ArrayLike | Sequence[ArrayLike], /, axis: int = -1) -> Tensor:
    """Return where elements come from when they are put in order by the last key, ties by the one before it, ..., as
    int64.

    `keys` is a sequence of arrays of one shape, or an array whose first axis are the keys.

    >>> last, first = gx.placeholder((5,), name="last"), gx.placeholder((5,), name="first")
    >>> gx.lexsort((first, last)).shape
    (5,)
    """
    given = list(keys) if isinstance(keys, list | tuple) else unstack(keys)
    if not given:
        raise ArgumentError("lexsort: takes at least one key, got none")
    nodes = [as_node("lexsort", k) for k in given]
    place = _along("lexsort", wrap(nodes[0]), axis)[1]
    for node in nodes[1:]:
        if node.ndim != nodes[0].ndim or any(differ(a, b) for a, b in zip(node.shape, nodes[0].shape, strict=True)):
            raise ShapeError(f"lexsort: keys must have one shape, got {listed(nodes)}")
    order = wrap(_ordered(ops.argsort, nodes[0], place, descending=False))
    for node in nodes[1:]:
        next_order = argsort(take_along_axis(wrap(node), order, axis=place), place)
        order = take_along_axis(order, next_order, axis=place)
    return order


def partition(x: ArrayLike, kth: int | Sequence[int], /, axis: int | None = -1) -> Tensor:
    """Return x with the kth element along an axis where it is in order, smaller ones before it and the others behind.

    The result is x in order, see `sort`: NumPy promises no more than that.

    >>> gx.partition(gx.placeholder((3, 4), name="x"), 2).shape
    (3, 4)
    """
    _require_kth("partition", x, kth, axis)
    return sort(x, axis)


def argpartition(x: ArrayLike, kth: int | Sequence[int], /, axis: int | None = -1) -> Tensor:
    """Return where the elements of `partition` come from, as int64.

    >>> gx.argpartition(gx.placeholder((3, 4), name="x"), 2).shape
    (3, 4)
    """
    _require_kth("argpartition", x, kth, axis)
    return argsort(x, axis)


def _require_kth(name: str, x: ArrayLike, kth: int | Sequence[int], axis: int | None) -> None:
    node, place = _along(name, x, axis)
    for k in kth if isinstance(kth, list | tuple | np.ndarray) else (kth,):
        number, size = count(name, "kth", k, -(2**62)), node.shape[place]
        if isinstance(size, int) and not -size <= number < size:
            raise ArgumentError(f"{name}: kth must be in [{-size}, {size}) for axis {place} of {node.type}, got {k}")
