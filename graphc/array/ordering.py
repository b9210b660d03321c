"""Order: sorted values, where they come from, the first few of them, and where others belong among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.array.convert import ArrayLike, as_node, axis_index, count, promote
from graphc.array.handle import wrap
from graphc.array.index import take_along_axis
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
    return wrap(_ordered(ops.sort, node, place, bool(descending)))


def argsort(x: ArrayLike, /, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """Return where the elements along an axis come from when they are put in order, as int64; see `sort`.

    >>> gx.argsort(gx.placeholder((3, 4), name="x"), axis=0)
    <Tensor i64[3, 4] = transpose(argsort(...))>
    """
    node, place = _along("argsort", x, axis)
    return wrap(_ordered(ops.argsort, node, place, bool(descending)))


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


def searchsorted(x1: ArrayLike, x2: ArrayLike, /, *, side: str = "left", sorter: ArrayLike | None = None) -> Tensor:
    """Return for each x2 how many elements of the sorted x1 are less, or, for the side "right", not larger, as int64.

    NaN counts as larger than any number. `sorter` says where the elements of x1 in order are. The result is undefined
    if x1 is not in order. Array API 2024.12.

    >>> gx.searchsorted(gx.asarray([1.0, 2.0, 3.0]), gx.placeholder((5,), "float64", name="x")).dtype
    dtype('int64')
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    table, values = promote("searchsorted", (x1, x2))
    if table.ndim != 1:
        raise ShapeError(f"searchsorted: x1 must have one axis, got {table.type}")
    if sorter is not None:
        table = take_along_axis(wrap(table), sorter).node
    return wrap(ops.searchsorted(table, values, right=side == "right"))
