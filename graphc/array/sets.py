"""Arrays as sets: unique elements, membership, unions, intersections, differences.

The elements are sorted, and each that differs from the one before it is the first of its kind. How many there are is a
size that a call finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from graphc.array.convert import ArrayLike, as_node, axis_index, promote, scalar
from graphc.array.found import fill_node, places_of, resized, static_size, true_count
from graphc.array.gathering import flattened
from graphc.array.handle import wrap
from graphc.array.ordering import lexsort
from graphc.array.shape import concat, moved, part
from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.graph import Node
from graphc.ir.types import BOOL, INT64, TensorType
from graphc.ops.control import zeros
from graphc.ops.cumulative import cumsum
from graphc.ops.elementwise import bitwise_and, bitwise_not, bitwise_or, cast, eq, iota, ne
from graphc.ops.index import gather, scatter
from graphc.ops.ordering import argsort, searchsorted
from graphc.ops.ordering import sort as sorted_
from graphc.ops.reduce import any_
from graphc.ops.shape import embed, reshape

if TYPE_CHECKING:
    from graphc.tensor import Tensor


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Tensor
    inverse_indices: Tensor


@dataclass(frozen=True)
class _Sorted:
    """Elements, or rows, in order; where they come from; and which of them differ from the one before."""

    rows: Node
    order: Node
    is_first: Node

    @property
    def length(self) -> Size:
        return self.order.shape[0]  # type: ignore[no-any-return]

    def kept(self, rows: Node, count: Size | None, fill: Node | None = None) -> Tensor:
        """Return the rows that stand where the first of each kind do: as many as there are, or `count` with `fill`."""
        if count is None:
            return wrap(_rows_at(rows, places_of(self.is_first)))
        ordered = _rows_at(rows, places_of(self.is_first, self.length))
        filling = fill if fill is not None else scalar("unique", 0, rows.dtype)
        return wrap(resized(ordered, true_count(self.is_first), count, filling))

    @property
    def group(self) -> Node:
        """The number of the kind of each row, in order."""
        return cumsum(cast(self.is_first, dtype=INT64), axis=0, reverse=False) - 1

    def inverse(self) -> Node:
        """Return, for each row in the order given, the number of its kind."""
        return scatter(zeros(self.order.tensor_type), self.group, self.order, axes=(0,), wrap=False, combine="set")

    def counts(self, count: Size | None) -> Tensor:
        """Return how many rows there are of each kind."""
        ones = zeros(TensorType(INT64, (self.length,))) + 1
        counted = scatter(zeros(ones.tensor_type), ones, self.group, axes=(0,), wrap=False, combine="add")
        if count is not None:
            return wrap(resized(counted, true_count(self.is_first), count, scalar("unique", 0, INT64)))
        return wrap(part(counted, 0, 0, places_of(self.is_first).shape[0]))


def _rows_at(rows: Node, places: Node) -> Node:
    return gather(rows, places, axes=(0,), wrap=False)


def _sorted(node: Node, *, equal_nan: bool) -> _Sorted:
    """Sort the elements of an array of one axis."""
    order = argsort(node, descending=False, count=node.shape[0])
    rows = gather(node, order, axes=(0,), wrap=False)
    return _Sorted(rows, order, _is_first(_differ(rows, equal_nan)))


def _differ(rows: Node, equal_nan: bool) -> Node:
    """Return which elements differ from those of the row before; what it says of the first row has no meaning."""
    earlier = part(rows, 0, 0, dims.maximum(rows.shape[0] - 1, 0))
    step, start = (1,) * rows.ndim, (1, *[0] * (rows.ndim - 1))
    before = embed(earlier, shape=rows.shape, start=start, step=step, value=False if rows.dtype == BOOL else 0)
    different = ne(rows, before)
    if not equal_nan or rows.dtype.kind != "f":
        return different
    return bitwise_and(different, bitwise_or(eq(rows, rows), eq(before, before)))


def _is_first(different: Node) -> Node:
    return bitwise_or(different, eq(iota(shape=different.shape, axis=0, dtype=INT64), 0))


def _sorted_rows(node: Node, *, equal_nan: bool) -> _Sorted:
    """Sort the rows of a matrix by their first element, then the second, ..."""
    length, width = node.shape
    if not isinstance(width, int):
        raise ShapeError(f"unique: along an axis, the other sizes must be known, got {node.type}")
    if width == 0:
        order = iota(shape=(length,), axis=0, dtype=INT64)
        return _Sorted(node, order, eq(order, 0))
    order = lexsort([wrap(reshape(part(node, 1, k, 1), shape=(length,))) for k in reversed(range(width))]).node
    rows = gather(node, order, axes=(0,), wrap=False)
    return _Sorted(rows, order, _is_first(any_(_differ(rows, equal_nan), axis=(1,))))


# Unique elements.


def unique(
    x: ArrayLike,
    /,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    size: int | Dim | None = None,
    fill_value: ArrayLike | None = None,
) -> Any:
    """Return the different elements of the flattened x in order, or the different slices along an axis.

    How many there are is found by each call, see `nonzero`. With `size`, the result has that many: the first ones, then
    `fill_value` where there are fewer, by default the least. On request further results follow, as int64: where each
    is first, for each element of x which it is, and how often each occurs (0 for those filled in). All NaNs are one
    unless `equal_nan` is false. The result is in order whether `sorted` or not. The derivative goes to the first of
    equal elements.

    >>> x = gx.placeholder((6,), "int64", name="x")
    >>> gx.compile([x], gx.unique(x, return_counts=True))([3, 1, 3, 1, 1, 2])
    (array([1, 2, 3]), array([3, 1, 2]))
    >>> gx.compile([x], gx.unique(x, size=4))([3, 1, 3, 1, 1, 2])
    array([1, 2, 3, 1])
    """
    node = as_node("unique", x)
    count = static_size("unique", size)
    if axis is None:
        ordered, rest, place = _sorted(flattened(node), equal_nan=equal_nan), (), 0
    else:
        place = axis_index("unique", axis, node.ndim)
        front = moved("unique", node, place, 0)
        rest = front.shape[1:]
        ordered = _sorted_rows(reshape(front, shape=(front.shape[0], dims.product(rest))), equal_nan=equal_nan)
    found = [_values(ordered, rest, place, count, fill_value)]
    if return_index:
        found.append(ordered.kept(ordered.order, count))
    if return_inverse:
        inverse = ordered.inverse()
        found.append(wrap(inverse if axis is not None else reshape(inverse, shape=node.shape)))
    if return_counts:
        found.append(ordered.counts(count))
    return found[0] if len(found) == 1 else tuple(found)


def _values(ordered: _Sorted, rest: tuple[Size, ...], place: int, count: Size | None, fill_value: Any) -> Tensor:
    fill = None
    if count is not None:
        fill = fill_node("unique", fill_value, ordered.rows.dtype) if fill_value is not None else _least(ordered)
    found = ordered.kept(ordered.rows, count, fill).node
    if not rest and ordered.rows.ndim == 1:
        return wrap(found)
    return wrap(moved("unique", reshape(found, shape=(found.shape[0], *rest)), 0, place))


def _least(ordered: _Sorted) -> Node:
    """Return the first row; nothing has none."""
    rows = ordered.rows
    if rows.shape[0] == 0:
        raise ShapeError(f"unique: with size, nothing to fill with is in {rows.type}; give fill_value")
    return reshape(part(rows, 0, 0, 1), shape=rows.shape[1:])


def unique_values(x: ArrayLike, /, *, size: int | Dim | None = None, fill_value: ArrayLike | None = None) -> Tensor:
    """Return the different elements of the flattened x in order; each NaN is one. See `unique`. Array API 2024.12.

    >>> gx.compile([], gx.unique_values([3, 1, 3]))()
    array([1, 3])
    """
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)  # type: ignore[no-any-return]


def unique_counts(x: ArrayLike, /) -> UniqueCounts:
    """Return the different elements of the flattened x and how often each occurs; each NaN is one. See `unique`.

    Array API 2024.12.

    >>> values, counts = gx.unique_counts([3, 1, 3])
    >>> gx.compile([], counts)()
    array([1, 2])
    """
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


def unique_inverse(x: ArrayLike, /) -> UniqueInverse:
    """Return the different elements of the flattened x, and which of them each element of x is. See `unique`.

    Each NaN is one. Array API 2024.12.

    >>> gx.compile([], gx.unique_inverse([3, 1, 3]).inverse_indices)()
    array([1, 0, 1])
    """
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


def unique_all(x: ArrayLike, /) -> UniqueAll:
    """Return the different elements of the flattened x, where each is first, which of them each element of x is, and
    how often each occurs. Each NaN is one. See `unique`. Array API 2024.12.

    >>> gx.compile([], gx.unique_all([3, 1, 3]).indices)()
    array([1, 0])
    """
    return UniqueAll(*unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False))


# Sets.


def isin(x1: ArrayLike, x2: ArrayLike, /, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Return for each element of x1 whether it is among those of x2, or whether it is not with `invert`.

    NaN is equal to nothing. `assume_unique` is there for NumPy.

    >>> x = gx.placeholder((2, 3), "int64", name="x")
    >>> gx.isin(x, [1, 2]).shape
    (2, 3)
    """
    values, among = promote("isin", (x1, x2))
    found = _is_among(values, among)
    return wrap(bitwise_not(found) if invert else found)


def _is_among(values: Node, among: Node) -> Node:
    table = flattened(among)
    in_order = sorted_(table, descending=False, count=table.shape[0])
    # As many elements are less as are not larger: none is equal.
    before, through = (searchsorted(in_order, values, right=r) for r in (False, True))
    return bitwise_and(ne(before, through), eq(values, values))


def union1d(x1: ArrayLike, x2: ArrayLike, /) -> Tensor:
    """Return the different elements that x1 and x2 have together, in order; see `unique`.

    >>> gx.compile([], gx.union1d([3, 1], [2, 1]))()
    array([1, 2, 3])
    """
    return unique(concat([x1, x2], axis=None))  # type: ignore[no-any-return]


def intersect1d(x1: ArrayLike, x2: ArrayLike, /, assume_unique: bool = False, return_indices: bool = False) -> Any:
    """Return the different elements that both have, in order, and on request where they first are in each; see
    `unique`.

    NaN is equal to nothing.

    >>> gx.compile([], gx.intersect1d([3, 1, 1], [2, 1, 3]))()
    array([1, 3])
    """
    first, second = (flattened(n) for n in promote("intersect1d", (x1, x2)))
    ordered = _sorted(first, equal_nan=False)
    places = places_of(bitwise_and(ordered.is_first, _is_among(ordered.rows, second)))
    values = _rows_at(ordered.rows, places)
    if not return_indices:
        return wrap(values)
    order = argsort(second, descending=False, count=second.shape[0])
    at = searchsorted(gather(second, order, axes=(0,), wrap=False), values, right=False)
    return wrap(values), wrap(_rows_at(ordered.order, places)), wrap(gather(order, at, axes=(0,), wrap=False))


def setdiff1d(x1: ArrayLike, x2: ArrayLike, /, assume_unique: bool = False) -> Tensor:
    """Return the different elements of x1 that are not in x2, in order, or with `assume_unique` all in their order.

    >>> gx.compile([], gx.setdiff1d([3, 1, 2, 3], [2]))()
    array([1, 3])
    """
    first, second = (flattened(n) for n in promote("setdiff1d", (x1, x2)))
    if assume_unique:
        return wrap(_rows_at(first, places_of(bitwise_not(_is_among(first, second)))))
    ordered = _sorted(first, equal_nan=True)
    kept = bitwise_and(ordered.is_first, bitwise_not(_is_among(ordered.rows, second)))
    return wrap(_rows_at(ordered.rows, places_of(kept)))


def setxor1d(x1: ArrayLike, x2: ArrayLike, /, assume_unique: bool = False) -> Tensor:
    """Return the different elements that are in one of the two only, in order. All NaNs are one, in neither other.

    >>> gx.compile([], gx.setxor1d([3, 1, 2], [2, 5]))()
    array([1, 3, 5])
    """
    first, second = (flattened(n) for n in promote("setxor1d", (x1, x2)))
    in_both = concat([wrap(_is_among(first, second)), wrap(_is_among(second, first))]).node
    ordered = _sorted(concat([wrap(first), wrap(second)]).node, equal_nan=True)
    kept = bitwise_and(ordered.is_first, bitwise_not(_rows_at(in_both, ordered.order)))
    return wrap(_rows_at(ordered.rows, places_of(kept)))


__all__ = [
    "intersect1d", "isin", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
]  # fmt: skip
